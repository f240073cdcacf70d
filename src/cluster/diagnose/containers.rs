//! Containers and pods that do not start or do not become ready, for any program.

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::views::{ContainerStatus, Pod};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "out-of-memory",
        severity: Severity::Fatal,
        lasts: 45,
        repeats: 3,
        cause: "container {container} of pod {name} exceeded its memory limit and was killed (OOMKilled), {restarts} restarts",
        hint: "raise its memory limit under values.{component} in the answers, then run the same command again",
        ..on_container(When::Killed(&["OOMKilled"]))
    },
    Rule {
        id: "config-missing",
        severity: Severity::Fatal,
        lasts: 60,
        cause: "container {container} of pod {name} refers to an object that does not exist: {said}",
        hint: "create it in namespace {namespace}, or correct its name under values.{component} in the answers",
        ..on_container(When::Waiting(
            &["CreateContainerConfigError"],
            &["not found", "couldn't find key", "non-existent config key"],
        ))
    },
    Rule {
        id: "runs-as-root",
        severity: Severity::Fatal,
        lasts: 10,
        cause: "container {container} of pod {name} sets runAsNonRoot, but its image runs as root",
        hint: "set its securityContext.runAsUser under values.{component} in the answers, then run the same command again",
        ..on_container(When::Waiting(&["CreateContainerConfigError"], &["runAsNonRoot", "run as root", "non-root"]))
    },
    Rule {
        id: "container-cannot-start",
        severity: Severity::Fatal,
        lasts: 60,
        cause: "container {container} of pod {name} cannot be started: {said}",
        hint: "see `kubectl -n {namespace} describe pod {name}`",
        ..on_container(When::Waiting(
            &[
                "CreateContainerConfigError",
                "CreateContainerError",
                "RunContainerError",
                "StartError",
                "PostStartHookError",
            ],
            &[],
        ))
    },
    Rule {
        id: "container-cannot-start",
        severity: Severity::Fatal,
        lasts: 60,
        repeats: 2,
        cause: "container {container} of pod {name} cannot be started: {said}",
        hint: "see `kubectl -n {namespace} describe pod {name}`",
        ..on_container(When::Killed(&["StartError", "ContainerCannotRun"]))
    },
    Rule {
        id: "startup-probe-failing",
        lasts: 60,
        cause: "container {container} of pod {name} has not passed its startup probe",
        hint: "see `kubectl -n {namespace} logs {name} -c {container}`",
        ..on_container(When::Container(startup_probe))
    },
    Rule {
        id: "liveness-probe-failing",
        severity: Severity::Fatal,
        lasts: 60,
        repeats: 5,
        cause: "container {container} of pod {name} fails its liveness probe and is restarted, {restarts} restarts",
        hint: "see `kubectl -n {namespace} logs {name} -c {container} --previous`",
        ..on_container(When::Container(liveness_probe))
    },
    Rule {
        id: "crash-loop",
        severity: Severity::Fatal,
        lasts: 60,
        repeats: 5,
        cause: "container {container} of pod {name} exits with code {code} repeatedly, {restarts} restarts",
        hint: "see `kubectl -n {namespace} logs {name} -c {container} --previous`",
        ..on_container(When::Crashed)
    },
    Rule {
        id: "readiness-probe-failing",
        lasts: 60,
        cause: "container {container} of pod {name} runs, but its readiness probe fails",
        hint: "see `kubectl -n {namespace} logs {name} -c {container}`",
        ..on_container(When::Container(readiness_probe))
    },
    Rule {
        id: "volume-multi-attach",
        lasts: 30,
        cause: "a volume of pod {name} is still attached to another node",
        hint: "find the pod that uses it with `kubectl -n {namespace} get pods -o wide`; if its node does not return, delete that pod with --force",
        ..stuck("FailedAttachVolume", "Multi-Attach")
    },
    Rule {
        id: "volume-attach-failed",
        lasts: 30,
        cause: "a volume of pod {name} cannot be attached to node {node}",
        hint: "check the pods of the storage driver, and `kubectl -n {namespace} describe pod {name}`",
        ..stuck("FailedAttachVolume", "")
    },
    Rule {
        id: "volume-mount-failed",
        lasts: 30,
        cause: "a volume of pod {name} cannot be mounted",
        hint: "see the event in `kubectl -n {namespace} describe pod {name}`: a missing Secret or ConfigMap, or an error of the storage driver",
        ..stuck("FailedMount", "")
    },
    Rule {
        id: "pod-sandbox-failed",
        lasts: 30,
        cause: "node {node} cannot create the sandbox of pod {name}",
        hint: "check the pods of the network plugin with `kubectl get pods -A --field-selector spec.nodeName={node}`, and `kubectl -n {namespace} describe pod {name}`",
        ..stuck("FailedCreatePodSandBox", "")
    },
];

const fn on_container(when: When) -> Rule {
    Rule { when, ..Rule::BLANK }
}

const fn stuck(reason: &'static str, phrase: &'static str) -> Rule {
    Rule { when: When::Stuck(reason, phrase), ..Rule::BLANK }
}

fn startup_probe(subject: &Subject<'_>, _: &Pod, container: &ContainerStatus) -> Option<String> {
    probe(subject, container, "Startup probe failed")
}

fn readiness_probe(subject: &Subject<'_>, _: &Pod, container: &ContainerStatus) -> Option<String> {
    probe(subject, container, "Readiness probe failed").filter(|_| container.is_running())
}

/// Only a container that was restarted for it has the problem.
fn liveness_probe(subject: &Subject<'_>, _: &Pod, container: &ContainerStatus) -> Option<String> {
    probe(subject, container, "Liveness probe failed").filter(|_| container.restart_count > 0)
}

/// An event remains for an hour: it counts only while the container is not ready.
fn probe(subject: &Subject<'_>, container: &ContainerStatus, phrase: &str) -> Option<String> {
    subject.warned("Unhealthy", phrase).filter(|_| !container.ready).map(str::to_owned)
}
