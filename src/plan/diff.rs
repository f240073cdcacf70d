//! Unified diffs for `plan --diff`. Pure. Data of Secrets is never shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::event::ActionKind;
use crate::plan::effects::{by_key, words};
use crate::plan::secret_mask::Mask;
use crate::plan::{Drifted, Plan, Step, Work};

/// Changes of one release.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StepDiff {
    /// Component name.
    pub component: String,
    /// Unified diff of the user-supplied values with three lines of context; empty when nothing differs.
    pub diff: String,
    /// Objects that differ.
    pub objects: Vec<ObjectDiff>,
}

/// Changes of one object.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ObjectDiff {
    /// Kind and name.
    pub object: String,
    /// Unified diff with three lines of context.
    pub diff: String,
}

/// Paths of chart values with a secret now or in the last run, by component.
pub type SecretPlaces = BTreeMap<String, Vec<Vec<String>>>;

/// One diff per step, in wave order.
pub fn diffs(plan: &Plan, places: &SecretPlaces) -> Vec<StepDiff> {
    let of_step = |step: &Step| {
        let places = places.get(step.release.component.as_str()).map(Vec::as_slice).unwrap_or_default();
        step_diff(step, places)
    };
    let mut diffs: Vec<StepDiff> = plan.each_step().map(of_step).collect();
    // The plan counts the records with this step, too.
    let first = plan.each_step().position(|step| step.action != ActionKind::Unchanged);
    if let Some(diff) = first.and_then(|first| diffs.get_mut(first)) {
        diff.objects.extend(plan.records.iter().filter_map(of_drift));
    }
    diffs
}

fn step_diff(step: &Step, places: &[Vec<String>]) -> StepDiff {
    let component = step.release.component.to_string();
    let empty = Value::Object(Map::new());
    let old = step.from.as_ref().and_then(|from| from.values.as_ref()).unwrap_or(&empty);
    let mask = Mask::of(&step.release.secrets, (old, &step.release.values), places);
    let drifted = |drifted: &Drifted| {
        let live = drifted.live.as_ref().map(|live| mask.apply(live));
        of_drift(&Drifted { live, desired: mask.apply(&drifted.desired) })
    };
    let objects = match &step.work {
        Work::Helm => {
            let shown = |objects: &[Value]| objects.iter().map(|object| mask.apply(object)).collect::<Vec<_>>();
            between(&shown(step.installed()), &shown(step.manifest()), &step.release.namespace)
        }
        Work::Objects { release } => release.iter().filter_map(drifted).collect(),
        Work::Wait => Vec::new(),
    };
    let objects = step.own.iter().filter_map(of_drift).chain(objects).collect();
    let diff =
        unified(&format!("{component} values"), &yaml(&mask.values(old)), &yaml(&mask.values(&step.release.values)));
    StepDiff { component, diff, objects }
}

fn between(old: &[Value], new: &[Value], namespace: &str) -> Vec<ObjectDiff> {
    let (old, new) = (by_key(old, namespace), by_key(new, namespace));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let diff = |key| object_diff(words(key), old.get(&key).copied(), new.get(&key).copied());
    keys.into_iter().filter_map(diff).collect()
}

/// Diff of the fields that the desired object sets.
fn of_drift(drifted: &Drifted) -> Option<ObjectDiff> {
    let text = |path: &str| drifted.desired.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let name = format!("{} {}", text("/kind"), text("/metadata/name"));
    let live = drifted.live.as_ref().map(|live| restricted(live, &drifted.desired));
    object_diff(name, live.as_ref(), Some(&drifted.desired))
}

fn restricted(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            let common =
                desired.iter().filter_map(|(key, value)| Some((key.clone(), restricted(live.get(key)?, value))));
            Value::Object(common.collect())
        }
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            live.iter().zip(desired).map(|(live, desired)| restricted(live, desired)).collect()
        }
        _ => live.clone(),
    }
}

fn object_diff(object: String, old: Option<&Value>, new: Option<&Value>) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let (old, new) = masked(old, new);
    let diff =
        unified(&object, &old.as_ref().map(yaml).unwrap_or_default(), &new.as_ref().map(yaml).unwrap_or_default());
    (!diff.is_empty()).then_some(ObjectDiff { object, diff })
}

/// Masks the data of Secrets, also of those in a list; the mask shows only whether a value changes.
fn masked(old: Option<&Value>, new: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let hidden = |shown: Option<&Value>, other: Option<&Value>, word| {
        let mut shown = shown.cloned();
        if let Some(shown) = &mut shown {
            hide_data(shown, other, word);
        }
        shown
    };
    (hidden(old, new, "(hidden)"), hidden(new, old, "(hidden, another)"))
}

/// `other` is the same object after or before the change; `word` masks a value that differs from it.
fn hide_data(shown: &mut Value, other: Option<&Value>, word: &str) {
    let is_secret = |object: &Value| object["kind"] == "Secret";
    if is_secret(shown) || other.is_some_and(is_secret) {
        for field in ["data", "stringData"] {
            let Some(Value::Object(data)) = shown.get_mut(field) else { continue };
            for (key, value) in data.iter_mut() {
                let same = other.and_then(|other| other.get(field)?.get(key)) == Some(&*value);
                *value = if same { "(hidden)" } else { word }.into();
            }
        }
    }
    let Some(Value::Array(items)) = shown.get_mut("items") else { return };
    let others = other.and_then(|other| other.get("items")?.as_array());
    for item in items {
        let identity = |object: &Value| (object["kind"].clone(), object["metadata"]["name"].clone());
        let other = others.and_then(|others| others.iter().find(|other| identity(other) == identity(item)));
        hide_data(item, other, word);
    }
}

fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = similar::TextDiff::from_lines(old, new);
    diff.unified_diff().header(&format!("{name}, current"), &format!("{name}, as planned")).to_string()
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => String::new(),
        other => serde_yaml::to_string(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secrets_data_is_never_shown() {
        let secret = |value: &str| json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": value, "same": "c2FtZQ=="}});
        let diff = between(&[secret("b2xk")], &[secret("bmV3")], "m").remove(0).diff;
        assert!(diff.contains("-  k: (hidden)\n+  k: (hidden, another)"), "{diff}");
        assert!(!diff.contains("b2xk") && !diff.contains("bmV3") && !diff.contains("c2FtZQ"), "{diff}");
        let added = between(&[], &[secret("bmV3")], "m").remove(0).diff;
        assert!(!added.contains("bmV3"), "{added}");
        let list = |value: &str| json!({"kind": "List", "metadata": {"name": "l"}, "items": [secret(value)]});
        let listed = between(&[list("b2xk")], &[list("bmV3")], "m").remove(0).diff;
        assert!(listed.contains("k: (hidden, another)") && !listed.contains("b2xk"), "{listed}");
        assert!(!listed.contains("bmV3") && !listed.contains("c2FtZQ"), "{listed}");
    }

    #[test]
    fn drift_is_shown_without_what_others_added() {
        let live =
            json!({"kind": "Deployment", "metadata": {"name": "d", "uid": "1"}, "spec": {"replicas": 0, "x": 1}});
        let desired = json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 2}});
        let diff = of_drift(&Drifted { live: Some(live), desired }).unwrap().diff;
        assert!(diff.contains("-  replicas: 0\n+  replicas: 2") && !diff.contains("uid"), "{diff}");
    }
}
