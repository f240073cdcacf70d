//! What pods that are not ready are doing, where nothing is known to be wrong with them.

use serde_json::Value;

use crate::cluster::watch::cache::{ObjectCache, containers, denied, has_condition, is_ready, text};

/// What the first pod of a workload that is not ready is doing.
pub(super) fn starting(cache: &ObjectCache, workload: &Value) -> Option<String> {
    let pod = cache.pods(workload).find(|pod| is_expected(pod) && !has_condition(pod, "Ready"))?;
    let name = text(pod, "/metadata/name");
    if denied(pod, "PodScheduled").is_some() {
        return Some(format!("pod {name} waits for a node"));
    }
    let doing = containers(pod).find_map(|status| of_container(status, name));
    Some(doing.unwrap_or_else(|| format!("pod {name} is starting")))
}

/// Neither on its way out nor done.
pub(in crate::cluster) fn is_expected(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none() && text(pod, "/status/phase") != "Succeeded"
}

fn of_container(status: &Value, pod: &str) -> Option<String> {
    let named = format!("container {} of pod {pod}", text(status, "/name"));
    if status.pointer("/state/running").is_some() {
        return (!is_ready(status)).then(|| format!("{named} runs but is not ready"));
    }
    match text(status, "/state/waiting/reason") {
        "" | "ContainerCreating" | "PodInitializing" => None,
        reason => Some(format!("{named}: {reason}")),
    }
}
