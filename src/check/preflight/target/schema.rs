//! Types and required fields of a custom resource by the schema of its CRD, where the API server does not serve the kind
//! yet. Pure.

use serde_json::Value;

/// The first violation, e.g. `spec.replicas: expected integer, got string`; `None`: none, or the CRD has no schema.
pub(super) fn violation(crds: &[&Value], object: &Value) -> Option<String> {
    let (group, version) = object["apiVersion"].as_str()?.split_once('/')?;
    let crd = crds.iter().find(|crd| {
        crd.pointer("/spec/group").is_some_and(|found| found == group)
            && crd.pointer("/spec/names/kind").is_some_and(|kind| *kind == object["kind"])
    })?;
    let versions = crd.pointer("/spec/versions")?.as_array()?;
    let schema = versions.iter().find(|known| known["name"] == version)?.pointer("/schema/openAPIV3Schema")?;
    let spec = schema.pointer("/properties/spec")?;
    below("spec", spec, &object["spec"])
}

fn below(path: &str, schema: &Value, value: &Value) -> Option<String> {
    // The API server prunes null.
    if value.is_null() {
        return None;
    }
    let expected = schema["type"].as_str().unwrap_or_default();
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = expected.is_empty() || expected == found || (expected == "number" && found == "integer");
    if !fits {
        return Some(format!("{path}: expected {expected}, got {found}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return Some(format!("{path}: {value} is none of {}", allowed.join(", ")));
    }
    match value {
        Value::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let defaulted = |key: &str| !schema["properties"][key]["default"].is_null();
            let mut missing = required.filter(|key| fields.get(*key).is_none_or(Value::is_null) && !defaulted(key));
            missing.next().map(|key| format!("{path}.{key}: required")).or_else(|| {
                fields.iter().find_map(|(key, value)| {
                    let known = schema["properties"].get(key).or(schema.get("additionalProperties"))?;
                    below(&format!("{path}.{key}"), known, value)
                })
            })
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| below(&format!("{path}[{index}]"), &schema["items"], item)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_and_required_fields_are_those_of_the_crd() {
        let spec = json!({"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer"}, "port": {"x-kubernetes-int-or-string": true},
            "rules": {"type": "array", "items": {"type": "object", "required": ["name"]}},
            "level": {"type": "string", "enum": ["a", "b"]},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        let version = json!({"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}});
        let crd = json!({"spec": {"group": "x.example", "names": {"kind": "Thing"}, "versions": [version]}});
        let of =
            |spec: Value| violation(&[&crd], &json!({"apiVersion": "x.example/v1", "kind": "Thing", "spec": spec}));
        assert_eq!(of(json!({"size": 1, "port": "http", "rules": [{"name": "a"}], "labels": null, "more": 1})), None);
        for (spec, expected) in [
            (json!({"size": "1"}), "spec.size: expected integer, got string"),
            (json!({}), "spec.size: required"),
            (json!({"size": 1, "rules": [{}]}), "spec.rules[0].name: required"),
            (json!({"size": 1, "level": "c"}), "spec.level: \"c\" is none of \"a\", \"b\""),
            (json!({"size": 1, "labels": {"a": 1}}), "spec.labels.a: expected string, got integer"),
        ] {
            assert_eq!(of(spec).as_deref(), Some(expected));
        }
    }
}
