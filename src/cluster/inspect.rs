//! One look at releases as they stand: the same readiness and rules as the live view, without watching.

use std::collections::BTreeSet;

use futures::future::{join_all, try_join_all};
use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::container_logs::{LogWanted, running_logs, wanted_logs};
use crate::cluster::diagnose::{self, Depth, Look};
use crate::cluster::nodes::asks_for_nodes;
use crate::cluster::readiness::{self, ReleaseReadiness};
use crate::cluster::watch::cache::{ObjectCache, TrackedRelease, mark, text};
use crate::cluster::watch::watcher::kinds_of;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::event::Diagnosis;

/// What the rules find.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The worst first.
    pub diagnoses: Vec<Diagnosis>,
    /// How many rules looked.
    pub rules: usize,
    /// At how many objects.
    pub objects: usize,
}

/// What explains a release that is not ready, in its namespace.
const EXPLAINS: [(&str, &str); 5] = [
    ("apps/v1", "StatefulSet"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Event"),
    ("networking.k8s.io/v1", "Ingress"),
];
/// Objects of the whole cluster that rules know.
const CLUSTER_WIDE: [(&str, &str); 3] = [
    ("storage.k8s.io/v1", "StorageClass"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
];
/// Logs that one look reads.
const LOGS: usize = 24;
/// Programs whose log is read although they run: one pod in three of a kind tells as much as all.
const TALKERS: [&str; 2] = ["alloy", "oauth2-proxy"];
const TALKERS_READ: usize = 3;
/// Namespace and label of the Tailscale operator's own pod, and label of the proxies it makes.
const OPERATOR: (&str, &str) = ("tailscale", "app=operator");
const PROXIES: &str = "tailscale.com/managed=true";
/// API group of the Prometheus operator's CRDs.
const OPERATOR_GROUP: &str = ".monitoring.coreos.com";

/// One finding for all pods of a workload that suffer from the same.
fn grouped(diagnoses: impl Iterator<Item = Diagnosis>) -> Vec<Diagnosis> {
    let mut groups: Vec<(Diagnosis, usize)> = Vec::new();
    for diagnosis in diagnoses {
        let same = groups.iter_mut().find(|(first, _)| {
            let place = (&first.place.workload, &first.place.container);
            let own = (&diagnosis.place.workload, &diagnosis.place.container);
            first.rule == diagnosis.rule && place == own && place.0.is_some()
        });
        match same {
            Some((_, more)) => *more += 1,
            None => groups.push((diagnosis, 0)),
        }
    }
    let reported = groups.into_iter().map(|(mut first, more)| {
        if more > 0 {
            first.cause += &format!(" (and {more} more of {})", first.place.workload.as_deref().unwrap_or_default());
        }
        first
    });
    reported.collect()
}

/// (apiVersion, kind, namespace), "" for cluster-scoped kinds.
type Kinds<'a> = BTreeSet<(&'a str, &'a str, &'a str)>;

/// What explains why a release is not ready.
fn explaining(release: &TrackedRelease) -> Kinds<'_> {
    let mut kinds: Kinds<'_> =
        EXPLAINS.map(|(api_version, kind)| (api_version, kind, release.namespace.as_str())).into();
    kinds.insert(("storage.k8s.io/v1", "StorageClass", ""));
    kinds
}

impl Cluster {
    /// Readiness of a release by one look, without following it further.
    pub async fn readiness(&self, release: &TrackedRelease) -> Result<ReleaseReadiness, ClusterError> {
        let mut cache = ObjectCache::default();
        self.load(&mut cache, kinds_of(release)).await?;
        let readiness = readiness::count(&cache, release);
        if readiness.is_ready() {
            return Ok(readiness);
        }
        // Only what is not ready is worth reading pods for: a large cluster has many.
        self.load(&mut cache, explaining(release)).await?;
        let now = jiff::Timestamp::now();
        let mut readiness = readiness::count(&cache, release);
        let matches = diagnose::matches(&cache, release, Look { depth: Depth::Waiting, now });
        readiness.cause = diagnose::at_once(matches, now).into_iter().next();
        if let Some(cause) = &readiness.cause {
            readiness.waiting = Some(cause.diagnosis.cause.clone());
        }
        Ok(readiness)
    }

