//! What the watches bring, kept small: only what belongs to the tracked releases, and of that only what rules read.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::slim::Slim;
use crate::cluster::world::{Key, TrackedRelease, World, has_condition, last_seen, mark, owner_of_pod, text};

/// Warning events that are kept; of a large cluster in trouble only the newest tell something.
const EVENTS: usize = 1000;

/// The world as the watches see it.
pub(super) struct Feed {
    world: Mutex<World>,
    changed: watch::Sender<u64>,
    /// Since when no watch could reach the API server.
    away: Mutex<Option<jiff::Timestamp>>,
    /// (kind, namespace, name) of everything in the releases' manifests.
    own: BTreeSet<Key>,
}

impl Feed {
    /// An empty one, and what tells of changes.
    pub(super) fn new(releases: &[TrackedRelease]) -> (Feed, watch::Receiver<u64>) {
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
        (Feed { world: Mutex::default(), changed, away: Mutex::default(), own }, changes)
    }

    /// The world, for a short look.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the API server has not answered any watch.
    pub(super) fn away_since(&self) -> Option<jiff::Timestamp> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch could not reach the API server.
    pub(super) fn no_answer(&self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get_or_insert_with(jiff::Timestamp::now);
        drop(away);
        self.tell();
    }

    /// The API server has answered.
    pub(super) fn answered(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An older version never replaces a newer one: lists and watches race. Returns what is kept.
    pub(super) fn put(&self, kind: &str, object: Slim) -> Option<Value> {
        let key = key(kind, &object);
        let mut value = object.value;
        value["kind"] = kind.into();
        let mut world = self.world();
        if !self.belongs(&world, kind, &value) {
            world.objects.remove(&key);
            return None;
        }
        shrink(kind, &mut value);
        if world.objects.get(&key).is_some_and(|standing| version(standing) > version(&value)) {
            return None;
        }
        if kind == "Event" {
            forget_old_events(&mut world);
        }
        world.objects.insert(key, value.clone());
        Some(value)
    }

    /// Whether an object is of the releases: a pod by its owner, anything else by its namespace and kind.
    fn belongs(&self, world: &World, kind: &str, value: &Value) -> bool {
        if kind != "Pod" {
            return true;
        }
        let namespace = text(value, "/metadata/namespace").to_owned();
        let of = |kind: &str, name: &str| self.own.contains(&(kind.to_owned(), namespace.clone(), name.to_owned()));
        match owner_of_pod(value) {
            None => of("Pod", text(value, "/metadata/name")),
            // One that an operator made stands in no manifest.
            Some(("StatefulSet", name)) if !of("StatefulSet", name) => {
                world.get("StatefulSet", &namespace, name).is_none_or(|set| {
                    let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
                    owners
                        .is_some_and(|owners| owners.iter().any(|owner| of(text(owner, "/kind"), text(owner, "/name"))))
                })
            }
            Some((kind, name)) => of(kind, name),
        }
    }

    /// helm deletes a hook Job right after it has failed: that one stays.
    pub(super) fn remove(&self, kind: &str, object: &Slim) {
        let key = key(kind, object);
        let mut world = self.world();
        let failed_hook = |job: &Value| !mark(job, "helm.sh/hook").is_empty() && has_condition(job, "Failed");
        if kind == "Job" && world.objects.get(&key).is_some_and(failed_hook) {
            return;
        }
        world.objects.remove(&key);
    }

    /// After a list: what is not in it is gone.
    pub(super) fn keep(&self, kind: &str, namespace: &str, names: &BTreeSet<String>) {
        self.world()
            .objects
            .retain(|(found, place, name), _| found != kind || place != namespace || names.contains(name));
        self.tell();
    }

    /// Keeps the last lines of a container's log.
    pub(super) fn put_log(&self, key: Key, lines: Vec<String>) {
        self.world().logs.insert(key, lines);
        self.tell();
    }

    /// Wakes whoever waits for a change.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn forget_old_events(world: &mut World) {
    let first = ("Event".to_owned(), String::new(), String::new());
    let events = world.objects.range(first..).take_while(|((kind, _, _), _)| kind == "Event");
    let mut events: Vec<(String, Key)> =
        events.map(|(key, event)| (last_seen(event).to_owned(), key.clone())).collect();
    if events.len() < EVENTS {
        return;
    }
    events.sort_unstable();
    for (_, key) in events.iter().take(events.len() / 2) {
        world.objects.remove(key);
    }
}

fn version(value: &Value) -> Option<u64> {
    text(value, "/metadata/resourceVersion").parse().ok()
}

fn key(kind: &str, object: &Slim) -> Key {
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

    fn slim(value: Value) -> Slim {
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
        let world = feed.world();
        let standing = world.get("Deployment", "m", "x").unwrap();
        assert_eq!(standing["metadata"]["resourceVersion"], "10");
        assert_eq!(standing["spec"], json!({}));
    }

    #[test]
    fn pods_of_others_are_not_kept_and_ready_ones_are_small() {
        let feed = feed();
        assert!(feed.put("Pod", slim(pod("stranger"))).is_none());
        let kept = feed.put("Pod", slim(pod("agent"))).unwrap();
        assert_eq!(kept["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(feed.world().objects.len(), 1);
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
        assert!(feed.world().get("Job", "m", "hook").is_some());
        feed.put("Job", plain.clone());
        feed.remove("Job", &plain);
        assert!(feed.world().get("Job", "m", "hook").is_none());
    }

    #[test]
    fn events_do_not_pile_up() {
        let feed = feed();
        for number in 0..EVENTS * 2 {
            let event = json!({"metadata": {"name": format!("e{number:05}"), "namespace": "m"},
                "lastTimestamp": format!("2026-01-01T00:00:00.{number:06}Z")});
            feed.put("Event", slim(event));
        }
        let world = feed.world();
        assert!(world.objects.len() <= EVENTS);
        assert!(world.get("Event", "m", &format!("e{:05}", EVENTS * 2 - 1)).is_some());
    }
}
