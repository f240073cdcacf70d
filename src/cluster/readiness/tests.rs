//! Readiness rows: one object, one verdict.

use serde_json::{Value, json};

use super::*;
use crate::cluster::watch::cache::Nodes;
use crate::stack::WaitFor;

fn cache(objects: &[Value]) -> ObjectCache {
    let mut cache = ObjectCache::default();
    objects.iter().for_each(|object| cache.insert_json(object.clone()));
    cache
}

fn judge(objects: &[Value], manifest: &Value) -> ReleaseReadiness {
    count(&cache(objects), &TrackedRelease::new("x", "m", [manifest]))
}

fn judge_with(objects: &[Value], wait_for: &[WaitFor]) -> ReleaseReadiness {
    count(&cache(objects), &waiting_for(wait_for, wait_for))
}

/// A release with these objects in its manifest.
fn waiting_for(wait_for: &[WaitFor], rendered: &[WaitFor]) -> TrackedRelease {
    let object =
        |one: &WaitFor| json!({"apiVersion": one.api_version, "kind": one.kind, "metadata": {"name": one.name}});
    let manifest: Vec<Value> = rendered.iter().map(object).collect();
    TrackedRelease::new("x", "m", &manifest).waiting_for(wait_for)
}

#[test]
fn conditions_are_waited_for_under_the_rendered_names() {
    let of = |kind: &str, name: &str| WaitFor {
        api_version: "monitoring.coreos.com/v1".into(),
        kind: kind.into(),
        name: name.into(),
        condition: "Available".into(),
    };
    let wanted = [
        of("Prometheus", "kube-prometheus-stack-prometheus"),
        of("Alertmanager", "kube-prometheus-stack-alertmanager"),
    ];
    let renamed = [of("Prometheus", "kps-prometheus")];
    assert_eq!(waiting_for(&wanted, &renamed).wait_for, renamed, "Alertmanager is off");
    assert_eq!(waiting_for(&wanted, &wanted).wait_for, wanted);
}

fn object(kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"kind": kind, "metadata": {"name": name, "namespace": "m", "uid": format!("uid-{name}"), "generation": 2}});
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

fn pod(owner: Value, status: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "p-0", "namespace": "m", "ownerReferences": [owner],
        "labels": {"pod-template-hash": "abc"}, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status})
}

#[test]
fn readiness_depends_on_the_kind() {
    let rows = [
        (
            "Deployment",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}),
            true,
        ),
        (
            "Deployment",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}),
            false,
        ),
        (
            "Deployment",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}}),
            false,
        ),
        (
            "StatefulSet",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "readyReplicas": 1, "availableReplicas": 1, "currentRevision": "b", "updateRevision": "b"}}),
            true,
        ),
        (
            "StatefulSet",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "readyReplicas": 1, "availableReplicas": 1, "currentRevision": "a", "updateRevision": "b"}}),
            false,
        ),
        (
            "DaemonSet",
            json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}}),
            true,
        ),
        (
            "DaemonSet",
            json!({"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}}),
            false,
        ),
        ("Job", json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}), true),
        ("Job", json!({"status": {}}), false),
        ("PersistentVolumeClaim", json!({"status": {"phase": "Bound"}}), true),
        ("PersistentVolumeClaim", json!({"status": {"phase": "Pending"}}), false),
    ];
    for (kind, rest, ready) in rows {
        let live = object(kind, "x", rest.clone());
        let readiness = judge(&[live], &json!({"kind": kind, "metadata": {"name": "x"}}));
        assert_eq!(readiness.is_ready(), ready, "{kind} {rest}");
        assert_eq!(readiness.waiting.is_none(), ready, "{kind} {rest}");
    }
}

#[test]
fn an_absent_object_is_not_ready_and_a_hook_does_not_count() {
    let missing = json!({"kind": "Deployment", "metadata": {"name": "x"}});
    assert_eq!(judge(&[], &missing).waiting.as_deref(), Some("Deployment x is not there yet"));
    let hook = json!({"kind": "Job", "metadata": {"name": "x", "annotations": {"helm.sh/hook": "pre-install"}}});
    assert_eq!(judge(&[], &hook), ReleaseReadiness::default());
}

