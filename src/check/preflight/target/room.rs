//! Nodes without room for the pods of the DaemonSets, and pods that have room on no node: by number, CPU and memory. A lower
//! bound: taints, affinity and preemption are not considered.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::pods::pods;
use crate::check::row::Finding;
use crate::cluster::{Quantity, Used, requests_of};
use crate::list::first_of;
use crate::plan::PlannedRelease;
use crate::stack::{NodeState, NodeStates};

/// Nodes and workloads that a finding reports.
const REPORTED: usize = 3;

/// What one pod of a workload needs besides what the installed one has.
#[derive(Debug, PartialEq)]
pub(super) struct Need {
    /// `the pods of DaemonSet monitoring/alloy`
    pods: String,
    is_on_every_node: bool,
    more: Used,
}

/// The workloads with pods that need more of a node.
pub(super) fn needs(incoming: &PlannedRelease<'_>) -> Vec<Need> {
    let lasting = incoming.rendered.iter().filter(|object| !matches!(object["kind"].as_str(), Some("Job" | "CronJob")));
    let needs = lasting.filter_map(|object| {
        let is_same = |old: &&Value| old["kind"] == object["kind"] && name_of(old) == name_of(object);
        let old = incoming.installed.iter().find(is_same);
        let pod = |object| pods(incoming, std::iter::once(object)).next();
        let (_, pods, new) = pod(object)?;
        let installed = old.and_then(pod).map(|(_, _, pod)| requests_of(&pod["spec"])).unwrap_or_default();
        let requests = requests_of(&new["spec"]) - installed;
        let more = Used { pods: usize::from(old.is_none()), requests };
        Some(Need { pods, is_on_every_node: object["kind"] == "DaemonSet", more })
    });
    needs
        .filter(|Need { more, .. }| more.pods > 0 || is_some(&more.requests.cpu) || is_some(&more.requests.memory))
        .collect()
}

/// `used`: what the pods of each node take of it.
pub(super) fn judge(nodes: &NodeStates, used: &BTreeMap<String, Used>, needs: &[Need]) -> Finding {
    let (on_every_node, others): (Vec<&Need>, Vec<&Need>) = needs.iter().partition(|need| need.is_on_every_node);
    let daemon_sets = on_every_node.iter().fold(Used::default(), |sum, need| sum + need.more.clone());
    let used = |node: &NodeState| used.get(&node.name).cloned().unwrap_or_default();
    let full: Vec<String> = nodes.covered().filter_map(|node| lack(node, used(node), &daemon_sets)).collect();
    let has_room = |node: &NodeState, need: &Need| lack(node, used(node) + daemon_sets.clone(), &need.more).is_none();
    let all = nodes.covered().count();
    let nowhere = others.into_iter().filter(|need| all > 0 && !nodes.covered().any(|node| has_room(node, need)));
    let nowhere: Vec<&Need> = nowhere.collect();
    let mut findings = Vec::new();
    if !full.is_empty() {
        findings.push(format!(
            "no room for {} on {}: metrics or logs of {} are missing until there is",
            names(on_every_node),
            first_of(&full, REPORTED),
            if full.len() == 1 { "this node" } else { "these nodes" },
        ));
    }
    if !nowhere.is_empty() {
        findings.push(format!("no node has room for {}", names(nowhere)));
    }
    match (needs, findings.as_slice()) {
        ([], _) => Finding::pass("no additional pod is needed"),
        (_, []) => Finding::pass(format!("{all} nodes, {} workloads", needs.len())),
        (_, findings) => Finding::warn(findings.join("; ")),
    }
}

/// A node without room for more pods besides those that it runs, with what it lacks.
fn lack(node: &NodeState, used: Used, more: &Used) -> Option<String> {
    let mut lacks = Vec::new();
    if node.max_pods.is_some_and(|most| more.pods > 0 && used.pods + more.pods > most) {
        lacks.push(format!("{} of {} pods", used.pods, node.max_pods.unwrap_or_default()));
    }
    for (resource, allocatable, used, more) in [
        ("cpu", &node.cpu, used.requests.cpu, &more.requests.cpu),
        ("memory", &node.memory, used.requests.memory, &more.requests.memory),
    ] {
        let Some(allocatable) = Quantity::parse(allocatable) else { continue };
        if is_some(more) && used.clone() + more.clone() > allocatable {
            lacks.push(format!("{resource}: {used} of {allocatable} requested, {more} more needed"));
        }
    }
    (!lacks.is_empty()).then(|| format!("node {} ({})", node.name, lacks.join(", ")))
}

/// The scheduler does not compare a request of zero.
fn is_some(amount: &Quantity) -> bool {
    *amount > Quantity::default()
}

