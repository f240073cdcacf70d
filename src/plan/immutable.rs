//! Immutable fields: a change of one requires that the object is re-created. Pure.

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::plan::Replacement;
use crate::plan::compare::{MissingField, drift};

/// Mutable fields of a StatefulSet's spec (kubernetes pkg/apis/apps/validation, ValidateStatefulSetUpdate).
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// How the object must be re-created, and the first field that requires it; `None`: an update is possible.
pub(super) fn replacements(old: &Value, new: &Value, namespace: &str) -> Option<(Replacement, String)> {
    let mut object = ObjectRef::of(new);
    object.namespace.get_or_insert_with(|| namespace.to_owned());
    match object.kind.as_str() {
        "StatefulSet" => {
            let field = first_difference(&fixed(&old["spec"]), &fixed(&new["spec"]))?;
            let whole = differs(old, new, "/spec/selector").is_some();
            Some((
                if whole { Replacement::Cascade(object) } else { Replacement::Orphan(object) },
                format!("spec.{field}"),
            ))
        }
        "Deployment" | "DaemonSet" => {
            differs(old, new, "/spec/selector").map(|_| (Replacement::Cascade(object), "spec.selector".into()))
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            if object.kind == "ClusterRoleBinding" {
                object.namespace = None;
            }
            differs(old, new, "/roleRef").map(|_| (Replacement::Orphan(object), "roleRef".into()))
        }
        _ => None,
    }
}

fn differs(old: &Value, new: &Value, pointer: &str) -> Option<String> {
    first_difference(old.pointer(pointer)?, new.pointer(pointer)?)
}

fn first_difference(old: &Value, new: &Value) -> Option<String> {
    let is_there = |path: String| if path.is_empty() { "all".to_owned() } else { path };
    drift(old, new, MissingField::Differs).or_else(|| drift(new, old, MissingField::Differs)).map(is_there)
}

fn fixed(spec: &Value) -> Value {
    let mut fixed = spec.clone();
    if let Some(fields) = fixed.as_object_mut() {
        fields.retain(|name, _| !MUTABLE.contains(&name.as_str()));
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, spec: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "loki"}, "spec": spec})
    }

    #[test]
    fn only_immutable_fields_require_a_new_object() {
        let old =
            object("StatefulSet", json!({"replicas": 1, "serviceName": "a", "selector": {"matchLabels": {"a": "b"}}}));
        let mut new = old.clone();
        new["spec"]["replicas"] = 2.into();
        new["spec"]["template"] = json!({"x": 1});
        assert_eq!(replacements(&old, &new, "monitoring"), None);
        new["spec"]["serviceName"] = "b".into();
        let (way, field) = replacements(&old, &new, "monitoring").unwrap();
        assert_eq!(field, "spec.serviceName");
        assert!(
            matches!(&way, Replacement::Orphan(object) if object.namespace.as_deref() == Some("monitoring")),
            "{way:?}"
        );
        new["spec"]["selector"]["matchLabels"]["a"] = "c".into();
        assert!(
            matches!(replacements(&old, &new, "monitoring").unwrap().0, Replacement::Cascade(_)),
            "the new selector would not match its pods"
        );
    }

    #[test]
    fn another_notation_of_a_size_is_no_difference() {
        let claim = |size: &str| json!([{"metadata": {"name": "storage"}, "spec": {"resources": {"requests": {"storage": size}}}}]);
        let of = |claims: Value| object("StatefulSet", json!({"volumeClaimTemplates": claims}));
        assert_eq!(replacements(&of(claim("1Gi")), &of(claim("1024Mi")), "m"), None);
        assert!(
            replacements(&of(claim("1Gi")), &of(claim("2Gi")), "m").unwrap().1.starts_with("spec.volumeClaimTemplates")
        );
        assert!(replacements(&of(claim("1Gi")), &of(json!([])), "m").is_some());
    }

    #[test]
    fn a_deployments_selector_and_a_bindings_role_are_fixed() {
        let deployment = |label: &str| object("Deployment", json!({"selector": {"matchLabels": {"app": label}}}));
        assert!(matches!(replacements(&deployment("a"), &deployment("b"), "m"), Some((Replacement::Cascade(_), _))));
        assert_eq!(replacements(&deployment("a"), &deployment("a"), "m"), None);
        let binding =
            |role: &str| json!({"kind": "ClusterRoleBinding", "metadata": {"name": "x"}, "roleRef": {"name": role}});
        let (way, _) = replacements(&binding("a"), &binding("b"), "m").unwrap();
        assert!(matches!(way, Replacement::Orphan(object) if object.namespace.is_none()));
    }
}
