//! What is progress of a rollout, and what only repeats.

use serde_json::{Value, json};

use super::*;
use crate::stack::WaitFor;

/// The states of a release, each compared with all before it.
fn advances(manifest: &[Value], states: &[Vec<Value>]) -> Vec<bool> {
    let release = TrackedRelease::new("x", "m", manifest);
    let mut highest = HighestCounts::default();
    states.iter().map(|objects| highest.advance(&progress(&cache(objects), &release))).collect()
}

fn cache(objects: &[Value]) -> ObjectCache {
    let mut cache = ObjectCache::default();
    objects.iter().for_each(|object| cache.insert_json(object.clone()));
    cache
}

fn manifest(kind: &str) -> Vec<Value> {
    vec![json!({"kind": kind, "metadata": {"name": "x"}})]
}

fn daemon_set(generation: i64, [observed, updated, available]: [i64; 3]) -> Value {
    json!({"kind": "DaemonSet", "metadata": {"name": "x", "namespace": "m", "uid": "x", "generation": generation},
        "status": {"observedGeneration": observed, "desiredNumberScheduled": 8, "currentNumberScheduled": 8,
            "updatedNumberScheduled": updated, "numberAvailable": available}})
}

fn pod(name: &str, revision: &str, status: Value) -> Value {
    json!({"kind": "Pod", "status": status, "metadata": {"name": name, "namespace": "m",
        "labels": {"controller-revision-hash": revision},
        "ownerReferences": [{"kind": "DaemonSet", "name": "x", "uid": "x", "controller": true}]}})
}

fn scheduled() -> Value {
    json!({"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"}],
        "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]})
}

fn running(restarts: i64, ready: &str) -> Value {
    json!({"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": ready}],
        "containerStatuses": [{"name": "c", "restartCount": restarts, "state": {"running": {}}}]})
}

#[test]
fn each_step_of_a_rollout_is_progress_and_its_repetition_is_not() {
    let states = [
        vec![daemon_set(1, [1, 8, 8])],
        vec![daemon_set(2, [1, 8, 8])],
        vec![daemon_set(2, [2, 0, 8])],
        vec![daemon_set(2, [2, 2, 6])],
        // Two more pods are replaced before the first two are available, or the first two flap.
        vec![daemon_set(2, [2, 2, 8])],
        vec![daemon_set(2, [2, 2, 6])],
        vec![daemon_set(2, [2, 2, 8])],
        vec![daemon_set(2, [2, 4, 6])],
        // Another client changes the template: a new revision.
        vec![daemon_set(3, [3, 0, 8])],
    ];
    let expected = [true, false, true, true, true, false, false, true, true];
    assert_eq!(advances(&manifest("DaemonSet"), &states), expected);
}

#[test]
fn a_container_that_crashes_again_and_again_is_no_progress() {
    let set = daemon_set(1, [1, 1, 0]);
    let crashed = json!({"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"}],
        "containerStatuses": [{"name": "c", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]});
    let state = |status: &Value| vec![set.clone(), pod("x-1", "a", status.clone())];
    let states = [
        json!({}),
        scheduled(),
        running(0, "False"),
        crashed.clone(),
        running(1, "False"),
        crashed,
        running(2, "True"),
        running(2, "False"),
        running(2, "True"),
    ];
    let states: Vec<Vec<Value>> = states.iter().map(state).collect();
    assert_eq!(advances(&manifest("DaemonSet"), &states), [true, true, true, false, false, false, true, false, false]);
}

#[test]
fn a_pod_that_is_replaced_reaches_nothing_new_unless_its_revision_is_new() {
    let set = daemon_set(1, [1, 1, 0]);
    let failed = |name: &str| {
        pod(
            name,
            "a",
            json!({"phase": "Failed", "reason": "Evicted", "conditions": [{"type": "PodScheduled", "status": "True"}]}),
        )
    };
    let states = [
        vec![set.clone(), pod("x-1", "a", running(0, "False"))],
        vec![set.clone(), failed("x-1"), pod("x-2", "a", running(0, "False"))],
        vec![set.clone(), failed("x-1"), failed("x-2"), pod("x-3", "a", running(0, "False"))],
        vec![set.clone(), pod("x-4", "b", scheduled())],
    ];
    assert_eq!(advances(&manifest("DaemonSet"), &states), [true, false, false, true]);
}

#[test]
fn claims_jobs_crds_and_conditions_count_once() {
    let row = |kind: &str, before: Value, after: Value| {
        let object = |status: &Value| {
            let namespace = if kind == "CustomResourceDefinition" { "" } else { "m" };
            vec![json!({"kind": kind, "metadata": {"name": "x", "namespace": namespace, "uid": "x"}, "status": status})]
        };
        let states = [object(&before), object(&after), object(&before), object(&after)];
        assert_eq!(advances(&manifest(kind), &states), [false, true, false, false], "{kind}");
    };
    row("PersistentVolumeClaim", json!({"phase": "Pending"}), json!({"phase": "Bound"}));
    row("Job", json!({"active": 1}), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    row("CustomResourceDefinition", json!({}), json!({"conditions": [{"type": "Established", "status": "True"}]}));

    let wanted = WaitFor {
        api_version: "v1".into(),
        kind: "Prometheus".into(),
        name: "p".into(),
        condition: "Available".into(),
    };
    let rendered = json!({"apiVersion": "v1", "kind": "Prometheus", "metadata": {"name": "p"}});
    let release = TrackedRelease::new("x", "m", [&rendered]).waiting_for(&[wanted]);
    let mut highest = HighestCounts::default();
    let mut reach = |status: &str| {
        let condition = json!({"type": "Available", "status": status, "observedGeneration": 1});
        let resource = json!({"kind": "Prometheus", "metadata": {"name": "p", "namespace": "m", "uid": "p"}, "status": {"conditions": [condition]}});
        highest.advance(&progress(&cache(&[resource]), &release))
    };
    assert_eq!([reach("False"), reach("True"), reach("False"), reach("True")], [false, true, false, false]);
}

#[test]
fn pods_of_the_new_revision_are_counted() {
    let counts = |set: Value| {
        let progress = progress(&cache(&[set]), &TrackedRelease::new("x", "m", &manifest("DaemonSet")));
        (progress.updated_pods, progress.desired_pods)
    };
    assert_eq!(counts(daemon_set(2, [1, 8, 8])), (0, 8), "not observed");
    assert_eq!(counts(daemon_set(2, [2, 0, 8])), (0, 8));
    assert_eq!(counts(daemon_set(2, [2, 4, 6])), (2, 8));
    assert_eq!(counts(daemon_set(2, [2, 8, 8])), (8, 8));
}

#[test]
fn any_number_in_a_status_is_accepted() {
    for number in [i64::MIN, -1, i64::MAX] {
        let mut object = daemon_set(1, [1, number, i64::MIN]);
        for field in ["desiredNumberScheduled", "currentNumberScheduled"] {
            object["status"][field] = number.into();
        }
        let release = TrackedRelease::new("x", "m", &manifest("DaemonSet"));
        assert_eq!(progress(&cache(&[object]), &release).updated_pods, 0, "{number}");
    }
}
