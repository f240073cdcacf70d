//! How the program talks: help, manual, completions, colour, and a reader that goes away.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::host::{Host, PROGRAM, fixture};

/// Every command, as words after the program's name.
pub const COMMANDS: [&[&str]; 23] = [
    &[],
    &["install"],
    &["upgrade"],
    &["uninstall"],
    &["plan"],
    &["preflight"],
    &["verify"],
    &["rbac"],
    &["export"],
    &["bundle"],
    &["status"],
    &["diagnose"],
    &["explain"],
    &["replay"],
    &["answers"],
    &["answers", "init"],
    &["answers", "check"],
    &["answers", "show"],
    &["answers", "schema"],
    &["answers", "lock"],
    &["version"],
    &["completions"],
    &["man"],
];

pub fn help(machine: &Host, command: &[&str], flag: &str) -> String {
    let said = machine.run(&[command, &[flag]].concat()).ended_with(0);
    assert!(said.stderr.is_empty(), "{}", said.stderr);
    said.stdout
}

/// Words behind a marker, up to the first character that belongs to none.
fn words_after<'a>(text: &'a str, marker: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(marker).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_help_fits_a_narrow_window_and_lists_every_command() {
    let machine = Host::new();
    let mut listed = BTreeSet::new();
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let text = help(&machine, command, flag);
            assert!(text.contains("Usage: tailwatch"), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{command:?} {flag}: {line}");
                assert!(!line.contains('\u{1b}'), "{line}");
            }
            let commands = text.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
            for line in commands.into_iter().flat_map(str::lines) {
                listed.insert([command, &[line.split_whitespace().next().unwrap()]].concat().join(" "));
            }
        }
    }
    let known: BTreeSet<String> =
        COMMANDS.iter().map(|command| command.join(" ")).chain(["help".into(), "answers help".into()]).collect();
    listed.insert(String::new());
    assert_eq!(listed, known, "COMMANDS of this test and the program differ");
}

#[test]
fn the_version_lists_the_charts_of_the_catalogue() {
    let machine = Host::new();
    let document = machine.run(&["version", "--output", "json"]).ended_with(0).json();
    let listed =
        document["charts"].as_array().unwrap().iter().map(|chart| chart["version"].as_str().unwrap().to_owned());
    let catalogue = tailwatch::stack::Catalogue::embedded().unwrap();
    let expected: Vec<String> = catalogue.versions().map(|(_, version)| version.to_string()).collect();
    assert_eq!(listed.collect::<Vec<_>>(), expected);
    let shown = machine.run(&["version"]).ended_with(0).stdout;
    let named = ["oldestKubernetes", "oldestHelm"].map(|key| document[key].as_str().unwrap());
    assert!(expected.iter().map(String::as_str).chain(named).all(|text| shown.contains(text)), "{shown}");
}

