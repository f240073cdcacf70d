//! Short-lived pods of ours that prove what only a pod can prove: that what a pod writes is collected, and which pods
//! reach Grafana. Each is a Job that the cluster itself ends and removes, should nobody be left to do so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use nix::sys::signal::kill;
use nix::unistd::{Pid, gethostname};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterError, ObjectRef, uid_of};
use crate::stack::{MANAGED_BY, TAILWATCH};

/// Label of everything that a verification makes; its value is the verification.
const LABEL: &str = "tailwatch.dev/probe";
/// Who makes it, `host/pid`: what a killed verification left is known by it.
const MAKER: &str = "tailwatch.dev/probe-of";
/// The cluster ends a probe after this many seconds, and removes it after as many as [`KEPT`].
const ENDED: u64 = 150;
const KEPT: u64 = 30;
/// A probe as old as this is nobody's any more.
const FORGOTTEN: jiff::SignedDuration = jiff::SignedDuration::from_secs(ENDED as i64 + 30);
/// How long pods may take to go.
const LEAVING: Duration = Duration::from_secs(15);
/// Jobs that are made or deleted side by side.
const AT_ONCE: usize = 4;
/// Name of a probe's only container.
pub(super) const CONTAINER: &str = "probe";

/// The probes of one verification.
pub(super) struct Probes {
    /// Eight hexadecimal digits, in every name, label and line of it.
    pub(super) run: String,
    made: AtomicBool,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes { run: format!("{:08x}", rand::random::<u32>()), made: AtomicBool::new(false) }
    }
}

/// What a probe runs, and where.
pub(super) struct ProbeJob<'a> {
    /// Last part of its name.
    pub(super) name: String,
    /// Node that it has to run on; `None`: any.
    pub(super) node: Option<&'a str>,
    pub(super) command: Vec<String>,
    /// Pod spec of the workload whose image and pull secrets it takes, so that nothing new is pulled.
    pub(super) like: &'a Value,
}

