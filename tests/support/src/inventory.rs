//! Everything that an API server keeps, to compare one moment with another. Left out: Events, which come and go, and
//! ComponentStatuses, which are no objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Sandbox;

/// Kinds that are left out.
const LEFT_OUT: [&str; 3] = ["events", "events.events.k8s.io", "componentstatuses"];
/// What differs between two runs that did the same: it is chosen at random, or tells when and by whom.
const ACCIDENTAL: [&str; 38] = [
    "uid",
    "resourceVersion",
    "generation",
    "observedGeneration",
    "creationTimestamp",
    "managedFields",
    "generateName",
    "status",
    "nodeName",
    "hostname",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "volumeName",
    "claimRef",
    "hostPath",
    "caBundle",
    "endpoints",
    "subsets",
    "pod-template-hash",
    "controller-revision-hash",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "pod-template-generation",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "prometheus-operator-input-hash",
    "prometheus-operator-validated",
    "tailwatch/secret-sha",
    "tailwatch-run",
    "holderIdentity",
    "modifiedAt",
];

/// What was there at a moment.
pub struct Inventory {
    /// `Kind namespace name`, each once.
    objects: BTreeMap<String, Value>,
}

impl Inventory {
    #[track_caller]
    pub fn of(sandbox: &Sandbox) -> Inventory {
        let kinds = sandbox.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
        let kinds = kinds.lines().filter(|kind| !LEFT_OUT.contains(kind)).collect::<Vec<_>>().join(",");
        let everything = sandbox.get(&[&kinds, "-A", "--show-managed-fields=false"]);
        Inventory::from_objects(everything["items"].as_array().expect("a list"))
    }

    /// Of these objects, in any order.
    pub fn from_objects(objects: &[Value]) -> Inventory {
        let key = |object: &Value| {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
            format!("{} {} {}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
        };
        Inventory { objects: objects.iter().map(|object| (key(object), object.clone())).collect() }
    }

    /// `+ Kind namespace name` for what `later` has beside this one, `- …` for what it lacks.
    pub fn difference(&self, later: &Inventory) -> Vec<String> {
        let missing = |from: &Inventory, to: &Inventory, sign: char| -> Vec<String> {
            from.objects
                .keys()
                .filter(|key| !to.objects.contains_key(*key))
                .map(|key| format!("{sign} {key}"))
                .collect()
        };
        [missing(self, later, '-'), missing(later, self, '+')].concat()
    }

    /// The objects without what is accidental, sorted; pods and other objects of a random name by the name they got it
    /// from, Secrets by their keys. Two runs that did the same have the same. Endpoints are left out: a controller
    /// derives them from Services and pods some time later, maybe after the run's end.
    pub fn normalised(&self) -> Vec<String> {
        let derived = |object: &&Value| matches!(object["kind"].as_str(), Some("Endpoints" | "EndpointSlice"));
        let mut lines: Vec<String> = self.objects.values().filter(|object| !derived(object)).map(normalised).collect();
        lines.sort();
        lines
    }
}

fn normalised(object: &Value) -> String {
    let mut object = object.clone();
    let generated = object.pointer("/metadata/generateName").and_then(Value::as_str).map(str::to_owned);
    let owner = object.pointer("/metadata/ownerReferences/0/name").and_then(Value::as_str).map(str::to_owned);
    let hash = object.pointer("/metadata/labels/pod-template-hash").and_then(Value::as_str).map(str::to_owned);
    let without_hash = |name: &str| hash.as_ref().map_or(name.to_owned(), |hash| name.replace(hash, "*"));
    match (object["kind"].as_str(), generated, owner) {
        (Some("ReplicaSet" | "ControllerRevision"), _, Some(owner)) => {
            object["metadata"]["name"] = format!("{owner}-*").into();
        }
        // Its name is the address.
        (Some("PersistentVolume" | "IPAddress"), ..) => object["metadata"]["name"] = "*".into(),
        (_, Some(prefix), _) => object["metadata"]["name"] = (without_hash(&prefix) + "*").into(),
        _ => {}
    }
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        for owner in owners {
            owner["name"] = without_hash(owner["name"].as_str().unwrap_or_default()).into();
        }
    }
    match object["kind"].as_str() {
        Some("Secret") => {
            let keys: Vec<String> =
                object["data"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
            object["data"] = keys.into();
        }
        Some("Lease" | "Node" | "CSINode" | "ControllerRevision") => {
            object["spec"] = Value::Null;
            object["data"] = Value::Null;
        }
        // Its projected token has a random name.
        Some("Pod") => object["spec"] = Value::Null,
        _ => {}
    }
    strip(&mut object);
    without_uids(&object.to_string())
}

/// prometheus-operator names files after uids.
fn without_uids(text: &str) -> String {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_uid = |word: &str| {
        let groups: Vec<&str> = word.split('-').collect();
        let is_group =
            |(group, length): (&&str, usize)| group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit());
        groups.len() == GROUPS.len() && groups.iter().zip(GROUPS).all(is_group)
    };
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = match rest.get(..36).filter(|word| is_uid(word)) {
            Some(uid) => {
                whole.push('*');
                uid.len()
            }
            None => {
                whole.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[skipped..];
    }
    whole
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !ACCIDENTAL.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
