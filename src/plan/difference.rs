//! Differences between JSON documents, as paths. Pure.

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
        let child = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect(child, old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null), paths);
    }
}

/// Whether everything `wanted` says stands in `live`; what the server or others added is ignored. Lists are
/// compared entry by entry, since the server may default fields inside them.
pub fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| live.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(found, value)| contains(found, value))
        }
        _ => live == wanted,
    }
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

    #[test]
    fn live_objects_may_have_more_but_not_less() {
        let live = json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "type": "x"}, "status": {}});
        assert!(contains(&live, &json!({"spec": {"ports": [{"port": 1}]}})));
        assert!(!contains(&live, &json!({"spec": {"ports": [{"port": 2}]}})));
        assert!(!contains(&live, &json!({"spec": {"ports": []}})));
        assert!(!contains(&live, &json!({"spec": {"class": "y"}})));
    }
}
