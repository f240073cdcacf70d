//! Keeps of the watched objects those of the tracked releases, and reports changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::cluster::container_logs::{LogRequest, logs_of_failed};
use crate::cluster::views::{Event, Object, Pod, StatefulSet, Stored as _};
use crate::cluster::watch::cache::{Key, ObjectCache, key};
use crate::cluster::watch::release::TrackedRelease;

/// Warning events that are kept at most; the older half is dropped.
const EVENTS: usize = 1000;

/// The cache that the watches fill.
pub(in crate::cluster) struct Store {
    cache: Mutex<ObjectCache>,
    changed: watch::Sender<u64>,
    /// Since when no watch could reach the API server.
    unreachable: Mutex<Option<jiff::Timestamp>>,
    /// Every object of the releases' manifests.
    own: BTreeSet<Key>,
}

impl Store {
    /// An empty one, and the receiver of its changes.
    pub(in crate::cluster) fn new(releases: &[TrackedRelease]) -> (Store, watch::Receiver<u64>) {
        let (changed, changes) = watch::channel(0);
        let mut own = BTreeSet::new();
        for release in releases {
            let waited = release
                .wait_for
                .iter()
                .map(|wanted| (wanted.kind.clone(), release.namespace.clone(), wanted.name.clone()));
            own.extend(waited);
            own.extend(release.objects().map(|object| {
                (object.kind.clone(), object.namespace.clone().unwrap_or_default(), object.name.clone())
            }));
        }
        (Store { cache: Mutex::default(), changed, unreachable: Mutex::default(), own }, changes)
    }

