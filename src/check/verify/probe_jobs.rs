//! Short-lived Jobs for what only a pod can prove: that the logs of a pod are collected, and which pods reach Grafana.
//! The cluster itself ends and removes a Job that a killed verification has left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use nix::sys::signal::kill;
use nix::unistd::{Pid, gethostname};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterError, ObjectRef, uid_of};
use crate::stack::{MANAGED_BY, TAILWATCH};

/// Label of every object that a verification creates; its value is [`Probes::run`].
const LABEL: &str = "tailwatch.dev/probe";
/// Annotation with the creator, `host/pid`; identifies the Jobs of a killed verification.
const CREATOR: &str = "tailwatch.dev/probe-of";
/// `activeDeadlineSeconds` of a Job.
const DEADLINE: u64 = 150;
/// `ttlSecondsAfterFinished` of a Job.
const TTL: u64 = 30;
/// The age from which a Job is abandoned.
const ABANDONED: jiff::SignedDuration = jiff::SignedDuration::from_secs(DEADLINE as i64 + 30);
/// How long the deletion of the pods may take.
const DELETION: Duration = Duration::from_secs(15);
/// Jobs that are created or deleted in parallel.
const PARALLEL: usize = 4;
/// Name of a probe's only container.
pub(super) const CONTAINER: &str = "probe";

/// The probes of one verification.
pub(super) struct Probes {
    /// Eight hexadecimal digits, part of each name, label and log line.
    pub(super) run: String,
    created: AtomicBool,
}

impl Default for Probes {
    fn default() -> Probes {
        Probes { run: format!("{:08x}", rand::random::<u32>()), created: AtomicBool::new(false) }
    }
}

/// The command of a probe job, and its node.
pub(super) struct ProbeJob<'a> {
    /// Last part of its name.
    pub(super) name: String,
    /// The node to run on; `None`: any.
    pub(super) node: Option<&'a str>,
    pub(super) command: Vec<String>,
    /// Pod spec of the workload to copy the image and pull secrets from, and without a node what it is scheduled by; no
    /// other image is pulled.
    pub(super) template: &'a Value,
}

/// A probe that has written its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    pub(super) node: String,
    pub(super) pod: String,
}

