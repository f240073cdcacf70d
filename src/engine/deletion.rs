//! Objects with a pending deletion, tracked by UID until none exists: a new object of the same name does not count.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, Found, ObjectRef, namespace_of};

/// Lists that run in parallel.
const LISTS_AT_ONCE: usize = 6;

/// (apiVersion, kind) of dependents: objects that controllers and operators create for a chart's objects in the
/// release's namespace.
pub const DEPENDENTS: [(&str, &str); 9] = [
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "ControllerRevision"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ENDPOINT_SLICE,
];
const ENDPOINT_SLICE: (&str, &str) = ("discovery.k8s.io/v1", "EndpointSlice");

/// (apiVersion, kind, namespace)
type Kind = (String, String, Option<String>);

/// Objects to be deleted.
#[derive(Debug, Default)]
pub(super) struct PendingDeletion {
    kinds: BTreeSet<Kind>,
    uids: HashSet<String>,
}

impl PendingDeletion {
    /// These objects.
    pub(super) fn of(objects: &[Found]) -> PendingDeletion {
        let kind = |found: &Found| {
            let ObjectRef { api_version, kind, namespace, .. } = found.reference();
            (api_version, kind, namespace)
        };
        PendingDeletion {
            kinds: objects.iter().map(kind).collect(),
            uids: objects.iter().map(|found| found.uid().to_owned()).collect(),
        }
    }

    /// The existing objects of a release's manifest without `helm.sh/resource-policy: keep`, and their dependents.
    pub(super) async fn of_manifest(
        cluster: &Cluster,
        manifest: &[Value],
        namespace: &str,
    ) -> Result<PendingDeletion, ClusterError> {
        let mut names: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
        for object in manifest {
            let ObjectRef { api_version, kind, name, .. } = ObjectRef::of(object);
            if Found::of(object).has_keep_policy() {
                continue;
            }
            let place = namespace_of(object, namespace).to_owned();
            names.entry((api_version, kind, Some(place))).or_default().insert(name);
        }
        let mut pending = PendingDeletion { kinds: names.keys().cloned().collect(), uids: HashSet::new() };
        for found in pending.read(cluster).await? {
            let of_kind = names.iter().filter(|((_, kind, _), _)| *kind == found.kind);
            let is_in =
                |place: &Option<String>| found.namespace().is_empty() || place.as_deref() == Some(found.namespace());
            if of_kind.into_iter().any(|((_, _, place), names)| is_in(place) && names.contains(found.name())) {
                pending.uids.insert(found.uid().to_owned());
            }
        }
        let elsewhere: BTreeSet<Option<String>> = pending.kinds.iter().map(|(_, _, place)| place.clone()).collect();
        let own = |(api_version, kind): (&str, &str), place| (api_version.to_owned(), kind.to_owned(), place);
        pending.kinds.extend(elsewhere.into_iter().map(|place| own(ENDPOINT_SLICE, place)));
        pending.kinds.extend(DEPENDENTS.map(|kind| own(kind, Some(namespace.to_owned()))));
        Ok(pending)
    }

    /// The objects that still exist. New dependents are added.
    pub(super) async fn remaining(&mut self, cluster: &Cluster) -> Result<Vec<Found>, ClusterError> {
        let found = self.read(cluster).await?;
        Ok(self.with_dependents(found))
    }

    fn with_dependents(&mut self, found: Vec<Found>) -> Vec<Found> {
        loop {
            let known = self.uids.len();
            let owned = found.iter().filter(|found| found.owners().any(|owner| self.uids.contains(owner)));
            let owned: Vec<String> = owned.map(|found| found.uid().to_owned()).collect();
            self.uids.extend(owned);
            if self.uids.len() == known {
                break;
            }
        }
        found.into_iter().filter(|found| self.uids.contains(found.uid())).collect()
    }

