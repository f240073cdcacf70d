//! The objects of a release that are watched.

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::event::DiagnosedObject;
use crate::stack::WaitFor;

/// The objects of a release that readiness and diagnosis read.
#[derive(Clone, Debug, Default)]
pub struct TrackedRelease {
    /// Component, which is the release's name too.
    pub component: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Workloads, Jobs, claims and CRDs of the manifest, which must become ready.
    pub(in crate::cluster) roots: Vec<ObjectRef>,
    /// Hook Jobs and hook pods, which helm creates and deletes.
    pub(in crate::cluster) hooks: Vec<ObjectRef>,
    /// Operators' resources and the conditions that must become true.
    pub(in crate::cluster) wait_for: Vec<WaitFor>,
    /// Objects of the manifest without a readiness of their kind, of which `wait_for` selects.
    pub(in crate::cluster) resources: Vec<ObjectRef>,
    /// Objects that rules read, but that do not have to become ready: Ingresses.
    pub(in crate::cluster) others: Vec<ObjectRef>,
}

/// (apiVersion, kind) of the kinds with a readiness.
pub(in crate::cluster) const ROOTS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

impl TrackedRelease {
    /// From the objects that helm renders, hooks included.
    pub fn new<'a>(component: &str, namespace: &str, manifest: impl IntoIterator<Item = &'a Value>) -> TrackedRelease {
        let mut release = TrackedRelease {
            component: component.to_owned(),
            namespace: namespace.to_owned(),
            ..TrackedRelease::default()
        };
        for object in manifest {
            let kind = kind(object);
            let is_root = ROOTS.iter().any(|(_, root)| *root == kind);
            let is_hook = object.pointer("/metadata/annotations/helm.sh~1hook").is_some_and(Value::is_string);
            match kind {
                "Job" | "Pod" if is_hook => release.hooks.push(reference(object, namespace)),
                _ if is_hook => {}
                "Ingress" => release.others.push(reference(object, namespace)),
                _ if is_root => release.roots.push(reference(object, namespace)),
                _ => release.resources.push(reference(object, namespace)),
            }
        }
        release
    }

    /// Adds the conditions to wait for: those of the kinds that the manifest has, under the names there. Chart values can
    /// rename an object or leave it out.
    pub fn waiting_for(mut self, wait_for: &[WaitFor]) -> TrackedRelease {
        let rendered = |wanted: &WaitFor| {
            let of_kind = |object: &&ObjectRef| object.api_version == wanted.api_version && object.kind == wanted.kind;
            let named = |object: &ObjectRef| WaitFor { name: object.name.clone(), ..wanted.clone() };
            self.resources.iter().filter(of_kind).map(named).collect::<Vec<_>>()
        };
        self.wait_for = wait_for.iter().flat_map(rendered).collect();
        self
    }

    /// Adds the own objects of the component.
    pub fn with_own<'a>(mut self, objects: impl Iterator<Item = &'a Value>) -> TrackedRelease {
        let ingresses = objects.filter(|object| kind(object) == "Ingress");
        self.others.extend(ingresses.map(|object| reference(object, &self.namespace)));
        self
    }

    /// Whether a diagnosed object is a hook of the chart or a pod of one.
    pub(in crate::cluster) fn is_of_hook(&self, place: &DiagnosedObject) -> bool {
        let named = place.workload.as_ref().unwrap_or(&place.object);
        self.hooks.iter().any(|hook| *named == format!("{} {}", hook.kind, hook.name))
    }

    /// Every object but those of `wait_for`.
    pub(in crate::cluster) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.roots.iter().chain(&self.hooks).chain(&self.others)
    }
}

fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// An object of a manifest is in the namespace of the release, unless it has one.
fn reference(object: &Value, namespace: &str) -> ObjectRef {
    let mut reference = ObjectRef::of(object);
    if reference.kind == "CustomResourceDefinition" {
        reference.namespace = None;
    } else if reference.namespace.as_deref().unwrap_or_default().is_empty() {
        reference.namespace = Some(namespace.to_owned());
    }
    reference
}