impl Probes {
    /// Creates the Jobs, after it has deleted those of killed verifications.
    pub(super) async fn create(
        &self,
        cluster: &Cluster,
        namespace: &str,
        probe_jobs: &[ProbeJob<'_>],
    ) -> Result<(), ClusterError> {
        if !self.created.swap(true, Ordering::SeqCst) {
            let left = cluster.list("batch/v1", "Job", Some(namespace), Some(LABEL)).await?;
            delete(cluster, left.iter().filter(|job| is_abandoned(job))).await?;
        }
        let jobs: Vec<Value> = probe_jobs.iter().map(|probe_job| self.job(namespace, probe_job)).collect();
        futures::stream::iter(jobs)
            .map(|job| async move { cluster.create(&job).await })
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }

    /// The pods of this verification.
    pub(super) async fn pods(&self, cluster: &Cluster, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        cluster.list("v1", "Pod", Some(namespace), Some(&format!("{LABEL}={}", self.run))).await
    }

    /// Deletes the Jobs of this verification, and waits until their pods are deleted.
    pub(super) async fn clear(&self, cluster: &Cluster, namespace: &str) -> Result<(), ClusterError> {
        if !self.created.load(Ordering::SeqCst) {
            return Ok(());
        }
        let own = format!("{LABEL}={}", self.run);
        let jobs = cluster.list("batch/v1", "Job", Some(namespace), Some(&own)).await?;
        delete(cluster, jobs.iter()).await?;
        let deleted = async {
            while !self.pods(cluster, namespace).await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        // The cluster deletes the remaining ones.
        tokio::time::timeout(DELETION, deleted).await.unwrap_or(Ok(()))
    }

    fn job(&self, namespace: &str, probe_job: &ProbeJob<'_>) -> Value {
        let creator = format!("{}/{}", host(), std::process::id());
        let labels = json!({LABEL: self.run, MANAGED_BY: TAILWATCH, "app.kubernetes.io/name": "tailwatch-probe"});
        let containers = probe_job.template["containers"].as_array();
        let image = containers.and_then(|all| all.first()).map(|first| first["image"].clone());
        let mut pod = json!({
            "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 0, "nodeSelector": {"kubernetes.io/os": "linux"},
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
        if let Some(secrets) = probe_job.template.get("imagePullSecrets") {
            pod["imagePullSecrets"] = secrets.clone();
        }
        match probe_job.node {
            // As for a DaemonSet's pod: the scheduler binds it, whatever the node's taints are.
            Some(node) => {
                let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
                let required = json!({"nodeSelectorTerms": [term]});
                pod["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
                pod["tolerations"] = json!([{"operator": "Exists"}]);
            }
            // Where the workload with this image can run, and not on a node that is not ready.
            None => {
                for key in ["nodeSelector", "affinity", "tolerations"] {
                    if let Some(value) = probe_job.template.get(key) {
                        pod[key] = value.clone();
                    }
                }
            }
        }
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": format!("tailwatch-probe-{}-{}", self.run, probe_job.name), "namespace": namespace,
                "labels": labels, "annotations": {CREATOR: creator},
            },
            "spec": {
                "backoffLimit": 0, "activeDeadlineSeconds": DEADLINE, "ttlSecondsAfterFinished": TTL,
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
        .buffer_unordered(PARALLEL)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await
}

fn host() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Whether the verification that created a Job can no longer delete it.
fn is_abandoned(job: &Value) -> bool {
    let created = job.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default();
    let is_old = created
        .parse()
        .is_ok_and(|created: jiff::Timestamp| jiff::Timestamp::now().duration_since(created) > ABANDONED);
    let creator = job["metadata"]["annotations"][CREATOR].as_str().unwrap_or_default();
    is_old || creator.split_once('/').is_none_or(|(name, pid)| name == host() && !is_alive(pid))
}

fn is_alive(pid: &str) -> bool {
    pid.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

/// The exit code of a probe that has ended.
pub(super) fn ended(pod: &Value) -> Option<i64> {
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64()
}

/// Why a pod has no result, as its status reports it.
pub(super) fn reason(pod: &Value) -> String {
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let waiting = state["waiting"]["reason"].as_str().filter(|name| *name != "ContainerCreating");
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let unscheduled = conditions
        .filter(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
        .find_map(|condition| condition["message"].as_str());
    let ended = ended(pod).map(|code| format!("ended with exit code {code}"));
    let detail = |name: &str| match state["waiting"]["message"].as_str() {
        Some(message) => format!("{name}: {message}"),
        None => name.to_owned(),
    };
    waiting.map(detail).or(unscheduled.map(str::to_owned)).or(ended).unwrap_or_else(|| "it has not started".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jobs_of_killed_verifications_are_abandoned() {
        let now = jiff::Timestamp::now();
        let job = |creator: String, created: jiff::Timestamp| json!({"metadata": {"annotations": {CREATOR: creator}, "creationTimestamp": created.to_string()}});
        let own = format!("{}/{}", host(), std::process::id());
        assert!(!is_abandoned(&job(own.clone(), now)));
        assert!(is_abandoned(&job(own, now - ABANDONED - ABANDONED)));
        assert!(is_abandoned(&job(format!("{}/4194305", host()), now)), "no pid is as large");
        assert!(!is_abandoned(&job("elsewhere/4194305".into(), now)));
        assert!(is_abandoned(&job(String::new(), now)));
    }

    #[test]
    fn a_probe_is_small_restricted_and_ends_by_itself() {
        let template =
            json!({"containers": [{"image": "mirror.example/alloy:1"}], "imagePullSecrets": [{"name": "pull"}]});
        let probe_job =
            ProbeJob { name: "0".into(), node: Some("node-7"), command: vec!["sh".into()], template: &template };
        let job = Probes::default().job("monitoring", &probe_job);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], "mirror.example/alloy:1");
        assert_eq!(pod["imagePullSecrets"][0]["name"], "pull");
        assert!(pod["affinity"].to_string().contains("node-7"));
        assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
        let template = json!({"tolerations": [{"key": "infra"}], "affinity": {"x": 1}});
        let anywhere = ProbeJob { node: None, template: &template, ..probe_job };
        let anywhere = Probes::default().job("monitoring", &anywhere)["spec"]["template"]["spec"].clone();
        assert_eq!(
            (&anywhere["tolerations"], &anywhere["affinity"]),
            (&template["tolerations"], &template["affinity"])
        );
        assert_eq!(anywhere["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], TTL);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    }

    #[test]
    fn a_pod_that_does_not_run_has_a_reason() {
        let waiting = json!({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}}}]}});
        assert_eq!(reason(&waiting), "ErrImagePull: no such tag");
        let pending =
            json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}});
        assert_eq!(reason(&pending), "0/3 nodes");
        assert_eq!(reason(&json!({})), "it has not started");
    }
}
