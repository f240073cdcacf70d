//! Watches releases: one watch per kind and namespace, however many nodes or pods there are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, ListParams};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::container_logs::LogRequest;
use crate::cluster::diagnose::{self, Depth, History, Scope};
use crate::cluster::nodes::asks_for_nodes;
use crate::cluster::readiness::progress::Progress;
use crate::cluster::readiness::{self, ReleaseReadiness};
use crate::cluster::views::{Object, PAGE, ReadAs, View, by_kind};
use crate::cluster::watch::release::{ROOTS, TrackedRelease};
use crate::cluster::watch::store::Store;
use crate::cluster::{Cluster, ClusterError};

/// (apiVersion, kind) of what is watched from the start in each namespace: workloads, and what explains them.
const WATCHED: [(&str, &str); 8] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "Event"),
];

/// Seconds after which an API server that does not answer is reported; a watch that ends is resumed before that.
const UNREACHABLE_AFTER: i64 = 2;
/// Logs that are kept; more logs of the same failure explain nothing more.
const LOGS: usize = 24;
/// How long the state of the nodes is valid after it was read.
const NODES_VALID: Duration = Duration::from_secs(10);

/// Watches of some releases. Clones share the watches, which end with the last clone.
#[derive(Clone)]
pub struct Tracker {
    watched: Arc<Watched>,
    changes: watch::Receiver<u64>,
}

struct Watched {
    cluster: Cluster,
    releases: BTreeMap<String, TrackedRelease>,
    store: Arc<Store>,
    history: Mutex<History>,
    watches: Mutex<Watches>,
    nodes_read: Mutex<Option<tokio::time::Instant>>,
}

#[derive(Default)]
struct Watches {
    /// Aborted when dropped.
    tasks: JoinSet<()>,
    /// (kind, namespace)
    followed: BTreeSet<(String, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Watches what readiness and diagnosis of the releases read, until the tracker is dropped.
    pub async fn track(&self, releases: Vec<TrackedRelease>) -> Result<Tracker, ClusterError> {
        let (store, changes) = Store::new(&releases);
        let namespaces: BTreeSet<String> = releases.iter().map(|release| release.namespace.clone()).collect();
        let releases = releases.into_iter().map(|release| (release.component.clone(), release)).collect();
        let watched = Watched {
            cluster: self.clone(),
            releases,
            store: Arc::new(store),
            history: Mutex::default(),
            watches: Mutex::default(),
            nodes_read: Mutex::default(),
        };
        let tracker = Tracker { watched: Arc::new(watched), changes };
        for namespace in &namespaces {
            for (api_version, kind) in WATCHED {
                tracker.watched.follow(api_version, kind, Some(namespace)).await?;
            }
        }
        tracker.watched.follow("storage.k8s.io/v1", "StorageClass", None).await?;
        Ok(tracker)
    }
}

impl Tracker {
    /// Watches another state of a release.
    pub async fn instead(&self, release: TrackedRelease) -> Result<Tracker, ClusterError> {
        self.watched.cluster.track(vec![release]).await
    }

    /// Readiness of a release, with the worst cause that a rule finds; empty for one that is not tracked.
    pub fn readiness(&self, component: &str) -> ReleaseReadiness {
        let Some(release) = self.watched.releases.get(component) else { return ReleaseReadiness::default() };
        let now = jiff::Timestamp::now();
        let (mut readiness, matches, nodes) = {
            let cache = self.watched.store.cache();
            let scope = Scope { depth: Depth::Waiting, now };
            (readiness::count(&cache, release), diagnose::matches(&cache, release, scope), asks_for_nodes(&cache, now))
        };
        if nodes {
            self.watched.read_nodes();
        }
        let causes = lock(&self.watched.history).enter(matches, now);
        readiness.hook = causes.iter().find(|cause| release.is_of_hook(&cause.diagnosis.place)).cloned();
        readiness.cause = causes.into_iter().next();
        let silent =
            self.watched.store.unreachable_since().into_iter().chain(self.watched.cluster.unresponsive_since()).min();
        if let Some(since) = silent.filter(|since| now.as_second() - since.as_second() >= UNREACHABLE_AFTER) {
            readiness.cause = Some(diagnose::no_answer(release, since));
        }
        if let Some(cause) = readiness.cause.as_ref().filter(|_| readiness.ready < readiness.desired) {
            readiness.waiting = Some(cause.diagnosis.cause.clone());
        }
        readiness
    }

    /// How far the rollout of a release has come; empty for one that is not tracked.
    pub fn progress(&self, component: &str) -> Progress {
        let Some(release) = self.watched.releases.get(component) else { return Progress::default() };
        readiness::progress::progress(&self.watched.store.cache(), release)
    }

