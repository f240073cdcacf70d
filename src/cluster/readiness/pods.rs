//! The state of pods that are not ready, where no rule finds a cause.

use crate::cluster::views::{ContainerStatus, Object, Pod};
use crate::cluster::watch::cache::ObjectCache;

/// The state of the first pod of a workload that is not ready.
pub(super) fn starting(cache: &ObjectCache, workload: &Object) -> Option<String> {
    let mut pods = cache.pods(workload).filter(|pod| pod.is_expected() && !pod.is_ready());
    let pod = pods.find(|pod| !is_left_out(cache, workload, pod))?;
    let name = &pod.metadata.name;
    if pod.status.conditions.when_false("PodScheduled").is_some() {
        return Some(format!("pod {name} waits for a node"));
    }
    let of_container = pod.containers().find_map(|container| state(container, name));
    Some(of_container.unwrap_or_else(|| format!("pod {name} is starting")))
}

fn state(container: &ContainerStatus, pod: &str) -> Option<String> {
    let named = format!("container {} of pod {pod}", container.name);
    if container.is_running() {
        return (!container.ready).then(|| format!("{named} runs but is not ready"));
    }
    match container.state.waiting.reason.as_str() {
        "" | "ContainerCreating" | "PodInitializing" => None,
        reason => Some(format!("{named}: {reason}")),
    }
}

/// Whether a pod of a DaemonSet does not count, since its node does not run pods at the moment, has no room for it while other
/// nodes have, or has created no sandbox for it while at least 90 % of the pods are available.
pub(in crate::cluster) fn is_left_out(cache: &ObjectCache, workload: &Object, pod: &Pod) -> bool {
    let Object::DaemonSet(set) = workload else { return false };
    let status = &set.status;
    let is_late = cache.nodes.is_some();
    let is_rare = status.number_available > 0 && status.number_available * 10 >= status.desired_number_scheduled * 9;
    cache.problem_of_node(pod).is_some()
        || (is_late && status.number_available > 0 && pod.lacks_room().is_some())
        || (is_rare && pod.lacks_sandbox(cache.events("Pod", &pod.metadata)))
}
