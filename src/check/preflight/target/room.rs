//! Nodes with as many pods as they may have: the pods of new DaemonSets stay Pending there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::name_of;
use crate::check::row::Finding;
use crate::list::first_of;
use crate::plan::PlannedRelease;
use crate::stack::NodeStates;

/// Nodes that a finding reports.
const REPORTED: usize = 3;

/// Names of the DaemonSets that the cluster does not have yet.
pub(super) fn new_daemon_sets(incoming: &[PlannedRelease<'_>]) -> Vec<String> {
    let sets = incoming.iter().flat_map(|incoming| {
        let is_set = |object: &&Value| object["kind"] == "DaemonSet";
        let is_known = move |name: &str| incoming.installed.iter().filter(is_set).any(|set| name_of(set) == name);
        incoming.rendered.iter().filter(is_set).map(name_of).filter(move |name| !is_known(name))
    });
    sets.map(str::to_owned).collect()
}

/// `pods`: the number of pods of each node.
pub(super) fn judge(nodes: &NodeStates, pods: &BTreeMap<String, usize>, new: &[String]) -> Finding {
    let (all, mut full) = (nodes.covered().count(), Vec::new());
    for node in nodes.covered() {
        let Some(most) = node.max_pods else { continue };
        let running = pods.get(&node.name).copied().unwrap_or_default();
        if running + new.len() > most {
            full.push(format!("node {} ({running} of {most} pods)", node.name));
        }
    }
    match (new, full.as_slice()) {
        ([], _) => Finding::pass("no additional pod is needed"),
        (_, []) => Finding::pass(format!("{} on {all} nodes", new.join(", "))),
        (_, full) => Finding::warn(format!(
            "no room for the pods of {} on {}: metrics or logs of {} are missing until there is",
            new.join(", "),
            first_of(full, REPORTED),
            if full.len() == 1 { "this node" } else { "these nodes" },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::release;
    use crate::check::row::State;
    use crate::stack::NodeState;
    use serde_json::json;

    #[test]
    fn nodes_without_room_for_each_new_pod_are_named() {
        let node = |name: &str, max_pods| NodeState {
            name: name.into(),
            os: "linux".into(),
            architecture: "amd64".into(),
            max_pods,
            ..NodeState::default()
        };
        let nodes = NodeStates(vec![node("a", Some(11)), node("b", Some(110)), node("c", None)]);
        let pods = BTreeMap::from([("a".to_owned(), 10), ("b".to_owned(), 10), ("c".to_owned(), 200)]);
        let found = judge(&nodes, &pods, &["node-exporter".into(), "alloy".into()]);
        assert_eq!(found.state, State::Warn);
        assert!(
            found.detail.contains("node a (10 of 11 pods)") && !found.detail.contains("node b"),
            "{}",
            found.detail
        );
        assert_eq!(judge(&nodes, &pods, &["alloy".into()]).state, State::Pass, "one more pod has room");
        assert_eq!(judge(&nodes, &pods, &[]).state, State::Pass);
    }

    #[test]
    fn a_daemon_set_of_the_installed_revision_needs_no_room() {
        let set = |name: &str| json!({"kind": "DaemonSet", "metadata": {"name": name}});
        let (release, rendered, installed) = (release("alloy"), [set("alloy"), set("more")], [set("alloy")]);
        let incoming =
            PlannedRelease { release: &release, rendered: &rendered, hooks: &[], crds: &[], installed: &installed };
        assert_eq!(new_daemon_sets(&[incoming]), ["more"]);
    }
}
