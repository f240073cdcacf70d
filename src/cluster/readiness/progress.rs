//! How far the rollout of a release has come. Counts are by revision and only their maxima matter: a container that
//! restarts, a pod that is replaced and a readiness that comes and goes reach nothing new.

use std::collections::BTreeMap;

use crate::cluster::views::{DaemonSet, Deployment, Metadata, Object, Pod, StatefulSet};
use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;

/// Kind and name of an object, its revision, and what is counted.
type Milestone = (String, String, String, &'static str);

/// Counts of a release at one moment.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    counts: BTreeMap<Milestone, i64>,
    /// Pods of the current revision that are available, at least.
    pub updated_pods: u32,
    /// Pods that the workloads desire.
    pub desired_pods: u32,
}

/// The largest counts of a release so far.
#[derive(Debug, Default)]
pub struct HighestCounts(BTreeMap<Milestone, i64>);

impl HighestCounts {
    /// Whether a count is larger than ever before.
    pub fn advance(&mut self, progress: &Progress) -> bool {
        let mut advanced = false;
        for (milestone, count) in &progress.counts {
            let largest = self.0.entry(milestone.clone()).or_insert(0);
            if count > largest {
                *largest = *count;
                advanced = true;
            }
        }
        advanced
    }
}

/// Progress of a release: what its controllers have observed and rolled out, how far its pods are, bound claims,
/// completed Jobs, established CRDs and conditions of operators.
pub(in crate::cluster) fn progress(cache: &ObjectCache, release: &TrackedRelease) -> Progress {
    let mut progress = Progress::default();
    for live in release.objects().filter_map(|object| cache.find(object)) {
        progress.add(cache, live);
    }
    for wanted in &release.wait_for {
        let live = cache.object(&wanted.kind, &release.namespace, &wanted.name);
        let Some(Object::OperatorResource(resource)) = live else { continue };
        let condition = resource.status.conditions.when_true(&wanted.condition);
        let revision = condition.map(|condition| condition.observed_generation.to_string());
        progress.count(
            (&wanted.kind, &resource.metadata),
            &revision.unwrap_or_default(),
            "true",
            condition.is_some().into(),
        );
        cache.stateful_sets_of(resource).for_each(|set| progress.add(cache, set));
    }
    progress
}

/// Pods of a workload.
struct Pods {
    desired: i64,
    current: i64,
    updated: i64,
    available: i64,
}

impl Progress {
    fn count(&mut self, (kind, metadata): (&str, &Metadata), revision: &str, what: &'static str, count: i64) {
        let milestone = (kind.to_owned(), metadata.name.clone(), revision.to_owned(), what);
        let total = self.counts.entry(milestone).or_default();
        *total = total.saturating_add(count);
    }

    fn add(&mut self, cache: &ObjectCache, live: &Object) {
        let object = (live.kind(), live.metadata());
        let is_done = match live {
            Object::Pod(pod) => return self.add_pods(object, [pod].into_iter()),
            Object::Deployment(Deployment { spec, status, .. }) => {
                let desired = spec.replicas.unwrap_or(1);
                let (current, updated, available) =
                    (status.replicas, status.updated_replicas, status.available_replicas);
                self.add_rollout(object, status.observed_generation, &Pods { desired, current, updated, available });
                false
            }
            Object::StatefulSet(StatefulSet { spec, status, .. }) => {
                let desired = spec.replicas.unwrap_or(1);
                let same = status.current_revision == status.update_revision;
                let updated = if same { status.replicas } else { status.updated_replicas };
                let (current, available) = (status.replicas, status.available_replicas);
                self.add_rollout(object, status.observed_generation, &Pods { desired, current, updated, available });
                false
            }
            Object::DaemonSet(DaemonSet { status, .. }) => {
                let (desired, current) = (status.desired_number_scheduled, status.current_number_scheduled);
                let (updated, available) = (status.updated_number_scheduled, status.number_available);
                self.add_rollout(object, status.observed_generation, &Pods { desired, current, updated, available });
                false
            }
            Object::Job(job) => job.status.conditions.is_true("Complete"),
            Object::PersistentVolumeClaim(claim) => claim.status.phase == "Bound",
            Object::CustomResourceDefinition(crd) => crd.status.conditions.is_true("Established"),
            _ => false,
        };
        self.count(object, "", "done", is_done.into());
        self.add_pods(object, cache.pods(live));
        for claim in cache.pods(live).flat_map(|pod| cache.claims_of(pod)) {
            let is_bound = matches!(claim, Object::PersistentVolumeClaim(claim) if claim.status.phase == "Bound");
            self.count((claim.kind(), claim.metadata()), "", "done", is_bound.into());
        }
    }

    fn add_rollout(&mut self, object: (&str, &Metadata), observed: i64, pods: &Pods) {
        let generation = object.1.generation;
        self.desired_pods = self.desired_pods.saturating_add(u32::try_from(pods.desired).unwrap_or_default());
        if observed < generation {
            return;
        }
        // Of the available pods those of an earlier revision are subtracted, as if all of them were available.
        let old = pods.current.saturating_sub(pods.updated).max(0);
        let updated_and_available = pods.available.saturating_sub(old).min(pods.desired).max(0);
        self.updated_pods = self.updated_pods.saturating_add(u32::try_from(updated_and_available).unwrap_or_default());
        let generation = generation.to_string();
        self.count(object, &generation, "observed", 1);
        self.count(object, &generation, "updated", pods.updated);
        self.count(object, &generation, "available", updated_and_available);
    }

    /// A failed pod stays in the API while its successors come and go, so it counts for nothing.
    fn add_pods<'a>(&mut self, workload: (&str, &Metadata), pods: impl Iterator<Item = &'a Pod>) {
        let mut revisions: BTreeMap<&str, [i64; STAGES.len()]> = BTreeMap::new();
        for pod in pods.filter(|pod| pod.status.phase != "Failed" && pod.metadata.deletion_timestamp.is_none()) {
            let counts = revisions.entry(pod.metadata.labels.revision()).or_default();
            counts.iter_mut().zip(stages(pod)).for_each(|(count, reached)| *count += i64::from(reached));
        }
        for (revision, counts) in revisions {
            STAGES.iter().zip(counts).for_each(|(stage, count)| self.count(workload, revision, stage, count));
        }
    }
}

/// What a pod reaches on its way.
const STAGES: [&str; 5] = ["scheduled", "initialized", "started", "ready", "ended"];

/// Which of [`STAGES`] a pod has reached. The conditions of a ready pod are not kept.
fn stages(pod: &Pod) -> [bool; STAGES.len()] {
    let status = &pod.status;
    let has_ended = status.phase == "Succeeded";
    let is_ready = pod.is_ready() || has_ended;
    let is_true = |condition: &str| is_ready || status.conditions.is_true(condition);
    let mut containers = status.container_statuses.iter();
    // After a restart only the readiness counts.
    let is_started = containers.len() > 0 && containers.all(|one| one.is_running() && one.restart_count == 0);
    [is_true("PodScheduled"), is_true("Initialized"), is_ready || is_started, is_ready, has_ended]
}

#[cfg(test)]
impl Progress {
    pub(crate) fn for_tests(manifest: &[serde_json::Value], live: &[serde_json::Value]) -> Progress {
        let mut cache = ObjectCache::default();
        live.iter().for_each(|object| cache.insert_json(object.clone()));
        progress(&cache, &TrackedRelease::new("x", "m", manifest))
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
