//! Readiness by kind: `Err` says why not yet, in one sentence fragment.

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::cluster::readiness::pods::starting;
use crate::cluster::watch::cache::{ObjectCache, condition, denied, has_condition, number, text};
use crate::stack::WaitFor;

/// Pods of a workload of which each is worth naming.
const FEW: i64 = 3;

/// Readiness of one object of a tracked kind.
pub(in crate::cluster) fn judge(cache: &ObjectCache, wanted: &ObjectRef) -> Result<(), String> {
    let ObjectRef { kind, name, .. } = wanted;
    let Some(live) = cache.find(wanted) else { return Err(format!("{kind} {name} is not there yet")) };
    match kind.as_str() {
        "Job" => return job(cache, live, name),
        "PersistentVolumeClaim" if text(live, "/status/phase") == "Bound" => return Ok(()),
        "PersistentVolumeClaim" => return Err(format!("PersistentVolumeClaim {name} has no volume yet")),
        "CustomResourceDefinition" if has_condition(live, "Established") => return Ok(()),
        "CustomResourceDefinition" => return Err(format!("CRD {name} is not established")),
        _ => {}
    }
    if number(live, "/status/observedGeneration") < number(live, "/metadata/generation") {
        return Err(format!("the controller has not seen the change of {kind} {name}"));
    }
    let counts = match kind.as_str() {
        "Deployment" => deployment(live),
        "StatefulSet" => stateful_set(live),
        _ => daemon_set(live),
    };
    if counts.is_ready() {
        return Ok(());
    }
    // Of many pods the count tells more than any one of them.
    let one = (counts.desired <= FEW).then(|| starting(cache, live)).flatten();
    Err(one.unwrap_or_else(|| format!("{kind} {name}: {}", counts.describe())))
}

/// Readiness of a condition that an operator reports on its own resource.
pub(super) fn judge_condition(cache: &ObjectCache, wanted: &WaitFor, namespace: &str) -> Result<(), String> {
    let WaitFor { kind, name, condition: wanted, .. } = wanted;
    let Some(live) = cache.get(kind, namespace, name) else { return Err(format!("{kind} {name} is not there yet")) };
    let Some(found) = condition(live, wanted) else {
        return Err(format!("the operator has not reported on {kind} {name}"));
    };
    if number(found, "/observedGeneration") < number(live, "/metadata/generation") {
        return Err(format!("the operator has not seen the change of {kind} {name}"));
    }
    // A resource that the operator refuses goes on running as it was before.
    if let Some(refused) = denied(live, "Reconciled") {
        return Err(format!("{kind} {name} is not reconciled: {}", said(refused)));
    }
    if text(found, "/status") == "True" {
        return Ok(());
    }
    // The operator's own StatefulSet stands in no manifest; its pods know the cause.
    let why = cache.made_for(live).next().and_then(|set| starting(cache, set));
    Err(why.unwrap_or_else(|| format!("{kind} {name} is not {wanted}: {}", said(found))))
}

/// A condition's reason and the first line of its message.
pub(in crate::cluster) fn said(condition: &Value) -> String {
    let (reason, message) = (text(condition, "/reason"), text(condition, "/message"));
    let first = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    match (reason, first) {
        ("", "") => "no reason given".into(),
        ("", message) => message.into(),
        (reason, "") => reason.into(),
        (reason, message) => format!("{reason}: {message}"),
    }
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

fn deployment(live: &Value) -> Counts {
    Counts {
        desired: live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1),
        updated: number(live, "/status/updatedReplicas"),
        available: number(live, "/status/availableReplicas"),
        old: (number(live, "/status/replicas") - number(live, "/status/updatedReplicas")).max(0),
    }
}

fn stateful_set(live: &Value) -> Counts {
    let desired = live.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let rolling = text(live, "/spec/updateStrategy/type") != "OnDelete"
        && number(live, "/spec/updateStrategy/rollingUpdate/partition") == 0;
    let same_revision = text(live, "/status/currentRevision") == text(live, "/status/updateRevision");
    let updated = if !rolling || same_revision { desired } else { number(live, "/status/updatedReplicas") };
    let available = number(live, "/status/availableReplicas").min(number(live, "/status/readyReplicas"));
    Counts { desired, updated, available, old: 0 }
}

fn daemon_set(live: &Value) -> Counts {
    Counts {
        desired: number(live, "/status/desiredNumberScheduled"),
        updated: number(live, "/status/updatedNumberScheduled"),
        available: number(live, "/status/numberAvailable"),
        old: 0,
    }
}

fn job(cache: &ObjectCache, live: &Value, name: &str) -> Result<(), String> {
    if has_condition(live, "Complete") {
        return Ok(());
    }
    Err(starting(cache, live).unwrap_or_else(|| format!("Job {name} has not completed")))
}
