//! Clusters with nodes that cannot run the stack's pods, or do not run them at the moment.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::TAILWATCH;
use support::{Sandbox, check, of_kind, verdicts};

/// The workload and node of each pod of the stack.
fn placed(sandbox: &Sandbox) -> BTreeSet<(String, String)> {
    let pods = sandbox.get(&["pods", "-n", "monitoring"]);
    let text = |pod: &Value, path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pods = pods["items"].as_array().unwrap().iter();
    pods.map(|pod| (text(pod, "/metadata/ownerReferences/0/kind"), text(pod, "/spec/nodeName"))).collect()
}

/// One node each: with Docker, with Windows, not ready, virtual, of another architecture, without room for a pod.
#[test]
fn nodes_without_the_stacks_pods_are_named_and_not_waited_for() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "6"]);
    let mut status = sandbox.get(&["node", "node-0"])["status"]["nodeInfo"].clone();
    status["containerRuntimeVersion"] = "docker://27.3.1".into();
    let patch = json!({"status": {"nodeInfo": status}}).to_string();
    sandbox.kubectl(&["patch", "node", "node-0", "--subresource=status", "--type=merge", "-p", &patch]);
    sandbox.kubectl(&["label", "node", "node-1", "kubernetes.io/os=windows", "--overwrite"]);
    sandbox.fault("node-not-ready=node-2", "on");
    sandbox.kubectl(&["label", "node", "node-3", "type=virtual-kubelet"]);
    sandbox.kubectl(&["taint", "node", "node-3", "virtual-kubelet.io/provider=azure:NoSchedule"]);
    sandbox.kubectl(&["label", "node", "node-4", "kubernetes.io/arch=s390x", "--overwrite"]);
    let full = json!({"status": {"allocatable": {"pods": "0"}, "capacity": {"pods": "0"}}}).to_string();
    sandbox.kubectl(&["patch", "node", "node-5", "--subresource=status", "--type=merge", "-p", &full]);
    sandbox.kubectl(&["wait", "--for=condition=Ready=false", "node/node-2", "--timeout=30s"]);
    let events = sandbox.install(&["--output", "json", "--timeout", "60s"]).ended_with(0).events();
    let notices = of_kind(&events, "notice").into_iter().map(|notice| notice["message"].as_str().unwrap_or_default());
    let notices = notices.collect::<Vec<_>>().join("\n");
    for node in ["node-0", "node-1", "node-2", "node-3", "node-4", "node-5"] {
        assert_eq!(notices.matches(node).count(), 1, "{node}: {notices}");
    }
    let summary = events.last().unwrap()["checks"].clone();
    let verified = verdicts(&summary);
    assert_eq!(verified["nodes-covered"], "warn");
    for check in ["workloads-available", "alloy-ready", "prometheus-targets-up", "logs-written", "logs-delivered"] {
        assert_eq!(verified[check], "pass", "{check}: {summary:#}");
    }
    let placed = placed(&sandbox);
    let of_daemon_sets = ["node-0", "node-2"].map(|node| ("DaemonSet".to_owned(), node.to_owned()));
    assert!(of_daemon_sets.iter().all(|pod| placed.contains(pod)), "{placed:?}");
    for (kind, node) in placed.iter().filter(|(_, node)| !node.is_empty()) {
        assert!(node == "node-0" || (node == "node-2" && kind == "DaemonSet"), "{kind} on {node}");
    }
    let alloy = sandbox.get(&["daemonset", "alloy", "-n", "monitoring"]);
    assert!(alloy.to_string().contains("/var/lib/docker/containers"));

    // The state of a node is no fact that values follow.
    let answers = sandbox.answers();
    sandbox.fault("node-not-ready", "off");
    sandbox.tailwatch(&["plan", "--answers", &answers, "--exit-code"]).ended_with(0);
    sandbox.kubectl(&["wait", "--for=condition=Ready", "node/node-2", "--timeout=30s"]);
    sandbox.fault("node-not-ready=node-2", "on");
    sandbox.kubectl(&["wait", "--for=condition=Ready=false", "node/node-2", "--timeout=30s"]);
    sandbox.tailwatch(&["plan", "--answers", &answers, "--exit-code"]).ended_with(0);

    // The nodes without a pod do not use up maxUnavailable.
    let file = sandbox.file("upgrade.yaml").display().to_string();
    let values = "values: { alloy: { controller: { podAnnotations: { a: b } } } }\n";
    std::fs::write(&file, format!("{}{values}", std::fs::read_to_string(&answers).unwrap())).unwrap();
    sandbox.tailwatch(&["install", "--yes", "--skip-verify", "--timeout", "60s", "--answers", &file]).ended_with(0);
    let alloy = sandbox.get(&["daemonset", "alloy", "-n", "monitoring"]);
    assert_eq!(alloy.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"), Some(&json!(3)), "{alloy:#}");
    sandbox.fault("node-not-ready", "off");
    sandbox.kubectl(&["wait", "--for=condition=Ready", "node/node-2", "--timeout=30s"]);
    sandbox.tailwatch(&["plan", "--answers", &file, "--exit-code"]).ended_with(0);

    // No room is left for a probe pod; the pods that run there stay.
    let no_cpu = json!({"status": {"allocatable": {"cpu": "0"}}}).to_string();
    let written_without = |node: &str| {
        sandbox.kubectl(&["patch", "node", node, "--subresource=status", "--type=merge", "-p", &no_cpu]);
        let verified = sandbox.tailwatch(&["verify", "--check", "logs-written", "--output", "json"]).ended_with(0);
        check(&verified.json()["checks"], "logs-written").clone()
    };
    let one = written_without("node-2");
    assert_eq!(one["verdict"], "pass", "{one:#}");
    assert!(one["detail"].as_str().unwrap().contains("node node-2 has no room"), "{one:#}");
    let all = written_without("node-0");
    assert_eq!(all["verdict"], "skip", "{all:#}");
}
