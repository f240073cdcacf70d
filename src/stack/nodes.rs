//! The nodes that the stack's pods run on, and the affinity that keeps them off the others. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Architectures that every image of the catalogue is built for (the supported platforms of Alloy's documentation).
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// Labels (key, value) of nodes without a kubelet that runs DaemonSets: virtual-kubelet, EKS Fargate, Liqo.
pub const VIRTUAL_LABELS: [(&str, &str); 3] =
    [("type", "virtual-kubelet"), ("eks.amazonaws.com/compute-type", "fargate"), ("liqo.io/type", "virtual-node")];
/// Taint of the nodes of virtual-kubelet providers.
pub const VIRTUAL_TAINT: &str = "virtual-kubelet.io/provider";

/// A node, as far as the stack depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Label `kubernetes.io/os`, "" without it.
    pub os: String,
    /// Label `kubernetes.io/arch`, "" without it.
    pub architecture: String,
    /// Whether its container runtime is Docker.
    pub is_docker: bool,
    /// `status.allocatable.pods`
    pub max_pods: Option<usize>,
    /// `status.allocatable.cpu`, "" without it.
    pub cpu: String,
    /// `status.allocatable.memory`, "" without it.
    pub memory: String,
    /// How it is recognized as a virtual node.
    pub virtual_by: Option<VirtualBy>,
    /// Why the kubelet does not run pods at the moment.
    pub problem: Option<NodeProblem>,
}

/// What marks a virtual node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualBy {
    /// One of [`VIRTUAL_LABELS`].
    Label,
    /// [`VIRTUAL_TAINT`] alone.
    Taint,
}

/// Why a node's kubelet does not run pods at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProblem {
    /// Predicate of a sentence about the node, e.g. `is not ready`.
    pub what: &'static str,
    /// Since when, as the node reports it.
    pub since: Option<Timestamp>,
    /// What that means for the stack's pods.
    pub effect: Effect,
}

/// What the problem of a node means for the stack's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They have stopped.
    Away,
    /// It may reject or evict some.
    RejectsPods,
    /// Some were never started.
    LacksPods,
}

/// Every node of the cluster.
#[derive(Clone, Debug, Default)]
pub struct NodeStates(pub Vec<NodeState>);

impl NodeProblem {
    /// Whether its kubelet may not answer.
    pub fn affects_kubelet(&self) -> bool {
        self.effect != Effect::LacksPods
    }
}

impl NodeState {
    /// `node-2 is not ready since 2026-01-01T00:00:00Z`, for a node that does not run pods at the moment.
    pub fn describe_problem(&self) -> Option<String> {
        let NodeProblem { what, since, .. } = self.problem.as_ref()?;
        let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
        Some(format!("node {} {what}{since}", self.name))
    }
}

impl NodeStates {
    /// Nodes on which the stack's DaemonSets place a pod.
    pub fn covered(&self) -> impl Iterator<Item = &NodeState> {
        let mixed = self.has_mixed_architectures();
        self.0.iter().filter(move |node| left_out(node, mixed).is_none())
    }

    /// Nodes without a pod of the stack's DaemonSets, by the reason.
    pub fn left_out(&self) -> Vec<(String, Vec<&str>)> {
        let mixed = self.has_mixed_architectures();
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for node in &self.0 {
            let Some(reason) = left_out(node, mixed) else { continue };
            match groups.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(&node.name),
                None => groups.push((reason, vec![&node.name])),
            }
        }
        groups
    }

    /// `maxUnavailable` of the DaemonSets: a quarter of the nodes, besides those that do not run their pods, which the
    /// controller counts as unavailable, too. A change of this value alone is no reason for an upgrade.
    pub(super) fn max_unavailable(&self) -> Value {
        let lacks_pods = |problem: &NodeProblem| problem.effect != Effect::RejectsPods;
        let away = |node: &&NodeState| node.problem.as_ref().is_some_and(lacks_pods);
        match self.covered().filter(away).count() {
            0 => json!("25%"),
            away => json!(self.covered().count().div_ceil(4) + away),
        }
    }

    /// Names of the covered nodes with Docker as their container runtime.
    pub fn docker(&self) -> Vec<&str> {
        self.covered().filter(|node| node.is_docker).map(|node| node.name.as_str()).collect()
    }

    /// Whether nodes are of GKE Autopilot, which names them so.
    pub fn has_autopilot(&self) -> bool {
        self.0.iter().any(|node| node.name.starts_with("gk3-"))
    }

    /// Whether some nodes have an architecture of [`ARCHITECTURES`] and others have not. In a cluster that has none of
    /// them, the user's images decide.
    fn has_mixed_architectures(&self) -> bool {
        let linux = self.0.iter().filter(|node| node.os == "linux" && node.virtual_by.is_none());
        let supported: BTreeSet<bool> = linux.map(is_supported).collect();
        supported.len() == 2
    }

    /// Node affinity of every pod; `None`: the nodeSelector suffices.
    pub(super) fn affinity(&self) -> Option<Value> {
        self.has_mixed_architectures().then(|| required(json!({"matchExpressions": [of_supported_architecture()]})))
    }

    /// Node affinity of the DaemonSets, which tolerate the taints of virtual nodes.
    pub(super) fn daemon_set_affinity(&self) -> Value {
        let not_in = VIRTUAL_LABELS.map(|(key, value)| json!({"key": key, "operator": "NotIn", "values": [value]}));
        let mut expressions = not_in.to_vec();
        if self.has_mixed_architectures() {
            expressions.push(of_supported_architecture());
        }
        let mut term = json!({"matchExpressions": expressions});
        let by_taint = self.0.iter().filter(|node| node.virtual_by == Some(VirtualBy::Taint));
        // The API allows one value in each requirement on a field.
        let names: Vec<Value> =
            by_taint.map(|node| json!({"key": "metadata.name", "operator": "NotIn", "values": [node.name]})).collect();
        if !names.is_empty() {
            term["matchFields"] = Value::Array(names);
        }
        required(term)
    }
}

