//! What has been seen of a cluster: objects as the watches keep them, logs of containers that failed, taints of the
//! nodes. Readiness and diagnosis are judged from this alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::event::DiagnosedObject;
use crate::stack::WaitFor;

/// (kind, namespace, name); cluster-scoped objects have the namespace "".
pub(in crate::cluster) type Key = (String, String, String);

/// Taints of the nodes, read when a rule needs them.
#[derive(Clone, Debug, Default)]
pub(in crate::cluster) struct Nodes {
    /// How many nodes there are.
    pub(in crate::cluster) total: usize,
    /// Taint key -> how many nodes have it.
    pub(in crate::cluster) taints: BTreeMap<String, usize>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(in crate::cluster) struct ObjectCache {
    /// Objects by key, so that those of a kind and namespace stand together.
    pub(in crate::cluster) objects: BTreeMap<Key, Value>,
    /// Last lines of a container's log, by namespace, pod and container.
    pub(in crate::cluster) logs: HashMap<Key, Vec<String>>,
    /// The nodes, once somebody asked.
    pub(in crate::cluster) nodes: Option<Nodes>,
}

/// What of a release is looked at.
#[derive(Clone, Debug, Default)]
pub struct TrackedRelease {
    /// Component, which is the release's name too.
    pub component: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Workloads, Jobs, claims and CRDs of the manifest: what must become ready.
    pub(in crate::cluster) roots: Vec<ObjectRef>,
    /// Hook Jobs and hook pods, which come and go by helm's hand.
    pub(in crate::cluster) hooks: Vec<ObjectRef>,
    /// Operators' resources whose condition must become true.
    pub(in crate::cluster) wait_for: Vec<WaitFor>,
    /// Objects that nothing waits for but that rules know: Ingresses.
    pub(in crate::cluster) others: Vec<ObjectRef>,
}

/// Kinds whose readiness is known, with their apiVersion.
pub(in crate::cluster) const ROOTS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

impl TrackedRelease {
    /// From the objects helm renders (hooks among them), the objects of ours, and the conditions to wait for.
    pub fn new<'a>(component: &str, namespace: &str, manifest: impl IntoIterator<Item = &'a Value>) -> TrackedRelease {
        let mut release = TrackedRelease {
            component: component.to_owned(),
            namespace: namespace.to_owned(),
            ..TrackedRelease::default()
        };
        for object in manifest {
            let kind = text(object, "/kind");
            let known = ROOTS.iter().any(|(_, known)| *known == kind);
            match (mark(object, "helm.sh/hook"), kind) {
                ("", _) if known => release.roots.push(placed(object, namespace)),
                ("", "Ingress") => release.others.push(placed(object, namespace)),
                ("", _) => {}
                (_, "Job" | "Pod") => release.hooks.push(placed(object, namespace)),
                _ => {}
            }
        }
        release
    }

    /// The same with conditions to wait for.
    pub fn waiting_for(mut self, wait_for: &[WaitFor]) -> TrackedRelease {
        self.wait_for = wait_for.to_vec();
        self
    }

    /// The same with objects of ours beside the chart's.
    pub fn with_own<'a>(mut self, objects: impl Iterator<Item = &'a Value>) -> TrackedRelease {
        let ingresses = objects.filter(|object| text(object, "/kind") == "Ingress");
        self.others.extend(ingresses.map(|object| placed(object, &self.namespace)));
        self
    }

    /// Whether a place is a hook of the chart or one of its pods.
    pub(in crate::cluster) fn is_of_hook(&self, place: &DiagnosedObject) -> bool {
        let named = place.workload.as_ref().unwrap_or(&place.object);
        self.hooks.iter().any(|hook| *named == format!("{} {}", hook.kind, hook.name))
    }

    /// Everything that it is made of.
    pub(in crate::cluster) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.roots.iter().chain(&self.hooks).chain(&self.others)
    }
}

/// Reference to a manifest's object, whose namespace is the release's where it names none.
fn placed(object: &Value, namespace: &str) -> ObjectRef {
    let mut reference = ObjectRef::of(object);
    if reference.kind == "CustomResourceDefinition" {
        reference.namespace = None;
    } else if reference.namespace.as_deref().unwrap_or_default().is_empty() {
        reference.namespace = Some(namespace.to_owned());
    }
    reference
}

impl ObjectCache {
    /// Enters an object that has its kind.
    pub(in crate::cluster) fn insert(&mut self, object: Value) {
        let part = |path: &str| text(&object, path).to_owned();
        self.objects.insert((part("/kind"), part("/metadata/namespace"), part("/metadata/name")), object);
    }

    /// One object.
    pub(in crate::cluster) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// The object a reference names.
    pub(in crate::cluster) fn find(&self, reference: &ObjectRef) -> Option<&Value> {
        self.get(&reference.kind, reference.namespace.as_deref().unwrap_or_default(), &reference.name)
    }