    /// What every rule finds in the releases as they stand.
    pub async fn diagnose(&self, releases: &[TrackedRelease]) -> Result<Findings, ClusterError> {
        let mut cache = ObjectCache::default();
        for release in releases {
            self.load(&mut cache, kinds_of(release)).await?;
            self.load(&mut cache, explaining(release)).await?;
        }
        let mut releases = releases.to_vec();
        releases.push(self.surroundings(&mut cache).await?);
        for release in &mut releases {
            self.add_crds(&mut cache, release).await?;
        }
        if asks_for_nodes(&cache) {
            cache.nodes = Some(self.nodes().await?);
        }
        self.read_logs(&mut cache).await;
        let now = jiff::Timestamp::now();
        let look = Look { depth: Depth::Everything, now };
        let matches = releases.iter().flat_map(|release| diagnose::matches(&cache, release, look)).collect();
        let diagnoses = diagnose::at_once(matches, now).into_iter().map(|cause| cause.diagnosis);
        Ok(Findings { diagnoses: grouped(diagnoses), rules: diagnose::count(), objects: cache.objects.len() })
    }

    async fn load(&self, cache: &mut ObjectCache, kinds: Kinds<'_>) -> Result<(), ClusterError> {
        let lists = kinds.into_iter().map(|(api_version, kind, place)| async move {
            let warnings = ListParams::default().fields("type=Warning");
            let parameters = if kind == "Event" { warnings } else { ListParams::default() };
            self.list_slim(api_version, kind, Some(place).filter(|place| !place.is_empty()), &parameters).await
        });
        try_join_all(lists).await?.into_iter().flatten().for_each(|object| cache.insert(object));
        Ok(())
    }

    /// What belongs to no release but may hinder one: classes, webhooks, the Tailscale operator and its proxies.
    async fn surroundings(&self, cache: &mut ObjectCache) -> Result<TrackedRelease, ClusterError> {
        let mut around = TrackedRelease { namespace: OPERATOR.0.to_owned(), ..TrackedRelease::default() };
        for (api_version, kind) in CLUSTER_WIDE {
            for object in self.list_slim(api_version, kind, None, &ListParams::default()).await? {
                self.load_services(cache, &object).await?;
                around.others.push(ObjectRef::of(&object));
                cache.insert(object);
            }
        }
        let operators = ListParams::default().labels(OPERATOR.1);
        let proxies = ListParams::default().labels(PROXIES);
        let (operators, proxies) = futures::try_join!(
            self.list_slim("v1", "Pod", Some(OPERATOR.0), &operators),
            self.list_slim("v1", "Pod", None, &proxies),
        )?;
        for pod in operators.into_iter().chain(proxies) {
            around.hooks.push(ObjectRef::of(&pod));
            cache.insert(pod);
        }
        Ok(around)
    }

    /// The Services that a webhook configuration calls, where they exist.
    async fn load_services(&self, cache: &mut ObjectCache, object: &Value) -> Result<(), ClusterError> {
        let webhooks = object.get("webhooks").and_then(Value::as_array).into_iter().flatten();
        let services: BTreeSet<(&str, &str)> = webhooks
            .filter_map(|webhook| webhook.pointer("/clientConfig/service"))
            .map(|service| (text(service, "/namespace"), text(service, "/name")))
            .collect();
        for (namespace, name) in services {
            let reference = ObjectRef {
                api_version: "v1".into(),
                kind: "Service".into(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            };
            if let Some(service) = self.get(&reference).await? {
                cache.insert(service);
            }
        }
        Ok(())
    }

    /// The operator's CRDs by their metadata: whole ones are megabytes.
    async fn add_crds(&self, cache: &mut ObjectCache, release: &mut TrackedRelease) -> Result<(), ClusterError> {
        if release.wait_for.is_empty() {
            return Ok(());
        }
        let (api_version, kind) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        for (name, annotations) in self.annotations(api_version, kind).await? {
            if name.ends_with(OPERATOR_GROUP) {
                let metadata = serde_json::json!({"name": name, "annotations": annotations});
                let crd = serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
                release.others.push(ObjectRef::of(&crd));
                cache.insert(crd);
            }
        }
        Ok(())
    }

    async fn read_logs(&self, cache: &mut ObjectCache) {
        let pods: Vec<&Value> = cache.everywhere("Pod").collect();
        let mut wanted: Vec<LogWanted> = pods.iter().flat_map(|pod| wanted_logs(pod)).collect();
        wanted.truncate(LOGS);
        for app in TALKERS {
            let of_app = pods.iter().filter(|pod| mark(pod, "app.kubernetes.io/name") == app);
            wanted.extend(of_app.take(TALKERS_READ).flat_map(|pod| running_logs(pod)));
        }
        let around =
            |pod: &&&Value| mark(pod, "app") == "operator" || !mark(pod, "tailscale.com/parent-resource").is_empty();
        wanted.extend(pods.iter().filter(around).take(TALKERS_READ).flat_map(|pod| running_logs(pod)));
        let reads = wanted.iter().map(|wanted| async { (wanted.key(), self.log_tail(wanted).await) });
        let logs = join_all(reads).await;
        cache.logs.extend(logs);
    }
}
