//! How a live object differs from the one of a manifest, or from an own one. Pure.

use serde_json::{Map, Value};

use crate::cluster::{ObjectRef, PartialObject, PreviousOwner, surplus};
use crate::config::Secret;
use crate::plan::compare::{MissingField, drift};
use crate::stack::OwnObject;

pub(super) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Kinds of which only the existence is checked: the API server or a controller rewrites their fields.
pub(super) const ONLY_EXISTENCE: [&str; 3] = ["CustomResourceDefinition", "PersistentVolumeClaim", "Job"];

/// How a live object differs from the manifest's; `None`: equal.
pub(super) fn difference(live: Option<&Value>, desired: &Value) -> Option<String> {
    let Some(live) = live else { return Some("is missing".into()) };
    let kind = desired["kind"].as_str().unwrap_or_default();
    if ONLY_EXISTENCE.contains(&kind) {
        return None;
    }
    let mut desired = desired.clone();
    let body = desired.as_object_mut()?;
    body.remove("status");
    if kind == "Secret" {
        encode_texts(body);
    }
    if body.contains_key("aggregationRule") {
        body.remove("rules");
    }
    let absent = if is_built_in(&desired) { MissingField::Differs } else { MissingField::Pruned };
    drift(live, &desired, absent).map(|path| format!("differs at {path}"))
}

/// The API server never returns `stringData`; it stores it as `data`.
fn encode_texts(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
    for (key, text) in texts {
        data[key] = encode(text.as_str().unwrap_or_default().as_bytes()).into();
    }
}

/// Groups of Kubernetes itself: `apps/v1`, `v1`, `rbac.authorization.k8s.io/v1`.
fn is_built_in(object: &Value) -> bool {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// How a live object differs from an own one; `None`: equal.
pub(super) fn own_difference(live: Option<&Value>, desired: &OwnObject) -> Option<String> {
    let reference = ObjectRef::of(&desired.manifest);
    let name = format!("{} {}", reference.kind, reference.name);
    let Some(live) = live else { return Some(format!("{name} is missing")) };
    // A namespace can have any owner.
    if reference.kind != "Namespace" && !PartialObject::of(live).is_ours() {
        return Some(format!("{name} is not managed by tailwatch"));
    }
    if drift(live, &desired.manifest, MissingField::Differs).is_some() {
        return Some(format!("{name} differs from the plan"));
    }
    if let Some(field) = surplus(live, &desired.manifest, PreviousOwner::Ours).first() {
        return Some(format!("{name} has {field}, which is not in the plan"));
    }
    let same_data = desired.secret_data.iter().all(|(key, value)| is_same(live, key, value));
    (!same_data).then(|| format!("{name} has other data"))
}

fn is_same(live: &Value, key: &str, value: &Secret<Vec<u8>>) -> bool {
    live["data"].get(key).and_then(Value::as_str) == Some(&encode(value.expose()))
}

/// An own Secret with the keys of its data: an unchanged value as it is live, a changed value masked.
pub(super) fn with_masked_data(object: &OwnObject, live: Option<&Value>) -> Value {
    let mut desired = object.manifest.clone();
    for (key, value) in &object.secret_data {
        let same = live.filter(|live| is_same(live, key, value));
        desired["data"][key] = same.map_or_else(|| "(hidden)".into(), |live| live["data"][key].clone());
    }
    desired
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_object_is_reported_with_the_path_of_the_change() {
        let desired = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}});
        let live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0, "paused": false}});
        assert_eq!(difference(Some(&live), &desired), Some("differs at spec.replicas".into()));
        assert_eq!(difference(None, &desired), Some("is missing".into()));
        assert_eq!(difference(Some(&desired), &desired), None);
    }

    #[test]
    fn a_rewrite_by_the_api_server_is_no_drift() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}, "data": {"c": "ZA=="}});
        assert_eq!(
            difference(
                Some(&json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg==", "c": "ZA=="}})),
                &secret
            ),
            None
        );
        assert!(
            difference(Some(&json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="}})), &secret).is_some()
        );
        let rule = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "spec": {"unknown": 1, "retention": "15d"}});
        let pruned =
            json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "spec": {"retention": "15d"}});
        assert_eq!(difference(Some(&pruned), &rule), None);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "aggregationRule": {"x": 1}, "rules": []});
        let filled = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "aggregationRule": {"x": 1}, "rules": [1]});
        assert_eq!(difference(Some(&filled), &role), None);
    }
}
