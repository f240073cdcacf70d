//! Pods that are evicted or do not terminate, Jobs that fail, and rollouts that stop.

use std::collections::BTreeSet;

use crate::cluster::diagnose::matcher::{Evidence, When};
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::views::{DaemonSet, Deployment, Job, Pod, Stored as _};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "pod-on-not-ready-node",
        lasts: 20,
        cause: "pod {name} does not run: {said}",
        hint: "see `kubectl describe node`; if the node does not return, `kubectl delete node` lets its pods move to another one",
        when: When::Pod(on_not_ready_node),
        ..Rule::BLANK
    },
    Rule {
        id: "rollout-blocked-by-node",
        lasts: 20,
        cause: "the rollout of {kind} {name} does not advance, since pods on these nodes count as unavailable: {said}",
        hint: "make the nodes ready, remove those that do not return with `kubectl delete node`, or raise maxUnavailable of the {kind} under values.{component} in the answers",
        ..with(When::DaemonSet(blocked_by_node))
    },
    Rule {
        id: "evicted",
        cause: "pod {name} was evicted from its node",
        hint: "free the resource that the message above names on the node, or raise the requests under values.{component} in the answers so that the pod is evicted last; `kubectl -n {namespace} delete pod {name}` removes the evicted pod",
        when: When::Pod(evicted),
        ..Rule::BLANK
    },
    Rule {
        id: "node-unreachable",
        lasts: 20,
        cause: "the kubelet of the node of pod {name} does not respond",
        hint: "see `kubectl get nodes`; the pod starts once the node returns or is deleted",
        when: When::Pod(node_lost),
        ..Rule::BLANK
    },
    Rule {
        id: "pod-stuck-terminating",
        cause: "pod {name} remains in Terminating",
        hint: "check its node and its finalizers: `kubectl -n {namespace} get pod {name} -o yaml`",
        when: When::Pod(stuck_terminating),
        ..Rule::BLANK
    },
    Rule {
        id: "hook-failed",
        severity: Severity::Fatal,
        cause: "hook Job {name} of the chart failed",
        hint: "fix the cause that its log above shows, then run the same command again",
        ..with(When::Job(hook_failed))
    },
    Rule {
        id: "job-failed",
        severity: Severity::Fatal,
        cause: "Job {name} failed",
        hint: "see `kubectl -n {namespace} logs job/{name}`",
        ..with(When::Job(job_failed))
    },
    Rule {
        id: "rollout-stalled",
        severity: Severity::Fatal,
        cause: "the rollout of {kind} {name} exceeded its progress deadline: {said}",
        hint: "see `kubectl -n {namespace} describe deployment {name}`",
        ..with(When::Deployment(stalled))
    },
];

const fn with(when: When) -> Rule {
    Rule { when, ..Rule::BLANK }
}

/// Seconds that a pod may take beyond its grace period.
const GRACE: i64 = 60;

fn on_not_ready_node(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    subject.cache.problem_of_node(pod).map(str::to_owned)
}

/// The DaemonSet controller replaces no ready pod while as many pods as maxUnavailable are unavailable, whatever the
/// reason (kubernetes, pkg/controller/daemon/update.go).
fn blocked_by_node(subject: &Subject<'_>, set: &DaemonSet) -> Option<String> {
    let live = subject.cache.object(DaemonSet::KIND, subject.namespace(), subject.name())?;
    let mut waiting = subject.cache.pods(live).filter(|pod| !pod.is_ready() || !pod.is_expected());
    let problems: Option<BTreeSet<&str>> = waiting.by_ref().map(|pod| subject.cache.problem_of_node(pod)).collect();
    let status = &set.status;
    let is_observed = status.observed_generation >= set.metadata.generation;
    let problems = problems.filter(|problems| is_observed && !problems.is_empty())?;
    (status.updated_number_scheduled < status.desired_number_scheduled)
        .then(|| problems.into_iter().collect::<Vec<_>>().join(", "))
}

fn evicted(_: &Subject<'_>, pod: &Pod) -> Option<String> {
    (pod.status.reason == "Evicted").then(|| pod.status.message.clone())
}

/// The node controller marks the pods of a node when its kubelet does not answer.
fn node_lost(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    if pod.status.reason == "NodeLost" {
        return Some(pod.status.message.clone());
    }
    pod.status.conditions.when_false("Ready")?;
    subject.warned("NodeNotReady", "").map(str::to_owned)
}

/// The Job controller's own, which it removes itself.
const JOB_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// The deletion timestamp is the end of the grace period; a finalizer keeps a pod beyond it.
fn stuck_terminating(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    let end = pod.metadata.deletion_timestamp?;
    if let Some(finalizer) = pod.metadata.finalizers.iter().find(|name| *name != JOB_FINALIZER) {
        return Some(format!("finalizer {finalizer} holds it"));
    }
    (subject.now.as_second() - end.as_second() > GRACE).then(|| format!("it should have been gone since {end}"))
}

fn hook_failed(subject: &Subject<'_>, job: &Job) -> Option<Evidence> {
    (!job.metadata.annotations.hook.is_empty()).then(|| job_failed(subject, job)).flatten()
}

/// Its pods may be deleted already, so their logs are found by name.
fn job_failed(subject: &Subject<'_>, job: &Job) -> Option<Evidence> {
    let failed = job.status.conditions.when_true("Failed")?;
    let prefix = format!("{}-", job.metadata.name);
    let logs = subject.cache.logs.iter();
    let own = logs.filter(|((namespace, pod, _), _)| *namespace == job.metadata.namespace && pod.starts_with(&prefix));
    let log = own.max_by_key(|((_, pod, _), _)| pod.clone()).map(|(_, log)| log.clone()).unwrap_or_default();
    Some(Evidence { began: failed.last_transition_time, log, ..Evidence::of(&failed.summary()) })
}

fn stalled(_: &Subject<'_>, deployment: &Deployment) -> Option<String> {
    Some(deployment.status.conditions.when_false("Progressing")?.summary())
}
