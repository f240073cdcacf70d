//! A live view of workloads and pods, fed by one watch per kind and namespace.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::readiness::{self, ReleaseReadiness, Seen, World};
use crate::cluster::{Cluster, ClusterError};
use crate::stack::WaitFor;

/// What is watched from the start in each namespace: workloads, and what explains them.
const WATCHED: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
];

/// Live view of the workloads, Jobs, PVCs, pods and operators' resources of some namespaces. Clones share one
/// view; the watches end with the last of them.
#[derive(Clone)]
pub struct Tracker {
    cluster: Cluster,
    feed: Arc<Feed>,
    watches: Arc<Mutex<Watches>>,
    changes: watch::Receiver<u64>,
    since: jiff::Timestamp,
}

#[derive(Default)]
struct Watches {
    /// Aborted when dropped.
    tasks: JoinSet<()>,
    known: BTreeSet<(String, String)>,
}

struct Feed {
    seen: Mutex<Seen>,
    changed: watch::Sender<u64>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Starts watching what readiness of the given namespaces needs; ends when the tracker is dropped.
    pub async fn track(&self, namespaces: &[String]) -> Result<Tracker, ClusterError> {
        let (changed, changes) = watch::channel(0);
        let feed = Arc::new(Feed { seen: Mutex::default(), changed });
        let since = jiff::Timestamp::now();
        let tracker = Tracker { cluster: self.clone(), feed, watches: Arc::default(), changes, since };
        for namespace in namespaces {
            for (api_version, kind) in WATCHED {
                tracker.follow(api_version, kind, Some(namespace)).await?;
            }
        }
        Ok(tracker)
    }

    /// Readiness of a release by one look, without following it further.
    pub async fn readiness(
        &self,
        manifest: &[Value],
        wait_for: &[WaitFor],
        namespace: &str,
    ) -> Result<ReleaseReadiness, ClusterError> {
        let mut seen = Seen::new();
        let mut kinds = kinds_of(manifest, wait_for, namespace);
        kinds.extend([
            ("apps/v1", "StatefulSet", namespace),
            ("v1", "Pod", namespace),
            ("v1", "PersistentVolumeClaim", namespace),
        ]);
        let lists = kinds.into_iter().map(|(api_version, kind, place)| async move {
            let place = Some(place).filter(|place| !place.is_empty());
            Ok::<_, ClusterError>((kind, self.list(api_version, kind, place, None).await?))
        });
        for (kind, objects) in futures::future::try_join_all(lists).await? {
            for object in objects {
                let part = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
                seen.insert((kind.to_owned(), part("/metadata/namespace"), part("/metadata/name")), object);
            }
        }
        // One look cannot wait: everything counts for as long as it has stood.
        let world = World { seen: &seen, now: jiff::Timestamp::now(), since: jiff::Timestamp::UNIX_EPOCH };
        Ok(readiness::release(world, manifest, wait_for, namespace))
    }
}

/// (apiVersion, kind, namespace) of everything whose readiness counts.
fn kinds_of<'a>(
    manifest: &'a [Value],
    wait_for: &'a [WaitFor],
    namespace: &'a str,
) -> BTreeSet<(&'a str, &'a str, &'a str)> {
    let tracked = manifest.iter().filter(|object| readiness::is_tracked(object)).map(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let known = readiness::TRACKED.iter().find(|(_, tracked)| *tracked == kind);
        (known.map_or("", |(api_version, _)| *api_version), kind, readiness::place(object, namespace))
    });
    let waited = wait_for.iter().map(|wanted| (wanted.api_version.as_str(), wanted.kind.as_str(), namespace));
    tracked.chain(waited).collect()
}

impl Tracker {
    /// Readiness of a release: of the workloads, Jobs, PVCs and CRDs in its manifest and of its conditions.
    pub fn readiness(&self, manifest: &[Value], wait_for: &[WaitFor], namespace: &str) -> ReleaseReadiness {
        let seen = held(&self.feed.seen);
        let world = World { seen: &seen, now: jiff::Timestamp::now(), since: self.since };
        readiness::release(world, manifest, wait_for, namespace)
    }

