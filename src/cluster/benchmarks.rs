//! Readiness and rules over the objects of a large cluster.

use serde_json::{Value, json};

use crate::cluster::snapshot::Snapshot;
use crate::cluster::views::Object;
use crate::cluster::watch::release::TrackedRelease;

type Call = Box<dyn FnMut() -> usize>;
type Benchmark = (&'static str, [usize; 2], fn(usize) -> Call);

/// Name, sizes and call of each function.
pub(crate) const BENCHMARKS: &[Benchmark] =
    &[("readiness-of-pods", [1_250, 5_000], readiness), ("rules-over-events", [5_000, 20_000], rules)];

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1)
}

/// A DaemonSet with a pod on each node; every tenth pod has no sandbox.
fn daemon_set(pods: usize) -> Vec<Value> {
    let is_ready = |number: usize| !number.is_multiple_of(10);
    let status = json!({"observedGeneration": 1, "desiredNumberScheduled": pods, "currentNumberScheduled": pods,
        "updatedNumberScheduled": pods, "numberAvailable": (0..pods).filter(|number| is_ready(*number)).count()});
    let metadata = json!({"name": "alloy", "namespace": "m", "uid": "set", "generation": 1});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "status": status});
    let pod = |number: usize| {
        let owner = json!({"kind": "DaemonSet", "name": "alloy", "uid": "set", "controller": true});
        let metadata = json!({"name": format!("alloy-{number:05}"), "namespace": "m", "uid": format!("pod-{number}"),
            "creationTimestamp": "1970-01-01T00:00:00Z", "ownerReferences": [owner]});
        let (phase, ready, state) = match is_ready(number) {
            true => ("Running", "True", json!({"running": {}})),
            false => ("Pending", "False", json!({"waiting": {"reason": "ContainerCreating"}})),
        };
        let status = json!({"phase": phase,
            "conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "alloy", "image": "grafana/alloy:v1.11.3", "ready": is_ready(number),
                "state": state}]});
        let spec = json!({"nodeName": format!("node-{number}")});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    };
    std::iter::once(set).chain((0..pods).map(pod)).collect()
}

/// Warning events, four about each pod.
fn events(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| {
        let pod = number / 4;
        let involved = json!({"kind": "Pod", "name": format!("alloy-{pod:05}"), "namespace": "m",
            "uid": format!("pod-{pod}")});
        let metadata = json!({"name": format!("alloy-{pod:05}.{number:x}"), "namespace": "m"});
        json!({"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": involved,
            "type": "Warning", "reason": "FailedCreatePodSandBox", "message": "rpc error",
            "lastTimestamp": "1970-01-01T00:59:00Z", "count": 3})
    })
}

fn snapshot(objects: impl IntoIterator<Item = Value>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    objects.into_iter().for_each(|object| snapshot.cache.insert(Object::from_json(object)));
    snapshot
}

/// The length of the text that says for which pods it waits.
fn readiness(pods: usize) -> Call {
    let objects = daemon_set(pods);
    let release = TrackedRelease::new("alloy", "m", objects.iter().take(1));
    let snapshot = snapshot(objects);
    Box::new(move || snapshot.readiness(&release, now()).waiting.map_or(0, |text| text.len()))
}

/// The length of the causes, which count the pods.
fn rules(count: usize) -> Call {
    let objects = daemon_set(count / 4);
    let releases = [TrackedRelease::new("alloy", "m", objects.iter().take(1))];
    let snapshot = snapshot(objects.into_iter().chain(events(count)));
    Box::new(move || snapshot.diagnoses(&releases, now()).iter().map(|found| found.cause.len()).sum())
}
