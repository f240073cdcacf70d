//! A run on each kind of cluster that the sandbox has: preflight, install with its verification, upgrade, uninstall. What
//! tailwatch names is compared with `run` in the world's row, tests/sandbox/world/worlds/rows/NAME.yaml:
//!
//! - `inSuite`: it is part of the suite; the others run by `scripts/worlds` only.
//! - `answers`: they are added to the sandbox's answers.
//! - `without`: the checks that fail in a preflight without these answers, which ends with exit code 4.
//! - `checks`: every check that does not pass, and its verdict.
//! - `notices`: a part of each notice, e.g. the name of a node.
//! - `contains`: by object, e.g. `deployment/oauth2-proxy`, a text that it has after the installation.
//! - `diagnoses`: the id of each diagnosis. Others of severity `deadline` may be named, too: they tell what a rollout
//!   waits for at the moment, which depends on the load of the machine.
//! - `exitCodes`: the exit code of each command that does not end with 0.
//!
//! `TAILWATCH_WORLDS=name,name` runs these worlds instead.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Map, Value};
use support::{CommandOutput, Sandbox, of_kind, repository, verdicts};

/// The program under test.
const TAILWATCH: &str = env!("CARGO_BIN_EXE_tailwatch");
/// Checks that do not pass in any sandbox.
const ALWAYS: [(&str, &str); 1] = [("tailnet", "skip")];

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    run: Expected,
}

#[derive(Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Expected {
    in_suite: bool,
    answers: Map<String, Value>,
    without: BTreeMap<String, String>,
    checks: BTreeMap<String, String>,
    notices: Vec<String>,
    contains: BTreeMap<String, String>,
    diagnoses: BTreeSet<String>,
    exit_codes: BTreeMap<String, i32>,
}

/// What the commands on a world named, and in which way that is wrong.
#[derive(Default)]
struct Outcome {
    named: BTreeSet<String>,
    wrong: Vec<String>,
}

