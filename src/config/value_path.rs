//! Access to chart values by path: keys, and indexes of lists.

use serde_json::Value;

/// Every value that is neither a mapping nor a list, with its path.
pub(super) fn leaves(value: &Value, path: &mut Vec<String>, see: &mut dyn FnMut(&[String], &Value)) {
    let mut enter = |key: String, child: &Value| {
        path.push(key);
        leaves(child, path, see);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, child)| enter(key.clone(), child)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, child)| enter(index.to_string(), child)),
        leaf => see(path, leaf),
    }
}

/// A child value: of a mapping by its key, of a list by its index.
pub fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

/// The value at a path of keys and indexes.
pub(super) fn at_path<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| child(value, key))
}

/// The value at a path of keys and indexes.
pub(super) fn at_path_mut<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        other => other.get_mut(key),
    })
}