/// Help, hints and messages name no command, flag or variable that does not exist.
#[test]
fn nothing_that_does_not_exist_is_named() {
    let machine = Host::new();
    let everything: String = COMMANDS.iter().map(|command| help(&machine, command, "--help")).collect();
    let flags: BTreeSet<&str> = words_after(&everything, "--").collect();
    let source = source_text(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    for command in words_after(&source, "`tailwatch ").chain(words_after(&everything, "`tailwatch ")) {
        assert!(COMMANDS.contains(&&[command][..]), "`tailwatch {command}` is named but does not exist");
    }
    for subcommand in words_after(&source, "`tailwatch answers ") {
        assert!(COMMANDS.contains(&&["answers", subcommand][..]), "`tailwatch answers {subcommand}`");
    }
    for flag in ["kubeconfig", "context", "helm", "namespace", "timeout", "answers", "yes", "set"] {
        assert!(flags.contains(flag), "hints name --{flag}, help does not");
    }
    let manual = machine.run(&["man"]).ended_with(0).stdout.replace("\\-", "-");
    for flag in words_after(&manual, "--").filter(|flag| !flag.is_empty()) {
        assert!(flags.contains(flag), "the manual names --{flag}, help does not");
    }
    assert!(!manual.contains("(1)\n") && !manual.contains("tailwatch-install"), "the manual names pages of its own");
    for variable in words_after(&everything, "[env: ") {
        assert!(variable.starts_with("TAILWATCH_"), "{variable}");
    }
}

/// All of `src`, without tests.
fn source_text(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            text.push_str(&source_text(&entry));
        } else {
            text.push_str(std::fs::read_to_string(&entry).unwrap().split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
    text
}

#[test]
fn the_manual_reports_every_command_with_its_flags() {
    let machine = Host::new();
    let manual = machine.run(&["man"]).ended_with(0).stdout;
    assert!(manual.contains(".TH tailwatch 1") && manual.contains(".SH SYNOPSIS"), "{manual}");
    let plain = manual.replace("\\-", "-");
    for part in
        ["install", "--answers", "--yes", "--timeout", "--exit-code", "--check", "answers schema", "EXIT STATUS"]
    {
        assert!(plain.contains(part), "{part} is missing in the manual");
    }
}

#[test]
fn completions_know_commands_and_flags() {
    let machine = Host::new();
    for (shell, sign) in
        [("bash", "complete -F _tailwatch"), ("zsh", "#compdef tailwatch"), ("fish", "complete -c tailwatch")]
    {
        let script = machine.run(&["completions", shell]).ended_with(0).stdout;
        for part in [sign, "preflight", "schema", "skip-verify"] {
            assert!(script.contains(part), "{shell}: {part} is missing");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let full = fixture("answers/good/full.yaml").display().to_string();
    let rows: [&[&str]; 8] = [
        &["answers", "schema"],
        &["answers", "init"],
        &["answers", "show", "-f", &full, "--output", "json"],
        &["answers", "show", "-f", &full],
        &["--help"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
    ];
    for arguments in rows {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}

/// What a person's terminal gets for a missing answers file.
fn on_a_terminal(environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["answers", "check", "/nowhere.yaml"]).env_clear();
    command.envs(environment.iter().copied());
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    session.exp_eof().unwrap()
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let machine = Host::new();
    let piped = |arguments: &[&str]| machine.run(&[arguments, &["answers", "check", "/nowhere.yaml"]].concat()).stderr;
    let xterm = ("TERM", "xterm-256color");
    for (seen, colored) in [
        (piped(&[]), false),
        (piped(&["--color", "never"]), false),
        (piped(&["--color", "always"]), true),
        (on_a_terminal(&[xterm], &[]), true),
        (on_a_terminal(&[xterm], &["--color", "never"]), false),
        (on_a_terminal(&[xterm, ("NO_COLOR", "1")], &[]), false),
        (on_a_terminal(&[xterm, ("NO_COLOR", "")], &[]), true),
        (on_a_terminal(&[xterm, ("TAILWATCH_COLOR", "never")], &[]), false),
        (on_a_terminal(&[("TERM", "dumb")], &[]), false),
    ] {
        assert!(seen.contains("/nowhere.yaml"), "{seen:?}");
        assert_eq!(seen.contains('\u{1b}'), colored, "{seen:?}");
    }
}

/// `-q` does not show the plan, so it must not ask for an answer to it either.
#[test]
fn quiet_asks_nothing_on_a_terminal() {
    let machine = Host::new();
    let least = fixture("answers/v1/least.yaml").display().to_string();
    let rows: [&[&str]; 4] =
        [&["-q"], &["install", "-q", "--answers", &least], &["upgrade", "-q", "--latest"], &["uninstall", "-q"]];
    for arguments in rows {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("HOME", machine.home()).env("PATH", machine.path("bin"));
        let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
        let seen = session.exp_eof().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(seen.contains("--quiet"), "{arguments:?}: {seen}");
        assert_eq!(exit_code(session), 2, "{arguments:?}");
    }
    // A note is no error.
    let (note, noted) = ("TAILWATCH_RETENTION_LOG", |arguments: &[&str]| {
        let machine = Host::new().with("TAILWATCH_RETENTION_LOG", "7d");
        machine.run(&[&["install", "--yes", "--answers", &least], arguments].concat()).ended_with(4).stderr
    });
    assert!(noted(&[]).contains(note), "{}", noted(&[]));
    assert!(!noted(&["-q"]).contains(note) && noted(&["-q"]).contains(".kube/config"), "{}", noted(&["-q"]));
}

fn exit_code(session: rexpect::session::PtySession) -> i32 {
    match session.process().wait().unwrap() {
        rexpect::process::WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}
