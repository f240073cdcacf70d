//! Drift of live objects from a release's manifest and from the own objects. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::{Map, Value};

use crate::cluster::{Cluster, ObjectRef, PartialObject, PreviousOwner, surplus};
use crate::config::Secret;
use crate::plan::PlanError;
use crate::plan::compare::{MissingField, drift};
use crate::stack::OwnObject;

/// Drift of one release.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// A sentence fragment each, e.g. `Deployment oauth2-proxy differs at spec.replicas`.
    pub reasons: Vec<String>,
    /// Objects to repair.
    pub objects: Vec<Drifted>,
    /// Whether the API server does not serve a kind of the manifest; only the chart's CRDs restore it.
    pub kinds_missing: bool,
}

/// An object that differs from its desired state.
#[derive(Clone, Debug)]
pub struct Drifted {
    /// Live object; `None`: it does not exist.
    pub live: Option<Value>,
    /// Desired object; without new data for own Secrets.
    pub desired: Value,
}

/// (apiVersion, kind, namespace)
type KindKey<'a> = (&'a str, &'a str, Option<&'a str>);

/// Compares a release's manifest with the live objects. One list per kind, not one request per object.
pub async fn of_manifest(cluster: &Cluster, manifest: &[Value], namespace: &str) -> Result<Drift, PlanError> {
    let mut kinds: BTreeMap<KindKey, Vec<&Value>> = BTreeMap::new();
    for object in manifest {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let place = text("/metadata/namespace").unwrap_or(namespace);
        let key = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default(), Some(place));
        kinds.entry(key).or_default().push(object);
    }
    let compared = kinds.into_iter().map(|(key, desired)| of_kind(cluster, key, desired));
    let mut drift = Drift::default();
    for found in try_join_all(compared).await? {
        drift.reasons.extend(found.reasons);
        drift.objects.extend(found.objects);
        drift.kinds_missing |= found.kinds_missing;
    }
    Ok(drift)
}

async fn of_kind(cluster: &Cluster, key: KindKey<'_>, desired: Vec<&Value>) -> Result<Drift, PlanError> {
    let (api_version, kind, namespace) = key;
    let names: BTreeSet<&str> = desired.iter().map(|object| name(object)).collect();
    let mut found = Drift::default();
    let Some(live) = cluster.find(api_version, kind, namespace, &names).await? else {
        found.kinds_missing = true;
        found.reasons.push(format!("the API server no longer serves {kind} of {api_version}"));
        return Ok(found);
    };
    for object in desired {
        let live = live.iter().find(|live| name(live) == name(object));
        if let Some(reason) = difference(live, object) {
            found.reasons.push(format!("{kind} {} {reason}", name(object)));
            found.objects.push(Drifted { live: live.cloned(), desired: object.clone() });
        }
    }
    Ok(found)
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Kinds of which only the existence is checked: the API server or a controller rewrites their fields.
const ONLY_EXISTENCE: [&str; 3] = ["CustomResourceDefinition", "PersistentVolumeClaim", "Job"];

/// How a live object differs from the manifest's; `None`: equal.
fn difference(live: Option<&Value>, desired: &Value) -> Option<String> {
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

/// Compares the own objects with the live ones; their kinds must be served. One list per kind, as above.
pub async fn of_own_objects(cluster: &Cluster, objects: &[OwnObject]) -> Result<Drift, PlanError> {
    let references: Vec<ObjectRef> = objects.iter().map(|object| ObjectRef::of(&object.manifest)).collect();
    let mut kinds: BTreeMap<KindKey, BTreeSet<&str>> = BTreeMap::new();
    for ObjectRef { api_version, kind, namespace, name } in &references {
        kinds.entry((api_version, kind, namespace.as_deref())).or_default().insert(name);
    }
    let lists = kinds.iter().map(|((api_version, kind, namespace), names)| async move {
        let found = cluster.find(api_version, kind, *namespace, names).await?.unwrap_or_default();
        Ok::<_, PlanError>(found.into_iter().map(|live| (ObjectRef::of(&live), live)).collect::<Vec<_>>())
    });
    let mut live: BTreeMap<ObjectRef, Value> = try_join_all(lists).await?.into_iter().flatten().collect();
    let mut drift = Drift::default();
    for (reference, object) in references.iter().zip(objects) {
        let live = live.remove(reference);
        if let Some(reason) = own_difference(reference, live.as_ref(), object) {
            let desired = with_masked_data(object, live.as_ref());
            drift.reasons.push(reason);
            drift.objects.push(Drifted { live, desired });
        }
    }
    Ok(drift)
}

fn own_difference(reference: &ObjectRef, live: Option<&Value>, desired: &OwnObject) -> Option<String> {
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
fn with_masked_data(object: &OwnObject, live: Option<&Value>) -> Value {
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
