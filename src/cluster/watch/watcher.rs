//! A live view of releases, fed by a few watches: one per kind and namespace, however many nodes or pods there are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::Resource as _;
use kube::api::{Api, ListParams};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::container_logs::{LogWanted, wanted_logs};
use crate::cluster::diagnose::{self, Depth, Ledger, Look};
use crate::cluster::nodes::asks_for_nodes;
use crate::cluster::readiness::{self, ReleaseReadiness};
use crate::cluster::watch::cache::{ROOTS, TrackedRelease};
use crate::cluster::watch::partial::{PartialObject, SLIM_PAGE};
use crate::cluster::watch::store::Feed;
use crate::cluster::{Cluster, ClusterError};

/// What is watched from the start in each namespace: workloads, and what explains them.
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

/// Seconds after which an API server that does not answer is reported; a watch that ends is taken up again before that.
const AWAY: i64 = 2;
/// Logs that are kept; more of the same failure tell nothing new.
const LOGS: usize = 24;
/// How long the taints of the nodes are taken for true.
const NODES_LAST: Duration = Duration::from_secs(10);

/// Live view of some releases. Clones share one view; the watches end with the last of them.
#[derive(Clone)]
pub struct Tracker {
    view: Arc<View>,
    changes: watch::Receiver<u64>,
}

struct View {
    cluster: Cluster,
    releases: BTreeMap<String, TrackedRelease>,
    feed: Arc<Feed>,
    ledger: Mutex<Ledger>,
    watches: Mutex<Watches>,
    nodes_read: Mutex<Option<tokio::time::Instant>>,
}

#[derive(Default)]
struct Watches {
    /// Aborted when dropped.
    tasks: JoinSet<()>,
    known: BTreeSet<(String, String)>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Starts watching what readiness and diagnosis of the releases need; ends when the tracker is dropped.
    pub async fn track(&self, releases: Vec<TrackedRelease>) -> Result<Tracker, ClusterError> {
        let (feed, changes) = Feed::new(&releases);
        let namespaces: BTreeSet<String> = releases.iter().map(|release| release.namespace.clone()).collect();
        let releases = releases.into_iter().map(|release| (release.component.clone(), release)).collect();
        let view = View {
            cluster: self.clone(),
            releases,
            feed: Arc::new(feed),
            ledger: Mutex::default(),
            watches: Mutex::default(),
            nodes_read: Mutex::default(),
        };
        let tracker = Tracker { view: Arc::new(view), changes };
        for namespace in &namespaces {
            for (api_version, kind) in WATCHED {
                tracker.view.follow(api_version, kind, Some(namespace)).await?;
            }
        }
        tracker.view.follow("storage.k8s.io/v1", "StorageClass", None).await?;
        Ok(tracker)
    }
}

impl Tracker {
    /// Watches another state of a release.
    pub async fn instead(&self, release: TrackedRelease) -> Result<Tracker, ClusterError> {
        self.view.cluster.track(vec![release]).await
    }

    /// Readiness of a release, with the worst that a rule finds; empty for one that is not tracked.
    pub fn readiness(&self, component: &str) -> ReleaseReadiness {
        let Some(release) = self.view.releases.get(component) else { return ReleaseReadiness::default() };
        let now = jiff::Timestamp::now();
        let (mut readiness, matches, nodes) = {
            let cache = self.view.feed.cache();
            let look = Look { depth: Depth::Waiting, now };
            (readiness::count(&cache, release), diagnose::matches(&cache, release, look), asks_for_nodes(&cache))
        };
        if nodes {
            self.view.ask_nodes();
        }
        let causes = held(&self.view.ledger).enter(matches, now);
        readiness.hook = causes.iter().find(|cause| release.is_of_hook(&cause.diagnosis.place)).cloned();
        readiness.cause = causes.into_iter().next();
        let away = self.view.feed.away_since().into_iter().chain(self.view.cluster.silent_since()).min();
        if let Some(since) = away.filter(|since| now.as_second() - since.as_second() >= AWAY) {
            readiness.cause = Some(diagnose::no_answer(release, since));
        }
        if let Some(cause) = readiness.cause.as_ref().filter(|_| readiness.ready < readiness.desired) {
            readiness.waiting = Some(cause.diagnosis.cause.clone());
        }
        readiness
    }

    /// Resolves when anything watched has changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads the workloads of a release afresh, so that no readiness from before a change is taken for one after
    /// it, and follows the kinds that only this release has.
    pub async fn catch_up(&self, component: &str) -> Result<(), ClusterError> {
        let Some(release) = self.view.releases.get(component) else { return Ok(()) };
        let kinds = kinds_of(release);
        let lists = kinds.iter().map(|(api_version, kind, place)| self.view.read(api_version, kind, place));
        futures::future::try_join_all(lists).await?;
        self.view.feed.emit();
        Ok(())
    }
}

