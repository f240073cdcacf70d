//! Pods and claims of workloads that the API server rejects.

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "pod-security-violated",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "Pod Security of namespace {namespace} rejects the pods of {kind} {name}",
        hint: "raise the namespace's level: `kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`",
        ..rejected(&["violates PodSecurity"])
    },
    Rule {
        id: "quota-needs-requests",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "a ResourceQuota of namespace {namespace} requires requests or limits that the pods of {kind} {name} do not set",
        hint: "set its resources under values.{component} in the answers, or create a LimitRange with defaults in the namespace",
        ..rejected(&["must specify"])
    },
    Rule {
        id: "quota-exceeded",
        lasts: 10,
        cause: "{kind} {name} exceeds a ResourceQuota of namespace {namespace}",
        hint: "raise the quota (`kubectl -n {namespace} describe quota`), or lower the requests under values.{component} in the answers",
        ..rejected(&["exceeded quota"])
    },
    Rule {
        id: "limit-range-violated",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "the resources of {kind} {name} violate a LimitRange of namespace {namespace}",
        hint: "correct its resources under values.{component} in the answers, or the LimitRange: `kubectl -n {namespace} describe limitrange`",
        ..rejected(&["per Container is", "per Pod is", "per PersistentVolumeClaim is"])
    },
    Rule {
        id: "webhook-unreachable",
        lasts: 10,
        cause: "the API server cannot call an admission webhook for the pods of {kind} {name}",
        hint: "check that its Service has ready pods; on private clusters the firewall must allow the API server to reach ports 10250 and 8443 of the nodes",
        ..rejected(&["failed calling webhook"])
    },
    Rule {
        id: "service-account-missing",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "the ServiceAccount of {kind} {name} does not exist",
        hint: "create it, or correct serviceAccount under values.{component} in the answers",
        ..rejected(&["error looking up service account", "serviceaccount \""])
    },
    Rule {
        id: "priority-class-missing",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "the PriorityClass of {kind} {name} does not exist",
        hint: "create it, or correct priorityClassName under values.{component} in the answers",
        ..rejected(&["no PriorityClass with name"])
    },
    Rule {
        id: "admission-rejected",
        severity: Severity::Fatal,
        lasts: 20,
        cause: "an admission policy denies the pods of {kind} {name}",
        hint: "change the object under values.{component} in the answers, or the policy, as its message says",
        ..rejected(&["denied the request", "denied request"])
    },
    Rule {
        id: "namespace-terminating",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "namespace {namespace} is being deleted",
        hint: "wait until it is deleted, then run the same command again",
        ..rejected(&["is being terminated"])
    },
    Rule {
        id: "pod-create-rejected",
        lasts: 20,
        cause: "the API server rejects the pods of {kind} {name}: {said}",
        hint: "see `kubectl -n {namespace} describe {kind} {name}`",
        ..rejected(&[])
    },
];

const fn rejected(phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::Rejected(phrases), ..Rule::BLANK }
}