fn names(needs: Vec<&Need>) -> String {
    first_of(needs.into_iter().map(|need| &need.pods), REPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::release;
    use crate::check::row::State;
    use crate::cluster::Requests;
    use serde_json::json;

    /// A pod's requests.
    fn requests(cpu: &str, memory: &str) -> Requests {
        requests_of(&json!({"containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}]}))
    }

    fn used(pods: usize, cpu: &str, memory: &str) -> Used {
        Used { pods, requests: requests(cpu, memory) }
    }

    fn node(name: &str, max_pods: Option<usize>, (cpu, memory): (&str, &str)) -> NodeState {
        NodeState {
            name: name.into(),
            os: "linux".into(),
            architecture: "amd64".into(),
            max_pods,
            cpu: cpu.into(),
            memory: memory.into(),
            ..NodeState::default()
        }
    }

    fn need(kind: &str, name: &str, more: Used) -> Need {
        Need { pods: format!("the pods of {kind} m/{name}"), is_on_every_node: kind == "DaemonSet", more }
    }

    #[test]
    fn nodes_without_room_for_each_pod_are_named_with_what_they_lack() {
        let large = ("4", "8Gi");
        let nodes = [
            node("a", Some(11), large),
            node("b", Some(110), large),
            node("c", None, ("", "")),
            node("d", Some(110), ("1", "1Gi")),
        ];
        let running = [
            ("a", used(10, "1", "1Gi")),
            ("b", used(10, "3600m", "1Gi")),
            ("c", used(200, "9", "9Gi")),
            ("d", used(1, "850m", "1000Mi")),
        ];
        let running = BTreeMap::from(running.map(|(name, used)| (name.to_owned(), used)));
        let nodes = NodeStates(nodes.into());
        let sets =
            [need("DaemonSet", "exporter", used(1, "100m", "30Mi")), need("DaemonSet", "alloy", used(1, "100m", "0"))];
        let found = judge(&nodes, &running, &sets);
        assert_eq!(found.state, State::Warn);
        let expected = "no room for the pods of DaemonSet m/exporter, the pods of DaemonSet m/alloy on node a (10 of 11 pods), \
                        node d (cpu: 850m of 1 requested, 200m more needed, memory: 1000Mi of 1Gi requested, 30Mi more needed): \
                        metrics or logs of these nodes are missing until there is";
        assert_eq!(found.detail, expected);
        let of_one = |more: Used| judge(&nodes, &running, &[need("DaemonSet", "alloy", more)]);
        assert_eq!(of_one(used(1, "150m", "0")).state, State::Pass, "exactly what is free");
        assert_eq!(of_one(used(0, "0", "25Mi")).state, State::Warn, "a larger request of an installed one");
        assert_eq!(judge(&nodes, &running, &[]).state, State::Pass);
    }

    #[test]
    fn a_pod_that_fits_on_no_node_is_named() {
        let nodes = NodeStates(vec![node("a", Some(110), ("2", "4Gi")), node("b", Some(110), ("4", "2Gi"))]);
        let judge = |needs: &[Need]| judge(&nodes, &BTreeMap::new(), needs);
        let loki = |cpu: &str, memory: &str| need("StatefulSet", "loki", used(1, cpu, memory));
        assert_eq!(judge(&[loki("3", "1Gi")]).state, State::Pass);
        let found = judge(&[loki("3", "3Gi")]);
        assert_eq!(
            (found.state, found.detail.as_str()),
            (State::Warn, "no node has room for the pods of StatefulSet m/loki")
        );
        let set = need("DaemonSet", "alloy", used(1, "1500m", "1Gi"));
        assert_eq!(judge(&[set, loki("3", "1Gi")]).state, State::Warn, "the DaemonSets take room on every node");
    }

    /// The pods of a DaemonSet are replaced: the old one ends first.
    #[test]
    fn an_installed_workload_needs_what_it_requests_more() {
        let set = |name: &str, cpu: &str| {
            let containers = json!([{"resources": {"requests": {"cpu": cpu}}}]);
            json!({"kind": "DaemonSet", "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}})
        };
        let prometheus = json!({"kind": "Prometheus", "metadata": {"name": "p"},
            "spec": {"resources": {"requests": {"memory": "2Gi"}}}});
        let rendered = [set("alloy", "100m"), set("more", "100m"), set("grown", "300m"), prometheus];
        let installed = [set("alloy", "200m"), set("grown", "100m")];
        let release = release("alloy");
        let incoming =
            PlannedRelease { release: &release, rendered: &rendered, hooks: &[], crds: &[], installed: &installed };
        let needs = needs(&incoming);
        let needs: Vec<(&str, bool, &Used)> =
            needs.iter().map(|need| (need.pods.as_str(), need.is_on_every_node, &need.more)).collect();
        let expected = [
            ("the pods of DaemonSet monitoring/more", true, &used(1, "100m", "0")),
            ("the pods of DaemonSet monitoring/grown", true, &used(0, "200m", "0")),
            ("the pods of Prometheus monitoring/p", false, &used(1, "0", "2Gi")),
        ];
        assert_eq!(needs, expected);
    }
}
