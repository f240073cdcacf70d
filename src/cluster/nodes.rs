//! The nodes: which of them run the stack's pods, and their taints. They are read when something depends on them: a watch
//! of a thousand nodes would cost too much.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::api::ListParams;
use serde::Deserialize as _;
use serde_json::Value;

use crate::cluster::diagnose::needs_taints;
use crate::cluster::views::{Event, Metadata, Node, Pod, SANDBOX_FAILED, Service};
use crate::cluster::watch::cache::{Nodes, ObjectCache};
use crate::cluster::{Cluster, ClusterError, ObjectRef, permitted};
use crate::stack::{Effect, NodeProblem, NodeState, NodeStates, VIRTUAL_LABELS, VIRTUAL_TAINT, VirtualBy};

/// Seconds after which a pod that is not ready, or that should be deleted, may have a node that does not run pods.
const LATE: i64 = 10;

/// Conditions besides Ready with which the kubelet rejects new pods if they are True.
const PRESSURES: [(&str, &str); 4] = [
    ("DiskPressure", "has disk pressure"),
    ("MemoryPressure", "has memory pressure"),
    ("PIDPressure", "has too few process ids left"),
    ("NetworkUnavailable", "has no pod network"),
];

/// Whether readiness or a rule needs the nodes.
pub(super) fn asks_for_nodes(cache: &ObjectCache, now: Timestamp) -> bool {
    cache.everywhere::<Pod>().any(|pod| needs_taints(pod) || is_late(pod, now))
}

/// Whether a pod is late to become ready or to be deleted on its node, or has found no room there for so long.
fn is_late(pod: &Pod, now: Timestamp) -> bool {
    let Metadata { deletion_timestamp, creation_timestamp, .. } = &pod.metadata;
    if (pod.spec.node_name.is_empty() && pod.lacks_room().is_none())
        || (deletion_timestamp.is_none() && (pod.is_ready() || !pod.is_expected()))
    {
        return false;
    }
    let since = deletion_timestamp.as_ref().or(creation_timestamp.as_ref());
    since.is_some_and(|since| now.as_second() - since.as_second() >= LATE)
}

impl Cluster {
    /// Every node, as the stack's pods depend on it.
    pub async fn node_states(&self) -> Result<NodeStates, ClusterError> {
        let nodes = self.views::<Node>("v1", "Node", None, &ListParams::default()).await?;
        Ok(NodeStates(nodes.into_iter().map(state).collect()))
    }

    /// The same, with the nodes that have no room or create no sandbox for a pod of a DaemonSet in this namespace, if its
    /// pods and events can be listed.
    pub async fn node_states_for(&self, namespace: &str) -> Result<NodeStates, ClusterError> {
        let pending = ListParams::default().fields("status.phase=Pending");
        let pending = self.views::<Pod>("v1", "Pod", Some(namespace), &pending);
        let failed = ListParams::default().fields(&format!("reason={SANDBOX_FAILED}"));
        let failed = self.views::<Event>("v1", "Event", Some(namespace), &failed);
        let (nodes, pending, failed) = futures::join!(self.node_states(), pending, failed);
        let mut nodes = nodes?;
        let (pending, failed) = (permitted(pending)?.unwrap_or_default(), permitted(failed)?.unwrap_or_default());
        mark_lacking(&mut nodes, &pending, &failed);
        Ok(nodes)
    }

    /// Number of nodes by taint, and the nodes that do not run pods at the moment.
    pub(super) async fn nodes(&self) -> Result<Nodes, ClusterError> {
        let mut nodes = Nodes::default();
        for node in self.views::<Node>("v1", "Node", None, &ListParams::default()).await? {
            nodes.total += 1;
            // With PreferNoSchedule a node still accepts the pod.
            let hard = node.spec.taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
            let keys: BTreeSet<&str> = hard.map(|taint| taint.key.as_str()).collect();
            for key in keys {
                *nodes.taints.entry(key.to_owned()).or_default() += 1;
            }
            let state = state(node);
            if let Some(problem) = state.describe_problem() {
                nodes.problems.insert(state.name, problem);
            }
        }
        Ok(nodes)
    }

    /// Whether IPv6 is the first IP family of the cluster's Services, which is that of its pods.
    pub async fn is_ipv6_first(&self) -> Result<bool, ClusterError> {
        let kubernetes = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some("default".into()),
            name: "kubernetes".into(),
        };
        let service = self.view::<Service>(&kubernetes).await?;
        Ok(service.is_some_and(|service| service.spec.ip_families.first().is_some_and(|family| family == "IPv6")))
    }
}

