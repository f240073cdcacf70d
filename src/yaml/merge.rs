//! Values merged as helm merges one `-f FILE` over another (`MergeMaps`, helm 4.2 pkg/chart/v2/loader/load.go; helm
//! 3.19 pkg/cli/values/options.go): mappings merge, any other value replaces. A null replaces, too; helm then removes
//! the chart's default of that key.

use serde_json::Value;

/// Merges `over` into `base`.
pub fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
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
    fn mappings_merge_and_anything_else_replaces_null_too() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": true});
        merge(&mut base, &json!({"a": {"b": 3}, "list": [9], "gone": null, "new": {"x": 1}}));
        assert_eq!(base, json!({"a": {"b": 3, "c": 2}, "list": [9], "gone": null, "new": {"x": 1}}));
    }
}
