//! Recorded runs as data of the report files.

use super::checks_table::tests::{check, mixed};
use super::record::{Component, ComponentState, Ending, Facts, Failure, Record, RunEnvironment};
use super::replay_tests::events;
use crate::event::{ActionKind, CheckResult, Event, Hop, TimedEvent, Verdict};

const NAMES: [(&str, &str, Option<&str>); 4] = [
    ("kube-prometheus-stack", "79.10.0", Some("v0.86.2")),
    ("oauth2-proxy", "10.7.0", Some("7.14.3")),
    ("loki", "6.46.0", Some("3.5.7")),
    ("alloy", "1.4.0", None),
];

fn facts(command: &'static str, state: ComponentState) -> Facts {
    let record = Record::new(command);
    record.surroundings(RunEnvironment {
        context: Some("prod-eu".into()),
        namespace: "monitoring".into(),
        address: "https://grafana.tail1a2b.ts.net/".into(),
        kubernetes: "1.33.4".into(),
        helm: "4.0.1".into(),
    });
    let component = |(name, chart, app): (&str, &str, Option<&str>)| Component {
        name: name.into(),
        chart_version: chart.into(),
        app_version: app.map(str::to_owned),
        state: state.clone(),
    };
    record.components(NAMES.map(component).into());
    let mut facts = record.facts();
    facts.begun = "2026-11-24T14:02:00Z".parse().unwrap();
    facts.ended = "2026-11-24T14:03:12Z".parse().unwrap();
    facts
}

/// Verification with one of each verdict.
pub(super) fn verified() -> Facts {
    let mut facts = facts("verify", ComponentState::Installed("deployed".into()));
    facts.checks = mixed();
    facts.ending = Ending::ChecksFailed;
    facts
}

/// Verification in which every hop works.
pub(super) fn all_passed() -> Facts {
    let mut facts = facts("verify", ComponentState::Installed("deployed".into()));
    let checks = Hop::ALL.iter().enumerate().map(|(at, hop)| {
        let group = ["logs", "metrics", "sign-in"][(at / 3).min(2)];
        CheckResult { hop: Some(*hop), ..check(&format!("check-{at}"), group, Verdict::Pass) }
    });
    facts.checks = checks.collect();
    facts
}

/// The recorded run of this name.
pub(super) fn replayed(run: &str) -> Facts {
    let mut facts = facts("install", ComponentState::Planned(ActionKind::Install));
    let events: Vec<TimedEvent> = events(run);
    events.iter().for_each(|timed| facts.apply(timed));
    (facts.begun, facts.ended) = (events[0].time, events.last().unwrap().time);
    if facts.failed_step().is_some() {
        let failure = Failure { message: "loki failed in wave 32".into(), ..Failure::default() };
        facts.ending = Ending::Failed(failure);
    }
    facts
}

#[test]
fn a_run_is_recorded_with_times_and_ordered_checks() {
    let events = events("good");
    let requested = events.iter().find_map(|timed| match &timed.event {
        Event::ChecksStarted { checks } => Some(checks.clone()),
        _ => None,
    });
    let mut facts = replayed("good");
    facts.check(&check("kubernetes-version", "preflight", Verdict::Pass));
    let ids: Vec<String> = facts.ordered_checks().into_iter().map(|check| check.id).collect();
    assert_eq!(ids[0], "kubernetes-version");
    assert_eq!(ids[1..], requested.unwrap());
    assert!(facts.steps.iter().all(|step| step.started.is_some() && step.ended.is_some()));
    facts.check(&check("kubernetes-version", "preflight", Verdict::Fail));
    assert_eq!(facts.checks.iter().filter(|check| check.id == "kubernetes-version").count(), 1);
}
