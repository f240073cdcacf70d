//! Objects with a pending deletion, tracked by UID until none exists: a new object of the same name does not count.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ObjectRef, PartialObject, namespace_of};

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
    pub(super) fn of(objects: &[PartialObject]) -> PendingDeletion {
        let kind = |found: &PartialObject| {
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
            if PartialObject::of(object).has_keep_policy() {
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
    pub(super) async fn remaining(&mut self, cluster: &Cluster) -> Result<Vec<PartialObject>, ClusterError> {
        let found = self.read(cluster).await?;
        Ok(self.with_dependents(found))
    }

    fn with_dependents(&mut self, found: Vec<PartialObject>) -> Vec<PartialObject> {
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

    async fn read(&self, cluster: &Cluster) -> Result<Vec<PartialObject>, ClusterError> {
        let lists = stream::iter(self.kinds.iter().cloned());
        let lists = lists.map(|(api_version, kind, place)| async move {
            cluster.partial_objects(&api_version, &kind, place.as_deref()).await
        });
        Ok(lists.buffered(LISTS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owned_by(uid: &str) -> Value {
        json!({"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid}]})
    }

    #[test]
    fn only_dependents_are_added() {
        let mut pending = PendingDeletion::of(&[PartialObject::for_tests("Prometheus", "p", json!({}))]);
        let remaining = pending.with_dependents(vec![
            PartialObject::for_tests("Pod", "pod", owned_by("set")),
            PartialObject::for_tests("StatefulSet", "set", owned_by("p")),
            PartialObject::for_tests("Pod", "stranger", owned_by("other")),
        ]);
        let names: Vec<&str> = remaining.iter().map(PartialObject::name).collect();
        assert_eq!(names, ["pod", "set"]);
        // Its owner is deleted; its UID is still tracked.
        assert_eq!(pending.with_dependents(vec![PartialObject::for_tests("Pod", "pod", owned_by("set"))]).len(), 1);
        let same_name = PartialObject::of(&json!({"kind": "Pod", "metadata": {"name": "pod", "uid": "another"}}));
        assert!(pending.with_dependents(vec![same_name]).is_empty());
    }
}
