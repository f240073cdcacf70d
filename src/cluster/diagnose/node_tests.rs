//! Causes that are nodes which do not run pods.

use serde_json::json;

use super::tests::{cache, event, first, found, now};
use super::*;
use crate::cluster::views::Pod;
use crate::cluster::watch::cache::Nodes;

fn put_on_node(cache: &mut ObjectCache, node: &str) {
    let mut pod = cache.everywhere::<Pod>().next().unwrap().clone();
    pod.spec.node_name = node.into();
    cache.insert(pod.into());
}

/// The containers of such a pod look as if they started normally.
#[test]
fn a_pod_of_a_node_that_is_not_ready_is_reported_with_the_node() {
    let mut cache =
        cache(json!({"phase": "Running", "containerStatuses": [{"name": "loki", "state": {"running": {}}}]}));
    put_on_node(&mut cache, "n");
    assert_eq!(first(&cache), "");
    let problems = [("n".to_owned(), "node n is not ready".to_owned())].into();
    cache.nodes = Some(Nodes { total: 1, problems, ..Nodes::default() });
    assert_eq!(first(&cache), "pod-on-not-ready-node");
    assert_eq!(found(&cache)[0].cause, "pod loki-0 does not run: node n is not ready");
}

/// Among many nodes the pod's name does not say where to look.
#[test]
fn the_node_that_cannot_start_a_pod_is_reported() {
    for (reason, rule) in
        [("FailedCreatePodSandBox", "pod-sandbox-failed"), ("FailedAttachVolume", "volume-attach-failed")]
    {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let status = json!({"phase": "Pending", "containerStatuses": [{"name": "loki", "state": creating}]});
        let mut cache = cache(status);
        cache.insert_json(event(("Pod", "loki-0"), reason, "rpc error"));
        put_on_node(&mut cache, "worker-7");
        let found = found(&cache);
        assert_eq!(found[0].rule, rule);
        assert!(found[0].cause.contains("worker-7"), "{}", found[0].cause);
    }
}

/// Such a pod counts as unavailable, so that no other pod is replaced.
#[test]
fn a_rollout_that_waits_for_a_node_is_reported_with_the_node() {
    let release = TrackedRelease::new("x", "m", [&json!({"kind": "DaemonSet", "metadata": {"name": "x"}})]);
    let set = json!({"kind": "DaemonSet", "metadata": {"name": "x", "namespace": "m", "uid": "d"},
        "status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 1}});
    let pod = |node: &str, ready: &str| {
        json!({"kind": "Pod", "metadata": {"name": format!("x-{node}"), "namespace": "m",
            "ownerReferences": [{"kind": "DaemonSet", "name": "x", "uid": "d"}]}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
    };
    for (other, rule) in [("True", "rollout-blocked-by-node"), ("False", "")] {
        let mut cache = ObjectCache::default();
        [set.clone(), pod("a", other), pod("n", "False")].into_iter().for_each(|object| cache.insert_json(object));
        let problems = [("n".to_owned(), "node n is not ready".to_owned())].into();
        cache.nodes = Some(Nodes { total: 2, problems, ..Nodes::default() });
        let matches = matches(&cache, &release, Scope { depth: Depth::Waiting, now: now() });
        let rules: Vec<String> = at_once(matches, now()).into_iter().map(|cause| cause.diagnosis.rule).collect();
        assert_eq!(rules.first().map_or("", String::as_str), rule, "{rules:?}");
    }
}
