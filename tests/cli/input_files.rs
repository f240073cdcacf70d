//! Files that never end, and are none: pipes, devices, sockets, terminals. Nothing hangs, and each is named as what it is.

use std::collections::BTreeSet;

use nix::sys::stat::Mode;
use support::assert_wording;

use crate::host::{Host, fixture};

const SECRET: &str = "auth0:\n  clientSecret: { file: PLACE }\n";

/// A named pipe that no program opens.
fn pipe(machine: &Host) -> String {
    let path = machine.path("pipe");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    path.display().to_string()
}

#[test]
fn a_pipe_or_a_device_is_reported_wherever_a_file_is_named() {
    let machine = Host::new();
    let pipe = pipe(&machine);
    let least = std::fs::read_to_string(fixture("answers/v1/least.yaml")).unwrap();
    let good = machine.file("good.yaml", &least).display().to_string();
    let mut messages = BTreeSet::new();
    for place in [pipe.as_str(), "/dev/zero", "/"] {
        for command in [&["install", "--yes", "--answers", place][..], &["answers", "check", place]] {
            messages.insert(machine.run(command).ended_with(3).tells(&[place]).messages(machine.home()));
        }
        let with_secret = machine.file("secret.yaml", least.clone() + "\n" + &SECRET.replace("PLACE", place));
        let with_secret = with_secret.display().to_string();
        let said = machine.run(&["answers", "check", &with_secret]);
        assert!(said.code == Some(3), "{place}: {}", said.stderr);
    }
    let log = ["install", "--yes", "--answers", &good, "--log-file", &pipe];
    messages.insert(machine.run(&log).ended_with(2).messages(machine.home()));
    for flag in ["--junit", "--html"] {
        messages.insert(machine.run(&["verify", flag, &pipe]).ended_with(2).messages(machine.home()));
    }
    assert_wording!(Vec::from_iter(messages).join("\n"));
    let folder = machine.path("values");
    std::fs::create_dir(&folder).unwrap();
    nix::unistd::mkfifo(&folder.join("stack.yaml"), Mode::S_IRWXU).unwrap();
    let folder = folder.display().to_string();
    let said = machine.run(&["plan", "--answers", &good, "--values-dir", &folder]);
    assert!(matches!(said.code, Some(3 | 4)), "{}", said.stderr);
}

/// `tailwatch answers check <(…)`, and a pipe on stdin.
#[test]
fn what_a_shell_passes_is_read_like_a_file() {
    let machine = Host::new().with("AUTH0_CLIENT_SECRET", "hunter2");
    let least = std::fs::read_to_string(fixture("answers/good/full.yaml")).unwrap();
    let file = machine.file("full.yaml", &least);
    let machine = machine.with("TAILSCALE_OAUTH_SECRET", "hunter2");
    let expected = machine.run(&["answers", "check", &file.display().to_string()]).code;
    assert_eq!(expected, Some(0));
    let piped = machine.command(&["answers", "check", "/dev/stdin"]).write_stdin(least).output().unwrap();
    assert_eq!(piped.status.code(), Some(0), "{}", String::from_utf8_lossy(&piped.stderr));
    let endless =
        machine.command(&["answers", "check", "/dev/stdin"]).write_stdin("# ".repeat(1 << 20)).output().unwrap();
    assert_eq!(endless.status.code(), Some(3), "{}", String::from_utf8_lossy(&endless.stderr));
}

#[test]
fn a_duration_without_end_is_a_wrong_command_line() {
    let machine = Host::new();
    let good = fixture("answers/v1/least.yaml").display().to_string();
    for huge in ["9223372036854775807s", "25h", "99999999999999999999999h"] {
        for (flag, command) in [
            ("--timeout", &["install", "--yes", "--answers", &good][..]),
            ("--lock-timeout", &["install", "--yes", "--answers", &good]),
            ("--deadline", &["install", "--yes", "--answers", &good]),
            ("--timeout", &["uninstall", "--yes"]),
            ("--lock-timeout", &["uninstall", "--yes"]),
            ("--within", &["verify"]),
        ] {
            let command = [command, &[flag, huge]].concat();
            machine.run(&command).ended_with(2).tells(&[flag, huge, "24 h"]);
        }
    }
}
