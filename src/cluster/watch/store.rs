//! What the watches bring, kept small: only what belongs to the tracked releases, and of that only what rules read.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::watch::cache::{
    Key, ObjectCache, TrackedRelease, has_condition, last_seen, mark, owner_of_pod, text,
};
use crate::cluster::watch::partial::PartialObject;

/// Warning events that are kept; of a large cluster in trouble only the newest tell something.
const EVENTS: usize = 1000;

/// The world as the watches see it.
pub(in crate::cluster) struct Feed {
    cache: Mutex<ObjectCache>,
    changed: watch::Sender<u64>,
    /// Since when no watch could reach the API server.
    away: Mutex<Option<jiff::Timestamp>>,
    /// (kind, namespace, name) of everything in the releases' manifests.
    own: BTreeSet<Key>,
}

impl Feed {
    /// An empty one, and what tells of changes.
    pub(in crate::cluster) fn new(releases: &[TrackedRelease]) -> (Feed, watch::Receiver<u64>) {
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
        (Feed { cache: Mutex::default(), changed, away: Mutex::default(), own }, changes)
    }

    /// The world, for a short look.
    pub(in crate::cluster) fn cache(&self) -> MutexGuard<'_, ObjectCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the API server has not answered any watch.
    pub(in crate::cluster) fn away_since(&self) -> Option<jiff::Timestamp> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch could not reach the API server.
    pub(in crate::cluster) fn no_answer(&self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get_or_insert_with(jiff::Timestamp::now);
        drop(away);
        self.emit();
    }

    /// The API server has answered.
    pub(in crate::cluster) fn answered(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An older version never replaces a newer one: lists and watches race. Returns what is kept.
    pub(in crate::cluster) fn put(&self, kind: &str, object: PartialObject) -> Option<Value> {
        let key = key(kind, &object);
        let mut value = object.value;
        value["kind"] = kind.into();
        let mut cache = self.cache();
        if !self.belongs(&cache, kind, &value) {
            cache.objects.remove(&key);
            return None;
        }
        shrink(kind, &mut value);
        if cache.objects.get(&key).is_some_and(|standing| version(standing) > version(&value)) {
            return None;
        }
        if kind == "Event" {
            forget_old_events(&mut cache);
        }
        cache.objects.insert(key, value.clone());
        Some(value)
    }

    /// Whether an object is of the releases: a pod by its owner, anything else by its namespace and kind.
    fn belongs(&self, cache: &ObjectCache, kind: &str, value: &Value) -> bool {
        if kind != "Pod" {
            return true;
        }
        let namespace = text(value, "/metadata/namespace").to_owned();
        let of = |kind: &str, name: &str| self.own.contains(&(kind.to_owned(), namespace.clone(), name.to_owned()));
        match owner_of_pod(value) {
            None => of("Pod", text(value, "/metadata/name")),
            // One that an operator made stands in no manifest.
            Some(("StatefulSet", name)) if !of("StatefulSet", name) => {
                cache.get("StatefulSet", &namespace, name).is_none_or(|set| {
                    let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
                    owners
                        .is_some_and(|owners| owners.iter().any(|owner| of(text(owner, "/kind"), text(owner, "/name"))))
                })
            }
            Some((kind, name)) => of(kind, name),
        }
    }

    /// helm deletes a hook Job right after it has failed: that one stays.
    pub(in crate::cluster) fn remove(&self, kind: &str, object: &PartialObject) {
        let key = key(kind, object);
        let mut cache = self.cache();
        let failed_hook = |job: &Value| !mark(job, "helm.sh/hook").is_empty() && has_condition(job, "Failed");
        if kind == "Job" && cache.objects.get(&key).is_some_and(failed_hook) {
            return;
        }
        cache.objects.remove(&key);
    }

    /// After a list: what is not in it is gone.
    pub(in crate::cluster) fn keep(&self, kind: &str, namespace: &str, names: &BTreeSet<String>) {
        self.cache()
            .objects
            .retain(|(found, place, name), _| found != kind || place != namespace || names.contains(name));
        self.emit();
    }

    /// Keeps the last lines of a container's log.
    pub(in crate::cluster) fn put_log(&self, key: Key, lines: Vec<String>) {
        self.cache().logs.insert(key, lines);
        self.emit();
    }

    /// Wakes whoever waits for a change.
    pub(in crate::cluster) fn emit(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn forget_old_events(cache: &mut ObjectCache) {
    let first = ("Event".to_owned(), String::new(), String::new());
    let events = cache.objects.range(first..).take_while(|((kind, _, _), _)| kind == "Event");
    let mut events: Vec<(String, Key)> =
        events.map(|(key, event)| (last_seen(event).to_owned(), key.clone())).collect();
    if events.len() < EVENTS {
        return;
    }
    events.sort_unstable();
    for (_, key) in events.iter().take(events.len() / 2) {
        cache.objects.remove(key);
    }
}

fn version(value: &Value) -> Option<u64> {
    text(value, "/metadata/resourceVersion").parse().ok()
}

fn key(kind: &str, object: &PartialObject) -> Key {
    let metadata = object.meta();
    (kind.to_owned(), metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Nearly all pods of a large cluster are ready, and of those nobody asks more.
fn shrink(kind: &str, value: &mut Value) {
    if kind == "Pod" && has_condition(value, "Ready") && value.pointer("/metadata/deletionTimestamp").is_none() {
        value["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        value["spec"] = Value::Null;
    }
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| SPEC.contains(&key.as_str()));
    }
    if kind == "Pod"
        && let Some(volumes) = value.pointer_mut("/spec/volumes").and_then(Value::as_array_mut)
    {
        volumes.retain(|volume| volume.get("persistentVolumeClaim").is_some());
    }
}

/// What rules read of a specification.
const SPEC: [&str; 7] =
    ["replicas", "updateStrategy", "volumes", "storageClassName", "volumeName", "ingressClassName", "tls"];

#[cfg(test)]
mod tests {
    use super::*;

    fn slim(value: Value) -> PartialObject {
        serde_json::from_value(value).unwrap()
    }

    fn feed() -> Feed {
        let manifest = [json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}})];
        Feed::new(&[TrackedRelease::new("agent", "m", &manifest)]).0
    }

    fn pod(owner: &str) -> Value {
        json!({"metadata": {"name": format!("{owner}-1"), "namespace": "m", "resourceVersion": "5",
            "ownerReferences": [{"kind": "DaemonSet", "name": owner, "controller": true}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "X"}]}})
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let feed = feed();
        let deployment = |version: &str| {
            slim(
                json!({"metadata": {"name": "x", "namespace": "m", "resourceVersion": version}, "spec": {"paused": true}}),
            )
        };
        assert!(feed.put("Deployment", deployment("10")).is_some());
        assert!(feed.put("Deployment", deployment("9")).is_none());
        let cache = feed.cache();
        let standing = cache.get("Deployment", "m", "x").unwrap();
        assert_eq!(standing["metadata"]["resourceVersion"], "10");
        assert_eq!(standing["spec"], json!({}));
    }