fn state(node: Node) -> NodeState {
    let problem = problem(&node);
    let labels = node.metadata.labels;
    let values = [&labels.node_type, &labels.compute_type, &labels.liqo_type];
    let is_labelled = VIRTUAL_LABELS.iter().zip(values).any(|((_, virtual_value), value)| value == virtual_value);
    let is_tainted = node.spec.taints.iter().any(|taint| taint.key == VIRTUAL_TAINT);
    NodeState {
        name: node.metadata.name,
        os: labels.os,
        architecture: labels.architecture,
        is_docker: node.status.node_info.container_runtime_version.starts_with("docker://"),
        virtual_by: match (is_labelled, is_tainted) {
            (true, _) => Some(VirtualBy::Label),
            (false, true) => Some(VirtualBy::Taint),
            (false, false) => None,
        },
        max_pods: node.status.allocatable.pods.parse().ok(),
        cpu: node.status.allocatable.cpu,
        memory: node.status.allocatable.memory,
        problem,
    }
}

/// Why the scheduler finds no room for a pod on the only node that it may run on, e.g. `Insufficient cpu`.
pub fn lacks_room(pod: &Value) -> Option<String> {
    Pod::deserialize(pod).ok()?.lacks_room().map(str::to_owned)
}

/// Sets the problem of nodes without room for one of these pods, or without a sandbox for it as these events report.
fn mark_lacking(nodes: &mut NodeStates, pending: &[Pod], events: &[Event]) {
    for pod in pending {
        let (what, since) = if pod.lacks_room().is_some() {
            let since = pod.status.conditions.when_false("PodScheduled").and_then(|found| found.last_transition_time);
            ("has no room for a pod of the stack", since)
        } else if pod.lacks_sandbox(events) {
            ("cannot create the sandbox of a pod of the stack", pod.metadata.creation_timestamp)
        } else {
            continue;
        };
        let name = pod.intended_node().unwrap_or(&pod.spec.node_name);
        let node = nodes.0.iter_mut().find(|node| node.name == name);
        if let Some(node) = node.filter(|node| node.problem.is_none()) {
            node.problem = Some(NodeProblem { what, since, effect: Effect::LacksPods });
        }
    }
}

