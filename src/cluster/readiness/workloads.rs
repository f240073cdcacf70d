//! Readiness by kind.

use serde_json::Value;

use crate::cluster::readiness::pods::{Cause, of_pods};
use crate::cluster::readiness::{Readiness, World, condition, has_condition, number, text};
use crate::stack::WaitFor;

/// Readiness of one object of a tracked kind.
pub(super) fn judge(world: World<'_>, kind: &str, namespace: &str, name: &str) -> Readiness {
    let Some(live) = world.get(kind, namespace, name) else {
        return Readiness::Waiting { why: format!("{kind} {name} is not there yet") };
    };
    match kind {
        "Job" => return job(world, live, namespace, name),
        "PersistentVolumeClaim" => return claim(live, name),
        "CustomResourceDefinition" if has_condition(live, "Established") => return Readiness::Ready,
        "CustomResourceDefinition" => return Readiness::Waiting { why: format!("CRD {name} is not established") },
        _ => {}
    }
    if number(live, "/status/observedGeneration") < number(live, "/metadata/generation") {
        return Readiness::Waiting { why: format!("the controller has not seen the change of {kind} {name}") };
    }
    let counts = match kind {
        "Deployment" => deployment(live),
        "StatefulSet" => stateful_set(live),
        _ => daemon_set(live),
    };
    if counts.is_ready() {
        return Readiness::Ready;
    }
    explain(world, live, namespace, &format!("{kind} {name}: {}", counts.describe()))
}

/// Readiness of a condition that an operator reports on its own resource.
pub(super) fn judge_condition(world: World<'_>, wanted: &WaitFor, namespace: &str) -> Readiness {
    let WaitFor { kind, name, condition: wanted, .. } = wanted;
    let Some(live) = world.get(kind, namespace, name) else {
        return Readiness::Waiting { why: format!("{kind} {name} is not there yet") };
    };
    let Some(found) = condition(live, wanted) else {
        return Readiness::Waiting { why: format!("the operator has not reported on {kind} {name}") };
    };
    if number(found, "/observedGeneration") < number(live, "/metadata/generation") {
        return Readiness::Waiting { why: format!("the operator has not seen the change of {kind} {name}") };
    }
    if text(found, "/status") == "True" {
        return Readiness::Ready;
    }
    // The operator's own StatefulSet stands in no manifest; its pods know the cause.
    let uid = text(live, "/metadata/uid");
    let made = world.all("StatefulSet", namespace).find(|set| is_owned_by(set, uid));
    let why = format!("{kind} {name} is not {wanted}: {}", said(found));
    match made {
        Some(set) => explain(world, set, namespace, &why),
        None => Readiness::Waiting { why },
    }
}

fn said(condition: &Value) -> String {
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

fn job(world: World<'_>, live: &Value, namespace: &str, name: &str) -> Readiness {
    if has_condition(live, "Complete") {
        return Readiness::Ready;
    }
    match condition(live, "Failed").filter(|failed| text(failed, "/status") == "True") {
        Some(failed) => Readiness::Failed {
            why: format!("Job {name} failed: {}", said(failed)),
            hint: Some(format!("see `kubectl -n {namespace} logs job/{name}`")),
        },
        None => explain(world, live, namespace, &format!("Job {name} has not completed")),
    }
}

fn claim(live: &Value, name: &str) -> Readiness {
    match text(live, "/status/phase") {
        "Bound" => Readiness::Ready,
        "Lost" => Readiness::Failed {
            why: format!("PersistentVolumeClaim {name} has lost its volume"),
            hint: Some("restore the PersistentVolume, or delete the claim if its data may go".into()),
        },
        _ => Readiness::Waiting { why: super::pods::pending_claim(live) },
    }
}

/// The deepest cause among the workload's pods, or what the workload itself says.
fn explain(world: World<'_>, live: &Value, namespace: &str, why: &str) -> Readiness {
    match of_pods(world, live, namespace) {
        Some(Cause::Lasting { why: cause, hint }) => {
            Readiness::Failed { why: format!("{why}; {cause}"), hint: Some(hint) }
        }
        Some(Cause::Passing { why: cause }) => Readiness::Waiting { why: cause },
        None => match refused_pods(live) {
            Some(message) => Readiness::Waiting { why: format!("{why}; {message}") },
            None => Readiness::Waiting { why: why.to_owned() },
        },
    }
}

/// Quota or admission refused the pods of a Deployment, which then has none.
fn refused_pods(live: &Value) -> Option<String> {
    let failure = condition(live, "ReplicaFailure").filter(|failure| text(failure, "/status") == "True")?;
    Some(format!("its pods are refused: {}", text(failure, "/message")))
}

pub(super) fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| owners.iter().any(|owner| text(owner, "/uid") == uid))
}
