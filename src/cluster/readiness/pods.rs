//! Why a workload's pods are not ready: rows from what a pod says to what it means.

use serde_json::Value;

use crate::cluster::readiness::workloads::is_owned_by;
use crate::cluster::readiness::{World, condition, text};

/// Why pods are not ready.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Time may mend it.
    Passing { why: String },
    /// It stays until somebody acts.
    Lasting { why: String, hint: String },
}

/// A container's waiting reason and from when on it is no longer a passing one.
struct Rule {
    reason: &'static str,
    /// Seconds for which the pod has been seen.
    seconds: i64,
    /// Restarts of the container.
    restarts: i64,
    hint: fn(&Place<'_>) -> String,
}

struct Place<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    image: &'a str,
}

/// The kubelet backs off 10, 20, 40, 80, 160 s: a fifth restart has had more than two minutes. A pull is tried at
/// least five times in two minutes.
const RULES: [Rule; 5] = [
    Rule { reason: "InvalidImageName", seconds: 0, restarts: 0, hint: image },
    Rule { reason: "ErrImageNeverPull", seconds: 0, restarts: 0, hint: image },
    Rule { reason: "ImagePullBackOff", seconds: 120, restarts: 0, hint: image },
    Rule { reason: "CreateContainerConfigError", seconds: 60, restarts: 0, hint: describe },
    Rule { reason: "CrashLoopBackOff", seconds: 60, restarts: 5, hint: previous_log },
];

fn image(place: &Place<'_>) -> String {
    format!("make {} reachable for the nodes, or name another registry under `values:` in the answers", place.image)
}

fn describe(place: &Place<'_>) -> String {
    format!("see `kubectl -n {} describe pod {}`", place.namespace, place.pod)
}

fn previous_log(place: &Place<'_>) -> String {
    format!("see `kubectl -n {} logs {} -c {} --previous`", place.namespace, place.pod, place.container)
}

/// The first lasting cause among the pods of a workload, else the first passing one.
pub(super) fn of_pods(world: World<'_>, workload: &Value, namespace: &str) -> Option<Cause> {
    let mut pods: Vec<&Value> = world.all("Pod", namespace).filter(|pod| belongs_to(pod, workload)).collect();
    pods.sort_by_key(|pod| text(pod, "/metadata/name"));
    let mut passing = None;
    for pod in pods {
        match of_pod(world, pod, namespace) {
            lasting @ Some(Cause::Lasting { .. }) => return lasting,
            other => passing = passing.or(other),
        }
    }
    passing
}

/// A Deployment owns its pods through a ReplicaSet that is named after it and the pods' template hash.
fn belongs_to(pod: &Value, workload: &Value) -> bool {
    let name = text(workload, "/metadata/name");
    if text(workload, "/kind") != "Deployment" {
        return is_owned_by(pod, text(workload, "/metadata/uid"));
    }
    let hash = text(pod, "/metadata/labels/pod-template-hash");
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| {
        owners.iter().any(|owner| {
            text(owner, "/kind") == "ReplicaSet"
                && text(owner, "/name").strip_suffix(hash).and_then(|rest| rest.strip_suffix('-')) == Some(name)
        })
    })
}

fn of_pod(world: World<'_>, pod: &Value, namespace: &str) -> Option<Cause> {
    let ready = condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == "True");
    if ready || pod.pointer("/metadata/deletionTimestamp").is_some() || text(pod, "/status/phase") == "Succeeded" {
        return None;
    }
    let name = text(pod, "/metadata/name");
    let unscheduled = condition(pod, "PodScheduled").filter(|scheduled| text(scheduled, "/status") == "False");
    if let Some(why) = unscheduled.and_then(|_| pending_claims(world, pod, namespace)) {
        return Some(Cause::Passing { why });
    }
    if let Some(unscheduled) = unscheduled {
        return Some(Cause::Passing {
            why: format!("pod {name} cannot be scheduled: {}", text(unscheduled, "/message")),
        });
    }
    if text(pod, "/status/phase") == "Failed" {
        let reason = [text(pod, "/status/reason"), text(pod, "/status/message")].join(" ");
        return Some(Cause::Passing { why: format!("pod {name} failed: {}", reason.trim()) });
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = statuses.iter().filter_map(|path| pod.pointer(path)?.as_array()).flatten();
    let mut causes = containers.filter_map(|status| of_container(world, pod, status, namespace));
    let first = causes.next();
    first.or_else(|| Some(Cause::Passing { why: format!("pod {name} is starting") }))
}

fn of_container(world: World<'_>, pod: &Value, status: &Value, namespace: &str) -> Option<Cause> {
    let place = Place {
        namespace,
        pod: text(pod, "/metadata/name"),
        container: text(status, "/name"),
        image: text(status, "/image"),
    };
    let named = format!("container {} of pod {}", place.container, place.pod);
    if status.pointer("/state/running").is_some() {
        let ready = status.get("ready").and_then(Value::as_bool) == Some(true);
        return (!ready).then(|| Cause::Passing { why: format!("{named} runs but is not ready") });
    }
    let reason = text(status, "/state/waiting/reason");
    if matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
        return None;
    }
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or_default();
    let message = text(status, "/state/waiting/message").lines().next().unwrap_or_default();
    let mut why = format!("{named}: {reason}");
    if reason == "CrashLoopBackOff" {
        let code = status.pointer("/lastState/terminated/exitCode").and_then(Value::as_i64).unwrap_or_default();
        why = format!("{why}, {restarts} restarts, last exit code {code}");
    } else if !message.is_empty() {
        why = format!("{why}: {message}");
    }
    let age = age_seconds(world, pod);
    let broken = RULES.iter().find(|rule| rule.reason == reason && age >= rule.seconds && restarts >= rule.restarts);
    Some(match broken {
        Some(rule) => Cause::Lasting { hint: (rule.hint)(&place), why },
        None => Cause::Passing { why },
    })
}

/// How long a pod has been seen.
fn age_seconds(world: World<'_>, pod: &Value) -> i64 {
    let made: Option<jiff::Timestamp> = text(pod, "/metadata/creationTimestamp").parse().ok();
    made.map_or(0, |made| world.now.as_second() - made.max(world.since).as_second())
}

fn pending_claims(world: World<'_>, pod: &Value, namespace: &str) -> Option<String> {
    let volumes = pod.pointer("/spec/volumes")?.as_array()?;
    let names = volumes.iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    let mut claims = names.filter_map(|name| world.get("PersistentVolumeClaim", namespace, name));
    // Only a claim without a class hinders by itself; with one it may wait for the pod instead.
    let stuck = claims.find(|claim| text(claim, "/status/phase") == "Pending" && class(claim).is_none())?;
    Some(pending_claim(stuck))
}

fn class(claim: &Value) -> Option<&str> {
    claim.pointer("/spec/storageClassName").and_then(Value::as_str).filter(|class| !class.is_empty())
}

/// Why a claim has no volume yet.
pub(super) fn pending_claim(claim: &Value) -> String {
    let name = text(claim, "/metadata/name");
    match class(claim) {
        Some(class) => format!("PersistentVolumeClaim {name} waits for a volume of StorageClass {class}"),
        None => format!(
            "PersistentVolumeClaim {name} names no StorageClass and the cluster has no default one; \
             set storage.class in the answers or mark a StorageClass as default"
        ),
    }
}
