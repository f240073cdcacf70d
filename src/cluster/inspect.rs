//! Reads the state of releases once: the same readiness and rules as during a watch.

use std::collections::BTreeSet;

use futures::future::{join_all, try_join_all};
use kube::api::ListParams;

use crate::cluster::container_logs::{LogRequest, logs_of_failed, running_logs};
use crate::cluster::diagnose;
use crate::cluster::nodes::asks_for_nodes;
use crate::cluster::readiness::ReleaseReadiness;
use crate::cluster::snapshot::Snapshot;
use crate::cluster::views::{
    Annotations, CustomResourceDefinition, Metadata, Object, Pod, Service, WebhookConfiguration,
};
use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;
use crate::cluster::watch::watcher::kinds_of;
use crate::cluster::{Cluster, ClusterError, ObjectRef, permitted};
use crate::event::Diagnosis;

/// Result of a diagnosis.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The worst first.
    pub diagnoses: Vec<Diagnosis>,
    /// How many rules were evaluated.
    pub rules: usize,
    /// How many objects were read.
    pub objects: usize,
}

/// Kinds of the release's namespace that explain why it is not ready.
const EXPLAINS: [(&str, &str); 5] = [
    ("apps/v1", "StatefulSet"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Event"),
    ("networking.k8s.io/v1", "Ingress"),
];
/// Cluster-scoped kinds that rules read.
const CLUSTER_WIDE: [(&str, &str); 3] = [
    ("storage.k8s.io/v1", "StorageClass"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
];
/// Logs of failed containers that are read at most.
const LOGS: usize = 24;
/// Number of pods of an app with logs that are read although their containers run: all of them report the same.
const PODS_READ: usize = 3;
/// Label of the Tailscale operator's pod, and of the proxies that it creates.
const OPERATOR: &str = "app=operator";
const PROXIES: &str = "tailscale.com/managed=true";
/// API group of the Prometheus operator's CRDs.
const OPERATOR_GROUP: &str = ".monitoring.coreos.com";

fn reference(api_version: &str, object: &Object) -> ObjectRef {
    let Metadata { name, namespace, .. } = object.metadata();
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: object.kind().to_owned(),
        namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
        name: name.clone(),
    }
}

/// (apiVersion, kind, namespace), "" for cluster-scoped kinds.
type Kinds<'a> = BTreeSet<(&'a str, &'a str, &'a str)>;

/// Kinds that explain why a release is not ready.
fn explaining(release: &TrackedRelease) -> Kinds<'_> {
    let mut kinds: Kinds<'_> =
        EXPLAINS.map(|(api_version, kind)| (api_version, kind, release.namespace.as_str())).into();
    kinds.insert(("storage.k8s.io/v1", "StorageClass", ""));
    kinds
}

impl Cluster {
    /// Readiness of each release, read once: one list of a kind for all of them.
    pub async fn readiness(&self, releases: &[TrackedRelease]) -> Result<Vec<ReleaseReadiness>, ClusterError> {
        let mut snapshot = Snapshot::default();
        self.load(&mut snapshot.cache, releases.iter().flat_map(kinds_of).collect()).await?;
        let mut counted: Vec<ReleaseReadiness> = releases.iter().map(|release| snapshot.count(release)).collect();
        let unready = releases.iter().zip(&counted).filter(|(_, found)| !found.is_ready());
        // Pods are read only for a release that is not ready: a large cluster has many.
        self.load(&mut snapshot.cache, unready.flat_map(|(release, _)| explaining(release)).collect()).await?;
        let now = jiff::Timestamp::now();
        if asks_for_nodes(&snapshot.cache, now) {
            snapshot.cache.nodes = self.nodes().await.ok();
        }
        for (release, readiness) in releases.iter().zip(&mut counted).filter(|(_, found)| !found.is_ready()) {
            *readiness = snapshot.readiness(release, now);
        }
        Ok(counted)
    }

    /// Evaluates every rule on the current state of the releases.
    pub async fn diagnose(&self, releases: &[TrackedRelease]) -> Result<Findings, ClusterError> {
        let mut snapshot = Snapshot::default();
        let cache = &mut snapshot.cache;
        let kinds = releases.iter().flat_map(|release| kinds_of(release).into_iter().chain(explaining(release)));
        self.load(cache, kinds.collect()).await?;
        let mut releases = releases.to_vec();
        releases.push(self.surroundings(cache).await?);
        for release in &mut releases {
            self.add_crds(cache, release).await?;
        }
        let now = jiff::Timestamp::now();
        if asks_for_nodes(cache, now) {
            cache.nodes = permitted(self.nodes().await)?;
        }
        self.read_logs(cache).await;
        let objects = cache.len();
        Ok(Findings { diagnoses: snapshot.diagnoses(&releases, now), rules: diagnose::count(), objects })
    }