    #[test]
    fn pods_of_others_are_not_kept_and_ready_ones_are_small() {
        let feed = feed();
        assert!(feed.put("Pod", slim(pod("stranger"))).is_none());
        let kept = feed.put("Pod", slim(pod("agent"))).unwrap();
        assert_eq!(kept["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(feed.cache().objects.len(), 1);
    }

    #[test]
    fn a_hook_that_failed_is_remembered_after_helm_has_deleted_it() {
        let feed = feed();
        let job = |annotations: Value| {
            slim(json!({"metadata": {"name": "hook", "namespace": "m", "annotations": annotations},
                "status": {"conditions": [{"type": "Failed", "status": "True"}]}}))
        };
        let (hook, plain) = (job(json!({"helm.sh/hook": "pre-install"})), job(json!({})));
        feed.put("Job", hook.clone());
        feed.remove("Job", &hook);
        assert!(feed.cache().get("Job", "m", "hook").is_some());
        feed.put("Job", plain.clone());
        feed.remove("Job", &plain);
        assert!(feed.cache().get("Job", "m", "hook").is_none());
    }

    #[test]
    fn events_do_not_pile_up() {
        let feed = feed();
        for number in 0..EVENTS * 2 {
            let event = json!({"metadata": {"name": format!("e{number:05}"), "namespace": "m"},
                "lastTimestamp": format!("2026-01-01T00:00:00.{number:06}Z")});
            feed.put("Event", slim(event));
        }
        let cache = feed.cache();
        assert!(cache.objects.len() <= EVENTS);
        assert!(cache.get("Event", "m", &format!("e{:05}", EVENTS * 2 - 1)).is_some());
    }
}