#[test]
fn every_world_is_installed_upgraded_and_uninstalled() {
    let worlds = Mutex::new(chosen().into_iter().rev().collect::<Vec<_>>());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once() {
            scope.spawn(|| {
                loop {
                    let Some((name, expected)) = worlds.lock().unwrap().pop() else { return };
                    if !run(&name, &expected) {
                        wrong.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "worlds with another outcome than their rows have: {}", wrong.join(", "));
}

/// Worlds at the same time: the threads of the test harness.
fn at_once() -> usize {
    std::env::var("RUST_TEST_THREADS").map_or(2, |threads| threads.parse().unwrap())
}

/// The worlds of `TAILWATCH_WORLDS`, or of the suite.
fn chosen() -> Vec<(String, Expected)> {
    let folder = repository().join("tests/sandbox/world/worlds/rows");
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        let row: Row = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("world {name}: {error}"));
        (name.to_owned(), row.run)
    };
    if let Ok(names) = std::env::var("TAILWATCH_WORLDS") {
        return names.split(',').map(read).collect();
    }
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned());
    let mut worlds: Vec<_> = names.map(|name| read(&name)).filter(|(_, expected)| expected.in_suite).collect();
    worlds.sort_by(|(one, _), (other, _)| one.cmp(other));
    worlds
}

/// Runs a world and writes its line; whether all was as expected.
fn run(name: &str, expected: &Expected) -> bool {
    let began = Instant::now();
    let sandbox = Sandbox::up(TAILWATCH, &["--world", name]);
    let mut outcome = Outcome::default();
    if !expected.answers.is_empty() {
        outcome.refuse_without(&sandbox, &expected.without);
    }
    outcome.run(&sandbox, expected);
    let named = outcome.named.into_iter().collect::<Vec<_>>().join(" ");
    let verdict = if outcome.wrong.is_empty() { "ok" } else { "FAIL" };
    let seconds = began.elapsed().as_secs();
    let mut line = format!("{name:<22} {verdict:<4} {seconds:>4} s  {named}\n");
    for wrong in &outcome.wrong {
        line.push_str(&format!("{:<22}      {wrong}\n", ""));
    }
    std::io::stderr().lock().write_all(line.as_bytes()).unwrap();
    outcome.wrong.is_empty()
}

impl Outcome {
    /// A preflight without the world's own answers fails by these checks.
    fn refuse_without(&mut self, sandbox: &Sandbox, checks: &BTreeMap<String, String>) {
        let answers = sandbox.answers();
        let said = sandbox.tailwatch(&["preflight", "--answers", &answers, "--output", "json"]);
        let named = troubled(&said.json()["checks"]);
        self.compare("without answers", &named, checks);
        let code = if checks.is_empty() { 0 } else { 4 };
        self.ended(&said, "preflight without answers", code);
    }

    fn run(&mut self, sandbox: &Sandbox, expected: &Expected) {
        let answers = answers(sandbox, &expected.answers);
        let (mut checks, mut notices, mut diagnoses) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        for (command, arguments) in [
            ("install", &["--answers", &answers, "--yes", "--timeout", "60s"][..]),
            ("upgrade", &["--latest", "--yes", "--skip-verify", "--timeout", "60s"]),
            ("uninstall", &["--yes"]),
        ] {
            let said = sandbox.tailwatch(&[&[command, "--output", "json"], arguments].concat());
            if !self.ended(&said, command, expected.exit_codes.get(command).copied().unwrap_or(0)) {
                break;
            }
            if command == "install" {
                self.compare_objects(sandbox, &expected.contains);
            }
            let events = said.events();
            checks.extend(troubled(&Value::from_iter(of_kind(&events, "check-finished").into_iter().cloned())));
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            notices.extend(of_kind(&events, "notice").iter().map(|notice| text(&notice["message"])));
            for event in &events {
                let several = event["findings"].as_array().into_iter().flatten();
                let found = event.get("diagnosis").into_iter().chain(several);
                diagnoses.extend(found.map(|diagnosis| (text(&diagnosis["rule"]), text(&diagnosis["severity"]))));
            }
        }
        self.compare("checks", &checks, &expected.checks);
        self.compare_diagnoses(&diagnoses, &expected.diagnoses);
        self.compare_notices(&notices, &expected.notices);
        let left = sandbox.releases();
        if !left.is_empty() {
            self.wrong.push(format!("left after uninstall: {left:?}"));
        }
    }

    fn ended(&mut self, said: &CommandOutput, command: &str, code: i32) -> bool {
        if said.code != Some(code) {
            self.wrong.push(format!("{command}: exit code {:?} instead of {code}: {}", said.code, said.stderr));
        } else if code != 0 {
            self.named.insert(format!("{command}={code}"));
        }
        said.code == Some(code)
    }

    fn compare(&mut self, what: &str, named: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
        let pairs = named.iter().filter(|(id, verdict)| !ALWAYS.contains(&(id, verdict)));
        let named: BTreeMap<String, String> = pairs.map(|(id, verdict)| (id.clone(), verdict.clone())).collect();
        self.named.extend(named.iter().map(|(id, verdict)| format!("{id}={verdict}")));
        if named != *expected {
            self.wrong.push(format!("{what}: {named:?} instead of {expected:?}"));
        }
    }

    fn compare_objects(&mut self, sandbox: &Sandbox, contains: &BTreeMap<String, String>) {
        for (object, text) in contains {
            let found = sandbox.kubectl(&["-n", "monitoring", "get", object, "-o", "json"]);
            match found.contains(text) {
                true => drop(self.named.insert(text.clone())),
                false => self.wrong.push(format!("{object} does not contain {text:?}")),
            }
        }
    }

    /// `diagnoses` has the severity of each id.
    fn compare_diagnoses(&mut self, diagnoses: &BTreeMap<String, String>, expected: &BTreeSet<String>) {
        self.named.extend(diagnoses.keys().cloned());
        let others = diagnoses.iter().filter(|(id, severity)| !expected.contains(*id) && *severity != "deadline");
        let others: Vec<_> = others.map(|(id, _)| id).collect();
        let missing: Vec<_> = expected.iter().filter(|id| !diagnoses.contains_key(*id)).collect();
        if !others.is_empty() || !missing.is_empty() {
            self.wrong.push(format!("diagnoses: not expected {others:?}, missing {missing:?}"));
        }
    }

    /// Each notice has one of the expected parts, and each of these is in a notice.
    fn compare_notices(&mut self, notices: &BTreeSet<String>, expected: &[String]) {
        for part in expected {
            match notices.iter().any(|notice| notice.contains(part)) {
                true => drop(self.named.insert(format!("notice:{part}"))),
                false => self.wrong.push(format!("no notice has {part:?}")),
            }
        }
        for notice in notices.iter().filter(|notice| !expected.iter().any(|part| notice.contains(part))) {
            self.wrong.push(format!("a notice that is not expected: {notice}"));
        }
    }
}

/// The checks that did not pass.
fn troubled(checks: &Value) -> BTreeMap<String, String> {
    verdicts(checks).into_iter().filter(|(_, verdict)| verdict != "pass").collect()
}

/// The sandbox's answers with more.
fn answers(sandbox: &Sandbox, more: &Map<String, Value>) -> String {
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    let mut answers: Map<String, Value> = serde_yaml::from_str(&text).unwrap();
    answers.extend(more.clone());
    let file = sandbox.file("world-answers.json");
    std::fs::write(&file, Value::Object(answers).to_string()).unwrap();
    file.display().to_string()
}
