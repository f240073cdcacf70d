//! Whether things are ready, and if not, why: pure functions over the objects a watch has seen. A generation that
//! its controller has not observed is never ready, and the reason is followed down to the container.

mod pods;
mod workloads;

use std::collections::HashMap;

use serde_json::Value;

use crate::stack::WaitFor;

/// Whether a thing is ready, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// Not yet; `why` is one sentence fragment with the object's name.
    Waiting {
        /// Why.
        why: String,
    },
    /// It will not become ready by itself.
    Failed {
        /// Why.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// Readiness of one release.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReleaseReadiness {
    /// Workloads (and waited-for conditions) that are ready.
    pub ready: u32,
    /// Workloads (and waited-for conditions) that are wanted.
    pub desired: u32,
    /// First reason it waits, with the deepest cause known (container, PVC, scheduling).
    pub waiting: Option<String>,
    /// First failure that will not mend itself: (why, hint).
    pub failed: Option<(String, Option<String>)>,
}

impl ReleaseReadiness {
    /// All ready.
    pub fn is_ready(&self) -> bool {
        self.desired == self.ready && self.failed.is_none()
    }
}

/// Kinds whose readiness is known, with their apiVersion.
pub(super) const TRACKED: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

/// Objects that were seen, by (kind, namespace, name); cluster-scoped ones have the namespace "".
pub(super) type Seen = HashMap<(String, String, String), Value>;

/// What readiness is judged from.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) seen: &'a Seen,
    pub(super) now: jiff::Timestamp,
    /// When somebody began to look: what stood before may have been mended a moment ago, and the next try of the
    /// kubelet tells.
    pub(super) since: jiff::Timestamp,
}

impl<'a> World<'a> {
    fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
        self.seen.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    fn all(&self, kind: &'static str, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        self.seen
            .iter()
            .filter(move |((found, place, _), _)| found == kind && place == namespace)
            .map(|(_, object)| object)
    }
}

/// Readiness of a release: of the workloads, Jobs, PVCs and CRDs in its manifest and of its conditions.
pub(super) fn release(world: World<'_>, manifest: &[Value], wait_for: &[WaitFor], namespace: &str) -> ReleaseReadiness {
    let objects = manifest.iter().filter(|object| is_tracked(object)).map(|object| {
        let kind = text(object, "/kind");
        let place = place(object, namespace);
        workloads::judge(world, kind, place, text(object, "/metadata/name"))
    });
    let conditions = wait_for.iter().map(|wanted| workloads::judge_condition(world, wanted, namespace));
    let mut whole = ReleaseReadiness::default();
    for readiness in objects.chain(conditions) {
        whole.desired += 1;
        match readiness {
            Readiness::Ready => whole.ready += 1,
            Readiness::Waiting { why } => {
                whole.waiting.get_or_insert(why);
            }
            Readiness::Failed { why, hint } => {
                whole.failed.get_or_insert((why, hint));
            }
        }
    }
    whole
}

/// Hooks come and go by helm's hand; what they leave is not the release.
pub(super) fn is_tracked(object: &Value) -> bool {
    let kind = text(object, "/kind");
    let is_hook = object.pointer("/metadata/annotations").is_some_and(|all| all.get("helm.sh/hook").is_some());
    !is_hook && TRACKED.iter().any(|(_, tracked)| *tracked == kind)
}

/// Namespace of a manifest's object, "" for CRDs.
pub(super) fn place<'a>(object: &'a Value, namespace: &'a str) -> &'a str {
    match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        _ if text(object, "/kind") == "CustomResourceDefinition" => "",
        Some(own) if !own.is_empty() => own,
        _ => namespace,
    }
}

/// Whether `status.conditions` has this type with status True.
pub(super) fn has_condition(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| text(condition, "/status") == "True")
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| text(condition, "/type") == kind)
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests;