#[test]
fn a_start_is_reported_down_to_the_container() {
    let deployment = object(
        "Deployment",
        "web",
        json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1}}),
    );
    let owner = json!({"kind": "ReplicaSet", "name": "web-abc", "uid": "rs"});
    let doing = |status: Value| {
        let manifest = json!({"kind": "Deployment", "metadata": {"name": "web"}});
        judge(&[deployment.clone(), pod(owner.clone(), status)], &manifest).waiting.unwrap()
    };
    let container = |state: Value| json!({"phase": "Pending", "containerStatuses": [{"name": "c", "state": state}]});
    assert_eq!(doing(container(json!({"running": {}}))), "container c of pod p-0 runs but is not ready");
    assert_eq!(doing(container(json!({"waiting": {"reason": "ContainerCreating"}}))), "pod p-0 is starting");
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]});
    assert_eq!(doing(unscheduled), "pod p-0 waits for a node");
}

#[test]
fn a_pod_of_a_deployment_with_a_longer_name_is_of_another() {
    let deployment = object("Deployment", "web", json!({"status": {"observedGeneration": 2}}));
    let other = pod(
        json!({"kind": "ReplicaSet", "name": "web-two-abc", "uid": "rs"}),
        json!({"phase": "Failed", "reason": "Evicted"}),
    );
    let readiness = judge(&[deployment, other], &json!({"kind": "Deployment", "metadata": {"name": "web"}}));
    assert!(!readiness.waiting.unwrap().contains("p-0"));
}

#[test]
fn an_operators_condition_counts_only_for_the_observed_generation() {
    let wanted = [WaitFor {
        api_version: "monitoring.coreos.com/v1".into(),
        kind: "Prometheus".into(),
        name: "k".into(),
        condition: "Available".into(),
    }];
    let with = |status: &str, generation: u32| {
        object(
            "Prometheus",
            "k",
            json!({"status": {"conditions": [{"type": "Available", "status": status, "observedGeneration": generation, "reason": "NoPodReady"}]}}),
        )
    };
    assert!(judge_with(&[with("True", 2)], &wanted).is_ready());
    assert!(!judge_with(&[with("True", 1)], &wanted).is_ready());
    let mut refused = with("True", 2);
    refused["status"]["conditions"].as_array_mut().unwrap().push(
        json!({"type": "Reconciled", "status": "False", "reason": "ReconciliationFailed", "message": "bad version"}),
    );
    assert!(judge_with(&[refused], &wanted).waiting.unwrap().contains("bad version"));
    let set = json!({"kind": "StatefulSet", "metadata": {"name": "prometheus-k", "namespace": "m", "uid": "s", "ownerReferences": [{"uid": "uid-k"}]}});
    let stuck = pod(
        json!({"kind": "StatefulSet", "name": "prometheus-k", "uid": "s"}),
        json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}),
    );
    let readiness = judge_with(&[with("False", 2), set, stuck], &wanted);
    assert_eq!(readiness.waiting.as_deref(), Some("pod p-0 waits for a node"));
}

/// A DaemonSet of three nodes, of which `c` does not run pods; the status and the pods of the case.
fn with_lost_node(updated: u32, available: u32, pods: &[Value]) -> ObjectCache {
    let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
        "numberAvailable": available});
    let mut cache = cache(&[object("DaemonSet", "x", json!({"status": status}))]);
    pods.iter().for_each(|pod| cache.insert_json(pod.clone()));
    let problems = [("c".to_owned(), "node c is not ready".to_owned())].into();
    cache.nodes = Some(Nodes { total: 3, problems, ..Nodes::default() });
    cache
}

fn daemon_pod(node: &str, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    let mut pod = pod(
        json!({"kind": "DaemonSet", "name": "x", "uid": "uid-x"}),
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}),
    );
    pod["metadata"]["name"] = format!("x-{node}").into();
    pod["spec"] = json!({"nodeName": node});
    pod
}

