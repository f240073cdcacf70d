//! Kubernetes objects as YAML for `kubectl apply -f -`, with comments.

use serde_json::Value;

use crate::report::wrap::wrap;

/// Columns of a comment.
const WIDTH: usize = 100;
/// The keys of an object, in the usual order.
const KEYS: [&str; 6] = ["apiVersion", "kind", "metadata", "rules", "roleRef", "subjects"];

/// Comments, and parts of objects, each with its comment. Values are JSON, which is YAML: one rule or subject per line.
pub fn manifests(comments: &[String], parts: &[(String, Vec<Value>)]) -> String {
    let mut text: String = comments.iter().map(|comment| commented(comment)).collect();
    for (comment, objects) in parts {
        // The comment is in the document of the first object.
        for (index, object) in objects.iter().enumerate() {
            text += "---\n";
            if index == 0 {
                text += &commented(comment);
            }
            text += &document(object);
        }
    }
    text
}

fn commented(comment: &str) -> String {
    wrap(comment, "", WIDTH - 2).lines().map(|line| format!("# {line}\n")).collect()
}

fn document(object: &Value) -> String {
    let fields = KEYS.iter().filter_map(|key| Some((key, object.get(key)?)));
    let lines = fields.map(|(key, value)| match value {
        Value::Array(items) => {
            let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
            format!("{key}:\n{items}")
        }
        value => format!("{key}: {value}\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_object_is_a_document_that_reads_as_itself() {
        let role = json!({"apiVersion": "v1", "kind": "Role", "metadata": {"name": "on", "namespace": "no"},
            "rules": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]});
        let binding = json!({"apiVersion": "v1", "kind": "RoleBinding", "metadata": {"name": "y"},
            "roleRef": {"kind": "Role", "name": "on"}, "subjects": [{"kind": "Group", "name": "1e3"}]});
        let parts = [("Why: x".to_owned(), vec![role.clone(), binding.clone()])];
        let text = manifests(&["First".to_owned()], &parts);
        assert!(text.starts_with("# First\n---\n# Why: x\napiVersion: \"v1\"\n"), "{text}");
        assert_eq!(crate::yaml::documents(&text).unwrap(), [role, binding]);
    }
}
