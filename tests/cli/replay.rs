//! `tailwatch replay` of recorded runs.

use serde_json::Value;

use crate::host::{Host, fixture};

fn recorded(run: &str) -> String {
    fixture(&format!("runs/{run}.jsonl")).display().to_string()
}

#[test]
fn a_recorded_run_is_shown_with_its_end() {
    let machine = Host::new();
    let good = machine.run(&["replay", &recorded("good")]).ended_with(0);
    assert!(good.stderr.contains("loki") && good.stderr.contains("installed in"), "{}", good.stderr);
    assert!(good.stdout.contains("16 checks: 16 pass"), "{}", good.stdout);

    let failed = machine.run(&["replay", &recorded("image-not-found")]).ended_with(0);
    let cause = "image docker.io/grafana/loki:3.5.77 does not exist in its registry";
    assert!(failed.stderr.contains(cause), "{}", failed.stderr);
    let refused = r#"{"time":"2026-11-24T14:02:00Z","event":"run-finished","outcome":"refused","clusterChanged":false,
        "error":{"message":"unknown key tailnett","causes":["line 2"],"hint":"set tailnet","exitCode":3},"steps":[],"checks":[],
        "seconds":0.1,"peakRssKiB":1,"apiRequests":{}}"#;
    let file = machine.file("refused.jsonl", refused.replace('\n', ""));
    let refused = machine.run(&["replay", file.to_str().unwrap()]).ended_with(0);
    refused.tells(&["error: unknown key tailnett", "because: line 2", "hint: set tailnet"]);
    let removed = machine.run(&["replay", &recorded("uninstall")]).ended_with(0);
    assert!(removed.stdout.contains("/var/lib/alloy"), "{}", removed.stdout);
}

#[test]
fn the_events_of_a_recorded_run_are_its_json() {
    let machine = Host::new();
    let file = recorded("good");
    let shown = machine.run(&["replay", &file, "--output", "json"]).ended_with(0);
    let kinds = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
    };
    assert_eq!(kinds(&shown.stdout), kinds(&std::fs::read_to_string(file).unwrap()));
}

#[test]
fn the_log_file_of_several_runs_is_replayed_without_the_calls_of_helm() {
    let machine = Host::new();
    let run = std::fs::read_to_string(recorded("good")).unwrap();
    let log = machine.file("run.log", format!("{{\"time\":\"x\",\"helm\":[\"version\"]}}\n{run}{run}"));
    let said = machine.run(&["replay", log.to_str().unwrap()]).ended_with(0);
    assert_eq!(said.stdout.matches("16 checks: 16 pass").count(), 2, "{}", said.stdout);
}

#[test]
fn a_file_that_is_no_recording_is_rejected_with_its_line() {
    let machine = Host::new();
    let run = std::fs::read_to_string(recorded("good")).unwrap();
    let first = run.lines().next().unwrap();
    for (text, found) in [
        (String::new(), "no event"),
        (format!("{first}\nhalf of a li"), "line 2 is no event"),
        (format!("{first}\n{{\"time\": \"2026-11-24T14:02:00Z\", \"event\": \"lunch\"}}"), "lunch"),
    ] {
        let file = machine.file("events.jsonl", &text);
        let said = machine.run(&["replay", file.to_str().unwrap()]).ended_with(2);
        said.tells(&[file.to_str().unwrap(), found, "--output json"]);
    }
    let gone = machine.path("gone.jsonl").display().to_string();
    machine.run(&["replay", &gone]).ended_with(2).tells(&[&gone]);
    machine.run(&["replay", &gone, "--speed", "0"]).ended_with(2).tells(&["--speed"]);
}
