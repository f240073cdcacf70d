//! Broken answers: each is refused with file, line, key and what was expected, before any cluster is called.

use std::collections::BTreeSet;
use std::path::Path;

use support::CommandOutput;

use crate::answers_invalid::{ROWS, Row};
use crate::host::{Host, fixture, fixtures};

/// More lines than this are not read by a person in a hurry.
const LONGEST: usize = 20;
/// Stands in every literal secret of the fixtures.
const SECRET: &str = "hunter2";

/// Has an environment, but neither kubeconfig nor helm: who calls a cluster ends with another code.
fn machine() -> Host {
    Host::new().with("AUTH0_CLIENT_SECRET", "s3cret-of-the-environment")
}

/// Runs both commands that judge a file, and holds what is true of every refusal.
#[track_caller]
fn refused(machine: &Host, file: &Path) -> [CommandOutput; 2] {
    let file = file.display().to_string();
    let commands: [&[&str]; 2] = [&["answers", "check", &file], &["install", "--answers", &file, "--yes"]];
    commands.map(|arguments| {
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
        said
    })
}

#[track_caller]
fn reported(machine: &Host, (name, place, key, fragments): Row) {
    let file = fixture(&format!("answers/broken/{name}.yaml"));
    let separator = if place.is_empty() { "" } else { ":" };
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let beginning = format!("error: {}{separator}{place}: {key}found ", file.display());
    for said in refused(machine, &file) {
        said.tells(&[&beginning]).tells(fragments);
    }
}

#[test]
fn every_broken_file_is_refused_where_it_is_broken() {
    let machine = machine();
    for row in ROWS {
        reported(&machine, *row);
    }
}

#[test]
fn every_fixture_has_its_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(name, ..)| format!("{name}.yaml")).collect();
    let names: BTreeSet<String> =
        fixtures("answers/broken").iter().map(|file| file.file_name().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, rows);
}

/// What would be silly in git: name, content, fragments.
fn generated() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let keys: String = (0..95_000).map(|number| format!("k{number}: 1\n")).collect();
    vec![
        ("empty.yaml", Vec::new(), &["an empty file"]),
        ("white-space.yaml", b"  \n\n".to_vec(), &["an empty file"]),
        ("ten-megabytes.yaml", vec![b'#'; 10 << 20], &["10485760 bytes", "at most 1 MiB"]),
        ("binary.yaml", b"tailnet: \x00\x01\x7fELF\n".to_vec(), &["binary data"]),
        ("latin-1.yaml", b"tailnet: x\nnamespace: m\xfcnchen\n".to_vec(), &["bytes in line 2 that are not UTF-8"]),
        ("utf-16.yaml", b"\xff\xfev\x00e\x00r\x00".to_vec(), &["binary data"]),
        ("deep.yaml", [b"values: ".to_vec(), vec![b'['; 100_000]].concat(), &["more than 32 levels"]),
        ("deep-block.yaml", deep_block(400).into_bytes(), &["more than 32 levels"]),
        ("many-keys.yaml", keys.into_bytes(), &["k0: found an unknown key", "and 94"]),
        (
            "long-value.yaml",
            format!("tailnet: {}\n", "x".repeat(500_000)).into_bytes(),
            &["xxx…", "expected 1 to 63 characters"],
        ),
        ("long-key.yaml", format!("{}: 1\n", "k".repeat(1000)).into_bytes(), &["kkk…", "an unknown key"]),
        ("escapes.yaml", b"tailnet: \"\\e[31mred\\a\"\n".to_vec(), &["\\u{1b}[31mred"]),
        ("escapes-in-key.yaml", b"\"\\e[31mred\": 1\n".to_vec(), &["\\u{1b}[31mred"]),
    ]
}

fn deep_block(levels: usize) -> String {
    (0..levels).map(|level| format!("{}k:\n", " ".repeat(level))).collect()
}

#[test]
fn files_of_another_kind_are_refused_cheaply() {
    let machine = machine();
    for (name, content, fragments) in generated() {
        for said in refused(&machine, &machine.file(name, content)) {
            said.tells(&[name]).tells(fragments);
        }
    }
    for (path, fragments) in [
        (machine.home().to_owned(), ["found a folder", "at most 1 MiB"]),
        (machine.path("nowhere.yaml"), ["cannot read the answers file", "No such file or directory"]),
        ("/dev/zero".into(), ["found a device", "at most 1 MiB"]),
    ] {
        for said in refused(&machine, &path) {
            said.tells(&[&path.display().to_string()]).tells(&fragments);
        }
    }
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
        "TAILWATCH_AUTH0_CLIENT_SECRET: auth0.clientSecret: found a literal",
        "TAILWATCH_RETENTION_LOGS: retention.logs: found \"soon\"",
        "--namespace: namespace: found \"Upper\"",
        "--set: retention.metrics: found \"x\"",
    ];
    let talk = said.talk();
    let found: Vec<Option<usize>> = places.iter().map(|place| talk.find(place)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "{found:?}\n{}", said.stderr);
    assert!(!talk.contains(SECRET), "{talk}");
}

#[test]
fn secrets_on_the_command_line_are_refused_without_repeating_them() {
    let machine = machine();
    for (setting, fragment) in [
        ("auth0.clientSecret=hunter2", "never the secret itself"),
        ("auth0.clientSecret={ value: hunter2 }", "an unknown source"),
        ("auth0.clientSecret=[hunter2", "{ env: NAME } or { file: PATH }"),
        ("charts.repository=https://robot:hunter2@charts.acme.example", "no user or password"),
        ("auth0.issuer=https://robot:hunter2@acme.example/", "no user, password"),
        ("auth0.clientSecrett=hunter2", "did you mean clientSecret?"),
    ] {
        let said = machine.run(&["install", "--yes", "--set", setting]).ended_with(3).tells(&[fragment]);
        assert!(!said.stderr.contains(SECRET), "{setting}: {}", said.stderr);
    }
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
    machine.run(&["status", "--namespace", "Upper"]).ended_with(3).tells(&["--namespace: namespace: found"]);
}