/// Why no DaemonSet of the stack places a pod on a node.
fn left_out(node: &NodeState, mixed_architectures: bool) -> Option<String> {
    match node {
        NodeState { virtual_by: Some(_), .. } => Some("virtual nodes".to_owned()),
        NodeState { os, .. } if os.is_empty() => Some("nodes without the label kubernetes.io/os".to_owned()),
        NodeState { os, .. } if os != "linux" => Some(format!("{os} nodes")),
        node if mixed_architectures && !is_supported(node) => Some(format!("{} nodes", node.architecture)),
        _ => None,
    }
}

fn is_supported(node: &NodeState) -> bool {
    ARCHITECTURES.contains(&node.architecture.as_str())
}

fn of_supported_architecture() -> Value {
    json!({"key": "kubernetes.io/arch", "operator": "In", "values": ARCHITECTURES})
}

fn required(term: Value) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, os: &str, architecture: &str) -> NodeState {
        NodeState { name: name.into(), os: os.into(), architecture: architecture.into(), ..NodeState::default() }
    }

    fn terms(affinity: &Value) -> String {
        affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].to_string()
    }

    #[test]
    fn autopilot_is_recognized_by_the_names_of_its_nodes() {
        let autopilot = node("gk3-production-pool-1-8f3a2b1c-x1", "linux", "amd64");
        let standard = node("gke-production-pool-1-8f3a2b1c-x1", "linux", "amd64");
        assert!(NodeStates(vec![standard.clone(), autopilot]).has_autopilot());
        assert!(!NodeStates(vec![standard]).has_autopilot());
    }

    #[test]
    fn nodes_that_cannot_run_the_pods_are_left_out_with_the_reason() {
        let fargate = NodeState { virtual_by: Some(VirtualBy::Label), ..node("fargate", "linux", "amd64") };
        let nodes = NodeStates(vec![
            node("a", "linux", "amd64"),
            node("b", "linux", "arm64"),
            node("w", "windows", "amd64"),
            node("z", "linux", "s390x"),
            node("z2", "linux", "s390x"),
            node("bare", "", "amd64"),
            fargate,
        ]);
        let covered: Vec<&str> = nodes.covered().map(|node| node.name.as_str()).collect();
        assert_eq!(covered, ["a", "b"]);
        let groups = nodes.left_out();
        let groups: Vec<(&str, &[&str])> = groups.iter().map(|(why, names)| (why.as_str(), &names[..])).collect();
        assert_eq!(groups[0], ("windows nodes", &["w"][..]));
        assert_eq!(groups[1], ("s390x nodes", &["z", "z2"][..]));
        assert_eq!(groups[3], ("virtual nodes", &["fargate"][..]));
        assert_eq!(groups.len(), 4);
    }

    #[test]
    fn the_affinity_depends_on_kinds_of_nodes_and_not_on_their_state() {
        let mut nodes = NodeStates(vec![node("a", "linux", "amd64"), node("b", "linux", "arm64")]);
        assert_eq!(nodes.affinity(), None);
        let before = nodes.daemon_set_affinity();
        assert!(terms(&before).contains("virtual-kubelet") && !terms(&before).contains("kubernetes.io/arch"));
        nodes.0[1].problem = Some(NodeProblem { what: "is not ready", since: None, effect: Effect::Away });
        assert_eq!(nodes.daemon_set_affinity(), before);
        nodes.0.push(node("z", "linux", "s390x"));
        assert!(terms(&nodes.affinity().unwrap()).contains(r#""values":["amd64","arm64"]"#));
        assert!(terms(&nodes.daemon_set_affinity()).contains("kubernetes.io/arch"));
    }

    #[test]
    fn a_rollout_has_room_for_the_nodes_that_do_not_run_pods() {
        let mut nodes = NodeStates(["a", "b", "c"].map(|name| node(name, "linux", "amd64")).to_vec());
        assert_eq!(nodes.max_unavailable(), json!("25%"));
        nodes.0[1].problem = Some(NodeProblem { what: "has disk pressure", since: None, effect: Effect::RejectsPods });
        assert_eq!(nodes.max_unavailable(), json!("25%"), "its pods run");
        nodes.0[1].problem = Some(NodeProblem { what: "is not ready", since: None, effect: Effect::Away });
        assert_eq!(nodes.max_unavailable(), json!(2));
        nodes.0.push(NodeState { problem: nodes.0[1].problem.clone(), ..node("w", "windows", "amd64") });
        assert_eq!(nodes.max_unavailable(), json!(2), "no pod of the DaemonSets is on it");
    }

    #[test]
    fn a_cluster_of_another_architecture_has_no_affinity_for_it() {
        let nodes = NodeStates(vec![node("a", "linux", "s390x"), node("w", "windows", "amd64")]);
        assert_eq!(nodes.affinity(), None);
        assert_eq!(nodes.covered().count(), 1);
    }

    #[test]
    fn a_virtual_node_without_a_label_is_excluded_by_name() {
        let aci = NodeState { virtual_by: Some(VirtualBy::Taint), ..node("aci", "linux", "amd64") };
        let affinity = NodeStates(vec![aci]).daemon_set_affinity();
        let term = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0];
        assert_eq!(term["matchFields"][0], json!({"key": "metadata.name", "operator": "NotIn", "values": ["aci"]}));
    }
}