    /// Objects of a kind in a namespace, by name.
    pub(in crate::cluster) fn all<'a>(&'a self, kind: &'a str, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let first = (kind.to_owned(), namespace.to_owned(), String::new());
        let rest = self.objects.range((Bound::Included(first), Bound::Unbounded));
        rest.take_while(move |((found, place, _), _)| found == kind && place == namespace).map(|(_, object)| object)
    }

    /// Objects of a kind in whatever namespace.
    pub(in crate::cluster) fn everywhere<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let first = (kind.to_owned(), String::new(), String::new());
        let rest = self.objects.range((Bound::Included(first), Bound::Unbounded));
        rest.take_while(move |((found, _, _), _)| found == kind).map(|(_, object)| object)
    }

    /// Names of the pods of a namespace that a Warning event is about.
    pub(in crate::cluster) fn warned_pods<'a>(&'a self, namespace: &'a str) -> BTreeSet<&'a str> {
        let events = self.all("Event", namespace);
        let about_pods = events.filter(|event| text(event, "/involvedObject/kind") == "Pod");
        about_pods.map(|event| text(event, "/involvedObject/name")).collect()
    }

    /// Warning events about an object, the newest first. The pods of a StatefulSet bear the names of those before
    /// them, so the uid decides.
    pub(in crate::cluster) fn events<'a>(&'a self, object: &'a Value) -> Vec<&'a Value> {
        let part = |path: &str| text(object, path);
        let (kind, name, uid) = (part("/kind"), part("/metadata/name"), part("/metadata/uid"));
        let of_it = |event: &&Value| {
            let about = text(event, "/involvedObject/uid");
            let same = about.is_empty() || uid.is_empty() || about == uid;
            same && text(event, "/involvedObject/kind") == kind && text(event, "/involvedObject/name") == name
        };
        let mut events: Vec<&Value> = self.all("Event", part("/metadata/namespace")).filter(of_it).collect();
        let version = |event: &Value| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or_default();
        events.sort_by_key(|event| std::cmp::Reverse((last_seen(event), version(event))));
        events
    }

    /// Pods of a workload.
    pub(in crate::cluster) fn pods<'a>(&'a self, workload: &'a Value) -> impl Iterator<Item = &'a Value> {
        self.all("Pod", text(workload, "/metadata/namespace")).filter(|pod| belongs_to(pod, workload))
    }

    /// Claims that a pod mounts and that have been seen.
    pub(in crate::cluster) fn claims_of<'a>(&'a self, pod: &Value) -> Vec<&'a Value> {
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
        let names = volumes.map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
        names.filter_map(|name| self.get("PersistentVolumeClaim", text(pod, "/metadata/namespace"), name)).collect()
    }

    /// StatefulSets that an operator made for its resource.
    pub(in crate::cluster) fn made_for<'a>(&'a self, resource: &'a Value) -> impl Iterator<Item = &'a Value> {
        let uid = text(resource, "/metadata/uid");
        self.all("StatefulSet", text(resource, "/metadata/namespace")).filter(move |set| is_owned_by(set, uid))
    }

    /// Last lines of a container's log; empty when none were read.
    pub(in crate::cluster) fn log(&self, pod: &Value, container: &str) -> &[String] {
        let key =
            (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned(), container.to_owned());
        self.logs.get(&key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A Deployment owns its pods through a ReplicaSet that is named after it and the pods' template hash.
fn belongs_to(pod: &Value, workload: &Value) -> bool {
    if text(workload, "/kind") != "Deployment" {
        return is_owned_by(pod, text(workload, "/metadata/uid"));
    }
    owner_of_pod(pod) == Some(("Deployment", text(workload, "/metadata/name")))
}

/// Kind and name of the workload that a pod belongs to, by its owner reference.
pub(in crate::cluster) fn owner_of_pod(pod: &Value) -> Option<(&str, &str)> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) != Some(false))?;
    match text(owner, "/kind") {
        "ReplicaSet" => {
            let hash = text(pod, "/metadata/labels/pod-template-hash");
            let name = text(owner, "/name").strip_suffix(hash)?.strip_suffix('-')?;
            Some(("Deployment", name))
        }
        kind => Some((kind, text(owner, "/name"))),
    }
}

pub(in crate::cluster) fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| owners.iter().any(|owner| text(owner, "/uid") == uid))
}

/// Statuses of a pod's containers, those of its init containers first.
pub(in crate::cluster) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    statuses.into_iter().filter_map(|path| pod.pointer(path)?.as_array()).flatten()
}

/// Whether a container's status says that it is ready.
pub(in crate::cluster) fn is_ready(status: &Value) -> bool {
    status.get("ready").and_then(Value::as_bool) == Some(true)
}

/// How a container that is not ready ended, now or the last time.
pub(in crate::cluster) fn end_of(status: &Value) -> Option<&Value> {
    let end = status.pointer("/state/terminated").or_else(|| status.pointer("/lastState/terminated"));
    end.filter(|_| !is_ready(status))
}

/// The same, where it ended with an error.
pub(in crate::cluster) fn crash_of(status: &Value) -> Option<&Value> {
    end_of(status).filter(|end| number(end, "/exitCode") != 0)
}

/// When an event was last seen, RFC 3339; the API has had three places for it.
pub(in crate::cluster) fn last_seen(event: &Value) -> &str {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .iter()
        .map(|path| text(event, path))
        .find(|time| !time.is_empty())
        .unwrap_or_default()
}

/// A label or annotation, "" when there is none.
pub(in crate::cluster) fn mark<'a>(object: &'a Value, key: &str) -> &'a str {
    let of = |path: &str| object.pointer(path).and_then(|marks| marks.get(key)).and_then(Value::as_str);
    of("/metadata/annotations").or_else(|| of("/metadata/labels")).unwrap_or_default()
}

/// Whether `status.conditions` has this type with status True.
pub(in crate::cluster) fn has_condition(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| text(condition, "/status") == "True")
}

pub(in crate::cluster) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| text(condition, "/type") == kind)
}

/// A condition that is False.
pub(in crate::cluster) fn denied<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    condition(object, kind).filter(|condition| text(condition, "/status") == "False")
}

pub(in crate::cluster) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

pub(in crate::cluster) fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}