    /// Locks the cache; the watches wait for it.
    pub(in crate::cluster) fn cache(&self) -> MutexGuard<'_, ObjectCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the API server has not answered any watch.
    pub(in crate::cluster) fn unreachable_since(&self) -> Option<jiff::Timestamp> {
        *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch could not reach the API server.
    pub(in crate::cluster) fn no_answer(&self) {
        let mut unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        unreachable.get_or_insert_with(jiff::Timestamp::now);
        drop(unreachable);
        self.emit();
    }

    /// The API server has answered.
    pub(in crate::cluster) fn answered(&self) {
        *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Keeps an object of the releases, unless a newer version is there: lists and watches race. Returns the logs that
    /// explain its state.
    pub(in crate::cluster) fn put(&self, mut object: Object) -> Vec<LogRequest> {
        let key = key(object.kind(), object.metadata());
        let mut cache = self.cache();
        if !self.is_of_releases(&cache, &object) {
            cache.remove(&key);
            return Vec::new();
        }
        let version = object.metadata().version();
        if cache.by_key(&key).is_some_and(|kept| kept.metadata().version() > version) {
            return Vec::new();
        }
        let logs = match &mut object {
            Object::Pod(pod) => {
                pod.prune();
                logs_of_failed(pod)
            }
            Object::Event(_) => {
                drop_old_events(&mut cache);
                Vec::new()
            }
            _ => Vec::new(),
        };
        cache.insert(object);
        logs
    }

    /// A pod is of the releases by its owner, any other object by its namespace and kind.
    fn is_of_releases(&self, cache: &ObjectCache, object: &Object) -> bool {
        let Some(pod) = Pod::of(object) else { return true };
        let namespace = &pod.metadata.namespace;
        let is_own = |kind: &str, name: &str| self.own.contains(&(kind.to_owned(), namespace.clone(), name.to_owned()));
        match pod.workload() {
            None => is_own(Pod::KIND, &pod.metadata.name),
            // A StatefulSet that an operator created is in no manifest.
            Some((StatefulSet::KIND, name)) if !is_own(StatefulSet::KIND, name) => cache
                .get::<StatefulSet>(namespace, name)
                .is_none_or(|set| set.metadata.owner_references.iter().any(|owner| is_own(&owner.kind, &owner.name))),
            Some((kind, name)) => is_own(kind, name),
        }
    }

    /// Drops a deleted object. helm deletes a hook Job right after it has failed: that one is kept.
    pub(in crate::cluster) fn remove(&self, object: &Object) {
        let key = key(object.kind(), object.metadata());
        let mut cache = self.cache();
        let is_failed_hook = cache.by_key(&key).is_some_and(|kept| match kept {
            Object::Job(job) => !job.metadata.annotations.hook.is_empty() && job.status.conditions.is_true("Failed"),
            _ => false,
        });
        if !is_failed_hook {
            cache.remove(&key);
        }
    }

    /// After a list: drops the objects of a kind and namespace that are not in it.
    pub(in crate::cluster) fn keep(&self, kind: &str, namespace: &str, names: &BTreeSet<String>) {
        self.cache().keep(kind, namespace, names);
        self.emit();
    }

    /// Keeps the last lines of a container's log.
    pub(in crate::cluster) fn put_log(&self, key: Key, lines: Vec<String>) {
        self.cache().logs.insert(key, lines);
        self.emit();
    }

    /// Reports a change to every receiver.
    pub(in crate::cluster) fn emit(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn drop_old_events(cache: &mut ObjectCache) {
    let mut events: Vec<_> =
        cache.everywhere::<Event>().map(|event| (event.last_seen(), key(Event::KIND, &event.metadata))).collect();
    if events.len() < EVENTS {
        return;
    }
    events.sort_unstable();
    for (_, key) in events.iter().take(events.len() / 2) {
        cache.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::cluster::views::Deployment;

    fn store() -> Store {
        let manifest = [json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}})];
        Store::new(&[TrackedRelease::new("agent", "m", &manifest)]).0
    }

    fn pod(owner: &str) -> Object {
        Object::from_json(json!({"kind": "Pod",
            "metadata": {"name": format!("{owner}-1"), "namespace": "m", "resourceVersion": "5",
                "ownerReferences": [{"kind": "DaemonSet", "name": owner, "controller": true}]},
            "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "X"}],
                "containerStatuses": [{"name": "agent"}]}}))
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = store();
        for version in ["10", "9"] {
            store.put(Object::from_json(json!({"kind": "Deployment",
                "metadata": {"name": "x", "namespace": "m", "resourceVersion": version}})));
        }
        let cache = store.cache();
        assert_eq!(cache.get::<Deployment>("m", "x").unwrap().metadata.resource_version, "10");
    }

    #[test]
    fn pods_of_others_are_not_kept_and_ready_ones_are_small() {
        let store = store();
        store.put(pod("stranger"));
        store.put(pod("agent"));
        let cache = store.cache();
        assert_eq!(cache.len(), 1);
        let kept = cache.get::<Pod>("m", "agent-1").unwrap();
        assert!(kept.is_ready());
        assert_eq!((kept.status.conditions.0.len(), kept.containers().count(), kept.claims().count()), (1, 0, 0));
    }

    #[test]
    fn a_hook_that_failed_is_kept_after_helm_has_deleted_it() {
        let store = store();
        let job = |annotations: Value| {
            Object::from_json(json!({"kind": "Job",
                "metadata": {"name": "hook", "namespace": "m", "annotations": annotations},
                "status": {"conditions": [{"type": "Failed", "status": "True"}]}}))
        };
        for (annotations, is_kept) in [(json!({"helm.sh/hook": "pre-install"}), true), (json!({}), false)] {
            store.put(job(annotations.clone()));
            store.remove(&job(annotations));
            assert_eq!(store.cache().object("Job", "m", "hook").is_some(), is_kept);
        }
    }

    #[test]
    fn events_do_not_pile_up() {
        let store = store();
        for number in 0..EVENTS * 2 {
            store.put(Object::from_json(json!({"kind": "Event",
                "metadata": {"name": format!("e{number:05}"), "namespace": "m"},
                "lastTimestamp": format!("2026-01-01T00:00:00.{number:06}Z")})));
        }
        let cache = store.cache();
        assert!(cache.len() <= EVENTS);
        assert!(cache.get::<Event>("m", &format!("e{:05}", EVENTS * 2 - 1)).is_some());
    }
}
