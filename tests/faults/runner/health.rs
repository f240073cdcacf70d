//! Whether the stack is as it was after its first installation.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::runner::watch::Key;

/// Kinds of objects that must exist after each fault.
const LASTING: [&str; 9] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "PersistentVolumeClaim",
    "Ingress",
    "Node",
    "Namespace",
    "Prometheus",
    "Alertmanager",
];

type Objects = BTreeMap<Key, Value>;

/// The objects that must exist.
pub fn lasting(objects: &Objects) -> Vec<Key> {
    objects.keys().filter(|key| LASTING.contains(&key.0.as_str())).cloned().collect()
}

/// Objects that are missing, not ready or terminating.
pub fn unhealthy(objects: &Objects, lasting: &[Key]) -> Vec<String> {
    let gone = lasting.iter().filter(|key| !objects.contains_key(*key));
    let bad = objects.iter().filter(|(key, object)| is_unhealthy(key, object));
    let mut names: Vec<String> =
        gone.chain(bad.map(|(key, _)| key)).map(|key| format!("{} {}", key.0, key.2)).collect();
    names.dedup();
    names
}

/// Pods that are not ready, of a namespace.
pub fn unready_pods(objects: &Objects, namespace: &str) -> Vec<String> {
    let pods = objects.iter().filter(|(key, pod)| key.0 == "Pod" && key.1 == namespace && is_unhealthy(key, pod));
    pods.map(|(key, _)| key.2.clone()).collect()
}

fn is_unhealthy(key: &Key, object: &Value) -> bool {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let is = |kind: &str| {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return true;
    }
    let seen = number("/status/observedGeneration") == number("/metadata/generation");
    match key.0.as_str() {
        "Pod" => text("/status/phase") != "Succeeded" && !is("Ready"),
        "Deployment" => {
            let wanted = number("/spec/replicas");
            let counts = ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"];
            !seen || counts.iter().any(|count| number(count) != wanted)
        }
        "StatefulSet" => {
            let current = text("/status/currentRevision") == text("/status/updateRevision");
            !seen || !current || number("/status/availableReplicas") != number("/spec/replicas")
        }
        "DaemonSet" => {
            let wanted = number("/status/desiredNumberScheduled");
            let counts = ["/status/updatedNumberScheduled", "/status/numberAvailable"];
            !seen || counts.iter().any(|count| number(count) != wanted)
        }
        "PersistentVolumeClaim" => text("/status/phase") != "Bound",
        "Node" => !is("Ready") || object.pointer("/spec/taints").is_some(),
        "Prometheus" | "Alertmanager" => !is("Available"),
        "Ingress" => object.pointer("/status/loadBalancer/ingress").is_none(),
        _ => false,
    }
}