    /// Resolves when anything watched has changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads the workloads of a manifest afresh, so that no readiness from before a change is taken for one after
    /// it, and follows the kinds that only this release has.
    pub async fn catch_up(
        &self,
        manifest: &[Value],
        wait_for: &[WaitFor],
        namespace: &str,
    ) -> Result<(), ClusterError> {
        let kinds = kinds_of(manifest, wait_for, namespace);
        let lists = kinds.iter().map(|(api_version, kind, place)| async move {
            let place = Some(*place).filter(|place| !place.is_empty());
            self.follow(api_version, kind, place).await?;
            let Some(api) = self.cluster.api(api_version, kind, place).await? else { return Ok(()) };
            let list = api.list(&ListParams::default()).await;
            let list = list.map_err(|error| ClusterError::from_kube(&format!("cannot list {kind} objects"), error))?;
            list.items.into_iter().for_each(|object| self.feed.put(kind, object));
            Ok::<(), ClusterError>(())
        });
        futures::future::try_join_all(lists).await?;
        self.feed.tell();
        Ok(())
    }

    async fn follow(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<(), ClusterError> {
        let Some(api) = self.cluster.api(api_version, kind, namespace).await? else { return Ok(()) };
        let mut watches = held(&self.watches);
        if watches.known.insert((kind.to_owned(), namespace.unwrap_or_default().to_owned())) {
            let (feed, place) = (self.feed.clone(), namespace.unwrap_or_default().to_owned());
            watches.tasks.spawn(follow(api, kind.to_owned(), place, feed));
        }
        Ok(())
    }
}

async fn follow(api: Api<DynamicObject>, kind: String, namespace: String, feed: Arc<Feed>) {
    // A broken watch is taken up again with back-off for as long as the tracker lives.
    let mut events = pin!(watch_objects(api, watcher::Config::default()).default_backoff().into_stream());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.extend(object.metadata.name.clone());
                feed.put(&kind, object);
            }
            Ok(Event::InitDone) => feed.keep(&kind, &namespace, &listed),
            Ok(Event::Apply(object)) => {
                feed.put(&kind, object);
                feed.tell();
            }
            Ok(Event::Delete(object)) => {
                feed.remove(&kind, &object);
                feed.tell();
            }
            Err(_) => {}
        }
    }
}

impl Feed {
    /// An older version never replaces a newer one: lists and watches race.
    fn put(&self, kind: &str, object: DynamicObject) {
        let key = key(kind, &object);
        let value = prune(kind, object);
        let version = |value: &Value| {
            value.pointer("/metadata/resourceVersion").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok())
        };
        let mut seen = held(&self.seen);
        if seen.get(&key).is_none_or(|standing| version(standing) <= version(&value)) {
            seen.insert(key, value);
        }
    }

    fn remove(&self, kind: &str, object: &DynamicObject) {
        held(&self.seen).remove(&key(kind, object));
    }

    fn keep(&self, kind: &str, namespace: &str, names: &BTreeSet<String>) {
        held(&self.seen).retain(|(found, place, name), _| found != kind || place != namespace || names.contains(name));
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn key(kind: &str, object: &DynamicObject) -> (String, String, String) {
    let metadata = &object.metadata;
    (kind.to_owned(), metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Without the parts that readiness never reads; a large cluster has many pods.
fn prune(kind: &str, mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["kind"] = kind.into();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| matches!(key.as_str(), "replicas" | "updateStrategy" | "volumes" | "storageClassName"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(version: &str) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "m", "resourceVersion": version},
            "spec": {"replicas": 1, "template": {"spec": {}}}
        }))
        .unwrap()
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let feed = Feed { seen: Mutex::default(), changed: watch::channel(0).0 };
        feed.put("Deployment", deployment("10"));
        feed.put("Deployment", deployment("9"));
        let seen = held(&feed.seen);
        let standing = seen.values().next().unwrap();
        assert_eq!(standing["metadata"]["resourceVersion"], "10");
        assert!(standing["spec"].get("template").is_none());
    }
}
