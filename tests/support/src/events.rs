use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::repository;

/// The published schema of the events.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let text = std::fs::read(repository().join("docs/events.schema.json")).expect("the schema of the events");
    jsonschema::validator_for(&serde_json::from_slice(&text).expect("JSON")).expect("a JSON Schema")
});

/// An event from its line, which is valid by the published schema.
#[track_caller]
pub fn event(line: &str) -> Value {
    let event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let problems: Vec<String> = SCHEMA.iter_errors(&event).map(|error| error.to_string()).collect();
    assert_eq!(problems, [""; 0], "{line}");
    event
}

/// The events of one kind.
pub fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// id -> verdict.
pub fn verdicts(checks: &Value) -> BTreeMap<String, String> {
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks.as_array().into_iter().flatten().map(|check| (text(check, "id"), text(check, "verdict"))).collect()
}

/// The check of an id.
#[track_caller]
pub fn check<'a>(checks: &'a Value, id: &str) -> &'a Value {
    let found = checks.as_array().into_iter().flatten().find(|check| check["id"] == id);
    found.unwrap_or_else(|| panic!("no check {id}: {checks:#}"))
}

/// The outcome of each step, in the order of their ends.
pub fn outcomes(events: &[Value]) -> Vec<&str> {
    of_kind(events, "step-finished").iter().map(|step| step["outcome"].as_str().unwrap_or_default()).collect()
}

/// Whether an event is of this kind and this component, e.g. `step-started` of `loki`.
pub fn named(kind: &'static str, component: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == kind && event["component"] == component
}
