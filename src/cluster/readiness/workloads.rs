//! Readiness by kind: `Err` says why an object is not ready, in one sentence fragment.

use std::collections::BTreeSet;

use crate::cluster::ObjectRef;
use crate::cluster::readiness::pods::{is_left_out, starting};
use crate::cluster::views::{DaemonSet, Deployment, Object, Pod, StatefulSet};
use crate::cluster::watch::cache::ObjectCache;
use crate::stack::WaitFor;

/// Up to so many pods of a workload the state of one is reported, above that the counts.
const FEW: i64 = 3;

/// Readiness of an object that must exist.
pub(in crate::cluster) fn judge(cache: &ObjectCache, wanted: &ObjectRef) -> Result<(), String> {
    match cache.find(wanted) {
        Some(live) => judge_live(cache, live),
        None => Err(format!("{} {} is not there yet", wanted.kind, wanted.name)),
    }
}

/// Readiness of an object of the cache; a kind without a readiness is ready.
pub(in crate::cluster) fn judge_live(cache: &ObjectCache, live: &Object) -> Result<(), String> {
    let name = &live.metadata().name;
    match live {
        Object::Deployment(found) => rollout(cache, live, found.status.observed_generation, &deployment(found)),
        Object::StatefulSet(set) => rollout(cache, live, set.status.observed_generation, &stateful_set(set)),
        Object::DaemonSet(set) => rollout(cache, live, set.status.observed_generation, &daemon_set(cache, live, set)),
        Object::Job(job) if job.status.conditions.is_true("Complete") => Ok(()),
        Object::Job(_) => Err(starting(cache, live).unwrap_or_else(|| format!("Job {name} has not completed"))),
        Object::PersistentVolumeClaim(claim) if claim.status.phase == "Bound" => Ok(()),
        Object::PersistentVolumeClaim(_) => Err(format!("PersistentVolumeClaim {name} has no volume yet")),
        Object::CustomResourceDefinition(crd) if crd.status.conditions.is_true("Established") => Ok(()),
        Object::CustomResourceDefinition(_) => Err(format!("CRD {name} is not established")),
        _ => Ok(()),
    }
}

/// Readiness of a condition that an operator reports on its own resource.
pub(super) fn judge_condition(cache: &ObjectCache, wanted: &WaitFor, namespace: &str) -> Result<(), String> {
    let WaitFor { kind, name, condition: wanted, .. } = wanted;
    let Some(Object::OperatorResource(live)) = cache.object(kind, namespace, name) else {
        return Err(format!("{kind} {name} is not there yet"));
    };
    let conditions = &live.status.conditions;
    let Some(found) = conditions.get(wanted) else {
        return Err(format!("the operator has not reported on {kind} {name}"));
    };
    if found.observed_generation < live.metadata.generation {
        return Err(format!("the operator has not seen the change of {kind} {name}"));
    }
    // A resource that the operator rejects continues to run as before.
    if let Some(rejected) = conditions.when_false("Reconciled") {
        return Err(format!("{kind} {name} is not reconciled: {}", rejected.summary()));
    }
    if conditions.is_true(wanted) {
        return Ok(());
    }
    // The operator's own StatefulSet is in no manifest; the state of its pods explains more.
    let why = cache.stateful_sets_of(live).next().and_then(|set| starting(cache, set));
    Err(why.unwrap_or_else(|| format!("{kind} {name} is not {wanted}: {}", found.summary())))
}

struct Counts {
    desired: i64,
    updated: i64,
    available: i64,
    /// Pods of an earlier revision that still run.
    old: i64,
}

impl Counts {
    fn is_ready(&self) -> bool {
        self.updated >= self.desired && self.available >= self.desired && self.old == 0
    }

    fn describe(&self) -> String {
        if self.updated < self.desired {
            format!("{}/{} pods are of the new revision", self.updated, self.desired)
        } else if self.available < self.desired {
            format!("{}/{} pods are available", self.available, self.desired)
        } else {
            format!("{} pods of the old revision still run", self.old)
        }
    }
}

fn rollout(cache: &ObjectCache, live: &Object, observed_generation: i64, counts: &Counts) -> Result<(), String> {
    let (kind, metadata) = (live.kind(), live.metadata());
    let name = &metadata.name;
    if observed_generation < metadata.generation {
        return Err(format!("the controller has not seen the change of {kind} {name}"));
    }
    if counts.is_ready() {
        return Ok(());
    }
    let one = (counts.desired <= FEW).then(|| starting(cache, live)).flatten();
    Err(one.unwrap_or_else(|| format!("{kind} {name}: {}", counts.describe())))
}

fn deployment(live: &Deployment) -> Counts {
    let status = &live.status;
    Counts {
        desired: live.spec.replicas.unwrap_or(1),
        updated: status.updated_replicas,
        available: status.available_replicas,
        old: status.replicas.saturating_sub(status.updated_replicas).max(0),
    }
}

fn stateful_set(live: &StatefulSet) -> Counts {
    let (strategy, status) = (&live.spec.update_strategy, &live.status);
    let desired = live.spec.replicas.unwrap_or(1);
    let rolling = strategy.kind != "OnDelete" && strategy.rolling_update.partition == 0;
    let same_revision = status.current_revision == status.update_revision;
    let updated = if !rolling || same_revision { desired } else { status.updated_replicas };
    Counts { desired, updated, available: status.available_replicas.min(status.ready_replicas), old: 0 }
}

/// Pods of nodes that do not run pods at the moment, or have no room, do not count. Whether such a pod is of the new revision is not
/// known, so the pods of the new revision are counted without it.
fn daemon_set(cache: &ObjectCache, live: &Object, set: &DaemonSet) -> Counts {
    let status = &set.status;
    let lost: Vec<&Pod> = cache.pods(live).filter(|pod| is_left_out(cache, live, pod)).collect();
    let node = |pod: &'_ &Pod| pod.intended_node().unwrap_or(&pod.spec.node_name).to_owned();
    let nodes: BTreeSet<String> = lost.iter().map(node).collect();
    let undeleted = lost.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Counts {
        desired: status.desired_number_scheduled.saturating_sub(count(nodes.len())),
        updated: status.updated_number_scheduled.saturating_sub(count(undeleted.count())),
        available: status.number_available,
        old: 0,
    }
}
