//! The last lines of a container's log. Read early: helm deletes a failed hook with its pods.

use k8s_openapi::api::core::v1;
use kube::api::{Api, LogParams};

use crate::cluster::Cluster;
use crate::cluster::views::{ContainerStatus, Pod};
use crate::cluster::watch::cache::Key;
use crate::redaction::redacted;

/// Lines that show why a program ended.
const LINES: i64 = 20;
/// In the log of a program that still runs, an error is further back.
const RUNNING_LINES: i64 = 200;
const BYTES: i64 = 64 * 1024;

/// A log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRequest {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    /// Of the instance before the current one.
    pub(super) previous: bool,
    /// Restarts so far: each instance has a log of its own.
    pub(super) restarts: i64,
    /// Number of lines.
    pub(super) lines: i64,
}

impl LogRequest {
    /// Of a container that runs.
    fn of(pod: &Pod, container: &ContainerStatus) -> LogRequest {
        LogRequest {
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            container: container.name.clone(),
            previous: false,
            restarts: container.restart_count,
            lines: RUNNING_LINES,
        }
    }

    /// Its key in the cache.
    pub(super) fn key(&self) -> Key {
        (self.namespace.clone(), self.pod.clone(), self.container.clone())
    }
}

/// Logs of containers that ended with an error and are not ready.
pub(super) fn logs_of_failed(pod: &Pod) -> Vec<LogRequest> {
    let failed = pod.containers().filter(|container| container.crash().is_some());
    let of_end = |container: &ContainerStatus| LogRequest {
        previous: container.state.terminated.is_none(),
        lines: LINES,
        ..LogRequest::of(pod, container)
    };
    failed.map(of_end).collect()
}

/// Containers of a pod that run; their logs may have problems, too.
pub(super) fn running_logs(pod: &Pod) -> impl Iterator<Item = LogRequest> {
    let running = pod.status.container_statuses.iter().filter(|container| container.is_running());
    running.map(|container| LogRequest::of(pod, container))
}

impl Cluster {
    /// The last lines, redacted; none if the log cannot be read.
    pub(super) async fn log_tail(&self, request: &LogRequest) -> Vec<String> {
        let api: Api<v1::Pod> = Api::namespaced(self.client.clone(), &request.namespace);
        let parameters = LogParams {
            container: Some(request.container.clone()),
            previous: request.previous,
            tail_lines: Some(request.lines),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        let log = api.logs(&request.pod, &parameters).await.unwrap_or_default();
        log.lines().map(|line| redacted(line).into_owned()).filter(|line| !line.trim().is_empty()).collect()
    }
}
