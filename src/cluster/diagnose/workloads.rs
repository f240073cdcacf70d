//! Pods and Jobs that end badly, and rollouts that stop.

use serde_json::Value;

use crate::cluster::diagnose::target::Level;
use crate::cluster::diagnose::{Rule, Sight, Subject, When, time};
use crate::cluster::readiness::workloads::said;
use crate::cluster::watch::cache::{condition, denied, mark, text};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "evicted",
        cause: "pod {name} was evicted from its node",
        hint: "free what its node lacks (see the words above), or raise the requests under values.{component} in the answers so that the pod is evicted last; `kubectl -n {namespace} delete pod {name}` clears it away",
        when: When::Fact(evicted),
        ..Rule::BLANK
    },
    Rule {
        id: "node-unreachable",
        lasts: 20,
        cause: "the node of pod {name} has stopped answering",
        hint: "see `kubectl get nodes`; the pod moves once the node is back or removed",
        when: When::Fact(node_lost),
        ..Rule::BLANK
    },
    Rule {
        id: "pod-stuck-terminating",
        cause: "pod {name} does not go away",
        hint: "see its node and its finalizers: `kubectl -n {namespace} get pod {name} -o yaml`",
        when: When::Fact(stuck),
        ..Rule::BLANK
    },
    Rule {
        id: "hook-failed",
        severity: Severity::Fatal,
        cause: "hook Job {name} of the chart failed",
        hint: "read its log above, fix the cause, then run the same command again",
        ..on_workload(When::Look(hook_failed))
    },
    Rule {
        id: "job-failed",
        severity: Severity::Fatal,
        cause: "Job {name} failed",
        hint: "see `kubectl -n {namespace} logs job/{name}`",
        ..on_workload(When::Look(job_failed))
    },
    Rule {
        id: "rollout-stalled",
        severity: Severity::Fatal,
        cause: "the rollout of {kind} {name} has stopped: {said}",
        hint: "see `kubectl -n {namespace} describe deployment {name}`",
        ..on_workload(When::Fact(stalled))
    },
];

const fn on_workload(when: When) -> Rule {
    Rule { level: Level::Workload, when, ..Rule::BLANK }
}

/// How long a pod may take beyond its grace period.
const GRACE: i64 = 60;

fn evicted(subject: &Subject<'_>) -> Option<String> {
    let is_evicted = text(subject.object, "/status/reason") == "Evicted";
    is_evicted.then(|| text(subject.object, "/status/message").to_owned())
}

/// The node controller marks the pods of a node that is silent.
fn node_lost(subject: &Subject<'_>) -> Option<String> {
    if text(subject.object, "/status/reason") == "NodeLost" {
        return Some(text(subject.object, "/status/message").to_owned());
    }
    denied(subject.object, "Ready")?;
    subject.warned("NodeNotReady", "").map(str::to_owned)
}

/// The Job controller's own, which goes by itself.
const JOB_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// The deletion timestamp is when the grace period is over; a finalizer of someone else holds a pod beyond it.
fn stuck(subject: &Subject<'_>) -> Option<String> {
    let end = time(subject.object, "/metadata/deletionTimestamp")?;
    let finalizers = subject.object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    let mut holding = finalizers.filter_map(Value::as_str).filter(|name| *name != JOB_FINALIZER);
    if let Some(finalizer) = holding.next() {
        return Some(format!("finalizer {finalizer} holds it"));
    }
    (subject.now.as_second() - end.as_second() > GRACE).then(|| format!("it should have been gone since {end}"))
}

fn hook_failed(subject: &Subject<'_>) -> Option<Sight> {
    (!mark(subject.object, "helm.sh/hook").is_empty()).then(|| job_failed(subject)).flatten()
}

/// Its pods may be gone already; what was read of their logs is kept.
fn job_failed(subject: &Subject<'_>) -> Option<Sight> {
    let failed = condition(subject.object, "Failed").filter(|failed| text(failed, "/status") == "True")?;
    let own = format!("{}-", subject.name());
    let logs = subject
        .cache
        .logs
        .iter()
        .filter(|((namespace, pod, _), _)| namespace == subject.namespace() && pod.starts_with(&own));
    let log = logs.max_by_key(|((_, pod, _), _)| pod.clone()).map(|(_, log)| log.clone()).unwrap_or_default();
    Some(Sight { evidence: said(failed), count: 0, began: time(failed, "/lastTransitionTime"), log })
}

fn stalled(subject: &Subject<'_>) -> Option<String> {
    let progressing: &Value = denied(subject.object, "Progressing")?;
    Some(said(progressing))
}