#[test]
fn a_daemon_set_does_not_wait_for_the_pod_of_a_node_that_is_not_ready() {
    let judge = |cache: &ObjectCache| {
        count(cache, &TrackedRelease::new("x", "m", [&json!({"kind": "DaemonSet", "metadata": {"name": "x"}})]))
    };
    let is_ready = |updated, available, pods: &[Value]| judge(&with_lost_node(updated, available, pods)).is_ready();
    let (a, b, c) = (daemon_pod("a", true), daemon_pod("b", true), daemon_pod("c", false));
    let mut terminating = c.clone();
    terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(is_ready(3, 2, &[a.clone(), b.clone(), c.clone()]));
    assert!(is_ready(2, 2, &[a.clone(), b.clone(), terminating.clone()]), "its kubelet does not confirm the deletion");
    assert!(!is_ready(2, 2, &[a.clone(), b.clone(), c.clone()]), "one of the other pods may be of the old revision");
    assert!(!is_ready(1, 2, &[a.clone(), b, terminating]), "a pod of a running node is of the old revision");
    let waiting = judge(&with_lost_node(3, 1, &[a, daemon_pod("b", false), c.clone()])).waiting.unwrap();
    assert!(waiting.contains("x-b") && !waiting.contains("x-c"), "{waiting}");
    let mut cordoned = with_lost_node(3, 2, &[c]);
    cordoned.nodes = Some(Nodes::default());
    assert!(!judge(&cordoned).is_ready(), "the node runs pods");
}

#[test]
fn a_daemon_set_does_not_wait_for_a_node_without_room_while_others_have_it() {
    let judge = |cache: &ObjectCache| {
        count(cache, &TrackedRelease::new("x", "m", [&json!({"kind": "DaemonSet", "metadata": {"name": "x"}})]))
    };
    let mut full = daemon_pod("b", false);
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]});
    full["spec"] = json!({"affinity": {"nodeAffinity":
        {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}});
    let message = "0/3 nodes are available: 1 Too many pods, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].";
    full["status"] = json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": message}]});
    let pods = [daemon_pod("a", true), full.clone(), daemon_pod("c", false)];
    assert!(judge(&with_lost_node(3, 1, &pods)).is_ready());
    assert!(!judge(&with_lost_node(3, 0, &pods)).is_ready(), "no node has room");
    let mut early = with_lost_node(3, 2, &[daemon_pod("a", true), full, daemon_pod("c", true)]);
    early.nodes = None;
    assert!(!judge(&early).is_ready(), "the nodes are read when a pod is late");
}

#[test]
fn a_daemon_set_does_not_wait_for_one_node_of_many_that_creates_no_sandbox() {
    let is_ready = |desired: i64, last_attempt: &str| {
        let mut pod = daemon_pod("n", false);
        pod["metadata"]["uid"] = "p".into();
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        pod["status"]["phase"] = "Pending".into();
        let set = json!({"kind": "DaemonSet", "metadata": {"name": "x", "namespace": "m", "uid": "uid-x"},
            "status": {"desiredNumberScheduled": desired, "updatedNumberScheduled": desired, "numberAvailable": desired - 1}});
        let event = json!({"kind": "Event", "metadata": {"name": "e", "namespace": "m"}, "reason": "FailedCreatePodSandBox",
            "involvedObject": {"kind": "Pod", "name": "x-n", "uid": "p"}, "lastTimestamp": last_attempt});
        let mut cache = ObjectCache::default();
        [set, pod, event].into_iter().for_each(|object| cache.insert_json(object));
        count(&cache, &TrackedRelease::new("x", "m", [&json!({"kind": "DaemonSet", "metadata": {"name": "x"}})]))
            .is_ready()
    };
    assert!(is_ready(10, "2026-01-01T00:00:40Z"));
    assert!(!is_ready(10, "2026-01-01T00:00:20Z"), "the first attempts of a new node fail");
    assert!(!is_ready(3, "2026-01-01T00:00:40Z"), "one of three nodes is not the exception");
}
