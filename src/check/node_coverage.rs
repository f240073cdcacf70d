//! What the nodes mean for the stack: which of them have no metrics and logs, and why. The same sentences in preflight,
//! plan and verification.

use crate::check::row::Finding;
use crate::check::some_of;
use crate::stack::{Effect, NodeState, NodeStates};

/// Nodes that a sentence names.
const NAMED: usize = 3;

/// Notices of a plan that changes the stack.
pub fn notices(nodes: &NodeStates) -> Vec<String> {
    let mut notices = problems(nodes);
    notices.extend(left_out(nodes));
    notices
}

/// The notice of a plan in which Alloy mounts the logs of Docker.
pub fn docker_notice(nodes: &NodeStates) -> Option<String> {
    let docker = nodes.docker();
    (!docker.is_empty()).then(|| {
        format!(
            "Docker runs the containers of {}: Alloy mounts /var/lib/docker/containers, to which the files in \
             /var/log/pods link; mount another data-root with alloy.mounts.extra and controller.volumes.extra under \
             values.alloy",
            crate::list::first_of(&docker, NAMED)
        )
    })
}

/// Whether every node has metrics and logs: a node that is not ready is a warning; one that the stack's pods cannot run
/// on is only named.
pub(super) fn judge(nodes: &NodeStates) -> Finding {
    let (covered, all) = (nodes.covered().count(), nodes.0.len());
    if all == 0 {
        return Finding::skip("no node was listed");
    }
    let problems = problems(nodes);
    if covered == 0 {
        return Finding::warn(format!("no node can run the stack's pods; {}", left_out(nodes).unwrap_or_default()));
    }
    if !problems.is_empty() {
        return Finding::warn(some_of(&problems));
    }
    let left_out = left_out(nodes).map(|sentence| format!("; {sentence}")).unwrap_or_default();
    Finding::pass(format!("{covered} of {all} nodes{left_out}"))
}

/// Sentences about nodes that do not run pods at the moment.
fn problems(nodes: &NodeStates) -> Vec<String> {
    let sentence = |node: &NodeState| {
        let effect = match node.problem.as_ref()?.effect {
            Effect::Away => "its metrics and logs are missing until it is back",
            Effect::RejectsPods => "it may reject or evict the stack's pods",
            Effect::LacksPods => "its metrics or logs are missing",
        };
        Some(format!("{}: {effect}", node.describe_problem()?))
    };
    nodes.covered().filter_map(sentence).collect()
}

/// The nodes on which the stack has no pods, by reason.
fn left_out(nodes: &NodeStates) -> Option<String> {
    let groups = nodes.left_out();
    let named = groups.iter().map(|(reason, names)| format!("{reason} ({})", crate::list::first_of(names, NAMED)));
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| format!("no metrics and logs of {}, on which the stack has no pods", some_of(&named)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use crate::stack::NodeProblem;

    fn node(name: &str, os: &str) -> NodeState {
        NodeState { name: name.into(), os: os.into(), architecture: "amd64".into(), ..NodeState::default() }
    }

    #[test]
    fn nodes_without_metrics_and_logs_are_named_with_the_reason() {
        let mut nodes = NodeStates(vec![node("a", "linux"), node("w", "windows"), node("b", "linux")]);
        let found = judge(&nodes);
        assert_eq!(found.state, State::Pass, "a kind of node is no problem to solve");
        insta::assert_snapshot!(found.detail, @"2 of 3 nodes; no metrics and logs of windows nodes (w), on which the stack has no pods");
        let since = "2026-01-01T00:00:00Z".parse().ok();
        nodes.0[2].problem = Some(NodeProblem { what: "is not ready", since, effect: Effect::Away });
        assert_eq!(judge(&nodes).state, State::Warn);
        insta::assert_snapshot!(notices(&nodes).join("\n"), @r"
        node b is not ready since 2026-01-01T00:00:00Z: its metrics and logs are missing until it is back
        no metrics and logs of windows nodes (w), on which the stack has no pods
        ");
        assert_eq!(judge(&NodeStates(vec![node("w", "windows")])).state, State::Warn);
        assert_eq!(judge(&NodeStates::default()).state, State::Skip);
    }

    #[test]
    fn docker_is_told_where_a_node_has_it() {
        let mut nodes = NodeStates(vec![node("a", "linux"), node("w", "windows")]);
        nodes.0[1].is_docker = true;
        assert_eq!(docker_notice(&nodes), None, "no pod of Alloy is on that node");
        nodes.0[0].is_docker = true;
        assert!(docker_notice(&nodes).unwrap().starts_with("Docker runs the containers of a: "));
    }
}
