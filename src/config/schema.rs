//! JSON Schema (draft 2020-12) of the answers file, generated from the rows that parse it.

use serde_json::{Map, Value, json};

use crate::config::answers::{ROWS, Row, Shape};
use crate::config::types::COMPONENTS;

/// The schema document.
pub fn schema() -> Value {
    let mut root = object();
    for row in ROWS {
        let path: Vec<&str> = row.key.split('.').collect();
        let mut node = &mut root;
        for parent in &path[..path.len() - 1] {
            node = &mut node["properties"][*parent];
            if node.is_null() {
                *node = object();
            }
        }
        node["properties"][path[path.len() - 1]] = property(row);
    }
    root["properties"]["versions"] =
        by_component(json!({"type": "string"}), "chart versions other than the built-in ones");
    let files = json!({"type": "array", "items": {"type": "string", "minLength": 1}});
    root["properties"]["valuesFiles"] =
        by_component(files, "values files of a chart, relative to this file, merged in order below its values");
    root["properties"]["values"] = by_component(json!({"type": "object"}), "merged last into a chart's values");
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "tailwatch answers".into();
    root
}

fn object() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": false, "properties": {}})
}

fn property(row: &Row) -> Value {
    let mut property = match row.shape {
        Shape::Text if row.key == "version" => json!({"const": 1}),
        Shape::Text => json!({"type": ["string", "null"]}),
        Shape::Flag => json!({"type": ["boolean", "null"], "default": false}),
        Shape::List => json!({"type": ["array", "null"], "minItems": 1, "items": {"type": "string"}}),
        Shape::Secret => json!({
            "oneOf": [
                {"type": "null"},
                {"type": "object", "required": ["env"], "additionalProperties": false, "properties": {"env": {"type": "string"}}},
                {"type": "object", "required": ["file"], "additionalProperties": false, "properties": {"file": {"type": "string"}}},
            ],
        }),
    };
    property["description"] = row.help.into();
    if let (Some(default), Shape::Text) = (row.default, row.shape)
        && row.key != "version"
    {
        property["default"] = default.into();
    }
    property
}

fn by_component(value: Value, description: &str) -> Value {
    let properties: Map<String, Value> = COMPONENTS.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
    json!({"type": ["object", "null"], "additionalProperties": false, "description": description, "properties": properties})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_schema() {
        let schema = schema();
        for row in ROWS {
            let pointer = format!("/properties/{}", row.key.replace('.', "/properties/"));
            assert_eq!(schema.pointer(&pointer).unwrap()["description"], row.help, "{}", row.key);
        }
        assert_eq!(schema["properties"]["auth0"]["additionalProperties"], false);
    }
}
