//! A signal before anything was changed ends the command at once, with its own exit code.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use support::{Signal, signal};

use crate::host::{Host, PROGRAM, fixture};

#[test]
fn a_signal_while_the_cluster_is_asked_ends_the_command() {
    let mut messages = BTreeSet::new();
    for kind in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let machine = Host::new();
        machine.kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        machine.program("helm", "echo v3.19.4");
        // Whoever runs this suite in the background has SIGINT ignored.
        let mut child = Command::new("/usr/bin/env")
            .arg("--default-signal=INT,HUP")
            .arg(PROGRAM)
            .args(["install", "--yes", "--answers"])
            .arg(fixture("answers/v1/least.yaml"))
            .arg("--html")
            .arg(machine.path("page.html"))
            .env_clear()
            .env("HOME", machine.home())
            .env("PATH", machine.path("bin"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Once it has called, it waits for an answer that never comes.
        let connection = listener.accept().unwrap();
        signal(child.id(), kind);
        let code = child.wait().unwrap().code();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(code, Some(130), "{kind}: {stderr}");
        messages.insert(stderr);
        let page = std::fs::read_to_string(machine.path("page.html")).unwrap();
        assert!(page.contains("Interrupted"), "{kind}: {page}");
        drop(connection);
    }
    insta::assert_snapshot!(Vec::from_iter(messages).join("\n"), @"error: interrupted, nothing was changed");
}

/// The program under test, started by a shell that prepares it, and asked to install with the API server at this address.
fn started_by(machine: &Host, prepare: &str, listener: &TcpListener) -> std::process::Child {
    machine.kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    machine.program("helm", "echo v3.19.4");
    Command::new("/bin/sh")
        .args(["-c", &format!("{prepare}; exec \"$0\" \"$@\""), PROGRAM, "install", "--yes", "--answers"])
        .arg(fixture("answers/v1/least.yaml"))
        .env_clear()
        .env("HOME", machine.home())
        .env("PATH", machine.path("bin"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// `nohup`, and the background jobs of a shell without job control.
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for (name, ignored) in [("INT", Signal::SIGINT), ("HUP", Signal::SIGHUP)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let machine = Host::new();
        let mut child = started_by(&machine, &format!("trap '' {name}"), &listener);
        let pid = child.id();
        let connection = listener.accept().unwrap();
        signal(pid, ignored);
        // Signals are taken in the order of their numbers, so the second one tells that the first changed nothing.
        let mask = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let ignored_now = mask.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
        let bits = u64::from_str_radix(&ignored_now, 16).unwrap();
        assert_ne!(bits & (1 << (ignored as i32 - 1)), 0, "SIG{name} is listened for");
        assert!(child.try_wait().unwrap().is_none(), "SIG{name} ended it");
        signal(pid, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(connection);
    }
}

/// The main thread reads a pipe that no program writes to or closes.
#[test]
fn a_signal_ends_a_command_that_waits_for_its_answers() {
    let machine = Host::new();
    let mut child = Command::new(PROGRAM)
        .args(["install", "--yes", "--output", "json", "--answers", "/dev/stdin"])
        .env_clear()
        .env("HOME", machine.home())
        .env("PATH", machine.path("bin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, pipe) = (child.id(), child.stdin.take().unwrap());
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << (Signal::SIGTERM as i32 - 1)) != 0
    };
    while !caught() {
        std::thread::yield_now();
    }
    signal(pid, Signal::SIGTERM);
    let ended = child.wait_with_output().unwrap();
    drop(pipe);
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    insta::assert_snapshot!(String::from_utf8_lossy(&ended.stderr), @"error: interrupted, nothing was changed");
    let events = String::from_utf8_lossy(&ended.stdout).into_owned();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"cancelled".into()));
}

/// `stty tostop`: whoever writes to the terminal from the background is stopped, unless it is prepared for it.
#[test]
fn a_background_job_is_not_stopped_by_what_it_writes() {
    let machine = Host::new();
    let answers = machine.file("broken.yaml", "tailnet: [x]\n");
    let mut command = Command::new("/bin/bash");
    command.args(["--norc", "--noprofile", "-i"]).env_clear().env("HOME", machine.home()).env("PS1", "ready> ");
    command.env("PATH", "/usr/bin:/bin").env("TERM", "dumb").current_dir(machine.home());
    let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
    session.exp_string("ready> ").unwrap();
    session.send_line("stty tostop").unwrap();
    session.exp_string("ready> ").unwrap();
    let line = format!("{PROGRAM} install --yes --answers {} & wait $!; echo \"code=\"$?", answers.display());
    session.send_line(&line).unwrap();
    let said = session.exp_regex("code=[0-9]+").unwrap();
    assert_eq!(said.1, "code=3", "{}", said.0);
    session.send_line("exit").unwrap();
    session.exp_eof().unwrap();
}
