//! Broken answers: each is refused with file, line, key and what was expected, before any cluster is called.

use std::collections::BTreeSet;
use std::path::Path;

use support::assert_wording;

use crate::answers_invalid::{ROWS, Row};
use crate::host::{Host, fixture, fixtures};

/// More lines than this are not read by a person in a hurry.
const LONGEST: usize = 20;
/// The value of every literal secret of the fixtures.
const SECRET: &str = "hunter2";

/// Has an environment, but neither kubeconfig nor helm: who calls a cluster ends with another code.
fn machine() -> Host {
    Host::new().with("AUTH0_CLIENT_SECRET", "s3cret-of-the-environment")
}

/// Runs both commands that judge a file, and holds what is true of every refusal; returns their common message.
#[track_caller]
fn refused(machine: &Host, file: &Path) -> String {
    let file = file.display().to_string();
    let commands: [&[&str]; 2] = [&["answers", "check", &file], &["install", "--answers", &file, "--yes"]];
    let [checked, installed] = commands.map(|arguments| {
        let said = machine.run(arguments);
        let context = format!("{}\nstdout:\n{}\nstderr:\n{}", arguments.join(" "), said.stdout, said.stderr);
        assert_eq!(said.code, Some(3), "{context}");
        assert!(said.stdout.is_empty(), "{context}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains("\nhint: "), "{context}");
        assert!(said.stderr.lines().count() <= LONGEST, "{context}");
        assert!(said.stderr.lines().all(|line| line.chars().count() <= 120 || line.contains(&file)), "{context}");
        for never in [SECRET, "s3cret-of-the-environment", "panicked", "RUST_BACKTRACE", "\u{1b}", "TODO"] {
            assert!(!said.stderr.contains(never), "{never:?} was said: {context}");
        }
        said.messages(machine.home())
    });
    assert_eq!(checked, installed);
    checked
}

#[track_caller]
fn reported(machine: &Host, (name, place, key): Row) -> String {
    let file = format!("answers/broken/{name}.yaml");
    let said = refused(machine, &fixture(&file));
    let separator = if place.is_empty() { "" } else { ":" };
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let beginning = format!("error: ./tests/fixtures/{file}{separator}{place}: {key}");
    assert!(said.lines().any(|line| line.starts_with(&beginning)), "{beginning}:\n{said}");
    said
}

#[test]
fn every_broken_file_is_refused_where_it_is_broken() {
    let machine = machine();
    assert_wording!(ROWS.iter().map(|row| reported(&machine, *row)).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_fixture_has_its_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(name, ..)| format!("{name}.yaml")).collect();
    let names: BTreeSet<String> =
        fixtures("answers/broken").iter().map(|file| file.file_name().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, rows);
}

/// What would be silly in git: name, content.
fn generated() -> Vec<(&'static str, Vec<u8>)> {
    let keys: String = (0..95_000).map(|number| format!("k{number}: 1\n")).collect();
    vec![
        ("empty.yaml", Vec::new()),
        ("white-space.yaml", b"  \n\n".to_vec()),
        ("ten-megabytes.yaml", vec![b'#'; 10 << 20]),
        ("binary.yaml", b"tailnet: \x00\x01\x7fELF\n".to_vec()),
        ("latin-1.yaml", b"tailnet: x\nnamespace: m\xfcnchen\n".to_vec()),
        ("utf-16.yaml", b"\xff\xfev\x00e\x00r\x00".to_vec()),
        ("deep.yaml", [b"values: ".to_vec(), vec![b'['; 100_000]].concat()),
        ("deep-block.yaml", deep_block(400).into_bytes()),
        ("many-keys.yaml", keys.into_bytes()),
        ("long-value.yaml", format!("tailnet: {}\n", "x".repeat(500_000)).into_bytes()),
        ("long-key.yaml", format!("{}: 1\n", "k".repeat(1000)).into_bytes()),
        ("escapes.yaml", b"tailnet: \"\\e[31mred\\a\"\n".to_vec()),
        ("escapes-in-key.yaml", b"\"\\e[31mred\": 1\n".to_vec()),
    ]
}

fn deep_block(levels: usize) -> String {
    (0..levels).map(|level| format!("{}k:\n", " ".repeat(level))).collect()
}

#[test]
fn files_of_another_kind_are_refused_cheaply() {
    let machine = machine();
    let mut said: Vec<String> =
        generated().into_iter().map(|(name, content)| refused(&machine, &machine.file(name, content))).collect();
    for path in [machine.home().to_owned(), machine.path("nowhere.yaml"), "/dev/zero".into()] {
        said.push(refused(&machine, &path));
    }
    assert_wording!(said.join("\n"));
}

#[test]
fn problems_of_all_sources_come_in_one_go_in_the_order_of_the_sources() {
    let machine = machine().with("TAILWATCH_RETENTION_LOGS", "soon").with("TAILWATCH_AUTH0_CLIENT_SECRET", SECRET);
    let file = machine.file("a.yaml", "tailnet: [x]\nstorage:\n  loki: 1B\n").display().to_string();
    let arguments = ["install", "--yes", "-f", &file, "--namespace", "Upper", "--set", "retention.metrics=x"];
    let said = machine.run(&arguments).ended_with(3);
    let places = [
        "a.yaml:1:10: tailnet: ",
        "a.yaml:3:9: storage.loki: ",
        "TAILWATCH_AUTH0_CLIENT_SECRET: auth0.clientSecret: ",
        "TAILWATCH_RETENTION_LOGS: retention.logs: ",
        "--namespace: namespace: ",
        "--set: retention.metrics: ",
    ];
    let talk = said.talk();
    let found: Vec<Option<usize>> = places.iter().map(|place| talk.find(place)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{found:?}\n{}", said.stderr);
    assert!(!talk.contains(SECRET), "{talk}");
}

#[test]
fn secrets_on_the_command_line_are_refused_without_repeating_them() {
    let machine = machine();
    let mut reported = Vec::new();
    for setting in [
        "auth0.clientSecret=hunter2",
        "auth0.clientSecret={ value: hunter2 }",
        "auth0.clientSecret=[hunter2",
        "charts.repository=https://robot:hunter2@charts.acme.example",
        "auth0.issuer=https://robot:hunter2@acme.example/",
        "auth0.clientSecrett=hunter2",
    ] {
        let said = machine.run(&["install", "--yes", "--set", setting]).ended_with(3);
        assert!(!said.stderr.contains(SECRET), "{setting}: {}", said.stderr);
        reported.push(said.messages(machine.home()));
    }
    assert_wording!(reported.join("\n"));
}

/// `plan`, `preflight` and `verify` judge the answers first too, so that a typo is not hidden behind a kubeconfig.
#[test]
fn every_command_that_reads_answers_judges_them_before_it_calls_the_cluster() {
    let machine = machine();
    for name in ["size-in-gb", "secret-variable-missing"] {
        let file = fixture(&format!("answers/broken/{name}.yaml")).display().to_string();
        for command in ["install", "plan", "preflight", "verify"] {
            let yes = if command == "install" { &["--yes"][..] } else { &[] };
            machine.run(&[&[command, "--answers", &file], yes].concat()).ended_with(3).tells(&[name]);
        }
    }
    machine.run(&["status", "--namespace", "Upper"]).ended_with(3).tells(&["--namespace: namespace: "]);
}
