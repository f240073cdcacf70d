//! Effects of a step, from the installed and the rendered manifest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::{operator_version, prometheus_operator};
use crate::event::Effects;
use crate::plan::Drifted;
use crate::plan::compare::{MissingField, drift};
use crate::stack;

/// (kind, namespace, name); another apiVersion is the same object.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

/// Objects of a manifest by key.
pub(super) fn by_key<'a>(manifest: &'a [Value], namespace: &'a str) -> BTreeMap<Key<'a>, &'a Value> {
    let keyed = manifest.iter().map(|object| {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let own = text("/metadata/namespace");
        ((text("/kind"), if own.is_empty() { namespace } else { own }, text("/metadata/name")), object)
    });
    keyed.collect()
}

/// `Deployment oauth2-proxy`
pub(super) fn words((kind, _, name): Key) -> String {
    format!("{kind} {name}")
}

/// Effects of the change from one manifest of a release in `namespace` to another.
pub(super) fn between(old: &[Value], new: &[Value], namespace: &str) -> Effects {
    let (old, new) = (by_key(old, namespace), by_key(new, namespace));
    let changed: Vec<(Key, &Value, &Value)> =
        new.iter().filter_map(|(key, after)| Some((*key, *old.get(key)?, *after))).filter(|(_, a, b)| a != b).collect();
    Effects {
        added: new.keys().filter(|key| !old.contains_key(*key)).map(|key| words(*key)).collect(),
        removed: old.keys().filter(|key| !new.contains_key(*key)).map(|key| words(*key)).collect(),
        restarts: restarts(&changed),
        images: if old.is_empty() { Vec::new() } else { images(old.values().copied(), new.values().copied()) },
        changed: changed.iter().map(|(key, _, _)| words(*key)).collect(),
        ..Effects::default()
    }
}

/// Effects of repairing drifted objects.
pub(super) fn of_drift(objects: &[Drifted]) -> Effects {
    let mut effects = Effects::default();
    for object in objects {
        let text = |path: &str| object.desired.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} {}", text("/kind"), text("/metadata/name"));
        match &object.live {
            None => effects.added.push(name),
            Some(live) => {
                let differs = |part: fn(&Value) -> Value, absent| drift(&part(live), &part(&object.desired), absent);
                match text("/kind") {
                    kind @ ("Prometheus" | "Alertmanager") if differs(pod_fields, MissingField::Pruned).is_some() => {
                        effects.restarts.push(set_of(kind, text("/metadata/name")));
                    }
                    "Deployment" | "StatefulSet" | "DaemonSet"
                        if differs(template, MissingField::Differs).is_some() =>
                    {
                        effects.restarts.push(name.clone());
                    }
                    _ => {}
                }
                effects.changed.push(name);
            }
        }
    }
    effects
}

/// CRDs that are created or changed: a CRD of the same operator version is unchanged.
pub(super) fn crds(chart: &[Value], live: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let changes = chart.iter().filter_map(|crd| {
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let version = operator_version(crd);
        match (live.get(name), version) {
            (None, Some(version)) => Some(format!("{name} {version}")),
            (None, None) => Some(name.to_owned()),
            (Some(Some(current)), Some(version)) if current == version => None,
            (Some(Some(current)), Some(version)) => Some(format!("{name} {current} -> {version}")),
            (Some(None), Some(version)) => Some(format!("{name} -> {version}")),
            (Some(_), None) => None,
        }
    });
    changes.collect()
}

/// Fields that change the configuration files and not the pods (prometheus-operator pkg/prometheus/server: the
/// StatefulSet does not contain them).
const NO_PART_OF_THE_PODS: [&str; 6] =
    ["evaluationInterval", "scrapeInterval", "scrapeTimeout", "externalLabels", "remoteWrite", "remoteRead"];

fn restarts(changed: &[(Key, &Value, &Value)]) -> Vec<String> {
    let operator_changes = changed.iter().any(|((kind, _, _), old, new)| {
        let program = operator_program(new);
        *kind == "Deployment" && program.is_some() && operator_program(old) != program
    });
    let mut restarts = BTreeSet::new();
    for (key, old, new) in changed {
        match key.0 {
            "Deployment" | "StatefulSet" | "DaemonSet" if !same(&template(old), &template(new)) => {
                restarts.insert(words(*key));
            }
            "Prometheus" | "Alertmanager" if operator_changes || !same(&pod_fields(old), &pod_fields(new)) => {
                restarts.insert(set_of(key.0, key.2));
            }
            _ => {}
        }
    }
    restarts.into_iter().collect()
}

fn template(workload: &Value) -> Value {
    workload.pointer("/spec/template").cloned().unwrap_or_default()
}

/// The StatefulSet that the operator creates for a resource.
fn set_of(kind: &str, name: &str) -> String {
    format!("StatefulSet {}-{name}", kind.to_lowercase())
}

