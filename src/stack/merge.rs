//! helm's own way of merging values: mappings merge, anything else replaces, null removes.

use serde_json::Value;

/// Merges `over` into `base`.
pub(super) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mappings_merge_lists_replace_null_removes() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": true});
        merge(&mut base, &json!({"a": {"b": 3}, "list": [9], "gone": null, "new": {"x": 1}}));
        assert_eq!(base, json!({"a": {"b": 3, "c": 2}, "list": [9], "new": {"x": 1}}));
    }
}
