//! What a run says while something does not go on, and what `diagnose` finds afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Run, Sandbox, outcomes};

use crate::TAILWATCH;

fn rules(events: &[Value]) -> Vec<String> {
    let rule = |event: &Value| event.pointer("/diagnosis/rule").and_then(Value::as_str).map(str::to_owned);
    events.iter().filter_map(rule).collect()
}

/// Takes the API server away and back; returns for how long it was away. The pause is the outage itself.
pub fn away(sandbox: &Sandbox, seconds: u64) -> Duration {
    let began = Instant::now();
    sandbox.fault("api-down", "on");
    std::thread::sleep(Duration::from_secs(seconds));
    sandbox.fault("api-down", "off");
    began.elapsed()
}

type Reached = fn(&Value) -> bool;

/// In the requests of a step, in the wait for pods, under helm, and under the checks. An outage during the wait is long
/// enough for its diagnosis.
const MOMENTS: [(Reached, u64); 4] = [
    (|event| event["event"] == "run-started", 5),
    (|event| event["phase"] == "waiting" && event["desired"] != 0, 20),
    (|event| event["phase"] == "helm" && event["component"] == "loki", 5),
    (|event| event["event"] == "checks-started", 5),
];
/// An outage that no check gives up in: the shortest time limit of one is 15 s.
const TOLERATED: Duration = Duration::from_secs(12);

#[test]
fn an_api_server_that_goes_away_at_any_moment_of_an_install_is_waited_for() {
    let sandbox = Sandbox::up(TAILWATCH, &["--pods", "slow"]);
    let answers = sandbox.answers();
    let arguments = ["install", "--answers", &answers, "--yes", "--output", "json"];
    let mut run = Run::start(&mut sandbox.tailwatch_command(&arguments));
    let (mut moments, mut outage, mut events) = (MOMENTS.iter().peekable(), Duration::ZERO, Vec::new());
    for event in run.events() {
        if let Some((_, seconds)) = moments.next_if(|(is_reached, _)| is_reached(&event)) {
            outage = away(&sandbox, *seconds);
        }
        events.push(event);
    }
    assert_eq!(moments.next(), None, "{:#?}", events.last());
    assert!(rules(&events).contains(&"cluster-unreachable".to_owned()), "{:?}", rules(&events));
    assert_eq!(outcomes(&events), ["installed"; 4]);
    let ended = run.end();
    // The API server of a busy machine may be away for longer than the checks wait.
    if outage < TOLERATED || ended.code != Some(6) {
        ended.ended_with(0);
    }
}

const CRASHES: &str = r#"
- name: ends
  after: 300ms
  containers: { "*": { terminated: { reason: Error, exitCode: 3 } } }
  log: "level=error msg=\"MESSAGE\""
- after: 300ms
  containers: { "*": { waiting: { reason: CrashLoopBackOff, message: back-off } } }
- unless: { restarts: 4 }
  after: 300ms
  containers: { "*": { running: {}, ready: false } }
  next: ends
"#;

/// Lets the containers of oauth2-proxy end again and again, with this message in their log.
pub fn oauth2_proxy_crashes(sandbox: &Sandbox, message: &str) {
    let course = sandbox.file("crashes.yaml");
    std::fs::write(&course, CRASHES.replace("MESSAGE", message)).unwrap();
    sandbox.fault(&format!("pods=oauth2-proxy-@{}", course.display()), "on");
    sandbox.kubectl(&["-n", "monitoring", "delete", "pod", "-l", "app.kubernetes.io/name=oauth2-proxy"]);
}

#[test]
fn diagnose_finds_what_hinders_the_stack_and_quotes_no_secret() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    assert!(sandbox.tailwatch(&["diagnose"]).ended_with(4).stderr.contains("install"));
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let well = sandbox.tailwatch(&["diagnose", "--output", "json"]).ended_with(0).json();
    assert_eq!(well["findings"], serde_json::json!([]));
    let rules = tailwatch::cluster::rule_texts().count();
    assert_eq!(well["rules"].as_u64(), u64::try_from(rules).ok(), "{well:#}");
    let pods = sandbox.get(&["-n", "monitoring", "pods"])["items"].as_array().unwrap().len();
    assert!(well["objects"].as_u64().unwrap() > pods as u64, "{well:#}");

    let canary = sandbox.variable("AUTH0_CLIENT_SECRET").to_owned();
    oauth2_proxy_crashes(&sandbox, &format!("client_secret={canary} is wrong"));
    let mut found = Value::Null;
    support::eventually("a crash is found", || {
        found = serde_json::from_str(&sandbox.tailwatch(&["diagnose", "--output", "json"]).stdout).unwrap();
        found["findings"].to_string().contains("is wrong")
    });
    let first = &found["findings"][0];
    assert_eq!(first["rule"], "crash-loop", "{found:#}");
    assert_eq!(first["place"]["workload"], "Deployment oauth2-proxy");
    assert!(first["log"][0].as_str().unwrap().contains("client_secret=*** is wrong"), "{found:#}");
    assert!(!found.to_string().contains(&canary));
    let reported = sandbox.tailwatch(&["diagnose"]).ended_with(6);
    for part in ["crash-loop", "oauth2-proxy", "kubectl -n monitoring logs", "tailwatch explain crash-loop"] {
        assert!(reported.stdout.contains(part), "{part} is missing in:\n{}", reported.stdout);
    }
    assert!(!reported.stdout.contains(&canary));
}
