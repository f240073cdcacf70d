//! Readiness rows: one object, one verdict.

use serde_json::{Value, json};

use super::*;

/// When the looking began.
const BEGINNING: &str = "2026-01-01T00:00:30Z";

fn seen(objects: &[Value]) -> Seen {
    let key = |object: &Value| {
        let part = |path: &str| text(object, path).to_owned();
        (part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
    };
    objects.iter().map(|object| (key(object), object.clone())).collect()
}

fn judge(objects: &[Value], manifest: &Value) -> ReleaseReadiness {
    judge_with(objects, std::slice::from_ref(manifest), &[])
}

fn judge_with(objects: &[Value], manifest: &[Value], wait_for: &[WaitFor]) -> ReleaseReadiness {
    let seen = seen(objects);
    let moment = |text: &str| text.parse().unwrap();
    let (now, since) = (moment("2026-01-01T00:10:00Z"), moment(BEGINNING));
    release(World { seen: &seen, now, since }, manifest, wait_for, "m")
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
fn each_kind_has_its_own_idea_of_ready() {
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
fn an_object_that_is_not_there_is_waited_for_and_a_hook_is_not() {
    let missing = json!({"kind": "Deployment", "metadata": {"name": "x"}});
    assert_eq!(judge(&[], &missing).waiting.as_deref(), Some("Deployment x is not there yet"));
    let hook = json!({"kind": "Job", "metadata": {"name": "x", "annotations": {"helm.sh/hook": "pre-install"}}});
    assert_eq!(judge(&[], &hook), ReleaseReadiness::default());
}

#[test]
fn the_cause_is_followed_down_to_the_container() {
    let deployment = object(
        "Deployment",
        "web",
        json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 1}}),
    );
    let owner = json!({"kind": "ReplicaSet", "name": "web-abc", "uid": "rs"});
    let waiting = |reason: &str, restarts: u32| {
        pod(
            owner.clone(),
            json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i", "restartCount": restarts,
            "state": {"waiting": {"reason": reason, "message": "because"}}}]}),
        )
    };
    let manifest = json!({"kind": "Deployment", "metadata": {"name": "web"}});
    let early = judge(&[deployment.clone(), waiting("CrashLoopBackOff", 2)], &manifest);
    assert!(early.failed.is_none(), "a few restarts are passing");
    assert!(early.waiting.unwrap().contains("CrashLoopBackOff, 2 restarts"));
    let late = judge(&[deployment.clone(), waiting("CrashLoopBackOff", 5)], &manifest);
    let (why, hint) = late.failed.unwrap();
    assert!(why.contains("container c of pod p-0"), "{why}");
    assert_eq!(hint.unwrap(), "see `kubectl -n m logs p-0 -c c --previous`");
    let image = judge(&[deployment, waiting("ImagePullBackOff", 0)], &manifest);
    assert!(image.failed.unwrap().0.contains("ImagePullBackOff: because"));
}

/// A rerun after the image was pushed: the kubelet has not tried again yet.
#[test]
fn what_stood_before_the_run_is_given_time_to_mend() {
    let owner = json!({"kind": "StatefulSet", "name": "loki", "uid": "uid-loki"});
    let set = object("StatefulSet", "loki", json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2}}));
    let old = pod(
        owner,
        json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i", "restartCount": 9,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
    );
    let manifest = json!({"kind": "StatefulSet", "metadata": {"name": "loki"}});
    let seen = seen(&[set, old]);
    let judged = |since: &str| {
        let world = World { seen: &seen, now: "2026-01-01T00:10:00Z".parse().unwrap(), since: since.parse().unwrap() };
        release(world, std::slice::from_ref(&manifest), &[], "m")
    };
    assert!(judged("2026-01-01T00:09:30Z").failed.is_none());
    assert!(judged(BEGINNING).failed.is_some());
}

#[test]
fn a_pod_of_a_deployment_with_a_longer_name_is_not_ours() {
    let deployment = object("Deployment", "web", json!({"status": {"observedGeneration": 2}}));
    let other = pod(
        json!({"kind": "ReplicaSet", "name": "web-two-abc", "uid": "rs"}),
        json!({"phase": "Failed", "reason": "Evicted"}),
    );
    let readiness = judge(&[deployment, other], &json!({"kind": "Deployment", "metadata": {"name": "web"}}));
    assert!(!readiness.waiting.unwrap().contains("p-0"));
}

#[test]
fn a_missing_default_storage_class_is_named() {
    let set = object("StatefulSet", "loki", json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 2}}));
    let mut unscheduled = pod(
        json!({"kind": "StatefulSet", "name": "loki", "uid": "uid-loki"}),
        json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "unbound claims"}]}),
    );
    unscheduled["spec"] = json!({"volumes": [{"persistentVolumeClaim": {"claimName": "storage-loki-0"}}]});
    let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "storage-loki-0", "namespace": "m"}, "status": {"phase": "Pending"}});
    let readiness = judge(&[set, unscheduled, claim], &json!({"kind": "StatefulSet", "metadata": {"name": "loki"}}));
    assert!(readiness.waiting.unwrap().contains("no default one"));
}

#[test]
fn an_operators_condition_counts_only_for_the_generation_it_saw() {
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
    assert!(judge_with(&[with("True", 2)], &[], &wanted).is_ready());
    assert!(!judge_with(&[with("True", 1)], &[], &wanted).is_ready());
    let set = json!({"kind": "StatefulSet", "metadata": {"name": "prometheus-k", "namespace": "m", "uid": "s", "ownerReferences": [{"uid": "uid-k"}]}});
    let stuck = pod(
        json!({"kind": "StatefulSet", "name": "prometheus-k", "uid": "s"}),
        json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}),
    );
    let readiness = judge_with(&[with("False", 2), set, stuck], &[], &wanted);
    assert_eq!(readiness.waiting.as_deref(), Some("pod p-0 cannot be scheduled: 0/3 nodes are available"));
}