    async fn read(&self, cluster: &Cluster) -> Result<Vec<Found>, ClusterError> {
        let lists = stream::iter(self.kinds.iter().cloned());
        let lists = lists.map(|(api_version, kind, place)| async move {
            cluster.found(&api_version, &kind, place.as_deref()).await
        });
        Ok(lists.buffered(LISTS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
    }
}

/// The object that blocks the deletion, and how the user removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

/// Finalizers, each with the condition for its removal.
const FINALIZERS: [(&str, &str); 5] = [
    ("tailscale.com/finalizer", "the Tailscale operator must be running to remove its finalizer"),
    ("kubernetes.io/pvc-protection", "a pod still mounts it"),
    ("kubernetes.io/pv-protection", "its claim still exists"),
    ("customresourcecleanup.apiextensions.k8s.io", "its objects are deleted first"),
    ("foregroundDeletion", "its dependents are deleted first"),
];
/// From this index on Kubernetes removes the finalizer itself; any other may need the user.
const OF_KUBERNETES: usize = 1;

/// The remaining object that explains most, and the number of others. `None`: no object remains.
pub(super) fn reason(remaining: &[Found]) -> Option<Reason> {
    let first = remaining.iter().min_by_key(|found| weight(found))?;
    let mut reason = reported(first);
    if remaining.len() > 1 {
        reason.why += &format!(" (and {} more)", remaining.len() - 1);
    }
    Some(reason)
}

fn weight(found: &Found) -> usize {
    let needs_the_user = || found.finalizers().iter().any(|finalizer| !is_of_kubernetes(finalizer));
    match (found.is_terminating(), found.kind.as_str()) {
        (true, _) if needs_the_user() => 0,
        (true, "Pod") => 1,
        (true, _) => 2,
        (false, "Pod") => 3,
        (false, _) => 4,
    }
}

fn is_of_kubernetes(finalizer: &str) -> bool {
    FINALIZERS[OF_KUBERNETES..].iter().any(|(known, _)| *known == finalizer)
}

fn reported(found: &Found) -> Reason {
    let ObjectRef { kind, namespace, name, .. } = found.reference();
    let object = format!("{kind} {name}");
    if !found.is_terminating() {
        return Reason { why: format!("{object} still exists"), hint: None };
    }
    if kind == "Pod" && found.finalizers().is_empty() {
        let time = found.grace_seconds().filter(|seconds| *seconds > 1);
        let time = time.map(|seconds| format!(", it has {seconds} s")).unwrap_or_default();
        return Reason { why: format!("{object} is terminating{time}"), hint: None };
    }
    let foreign = found.finalizers().iter().find(|finalizer| !is_of_kubernetes(finalizer));
    let Some(finalizer) = foreign.or(found.finalizers().first()) else {
        return Reason { why: format!("{object} is terminating"), hint: None };
    };
    let known = FINALIZERS.iter().find(|(known, _)| known == finalizer).map(|(_, condition)| format!(": {condition}"));
    let why = format!("{object} waits for its finalizer {finalizer}{}", known.unwrap_or_default());
    let place = namespace.map(|namespace| format!("-n {namespace} ")).unwrap_or_default();
    let patch = format!(
        "kubectl {place}patch {} {name} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        kind.to_lowercase()
    );
    let hint = foreign.map(|finalizer| {
        format!("start the controller of {finalizer}; if it no longer exists, remove the finalizer: `{patch}`")
    });
    Reason { why, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(kind: &str, name: &str, more: Value) -> Found {
        let mut metadata = json!({"name": name, "namespace": "m", "uid": name});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Found::of(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn terminating(finalizers: &[&str]) -> Value {
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30, "finalizers": finalizers})
    }

    fn owned_by(uid: &str) -> Value {
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid}]})
    }

    #[test]
    fn only_dependents_are_added() {
        let mut pending = PendingDeletion::of(&[found("Prometheus", "p", json!({}))]);
        let remaining = pending.with_dependents(vec![
            found("Pod", "pod", owned_by("set")),
            found("StatefulSet", "set", owned_by("p")),
            found("Pod", "stranger", owned_by("other")),
        ]);
        let names: Vec<&str> = remaining.iter().map(Found::name).collect();
        assert_eq!(names, ["pod", "set"]);
        // Its owner is deleted; its UID is still tracked.
        assert_eq!(pending.with_dependents(vec![found("Pod", "pod", owned_by("set"))]).len(), 1);
        let same_name = Found::of(&json!({"kind": "Pod", "metadata": {"name": "pod", "uid": "another"}}));
        assert!(pending.with_dependents(vec![same_name]).is_empty());
    }

    #[test]
    fn the_object_that_explains_most_is_reported() {
        let pod = found("Pod", "loki-0", terminating(&[]));
        let claim = found("PersistentVolumeClaim", "storage", terminating(&["kubernetes.io/pvc-protection"]));
        let ingress = found("Ingress", "grafana", terminating(&["tailscale.com/finalizer"]));
        let why = |remaining: &[Found]| reason(remaining).unwrap().why;
        assert_eq!(why(&[claim.clone(), pod.clone()]), "Pod loki-0 is terminating, it has 30 s (and 1 more)");
        let expected = "Ingress grafana waits for its finalizer tailscale.com/finalizer: \
            the Tailscale operator must be running to remove its finalizer";
        assert_eq!(why(std::slice::from_ref(&ingress)), expected);
        assert!(why(&[pod, ingress.clone()]).starts_with("Ingress grafana"));
        let hint = reason(&[ingress]).unwrap().hint.unwrap();
        assert!(hint.contains("`kubectl -n m patch ingress grafana --type=merge"), "{hint}");
        let expected = "PersistentVolumeClaim storage waits for its finalizer kubernetes.io/pvc-protection: \
            a pod still mounts it";
        assert_eq!(reason(&[claim]), Some(Reason { why: expected.into(), hint: None }));
        assert_eq!(why(&[found("Service", "x", json!({}))]), "Service x still exists");
        assert_eq!(reason(&[]), None);
    }
}