impl Probes {
    /// Makes the Jobs of some errands; what a killed verification left goes first.
    pub(super) async fn send(
        &self,
        cluster: &Cluster,
        namespace: &str,
        probe_jobs: &[ProbeJob<'_>],
    ) -> Result<(), ClusterError> {
        if !self.made.swap(true, Ordering::SeqCst) {
            let left = cluster.list("batch/v1", "Job", Some(namespace), Some(LABEL)).await?;
            delete(cluster, left.iter().filter(|job| is_forgotten(job))).await?;
        }
        let jobs: Vec<Value> = probe_jobs.iter().map(|probe_job| self.job(namespace, probe_job)).collect();
        futures::stream::iter(jobs)
            .map(|job| async move { cluster.create(&job).await })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// The pods of this verification, of an errand's name or all.
    pub(super) async fn pods(&self, cluster: &Cluster, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        cluster.list("v1", "Pod", Some(namespace), Some(&format!("{LABEL}={}", self.run))).await
    }

    /// Takes away everything that this verification made, and waits until its pods have gone.
    pub(super) async fn clear(&self, cluster: &Cluster, namespace: &str) -> Result<(), ClusterError> {
        if !self.made.load(Ordering::SeqCst) {
            return Ok(());
        }
        let ours = format!("{LABEL}={}", self.run);
        let jobs = cluster.list("batch/v1", "Job", Some(namespace), Some(&ours)).await?;
        delete(cluster, jobs.iter()).await?;
        let gone = async {
            while !self.pods(cluster, namespace).await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        // Whatever outlasts this the cluster removes.
        tokio::time::timeout(LEAVING, gone).await.unwrap_or(Ok(()))
    }

    fn job(&self, namespace: &str, probe_job: &ProbeJob<'_>) -> Value {
        let maker = format!("{}/{}", host(), std::process::id());
        let labels = json!({LABEL: self.run, MANAGED_BY: TAILWATCH, "app.kubernetes.io/name": "tailwatch-probe"});
        let containers = probe_job.like["containers"].as_array();
        let image = containers.and_then(|all| all.first()).map(|first| first["image"].clone());
        let mut pod = json!({
            "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0, "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent", "command": probe_job.command,
                "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "50m", "memory": "32Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        });
        if let Some(secrets) = probe_job.like.get("imagePullSecrets") {
            pod["imagePullSecrets"] = secrets.clone();
        }
        if let Some(node) = probe_job.node {
            // As a DaemonSet's pod: the scheduler places it, whatever the node's taints are.
            let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
            let required = json!({"nodeSelectorTerms": [term]});
            pod["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
        }
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": format!("tailwatch-probe-{}-{}", self.run, probe_job.name), "namespace": namespace,
                "labels": labels, "annotations": {MAKER: maker},
            },
            "spec": {
                "backoffLimit": 0, "activeDeadlineSeconds": ENDED, "ttlSecondsAfterFinished": KEPT,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        })
    }
}

async fn delete(cluster: &Cluster, jobs: impl Iterator<Item = &Value>) -> Result<(), ClusterError> {
    let jobs: Vec<(ObjectRef, String)> =
        jobs.map(|job| (ObjectRef::of(job), uid_of(job).unwrap_or_default().to_owned())).collect();
    futures::stream::iter(jobs)
        .map(|(job, uid)| async move { cluster.delete(&job, &uid).await })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await
}

fn host() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Whether the verification that made a Job cannot clear it away any more.
fn is_forgotten(job: &Value) -> bool {
    let made = job.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default();
    let is_old =
        made.parse().is_ok_and(|made: jiff::Timestamp| jiff::Timestamp::now().duration_since(made) > FORGOTTEN);
    let maker = job["metadata"]["annotations"][MAKER].as_str().unwrap_or_default();
    is_old || maker.split_once('/').is_none_or(|(place, pid)| place == host() && !is_alive(pid))
}

fn is_alive(pid: &str) -> bool {
    pid.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

/// The exit code of a probe that has ended.
pub(super) fn ended(pod: &Value) -> Option<i64> {
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64()
}

/// Why a pod does not do what it should, in the cluster's words.
pub(super) fn trouble(pod: &Value) -> String {
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let waiting = state["waiting"]["reason"].as_str().filter(|reason| *reason != "ContainerCreating");
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let unscheduled = conditions
        .filter(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
        .find_map(|condition| condition["message"].as_str());
    let ended = ended(pod).map(|code| format!("ended with exit code {code}"));
    let detail = |reason: &str| match state["waiting"]["message"].as_str() {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    };
    waiting.map(detail).or(unscheduled.map(str::to_owned)).or(ended).unwrap_or_else(|| "it has not started".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_of_a_dead_verification_is_forgotten_and_one_of_a_living_is_not() {
        let now = jiff::Timestamp::now();
        let job = |maker: String, made: jiff::Timestamp| json!({"metadata": {"annotations": {MAKER: maker}, "creationTimestamp": made.to_string()}});
        let ours = format!("{}/{}", host(), std::process::id());
        assert!(!is_forgotten(&job(ours.clone(), now)));
        assert!(is_forgotten(&job(ours, now - FORGOTTEN - FORGOTTEN)));
        assert!(is_forgotten(&job(format!("{}/4194305", host()), now)), "no pid is as large");
        assert!(!is_forgotten(&job("elsewhere/4194305".into(), now)));
        assert!(is_forgotten(&job(String::new(), now)));
    }

    #[test]
    fn a_probe_is_small_restricted_and_ends_by_itself() {
        let like = json!({"containers": [{"image": "mirror.example/alloy:1"}], "imagePullSecrets": [{"name": "pull"}]});
        let probe_job = ProbeJob { name: "0".into(), node: Some("node-7"), command: vec!["sh".into()], like: &like };
        let job = Probes::default().job("monitoring", &probe_job);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], "mirror.example/alloy:1");
        assert_eq!(pod["imagePullSecrets"][0]["name"], "pull");
        assert!(pod["affinity"].to_string().contains("node-7"));
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], KEPT);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    }

    #[test]
    fn a_pod_that_does_not_run_says_why() {
        let waiting = json!({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}}]}});
        assert_eq!(trouble(&waiting), "ErrImagePull: no such tag");
        let pending =
            json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}});
        assert_eq!(trouble(&pending), "0/3 nodes");
        assert_eq!(trouble(&json!({})), "it has not started");
    }
}
