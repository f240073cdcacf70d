//! Pods that are not scheduled. The scheduler counts nodes by reason; the reason of most nodes decides.

use crate::cluster::diagnose::matcher::{When, clause, has_any};
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::views::Pod;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "no-nodes",
        lasts: 15,
        cause: "the cluster has no node for pod {name}",
        hint: "add a node; see `kubectl get nodes`",
        ..unscheduled(&["no nodes available"])
    },
    Rule {
        id: "node-not-ready",
        lasts: 15,
        cause: "pod {name} cannot be scheduled, since nodes are not ready: {said}",
        hint: "see `kubectl get nodes`, and the kubelets of the nodes that are not ready",
        when: When::Pod(node_not_ready),
        ..Rule::BLANK
    },
    Rule {
        id: "node-cordoned",
        lasts: 15,
        cause: "pod {name} cannot be scheduled, since nodes are cordoned",
        hint: "uncordon them with `kubectl uncordon NODE`; `kubectl get nodes` shows which are cordoned",
        ..unscheduled(&["were unschedulable"])
    },
    Rule {
        id: "taint-not-tolerated",
        lasts: 15,
        cause: "pod {name} cannot be scheduled, since it does not tolerate the nodes' taints ({said})",
        hint: "add the toleration under values.{component} in the answers, or remove the taint with `kubectl taint node NODE KEY-`",
        when: When::Pod(taint),
        ..Rule::BLANK
    },
    Rule {
        id: "cpu-insufficient",
        lasts: 15,
        cause: "no node has the free CPU that pod {name} requests",
        hint: "lower resources.requests.cpu under values.{component} in the answers, or add a node",
        ..unscheduled(&["Insufficient cpu"])
    },
    Rule {
        id: "memory-insufficient",
        lasts: 15,
        cause: "no node has the free memory that pod {name} requests",
        hint: "lower resources.requests.memory under values.{component} in the answers, or add a node",
        ..unscheduled(&["Insufficient memory"])
    },
    Rule {
        id: "ephemeral-storage-insufficient",
        lasts: 15,
        cause: "no node has the free ephemeral storage that pod {name} requests",
        hint: "lower resources.requests.ephemeral-storage under values.{component} in the answers, or add a node",
        ..unscheduled(&["Insufficient ephemeral-storage"])
    },
    Rule {
        id: "node-pods-full",
        lasts: 15,
        cause: "pod {name} cannot be scheduled, since every node runs its maximum number of pods",
        hint: "add a node, or raise maxPods of the kubelets",
        ..unscheduled(&["Too many pods"])
    },
    Rule {
        id: "host-port-in-use",
        lasts: 15,
        cause: "another pod uses a host port that pod {name} needs",
        hint: "find the pod with `kubectl get pods -A -o wide` (node-exporter uses port 9100), or set another port under values.{component} in the answers",
        ..unscheduled(&["free ports for the requested"])
    },
    Rule {
        id: "volume-zone-conflict",
        lasts: 15,
        cause: "the volume of pod {name} belongs to a node or zone where the pod cannot be scheduled",
        hint: "free resources in that zone, or delete the claim if you do not need its data: `kubectl -n {namespace} get pvc`",
        ..unscheduled(&[
            "volume node affinity conflict",
            "match PersistentVolume's node affinity",
            "no available volume zone",
        ])
    },
    Rule {
        id: "volume-limit-reached",
        lasts: 15,
        cause: "every node has its maximum number of attached volumes, and pod {name} needs one",
        hint: "add a node",
        ..unscheduled(&["exceed max volume count"])
    },
    Rule {
        id: "node-affinity-unmatched",
        lasts: 15,
        cause: "no node matches the node selector or affinity of pod {name}",
        hint: "correct nodeSelector or affinity under values.{component} in the answers, or label a node with `kubectl label node NODE KEY=VALUE`",
        ..unscheduled(&["node affinity", "node selector", "Pod's node affinity/selector", "requested node name"])
    },
    Rule {
        id: "pod-affinity-unmatched",
        lasts: 15,
        cause: "no node satisfies the pod affinity or topology spread constraints of pod {name}",
        hint: "relax affinity or topologySpreadConstraints under values.{component} in the answers, or add a node",
        ..unscheduled(&["pod affinity", "pod anti-affinity", "pods anti-affinity", "topology spread"])
    },
    Rule {
        id: "unschedulable",
        lasts: 15,
        cause: "pod {name} cannot be scheduled: {said}",
        hint: "see `kubectl -n {namespace} describe pod {name}`",
        when: When::Pod(otherwise),
        ..Rule::BLANK
    },
];

const fn unscheduled(phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::Unscheduled(phrases), ..Rule::BLANK }
}

fn message(pod: &Pod) -> Option<&str> {
    Some(&pod.status.conditions.when_false("PodScheduled")?.message)
}

/// Since 1.33 the scheduler does not name the taints any more: they are read from the nodes.
fn taints(subject: &Subject<'_>, pod: &Pod) -> Option<Vec<String>> {
    has_any(clause(message(pod)?), &["untolerated taint", "had taint"]).then_some(())?;
    let nodes = subject.cache.nodes.as_ref()?;
    let reported = nodes.taints.iter().map(|(key, count)| format!("{key} on {count} of {} nodes", nodes.total));
    Some(reported.collect())
}

fn node_not_ready(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    let reported = taints(subject, pod)?;
    let not_ready = reported
        .iter()
        .any(|taint| has_any(taint, &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]));
    not_ready.then(|| reported.join(", "))
}

fn taint(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    taints(subject, pod).map(|reported| reported.join(", "))
}

/// Problems of claims have rules of their own; taints are read from the nodes first.
fn otherwise(_: &Subject<'_>, pod: &Pod) -> Option<String> {
    let message = message(pod)?;
    let reported_elsewhere = ["unbound immediate PersistentVolumeClaims", "persistentvolumeclaim", "untolerated taint"];
    (!message.is_empty() && !has_any(message, &reported_elsewhere)).then(|| message.to_owned())
}

/// Whether a pod is not scheduled because of taints, which must be read from the nodes.
pub(in crate::cluster) fn needs_taints(pod: &Pod) -> bool {
    message(pod).is_some_and(|message| message.contains("taint"))
}
