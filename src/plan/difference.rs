//! Differences between JSON documents, as paths. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Paths (`a.b[0].c`) at which two documents differ, in document order; a mapping is entered, anything else is
/// compared whole.
pub fn changed_paths(from: &Value, to: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(String::new(), from, to, &mut paths);
    paths
}

fn collect(path: String, from: &Value, to: &Value, paths: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        if from != to {
            paths.push(if path.is_empty() { "(all)".into() } else { path });
        }
        return;
    };
    for key in new.keys().chain(old.keys().filter(|key| !new.contains_key(*key))) {
        let child = below(&path, key);
        collect(child, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), paths);
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a field of the wanted object that the live one lacks means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Somebody took it away.
    Differs,
    /// The API server does not keep fields that its schema does not know (custom resources).
    Pruned,
}

/// The first path at which a live object does not say what the wanted one says; what the server or others added is
/// ignored. Written in another way is the same: quantities (`1000m` is `1`), and an empty value for none.
pub fn drift(live: &Value, wanted: &Value, absent: Absent) -> Option<String> {
    first_drift(String::new(), live, wanted, absent)
}

fn first_drift(path: String, live: &Value, wanted: &Value, absent: Absent) -> Option<String> {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().find_map(|(key, value)| match live.get(key) {
            Some(found) => first_drift(below(&path, key), found, value, absent),
            None if absent == Absent::Pruned || is_empty(value) => None,
            None => Some(below(&path, key)),
        }),
        (Value::Array(live), Value::Array(wanted)) => match names_of(wanted) {
            Some(names) => names.iter().zip(wanted).find_map(|(name, value)| {
                let path = format!("{path}[{name}]");
                match live.iter().find(|item| item["name"] == **name) {
                    Some(found) => first_drift(path, found, value, absent),
                    None => Some(path),
                }
            }),
            None if live.len() != wanted.len() => Some(path),
            None => live
                .iter()
                .zip(wanted)
                .enumerate()
                .find_map(|(index, (found, value))| first_drift(format!("{path}[{index}]"), found, value, absent)),
        },
        _ => (!same_scalar(live, wanted)).then_some(path),
    }
}

/// The names of a list whose entries the API server tells apart by name (containers, variables, volumes): others may
/// add to it.
fn names_of(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = items.iter().map(|item| item.get("name")?.as_str()).collect::<Option<_>>()?;
    // A volume may be mounted twice, so mounts of one name are told apart by their order.
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    (!names.is_empty() && distinct.len() == names.len()).then_some(names)
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

fn same_scalar(live: &Value, wanted: &Value) -> bool {
    if live == wanted || (is_empty(live) && is_empty(wanted)) {
        return true;
    }
    matches!((amount(live), amount(wanted)), (Some(live), Some(wanted)) if live == wanted)
}

/// Suffixes of apimachinery's resource.Quantity, as powers of ten and of two.
const UNITS: [(&str, f64); 14] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

/// A number, or a text that is a quantity.
pub fn amount(value: &Value) -> Option<f64> {
    let Some(text) = value.as_str() else { return value.as_f64() };
    let (digits, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse::<f64>().ok().filter(|_| plain).map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_every_changed_path() {
        let from = json!({"a": {"b": 1, "gone": true}, "list": [1], "same": "x"});
        let to = json!({"a": {"b": 2, "new": 1}, "list": [1, 2], "same": "x"});
        assert_eq!(changed_paths(&from, &to), ["a.b", "a.new", "a.gone", "list"]);
        assert!(changed_paths(&from, &from).is_empty());
    }

    fn differs(live: Value, wanted: Value) -> Option<String> {
        drift(&live, &wanted, Absent::Differs)
    }

    #[test]
    fn live_objects_may_have_more_but_not_less() {
        let live = json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "type": "x"}, "status": {}});
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 1}]}})), None);
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 2}]}})), Some("spec.ports[0].port".into()));
        assert_eq!(differs(live.clone(), json!({"spec": {"ports": [{"port": 1}, {}]}})), Some("spec.ports".into()));
        assert_eq!(differs(live.clone(), json!({"spec": {"class": "y"}})), Some("spec.class".into()));
        assert_eq!(drift(&live, &json!({"spec": {"class": "y"}}), Absent::Pruned), None);
    }

    #[test]
    fn what_is_written_in_another_way_is_the_same() {
        let live = json!({"cpu": "1", "memory": "1Gi", "half": "500m", "port": 80});
        let wanted = json!({"cpu": "1000m", "memory": "1024Mi", "half": 0.5, "port": 80, "labels": {}, "env": null});
        assert_eq!(differs(live.clone(), wanted), None);
        assert_eq!(differs(live.clone(), json!({"cpu": "2"})), Some("cpu".into()));
        assert_eq!(differs(live, json!({"memory": "G"})), Some("memory".into()));
    }

    #[test]
    fn a_named_entry_may_stand_beside_those_of_others() {
        let live = json!({"containers": [{"name": "proxy"}, {"name": "loki", "image": "a"}]});
        assert_eq!(differs(live.clone(), json!({"containers": [{"name": "loki", "image": "a"}]})), None);
        let other = differs(live.clone(), json!({"containers": [{"name": "loki", "image": "b"}]}));
        assert_eq!(other, Some("containers[loki].image".into()));
        assert_eq!(differs(live, json!({"containers": [{"name": "gone"}]})), Some("containers[gone]".into()));
        let mounts = json!({"mounts": [{"name": "config", "path": "/a"}, {"name": "config", "path": "/b"}]});
        assert_eq!(differs(mounts.clone(), mounts), None, "one volume, mounted twice");
    }
}
