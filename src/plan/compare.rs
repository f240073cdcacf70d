//! Differences between JSON documents, as paths. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{holds_quantity, same_quantity};
use crate::stack::Release;

/// Paths (`a.b[0].c`) at which two documents differ, in document order; only mappings are compared key by key.
pub fn changed_paths(from: &Value, to: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(String::new(), from, to, &mut paths);
    paths
}

/// End of the paths of values that follow the state of the nodes at an upgrade.
const FOLLOWS_NODES: &str = "updateStrategy.rollingUpdate.maxUnavailable";

/// Paths of the values that differ from the installed ones. A number of unavailable pods that follows the state of the
/// nodes is no difference, unless the answers set it.
pub fn changed_values(installed: &Value, release: &Release) -> Vec<String> {
    let mut paths = changed_paths(installed, &release.values);
    paths.retain(|path| {
        let at = |values: &Value| values.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
        let follows = path.ends_with(FOLLOWS_NODES) && at(&release.overrides).is_none();
        let is_number = |values: &Value| at(values).is_some_and(|value| value.is_number());
        !(follows && (is_number(installed) || is_number(&release.values)))
    });
    paths
}

fn collect(path: String, from: &Value, to: &Value, paths: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        if !same_value(from, to) {
            paths.push(if path.is_empty() { "(all)".into() } else { path });
        }
        return;
    };
    for key in new.keys().chain(old.keys().filter(|key| !new.contains_key(*key))) {
        let child = below(&path, key);
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => collect(child, old, new, paths),
            // A null counts as present: it removes the chart's default.
            _ => paths.push(child),
        }
    }
}

/// Equality that ignores the notation of a number: helm returns `1.0` as `1`.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same_value(value, other)))
        }
        _ => one == other,
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Meaning of a field that the desired object has and the live one lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingField {
    /// Drift: the field was removed.
    Differs,
    /// No drift: the API server prunes fields that the schema of a custom resource does not have.
    Pruned,
}

/// The first path at which a live object differs from the desired one; fields that the server or others added are
/// ignored. Equal are quantities (`1000m` and `1`) in a field that holds one, numbers (`1.0` and `1`), and an empty
/// value and none. Both documents start at the same field of an object.
pub fn drift(live: &Value, desired: &Value, absent: MissingField) -> Option<String> {
    first_drift(&mut FieldPath::default(), live, desired, absent)
}

/// A path in a document: as text, and its keys.
#[derive(Default)]
struct FieldPath<'a> {
    path: String,
    keys: Vec<&'a str>,
}

impl<'a> FieldPath<'a> {
    fn key<T>(&mut self, key: &'a str, at: impl FnOnce(&mut FieldPath<'a>) -> T) -> T {
        let before = std::mem::take(&mut self.path);
        self.path = below(&before, key);
        self.keys.push(key);
        let found = at(self);
        self.keys.pop();
        self.path = before;
        found
    }

    fn entry<T>(&mut self, name: &str, at: impl FnOnce(&mut FieldPath<'a>) -> T) -> T {
        let before = self.path.len();
        self.path += &format!("[{name}]");
        let found = at(self);
        self.path.truncate(before);
        found
    }
}

fn first_drift<'a>(
    place: &mut FieldPath<'a>,
    live: &Value,
    desired: &'a Value,
    absent: MissingField,
) -> Option<String> {
    match (live, desired) {
        // A key without a value requires nothing (`annotations:` of a template that has none).
        (_, Value::Null) => None,
        (Value::Object(live), Value::Object(desired)) => desired.iter().find_map(|(key, value)| match live.get(key) {
            Some(found) => place.key(key, |place| first_drift(place, found, value, absent)),
            None if absent == MissingField::Pruned || is_empty(value) => None,
            None => Some(below(&place.path, key)),
        }),
        (Value::Array(live), Value::Array(desired)) => match names_of(desired) {
            Some((key, names)) => names.iter().zip(desired).find_map(|(name, value)| {
                let text = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                let found = live.iter().find(|item| item[key] == **name);
                place.entry(&text, |place| match found {
                    Some(found) => first_drift(place, found, value, absent),
                    None => Some(place.path.clone()),
                })
            }),
            None if live.len() != desired.len() => Some(place.path.clone()),
            None => live.iter().zip(desired).enumerate().find_map(|(index, (found, value))| {
                place.entry(&index.to_string(), |place| first_drift(place, found, value, absent))
            }),
        },
        _ => (!same_scalar(&place.keys, live, desired)).then(|| place.path.clone()),
    }
}

/// Merge keys of lists to which others may add entries (k8s.io/api: containers, variables and volumes, mounts, ports).
const MERGE_KEYS: [&str; 4] = ["name", "mountPath", "containerPort", "port"];