/// The node's own conditions decide: a taint is added seconds later and tolerated by DaemonSets. A cordoned node runs
/// the pods of DaemonSets.
fn problem(node: &Node) -> Option<NodeProblem> {
    let away = |what: &'static str, since: Option<Timestamp>| Some(NodeProblem { what, since, effect: Effect::Away });
    if let Some(since) = node.metadata.deletion_timestamp {
        return away("is being deleted", Some(since));
    }
    if let Some(taint) = node.spec.taints.iter().find(|taint| taint.key == "node.kubernetes.io/out-of-service") {
        return away("is out of service", taint.time_added);
    }
    let conditions = &node.status.conditions;
    let Some(ready) = conditions.get("Ready") else {
        return away("has not reported that it is ready", None);
    };
    let since = ready.last_transition_time;
    match ready.status.as_str() {
        "True" => {}
        "False" => return away("is not ready", since),
        _ => return away("has stopped reporting its status", since),
    }
    PRESSURES.into_iter().find_map(|(condition, what)| {
        let since = conditions.when_true(condition)?.last_transition_time;
        Some(NodeProblem { what, since, effect: Effect::RejectsPods })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(node: Value) -> NodeState {
        state(serde_json::from_value(node).unwrap())
    }

    fn with_ready(status: &str) -> Value {
        json!({"metadata": {"name": "n", "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            "spec": {}, "status": {"nodeInfo": {"containerRuntimeVersion": "containerd://2.1.0"},
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    }

    #[test]
    fn a_node_that_does_not_run_pods_has_a_reason_and_its_time() {
        let deleted = |mut node: Value| {
            node["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            node
        };
        let with_condition = |kind: &str| {
            let mut node = with_ready("True");
            let more = json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            node["status"]["conditions"].as_array_mut().unwrap().push(more);
            node
        };
        let tainted = |key: &str| {
            let mut node = with_ready("True");
            let taint = json!({"key": key, "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
            node["spec"] = json!({"unschedulable": true, "taints": [taint]});
            node
        };
        let rows = [
            (with_ready("True"), None),
            (with_ready("False"), Some("is not ready")),
            (with_ready("Unknown"), Some("has stopped reporting its status")),
            (deleted(with_ready("True")), Some("is being deleted")),
            (tainted("node.kubernetes.io/out-of-service"), Some("is out of service")),
            (tainted("node.kubernetes.io/unschedulable"), None),
            (with_condition("DiskPressure"), Some("has disk pressure")),
            (with_condition("NetworkUnavailable"), Some("has no pod network")),
        ];
        for (node, expected) in rows {
            let state = read(node.clone());
            let sentence = expected.map(|what| format!("node n {what} since 2026-01-01T00:00:00Z"));
            assert_eq!(state.describe_problem(), sentence, "{node}");
        }
        assert_eq!(
            read(json!({"metadata": {"name": "n"}})).problem.map(|problem| problem.what),
            Some("has not reported that it is ready")
        );
    }

    #[test]
    fn a_virtual_node_is_recognized_by_its_labels_or_its_taint() {
        let labelled = |label: &str, value: &str| {
            let mut node = with_ready("True");
            node["metadata"]["labels"][label] = value.into();
            read(node).virtual_by
        };
        for (label, value) in VIRTUAL_LABELS {
            assert_eq!(labelled(label, value), Some(VirtualBy::Label), "{label}");
        }
        assert_eq!(labelled("eks.amazonaws.com/compute-type", "hybrid"), None);
        let mut node = with_ready("True");
        node["spec"]["taints"] = json!([{"key": VIRTUAL_TAINT, "value": "azure", "effect": "NoSchedule"}]);
        assert_eq!(read(node).virtual_by, Some(VirtualBy::Taint));
    }

    #[test]
    fn a_node_without_room_for_a_pod_of_a_daemon_set_is_marked() {
        let pod = |message: &str, field: &str| {
            let term = json!({"matchFields": [{"key": field, "operator": "In", "values": ["n"]}]});
            let affinity = json!({"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
            let condition = json!({"type": "PodScheduled", "status": "False", "message": message});
            serde_json::from_value::<Pod>(json!({"metadata": {"name": "alloy-x"}, "spec": {"affinity": affinity},
                "status": {"phase": "Pending", "conditions": [condition]}}))
            .unwrap()
        };
        let full = "0/3 nodes are available: 1 Too many pods, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
                    preemption: 0/3 nodes are available.";
        let marked = |pod: Pod| {
            let mut nodes = NodeStates(vec![read(with_ready("True"))]);
            mark_lacking(&mut nodes, &[pod], &[]);
            nodes.0[0].problem.as_ref().map(|problem| problem.effect)
        };
        assert_eq!(marked(pod(full, "metadata.name")), Some(Effect::LacksPods));
        assert_eq!(
            marked(pod("0/3 nodes are available: 1 Insufficient cpu.", "metadata.name")),
            Some(Effect::LacksPods)
        );
        assert_eq!(marked(pod(full, "other")), None, "a pod that other nodes may run");
        assert_eq!(marked(pod("1 node(s) didn't have free ports", "metadata.name")), None, "another pod can make room");
        assert_eq!(pod(full, "metadata.name").lacks_room(), Some("Too many pods"));
    }

    #[test]
    fn a_node_that_creates_no_sandbox_has_a_problem() {
        let view = |value: Value| serde_json::from_value::<Pod>(value).unwrap();
        let pod = view(json!({"metadata": {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}));
        let marked = |reason: &str, uid: &str| {
            let event = json!({"metadata": {"name": "e"}, "reason": reason, "involvedObject": {"uid": uid},
                "lastTimestamp": "2026-01-01T00:01:00Z"});
            let mut nodes = NodeStates(vec![read(with_ready("True"))]);
            mark_lacking(&mut nodes, std::slice::from_ref(&pod), &[serde_json::from_value(event).unwrap()]);
            nodes.0[0].problem.is_some()
        };
        assert!(marked(SANDBOX_FAILED, "u"));
        assert!(!marked("BackOff", "u") && !marked(SANDBOX_FAILED, "another pod"));
    }

    #[test]
    fn docker_is_recognized_by_the_runtime_of_the_node() {
        let mut node = with_ready("True");
        assert!(!read(node.clone()).is_docker);
        node["status"]["nodeInfo"]["containerRuntimeVersion"] = "docker://27.3.1".into();
        assert!(read(node).is_docker);
    }

    #[test]
    fn the_nodes_are_read_for_a_pod_that_is_late() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let asks = |pod: Value| {
            let mut cache = ObjectCache::default();
            cache.insert_json(pod);
            asks_for_nodes(&cache, now)
        };
        let pod = |created: &str, ready: &str| {
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "m", "creationTimestamp": created},
                "spec": {"nodeName": "n"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        assert!(asks(pod("2026-01-01T00:00:00Z", "False")));
        assert!(!asks(pod("2026-01-01T00:00:55Z", "False")), "it starts");
        assert!(!asks(pod("2026-01-01T00:00:00Z", "True")));
        let mut deleted = pod("2026-01-01T00:00:00Z", "True");
        deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z".into();
        assert!(asks(deleted), "its kubelet does not confirm the deletion");
    }
}