/// (apiVersion, kind, namespace) of everything whose readiness counts.
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

impl View {
    async fn read(&self, api_version: &str, kind: &str, place: &str) -> Result<(), ClusterError> {
        let place = Some(place).filter(|place| !place.is_empty());
        self.follow(api_version, kind, place).await?;
        for object in self.cluster.slim_objects(api_version, kind, place, &ListParams::default()).await? {
            self.feed.put(kind, object);
        }
        Ok(())
    }

    async fn follow(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<(), ClusterError> {
        let Some(api) = self.cluster.api_as::<PartialObject>(api_version, kind, namespace).await? else {
            return Ok(());
        };
        let mut watches = held(&self.watches);
        if watches.known.insert((kind.to_owned(), namespace.unwrap_or_default().to_owned())) {
            let follower = Follower {
                feed: self.feed.clone(),
                cluster: self.cluster.clone(),
                kind: kind.to_owned(),
                namespace: namespace.unwrap_or_default().to_owned(),
                logs: JoinSet::new(),
                asked: HashSet::new(),
            };
            watches.tasks.spawn(follower.run(api));
        }
        Ok(())
    }

    /// Reads the nodes' taints in the background, when they were not read a moment ago.
    fn ask_nodes(&self) {
        let mut read = held(&self.nodes_read);
        if read.is_some_and(|at| at.elapsed() < NODES_LAST) {
            return;
        }
        *read = Some(tokio::time::Instant::now());
        let (cluster, feed) = (self.cluster.clone(), self.feed.clone());
        held(&self.watches).tasks.spawn(async move {
            if let Ok(nodes) = cluster.nodes().await {
                feed.cache().nodes = Some(nodes);
                feed.emit();
            }
        });
    }
}

/// One watch, and the logs that its objects ask for.
struct Follower {
    feed: Arc<Feed>,
    cluster: Cluster,
    kind: String,
    namespace: String,
    /// Aborted when dropped.
    logs: JoinSet<()>,
    asked: HashSet<(String, String, i64)>,
}

impl Follower {
    async fn run(mut self, api: Api<PartialObject>) {
        let mut config = watcher::Config::default().page_size(SLIM_PAGE);
        if self.kind == "Event" {
            config = config.fields("type=Warning");
        }
        // A broken watch is taken up again for as long as the tracker lives.
        let mut events = pin!(watch_objects(api, config).backoff(Brisk::default()).into_stream());
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            if event.is_ok() {
                self.feed.answered();
            }
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.extend(object.meta().name.clone());
                    self.put(object);
                }
                Ok(Event::InitDone) => self.feed.keep(&self.kind, &self.namespace, &listed),
                Ok(Event::Apply(object)) => {
                    self.put(object);
                    self.feed.emit();
                }
                Ok(Event::Delete(object)) => {
                    self.feed.remove(&self.kind, &object);
                    self.feed.emit();
                }
                Err(error) if is_forbidden(&error) => return,
                Err(error) if is_outage(&error) => self.feed.no_answer(),
                Err(_) => {}
            }
        }
    }

    fn put(&mut self, object: PartialObject) {
        let Some(kept) = self.feed.put(&self.kind, object) else { return };
        if self.kind != "Pod" {
            return;
        }
        for wanted in wanted_logs(&kept) {
            // The first ends tell the most; later ones are read ever more rarely.
            let telling = wanted.restarts <= 3 || wanted.restarts.count_ones() == 1;
            let ticket = (wanted.pod.clone(), wanted.container.clone(), wanted.restarts);
            if telling && self.feed.cache().logs.len() < LOGS && self.asked.insert(ticket) {
                self.read_log(wanted);
            }
        }
    }

    fn read_log(&mut self, wanted: LogWanted) {
        while self.logs.try_join_next().is_some() {}
        let (cluster, feed) = (self.cluster.clone(), self.feed.clone());
        self.logs.spawn(async move {
            let lines = cluster.log_tail(&wanted).await;
            if !lines.is_empty() {
                feed.put_log(wanted.key(), lines);
            }
        });
    }
}

/// What nobody may see only explains less; what must be seen is read again by `catch_up`, which tells.
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

/// Pauses of a watch that cannot be had: an API server that restarts is met again within two seconds.
#[derive(Default)]
struct Brisk {
    tries: u32,
}

impl Iterator for Brisk {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.tries = (self.tries + 1).min(8);
        Some(Duration::from_millis(250) * self.tries)
    }
}

impl Backoff for Brisk {
    fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