    /// Resolves when a watched object has changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Lists the workloads of a release again, so that a readiness from before a change does not count after it, and
    /// follows the kinds that only this release has.
    pub async fn catch_up(&self, component: &str) -> Result<(), ClusterError> {
        let Some(release) = self.watched.releases.get(component) else { return Ok(()) };
        let kinds = kinds_of(release);
        let lists = kinds.iter().map(|(api_version, kind, place)| self.watched.list(api_version, kind, place));
        futures::future::try_join_all(lists).await?;
        self.watched.store.emit();
        Ok(())
    }
}

/// (apiVersion, kind, namespace) of every object with a readiness.
pub(in crate::cluster) fn kinds_of(release: &TrackedRelease) -> BTreeSet<(&str, &str, &str)> {
    let roots = release.roots.iter().map(|root| {
        let known = ROOTS.iter().find(|(_, kind)| *kind == root.kind);
        let api_version = known.map_or(root.api_version.as_str(), |(api_version, _)| *api_version);
        (api_version, root.kind.as_str(), root.namespace.as_deref().unwrap_or_default())
    });
    let waited = release.wait_for.iter();
    let waited = waited.map(|wanted| (wanted.api_version.as_str(), wanted.kind.as_str(), release.namespace.as_str()));
    roots.chain(waited).collect()
}

impl Watched {
    async fn list(&self, api_version: &str, kind: &str, place: &str) -> Result<(), ClusterError> {
        let place = Some(place).filter(|place| !place.is_empty());
        self.follow(api_version, kind, place).await?;
        for object in self.cluster.objects(api_version, kind, place, &ListParams::default()).await? {
            self.store.put(object);
        }
        Ok(())
    }

    async fn follow(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<(), ClusterError> {
        let events = by_kind!(kind, V => {
            let api = self.cluster.api_as::<ReadAs<V>>(api_version, kind, namespace).await?;
            api.map(|api| events(api, kind.to_owned()))
        });
        let Some(events) = events else { return Ok(()) };
        let mut watches = lock(&self.watches);
        if watches.followed.insert((kind.to_owned(), namespace.unwrap_or_default().to_owned())) {
            let follower = Follower {
                store: self.store.clone(),
                cluster: self.cluster.clone(),
                kind: kind.to_owned(),
                namespace: namespace.unwrap_or_default().to_owned(),
                logs: JoinSet::new(),
                read: HashSet::new(),
            };
            watches.tasks.spawn(follower.run(events));
        }
        Ok(())
    }

    /// Reads the nodes in the background, if what was read is not valid any more.
    fn read_nodes(&self) {
        let mut read = lock(&self.nodes_read);
        if read.is_some_and(|at| at.elapsed() < NODES_VALID) {
            return;
        }
        *read = Some(tokio::time::Instant::now());
        let (cluster, store) = (self.cluster.clone(), self.store.clone());
        lock(&self.watches).tasks.spawn(async move {
            if let Ok(nodes) = cluster.nodes().await {
                store.cache().nodes = Some(nodes);
                store.emit();
            }
        });
    }
}

type Events = BoxStream<'static, Result<Event<Object>, watcher::Error>>;

/// Events of a watch, which is resumed when it breaks for as long as the stream is read. Nothing is requested before
/// that.
fn events<V: View + Into<Object>>(api: Api<ReadAs<V>>, kind: String) -> Events {
    let mut config = watcher::Config::default().page_size(PAGE);
    if kind == "Event" {
        config = config.fields("type=Warning");
    }
    let events = watch_objects(api, config).backoff(ResumeBackoff::default());
    let into_object = move |ReadAs { mut view, .. }: ReadAs<V>| {
        view.set_kind(&kind);
        view.into()
    };
    let events = events.map_ok(move |event| match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(into_object(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(into_object(object)),
        Event::Delete(object) => Event::Delete(into_object(object)),
    });
    events.boxed()
}

/// One watch, and the logs that explain its objects.
struct Follower {
    store: Arc<Store>,
    cluster: Cluster,
    kind: String,
    namespace: String,
    /// Aborted when dropped.
    logs: JoinSet<()>,
    /// (pod, container, restarts) of the logs that were read.
    read: HashSet<(String, String, i64)>,
}

impl Follower {
    async fn run(mut self, mut events: Events) {
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            if event.is_ok() {
                self.store.answered();
            }
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(object.metadata().name.clone());
                    self.put(object);
                }
                Ok(Event::InitDone) => self.store.keep(&self.kind, &self.namespace, &listed),
                Ok(Event::Apply(object)) => {
                    self.put(object);
                    self.store.emit();
                }
                Ok(Event::Delete(object)) => {
                    self.store.remove(&object);
                    self.store.emit();
                }
                Err(error) if is_forbidden(&error) => return,
                Err(error) if is_outage(&error) => self.store.no_answer(),
                Err(_) => {}
            }
        }
    }

    fn put(&mut self, object: Object) {
        for wanted in self.store.put(object) {
            // The first ends explain the most; of later ones ever fewer are read.
            let is_due = wanted.restarts <= 3 || wanted.restarts.count_ones() == 1;
            let id = (wanted.pod.clone(), wanted.container.clone(), wanted.restarts);
            if is_due && self.store.cache().logs.len() < LOGS && self.read.insert(id) {
                self.read_log(wanted);
            }
        }
    }

    fn read_log(&mut self, wanted: LogRequest) {
        while self.logs.try_join_next().is_some() {}
        let (cluster, store) = (self.cluster.clone(), self.store.clone());
        self.logs.spawn(async move {
            let lines = cluster.log_tail(&wanted).await;
            if !lines.is_empty() {
                store.put_log(wanted.key(), lines);
            }
        });
    }
}

/// A kind that the user may not watch only explains less; `catch_up` lists the kinds with a readiness and returns the
/// error.
fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    matches!(error, InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) if status.code == 403)
}

fn is_outage(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            !matches!(error, kube::Error::Api(_))
        }
        _ => false,
    }
}

/// Pauses before a watch is resumed: at most two seconds after the API server has restarted.
#[derive(Default)]
struct ResumeBackoff {
    tries: u32,
}

impl Iterator for ResumeBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.tries = (self.tries + 1).min(8);
        Some(Duration::from_millis(250) * self.tries)
    }
}

impl Backoff for ResumeBackoff {
    fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
