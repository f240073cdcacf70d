//! Pods and claims of workloads that the API server rejects.

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "pod-security-violated",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "Pod Security of namespace {namespace} does not let {kind} {name} have its pods",
        hint: "label the namespace for it: `kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`",
        ..rejected(&["violates PodSecurity"])
    },
    Rule {
        id: "quota-needs-requests",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "a ResourceQuota of namespace {namespace} wants resources that the pods of {kind} {name} do not name",
        hint: "set its resources under values.{component} in the answers, or give the namespace a LimitRange with defaults",
        ..rejected(&["must specify"])
    },
    Rule {
        id: "quota-exceeded",
        lasts: 10,
        cause: "a ResourceQuota of namespace {namespace} leaves no room for {kind} {name}",
        hint: "raise the quota (`kubectl -n {namespace} describe quota`), or lower the requests under values.{component} in the answers",
        ..rejected(&["exceeded quota"])
    },
    Rule {
        id: "limit-range-violated",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "a LimitRange of namespace {namespace} does not allow the resources of {kind} {name}",
        hint: "correct its resources under values.{component} in the answers, or the LimitRange: `kubectl -n {namespace} describe limitrange`",
        ..rejected(&["per Container is", "per Pod is", "per PersistentVolumeClaim is"])
    },
    Rule {
        id: "webhook-unreachable",
        lasts: 10,
        cause: "an admission webhook that has to allow the pods of {kind} {name} cannot be called",
        hint: "see whether its Service has ready pods; on private clusters the firewall has to let the API server reach ports 10250 and 8443 of the nodes",
        ..rejected(&["failed calling webhook"])
    },
    Rule {
        id: "service-account-missing",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "the ServiceAccount of {kind} {name} does not exist",
        hint: "make it, or correct serviceAccount under values.{component} in the answers",
        ..rejected(&["error looking up service account", "serviceaccount \""])
    },
    Rule {
        id: "priority-class-missing",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "the PriorityClass of {kind} {name} does not exist",
        hint: "make it, or correct priorityClassName under values.{component} in the answers",
        ..rejected(&["no PriorityClass with name"])
    },
    Rule {
        id: "admission-rejected",
        severity: Severity::Fatal,
        lasts: 20,
        cause: "an admission policy refuses the pods of {kind} {name}",
        hint: "read its message: the object or the policy has to change",
        ..rejected(&["denied the request", "denied request"])
    },
    Rule {
        id: "namespace-terminating",
        severity: Severity::Fatal,
        lasts: 15,
        cause: "namespace {namespace} is being deleted",
        hint: "wait until it is gone, then run the same command again",
        ..rejected(&["is being terminated"])
    },
    Rule {
        id: "pod-create-rejected",
        lasts: 20,
        cause: "the API server does not let {kind} {name} have its pods: {said}",
        hint: "see `kubectl -n {namespace} describe {kind} {name}`",
        ..rejected(&[])
    },
];

const fn rejected(phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::Rejected(phrases), ..Rule::BLANK }
}