    async fn load(&self, cache: &mut ObjectCache, kinds: Kinds<'_>) -> Result<(), ClusterError> {
        let lists = kinds.into_iter().map(|(api_version, kind, place)| async move {
            let warnings = ListParams::default().fields("type=Warning");
            let parameters = if kind == "Event" { warnings } else { ListParams::default() };
            match place {
                // Classes, which only explain why a claim waits.
                "" => Ok(permitted(self.objects(api_version, kind, None, &parameters).await)?.unwrap_or_default()),
                place => self.objects(api_version, kind, Some(place), &parameters).await,
            }
        });
        let listed: Vec<Vec<Object>> = try_join_all(lists).await?;
        listed.into_iter().flatten().for_each(|object| cache.insert(object));
        Ok(())
    }

    /// Objects of no release that a release depends on: classes, webhooks, the Tailscale operator and its proxies, as far
    /// as this context may read them.
    async fn surroundings(&self, cache: &mut ObjectCache) -> Result<TrackedRelease, ClusterError> {
        let mut around = TrackedRelease { namespace: "tailscale".to_owned(), ..TrackedRelease::default() };
        for (api_version, kind) in CLUSTER_WIDE {
            let objects = permitted(self.objects(api_version, kind, None, &ListParams::default()).await)?;
            for object in objects.unwrap_or_default() {
                if let Object::WebhookConfiguration(configuration) = &object {
                    self.load_services(cache, configuration).await?;
                }
                around.others.push(reference(api_version, &object));
                cache.insert(object);
            }
        }
        let proxies = self.objects("v1", "Pod", None, &ListParams::default().labels(PROXIES)).await;
        let mut pods = permitted(proxies)?.unwrap_or_default();
        let labelled = ListParams::default().labels(OPERATOR);
        for operator in self.operators().await?.unwrap_or_default().tailscale {
            let found = self.objects("v1", "Pod", Some(&operator.namespace), &labelled).await;
            pods.extend(permitted(found)?.unwrap_or_default());
            around.namespace = operator.namespace;
        }
        for pod in pods {
            around.hooks.push(reference("v1", &pod));
            cache.insert(pod);
        }
        Ok(around)
    }

    /// The Services that a webhook configuration calls, where they exist.
    async fn load_services(
        &self,
        cache: &mut ObjectCache,
        configuration: &WebhookConfiguration,
    ) -> Result<(), ClusterError> {
        let services = configuration.webhooks.iter().filter_map(|webhook| webhook.client_config.service.as_ref());
        let services: BTreeSet<(&str, &str)> =
            services.map(|service| (service.namespace.as_str(), service.name.as_str())).collect();
        for (namespace, name) in services {
            let reference = ObjectRef {
                api_version: "v1".into(),
                kind: "Service".into(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            };
            if let Some(service) = permitted(self.view::<Service>(&reference).await)?.flatten() {
                cache.insert(service.into());
            }
        }
        Ok(())
    }

    /// The Prometheus operator's CRDs by their metadata: whole CRDs are megabytes.
    async fn add_crds(&self, cache: &mut ObjectCache, release: &mut TrackedRelease) -> Result<(), ClusterError> {
        if release.wait_for.is_empty() {
            return Ok(());
        }
        let versions = permitted(self.crd_versions().await)?.unwrap_or_default().into_iter();
        for (name, version) in versions.filter(|(name, _)| name.ends_with(OPERATOR_GROUP)) {
            let annotations = Annotations { operator_version: version.unwrap_or_default(), ..Annotations::default() };
            let metadata = Metadata { name, annotations, ..Metadata::default() };
            let crd = CustomResourceDefinition { metadata, ..CustomResourceDefinition::default() };
            let crd = Object::from(crd);
            release.others.push(reference("apiextensions.k8s.io/v1", &crd));
            cache.insert(crd);
        }
        Ok(())
    }

    async fn read_logs(&self, cache: &mut ObjectCache) {
        let pods: Vec<&Pod> = cache.everywhere().collect();
        let mut requests: Vec<LogRequest> = pods.iter().flat_map(|pod| logs_of_failed(pod)).collect();
        requests.truncate(LOGS);
        for app in diagnose::logged_apps() {
            let of_app = pods.iter().filter(|pod| pod.metadata.labels.is_app(app));
            requests.extend(of_app.take(PODS_READ).flat_map(|pod| running_logs(pod)));
        }
        let proxies = pods.iter().filter(|pod| !pod.metadata.labels.parent_resource.is_empty());
        requests.extend(proxies.take(PODS_READ).flat_map(|pod| running_logs(pod)));
        let reads = requests.iter().map(|request| async { (request.key(), self.log_tail(request).await) });
        let logs = join_all(reads).await;
        cache.logs.extend(logs);
    }
}