/// The first merge key with a distinct value in every entry, and these values.
fn names_of(items: &[Value]) -> Option<(&'static str, Vec<&Value>)> {
    MERGE_KEYS.into_iter().find_map(|key| {
        let names: Vec<&Value> = items.iter().map(|item| item.get(key)).collect::<Option<_>>()?;
        let distinct: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        (!names.is_empty() && distinct.len() == names.len()).then_some((key, names))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

fn same_scalar(keys: &[&str], live: &Value, desired: &Value) -> bool {
    same_value(live, desired)
        || (is_empty(live) && is_empty(desired))
        || (holds_quantity(keys) && same_quantity(live, desired))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_of_the_nodes_is_no_difference_of_values() {
        let values =
            |most: Value| json!({"controller": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": most}}}});
        let mut release = Release::for_tests("alloy", "1.4.0");
        release.values = values(json!(2));
        assert!(changed_values(&values(json!("25%")), &release).is_empty());
        release.values = values(json!("25%"));
        assert!(changed_values(&values(json!(2)), &release).is_empty());
        assert_eq!(changed_values(&values(json!("50%")), &release).len(), 1, "the answers no longer set it");
        release.overrides = release.values.clone();
        assert_eq!(changed_values(&values(json!(2)), &release).len(), 1, "the answers set it");
    }

    #[test]
    fn names_every_changed_path() {
        let from = json!({"a": {"b": 1, "gone": true}, "list": [1], "same": "x"});
        let to = json!({"a": {"b": 2, "new": 1}, "list": [1, 2], "same": "x"});
        assert_eq!(changed_paths(&from, &to), ["a.b", "a.new", "a.gone", "list"]);
        assert!(changed_paths(&from, &from).is_empty());
        assert_eq!(changed_paths(&json!({}), &json!({"a": null})), ["a"], "a null removes the chart's default");
        assert!(changed_paths(&json!({"a": null}), &json!({"a": null})).is_empty());
        assert!(changed_paths(&json!({"a": [1.0], "b": 1e6}), &json!({"a": [1], "b": 1_000_000})).is_empty());
    }

    fn differs(live: Value, desired: Value) -> Option<String> {
        drift(&live, &desired, MissingField::Differs)
    }

    #[test]
    fn live_objects_may_have_more_but_not_less() {
        let live = json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "type": "x"}, "status": {}});
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 1}]}})), None);
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 2}]}})), Some("spec.ports[2]".into()));
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 1}, {}]}})), Some("spec.ports".into()));
        assert_eq!(
            differs(json!({"metadata": {"annotations": {"by": "helm"}}}), json!({"metadata": {"annotations": null}})),
            None
        );
        assert_eq!(differs(live.clone(), json!({"spec": {"class": "y"}})), Some("spec.class".into()));
        assert_eq!(drift(&live, &json!({"spec": {"class": "y"}}), MissingField::Pruned), None);
    }

    #[test]
    fn another_notation_of_a_value_is_no_difference() {
        let limits = |limits: Value| json!({"spec": {"containers": [{"name": "a", "resources": {"limits": limits}}]}});
        let live = limits(json!({"cpu": "1", "memory": "1Gi", "half": "500m", "nvidia.com/gpu": "1"}));
        let desired = json!({"cpu": "1000m", "memory": "1024Mi", "half": 0.5, "nvidia.com/gpu": 1});
        assert_eq!(differs(live.clone(), limits(desired)), None);
        let path = |key: &str| Some(format!("spec.containers[a].resources.limits.{key}"));
        assert_eq!(differs(live.clone(), limits(json!({"cpu": "2"}))), path("cpu"));
        assert_eq!(differs(live, limits(json!({"memory": "G"}))), path("memory"));
        assert_eq!(differs(json!({"port": 80}), json!({"port": 80.0, "labels": {}, "env": null})), None);
    }

    #[test]
    fn text_that_only_looks_like_a_quantity_is_text() {
        for (live, desired) in [("1.1", "1.10"), ("1", "1000m"), ("1Gi", "1024Mi"), ("1k", "1000"), ("1e3", "1000")] {
            let places: [fn(&str) -> Value; 6] = [
                |text| json!({"kind": "ConfigMap", "data": {"version": text}}),
                |text| json!({"kind": "ConfigMap", "data": {"limits": text, "cpu": "1"}}),
                |text| json!({"metadata": {"annotations": {"cpu": text}}}),
                |text| json!({"metadata": {"labels": {"storage": text}}}),
                |text| json!({"spec": {"containers": [{"name": "a", "env": [{"name": "b", "value": text}]}]}}),
                |text| json!({"spec": {"containers": [{"name": "a", "args": ["--cpu", text]}]}}),
            ];
            for place in places {
                assert!(differs(place(live), place(desired)).is_some(), "{}", place(desired));
            }
        }
    }

    #[test]
    fn an_entry_with_a_merge_key_may_follow_those_of_others() {
        let live = json!({"containers": [{"name": "proxy"}, {"name": "loki", "image": "a"}]});
        assert_eq!(differs(live.clone(), json!({"containers": [{"name": "loki", "image": "a"}]})), None);
        let other = differs(live.clone(), json!({"containers": [{"name": "loki", "image": "b"}]}));
        assert_eq!(other, Some("containers[loki].image".into()));
        assert_eq!(differs(live, json!({"containers": [{"name": "gone"}]})), Some("containers[gone]".into()));
        let mounts = json!({"mounts": [{"name": "config", "path": "/a"}, {"name": "config", "path": "/b"}]});
        assert_eq!(differs(mounts.clone(), mounts), None, "one volume, mounted twice");
        let mount =
            |paths: &[&str]| paths.iter().map(|path| json!({"name": "config", "mountPath": path})).collect::<Value>();
        assert_eq!(differs(mount(&["/a", "/mine", "/b"]), mount(&["/a", "/b"])), None, "another client added a mount");
    }
}