/// Image and arguments of the Prometheus operator, which passes its own version and the reloader's image to its pods.
fn operator_program(deployment: &Value) -> Option<(&Value, &Value)> {
    prometheus_operator(deployment).map(|container| (&container["image"], &container["args"]))
}

fn pod_fields(resource: &Value) -> Value {
    let mut spec = resource["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        let selects_objects = |name: &str| name.ends_with("Selector") && name != "nodeSelector";
        fields.retain(|name, _| !selects_objects(name) && !NO_PART_OF_THE_PODS.contains(&name.as_str()));
    }
    spec
}

fn same(old: &Value, new: &Value) -> bool {
    drift(old, new, MissingField::Differs).is_none() && drift(new, old, MissingField::Differs).is_none()
}

/// `docker.io/grafana/loki 3.5.7 -> 3.6.7`, `new/image 1.0`
fn images<'a>(old: impl Iterator<Item = &'a Value>, new: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let (old, new) = (tags(old), tags(new));
    let changes = new.iter().filter_map(|(repository, tags)| {
        let joined = |tags: &BTreeSet<&str>| tags.iter().copied().collect::<Vec<_>>().join(", ");
        match old.get(repository) {
            Some(before) if before == tags => None,
            Some(before) => Some(format!("{repository} {} -> {}", joined(before), joined(tags))),
            None => Some(format!("{repository} {}", joined(tags))),
        }
    });
    changes.collect()
}

fn tags<'a>(objects: impl Iterator<Item = &'a Value>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (repository, tag) in objects.flat_map(stack::images).filter_map(split) {
        found.entry(repository).or_default().insert(tag);
    }
    found
}

/// Splits at the digest, or at the last colon that is not before a port.
fn split(image: &str) -> Option<(&str, &str)> {
    if let Some((repository, digest)) = image.split_once('@') {
        return Some((repository, digest));
    }
    image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(kind: &str, name: &str, image: &str) -> Value {
        let spec = json!({"template": {"spec": {"containers": [{"name": "c", "image": image, "args": [image]}]}}});
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn objects_images_and_restarts_are_distinguished() {
        let service = |port: u16| json!({"kind": "Service", "metadata": {"name": "loki"}, "spec": {"port": port}});
        let old = [
            workload("StatefulSet", "loki", "docker.io/grafana/loki:3.5.7"),
            service(1),
            json!({"kind": "ConfigMap", "metadata": {"name": "gone"}}),
        ];
        let new = [
            workload("StatefulSet", "loki", "docker.io/grafana/loki:3.6.7"),
            service(2),
            json!({"kind": "ConfigMap", "metadata": {"name": "new"}}),
        ];
        let effects = between(&old, &new, "monitoring");
        assert_eq!(effects.added, ["ConfigMap new"]);
        assert_eq!(effects.removed, ["ConfigMap gone"]);
        assert_eq!(effects.changed, ["Service loki", "StatefulSet loki"]);
        assert_eq!(effects.restarts, ["StatefulSet loki"]);
        assert_eq!(effects.images, ["docker.io/grafana/loki 3.5.7 -> 3.6.7"]);
        assert!(between(&old, &old, "monitoring").is_empty());
    }

    #[test]
    fn the_operators_pods_follow_its_version_and_the_fields_that_reach_them() {
        let resource = |field: &str, value: &str| json!({"kind": "Prometheus", "metadata": {"name": "kps"}, "spec": {field: value, "x": 1}});
        let restarts = |old: &[Value], new: &[Value]| between(old, new, "m").restarts;
        let set = ["StatefulSet prometheus-kps"];
        assert_eq!(restarts(&[resource("retention", "10d")], &[resource("retention", "15d")]), set);
        assert!(restarts(&[resource("scrapeInterval", "1m")], &[resource("scrapeInterval", "30s")]).is_empty());
        let operator = |tag: &str| workload("Deployment", "operator", &format!("quay.io/po/prometheus-operator:{tag}"));
        let old = [resource("scrapeInterval", "1m"), operator("v1")];
        let new = [resource("scrapeInterval", "2m"), operator("v2")];
        assert_eq!(restarts(&old, &new), ["Deployment operator", "StatefulSet prometheus-kps"]);
    }

    #[test]
    fn crds_of_another_version_change() {
        let crd = |version: &str| json!({"metadata": {"name": "a.example", "annotations": {"operator.prometheus.io/version": version}}});
        let live = |version: &str| BTreeMap::from([("a.example".to_owned(), Some(version.to_owned()))]);
        assert_eq!(crds(&[crd("2")], &live("1")), ["a.example 1 -> 2"]);
        assert!(crds(&[crd("2")], &live("2")).is_empty());
        assert_eq!(crds(&[crd("2")], &BTreeMap::new()), ["a.example 2"]);
    }
}
