//! The last lines of a container's log, read while they still exist: helm deletes a failed hook with its pods.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::watch::cache::{Key, containers, crash_of, number, text};
use crate::redaction::redacted;

/// Enough to see why a program ended.
const LINES: i64 = 20;
/// Of a program that runs on, what went wrong stands further back.
const RUNNING_LINES: i64 = 200;
const BYTES: i64 = 64 * 1024;

/// A container whose log tells why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogWanted {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    /// Of the instance before the present one.
    pub(super) previous: bool,
    /// Restarts so far: each end has a log of its own.
    pub(super) restarts: i64,
    /// How many lines.
    pub(super) lines: i64,
}

impl LogWanted {
    /// Of a container as it runs.
    fn of(pod: &Value, status: &Value) -> LogWanted {
        LogWanted {
            namespace: text(pod, "/metadata/namespace").to_owned(),
            pod: text(pod, "/metadata/name").to_owned(),
            container: text(status, "/name").to_owned(),
            previous: false,
            restarts: number(status, "/restartCount"),
            lines: RUNNING_LINES,
        }
    }

    /// Where it is kept.
    pub(super) fn key(&self) -> Key {
        (self.namespace.clone(), self.pod.clone(), self.container.clone())
    }
}

/// Containers of a pod that ended with an error and are not ready.
pub(super) fn wanted_logs(pod: &Value) -> Vec<LogWanted> {
    let failed = containers(pod).filter(|status| crash_of(status).is_some());
    let of_end = |status: &Value| LogWanted {
        previous: status.pointer("/state/terminated").is_none(),
        lines: LINES,
        ..LogWanted::of(pod, status)
    };
    failed.map(of_end).collect()
}

/// Containers of a pod that is well, whose log may still tell of something.
pub(super) fn running_logs(pod: &Value) -> Vec<LogWanted> {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten();
    let running = statuses.filter(|status| status.pointer("/state/running").is_some());
    running.map(|status| LogWanted::of(pod, status)).collect()
}

impl Cluster {
    /// The last lines, redacted; none where the log cannot be read.
    pub(super) async fn log_tail(&self, wanted: &LogWanted) -> Vec<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &wanted.namespace);
        let parameters = LogParams {
            container: Some(wanted.container.clone()),
            previous: wanted.previous,
            tail_lines: Some(wanted.lines),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        let log = api.logs(&wanted.pod, &parameters).await.unwrap_or_default();
        log.lines().map(|line| redacted(line).into_owned()).filter(|line| !line.trim().is_empty()).collect()
    }
}
