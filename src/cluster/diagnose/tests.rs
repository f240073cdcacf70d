//! Rows: the state of an object, and the rule that matches.

use serde_json::{Value, json};

use super::*;
use crate::cluster::views::Pod;
use crate::cluster::watch::cache::Nodes;

const NOW: &str = "2026-01-01T00:10:00Z";

pub(super) fn now() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

/// A StatefulSet `loki` in namespace m with one pod that mounts a claim, and a StorageClass.
pub(super) fn cache(pod: Value) -> ObjectCache {
    let mut cache = ObjectCache::default();
    cache.insert_json(json!({"kind": "StatefulSet", "metadata": {"name": "loki", "namespace": "m", "uid": "s"},
        "spec": {"replicas": 1}, "status": {}}));
    let mut whole = json!({"kind": "Pod", "metadata": {"name": "loki-0", "namespace": "m", "uid": "p",
        "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{"kind": "StatefulSet", "name": "loki", "uid": "s"}]},
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "storage"}}]}});
    whole["status"] = pod;
    cache.insert_json(whole);
    cache.insert_json(json!({"kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "x", "volumeBindingMode": "Immediate"}),
    );
    cache
}

pub(super) fn release() -> TrackedRelease {
    let manifest = [
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "loki"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "grafana"}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "hook", "annotations": {"helm.sh/hook": "pre-install"}}}),
    ];
    TrackedRelease::new("loki", "m", &manifest)
}

pub(super) fn found(cache: &ObjectCache) -> Vec<Diagnosis> {
    let matches = matches(cache, &release(), Scope { depth: Depth::Waiting, now: now() });
    at_once(matches, now()).into_iter().map(|cause| cause.diagnosis).collect()
}

pub(super) fn first(cache: &ObjectCache) -> String {
    found(cache).first().map(|found| found.rule.clone()).unwrap_or_default()
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "loki", "image": "loki:1", "ready": false,
        "state": {"waiting": {"reason": reason, "message": message}}}]})
}

pub(super) fn ended(reason: &str, code: i64) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "loki", "image": "loki:1", "ready": false, "restartCount": 6,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": reason, "exitCode": code}}}]})
}

fn unscheduled(message: &str) -> Value {
    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]})
}

pub(super) fn event(about: (&str, &str), reason: &str, message: &str) -> Value {
    json!({"kind": "Event", "metadata": {"name": format!("{}.{reason}", about.1), "namespace": "m"}, "type": "Warning",
        "involvedObject": {"kind": about.0, "name": about.1, "namespace": "m"}, "reason": reason, "message": message,
        "lastTimestamp": "2026-01-01T00:09:00Z"})
}

#[test]
fn the_message_of_a_container_chooses_the_rule() {
    let pull = "failed to pull and unpack image \"docker.io/x:1\": failed to resolve reference \"docker.io/x:1\": ";
    let rows = [
        (waiting("ErrImagePull", &format!("{pull}docker.io/x:1: not found")), "image-not-found"),
        // Digits of a digest are no status.
        (waiting("ErrImagePull", &format!("{pull}docker.io/x@sha256:4290401ab403: not found")), "image-not-found"),
        (
            waiting(
                "ImagePullBackOff",
                &format!("Back-off pulling image \"x\": {pull}429 Too Many Requests: toomanyrequests"),
            ),
            "image-rate-limited",
        ),
        (
            waiting(
                "ErrImagePull",
                &format!("{pull}pull access denied, repository does not exist or may require authorization"),
            ),
            "image-unauthorized",
        ),
        (
            waiting("ErrImagePull", &format!("{pull}dial tcp: lookup docker.io: no such host")),
            "image-registry-unreachable",
        ),
        (waiting("ErrImagePull", "no match for platform in manifest: not found"), "image-wrong-architecture"),
        (waiting("ImagePullBackOff", "Back-off pulling image \"x\""), "image-pull-failing"),
        (waiting("InvalidImageName", ""), "image-name-invalid"),
        (waiting("ErrImageNeverPull", ""), "image-never-pulled"),
        (waiting("CreateContainerConfigError", "secret \"a\" not found"), "config-missing"),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "runs-as-root",
        ),
        (ended("StartError", 128), "container-cannot-start"),
        (waiting("RunContainerError", "exec: \"x\": executable file not found in $PATH"), "container-cannot-start"),
        (ended("OOMKilled", 137), "out-of-memory"),
        (ended("Error", 1), "crash-loop"),
        (waiting("ContainerCreating", ""), ""),
        (waiting("PodInitializing", ""), ""),
    ];
    for (status, rule) in rows {
        assert_eq!(first(&cache(status.clone())), rule, "{status}");
    }
}

#[test]
fn an_older_kubelet_reports_the_cause_only_in_an_event() {
    let mut cache = cache(waiting("ImagePullBackOff", "Back-off pulling image \"loki:1\""));
    cache.insert_json(event(("Pod", "loki-0"), "Failed", "Failed to pull image \"loki:1\": manifest unknown"));
    assert_eq!(first(&cache), "image-not-found");
}

/// A StatefulSet's pod has the name of the pod before it.
#[test]
fn an_event_of_an_earlier_pod_of_the_name_reports_nothing() {
    for (uid, rule) in [("p", "volume-mount-failed"), ("earlier", "")] {
        let mut cache = cache(waiting("ContainerCreating", ""));
        let mut reported = event(("Pod", "loki-0"), "FailedMount", "configmap \"x\" not found");
        reported["involvedObject"]["uid"] = uid.into();
        cache.insert_json(reported);
        assert_eq!(first(&cache), rule);
    }
}

#[test]
fn the_log_of_a_known_program_reports_more_than_its_exit_code() {
    let rows = [
        ("level=error msg=\"failed parsing config: /etc/loki/config.yaml\"", "loki-config-invalid"),
        ("oidc: issuer did not match the issuer returned by provider, expected", "oauth2-proxy-issuer-mismatch"),
        (
            "invalid configuration:\n  cookie_secret must be 16, 24, or 32 bytes to create an AES cipher, but is 44",
            "oauth2-proxy-cookie-secret",
        ),
        (
            "Datasource provisioning error: Only one datasource per organization can be marked as default",
            "grafana-two-default-data-sources",
        ),
        ("write /var/loki/x: no space left on device", "disk-full"),
        ("exec /usr/bin/loki: exec format error", "image-wrong-architecture"),
        ("opening storage failed: lock DB directory: open /prometheus/lock: permission denied", "volume-not-writable"),
        (
            "opening storage failed: /prometheus/chunks_head/000012: invalid magic number 0",
            "prometheus-storage-corrupt",
        ),
        ("panic: nothing known", "crash-loop"),
    ];
    for (log, rule) in rows {
        let mut cache = cache(ended("Error", 1));
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        cache.logs.insert(("m".into(), "loki-0".into(), "loki".into()), lines.clone());
        let found = found(&cache);
        assert_eq!(found[0].rule, rule);
        assert_eq!(found[0].log, lines);
    }
}

#[test]
fn the_reason_of_most_nodes_reports_why_a_pod_is_not_scheduled() {
    let tail = ". preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    let rows = [
        ("0/3 nodes are available: 3 Insufficient memory", "memory-insufficient"),
        ("0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu", "cpu-insufficient"),
        ("0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports", "host-port-in-use"),
        (
            "0/3 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]",
            "host-port-in-use",
        ),
        ("0/3 nodes are available: 3 node(s) were unschedulable", "node-cordoned"),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector", "node-affinity-unmatched"),
        ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules", "pod-affinity-unmatched"),
        ("0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity", "volume-zone-conflict"),
        ("0/3 nodes are available: 3 node(s) exceed max volume count", "volume-limit-reached"),
        ("0/3 nodes are available: 3 Insufficient ephemeral-storage", "ephemeral-storage-insufficient"),
        ("0/3 nodes are available: 3 Too many pods", "node-pods-full"),
        ("no nodes available to schedule pods", "no-nodes"),
        ("0/3 nodes are available: 3 something new", "unschedulable"),
        ("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims", ""),
    ];
    for (message, rule) in rows {
        assert_eq!(first(&cache(unscheduled(&format!("{message}{tail}")))), rule, "{message}");
    }
}

/// The scheduler reports only "untolerated taint(s)": which ones is read from the nodes.
#[test]
fn a_taint_is_distinguished_from_a_node_that_is_not_ready() {
    let mut cache = cache(unscheduled("0/2 nodes are available: 2 node(s) had untolerated taint(s)."));
    assert_eq!(first(&cache), "");
    let nodes = |key: &str| Some(Nodes { total: 2, taints: [(key.to_owned(), 2)].into(), ..Nodes::default() });
    cache.nodes = nodes("dedicated");
    assert_eq!(
        found(&cache)[0].cause,
        "pod loki-0 cannot be scheduled, since it does not tolerate the nodes' taints (dedicated on 2 of 2 nodes)"
    );
    cache.nodes = nodes("node.kubernetes.io/unreachable");
    assert_eq!(first(&cache), "node-not-ready");
}

#[test]
fn a_claim_that_waits_is_distinguished() {
    let claim = |class: Value, status: &str| {
        json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "storage", "namespace": "m"},
            "spec": {"storageClassName": class}, "status": {"phase": status}})
    };
    // With WaitForFirstConsumer the pod has no condition yet.
    let pods = [unscheduled("pod has unbound immediate PersistentVolumeClaims"), json!({"phase": "Pending"})];
    let rows = [
        (claim(Value::Null, "Pending"), None, "storage-class-no-default"),
        (claim(json!("fast"), "Pending"), None, "provisioner-not-responding"),
        (claim(json!("fast"), "Pending"), Some(("ProvisioningFailed", "rpc error")), "provisioning-failed"),
        (
            claim(json!("gone"), "Pending"),
            Some(("ProvisioningFailed", "storageclass.storage.k8s.io \"gone\" not found")),
            "storage-class-missing",
        ),
        (claim(json!("fast"), "Lost"), None, "volume-claim-lost"),
        (claim(json!("fast"), "Bound"), Some(("ProvisioningFailed", "was once")), ""),
    ];
    for ((claim, reported, rule), pod) in rows.iter().flat_map(|row| pods.iter().map(move |pod| (row, pod))) {
        let mut cache = cache(pod.clone());
        cache.insert_json(claim.clone());
        if let Some((reason, message)) = reported {
            cache.insert_json(event(("PersistentVolumeClaim", "storage"), reason, message));
        }
        assert_eq!(first(&cache), *rule, "{claim} {pod}");
    }
}

#[test]
fn a_rejected_pod_is_reported_by_the_servers_message() {
    let rows = [
        (
            "create Pod loki-0 in StatefulSet loki failed error: pods \"loki-0\" is forbidden: exceeded quota: q",
            "quota-exceeded",
        ),
        ("pods \"loki-0\" is forbidden: failed quota: q: must specify limits.cpu for: loki", "quota-needs-requests"),
        ("pods \"loki-0\" is forbidden: maximum cpu usage per Container is 1, but limit is 2", "limit-range-violated"),
        (
            "pods \"loki-0\" is forbidden: violates PodSecurity \"restricted:latest\": privileged",
            "pod-security-violated",
        ),
        ("Internal error occurred: failed calling webhook \"a\": Post: connection refused", "webhook-unreachable"),
        ("admission webhook \"a\" denied the request: no", "admission-rejected"),
        (
            "pods \"loki-0\" is forbidden: error looking up service account m/x: serviceaccount \"x\" not found",
            "service-account-missing",
        ),
        ("pods \"loki-0\" is forbidden: no PriorityClass with name high was found", "priority-class-missing"),
        ("pods \"loki-0\" is odd", "pod-create-rejected"),
    ];
    for (message, rule) in rows {
        let mut cache = ObjectCache::default();
        cache.insert_json(json!({"kind": "StatefulSet", "metadata": {"name": "loki", "namespace": "m", "uid": "s"}, "spec": {"replicas": 1}, "status": {}}),
        );
        cache.insert_json(event(("StatefulSet", "loki"), "FailedCreate", message));
        assert_eq!(first(&cache), rule, "{message}");
    }
}

/// Events remain for an hour: the newest counts, and only while pods are missing.
#[test]
fn an_earlier_rejection_does_not_count() {
    let rejected = |name: &str, at: &str, message: &str| {
        let mut reported = event(("StatefulSet", "loki"), "FailedCreate", message);
        reported["metadata"]["name"] = name.into();
        reported["lastTimestamp"] = at.into();
        reported
    };
    let cache = |replicas: u32| {
        let mut cache = ObjectCache::default();
        cache.insert_json(json!({"kind": "StatefulSet", "metadata": {"name": "loki", "namespace": "m", "uid": "s"},
            "spec": {"replicas": 1}, "status": {"replicas": replicas}}));
        cache.insert_json(rejected("a", "2026-01-01T00:09:00Z", "exceeded quota: q"));
        cache.insert_json(rejected("b", "2026-01-01T00:09:30Z", "no PriorityClass with name high was found"));
        cache
    };
    assert_eq!(first(&cache(0)), "priority-class-missing");
    assert_eq!(first(&cache(1)), "");
}

#[test]
fn probes_and_volumes_are_reported_by_events_only_while_the_pod_is_not_ready() {
    let running = |ready: bool| {
        json!({"phase": "Running", "containerStatuses": [{"name": "loki", "ready": ready, "restartCount": 1,
            "state": {"running": {}}}], "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"}}]})
    };
    for (message, rule) in [
        ("Readiness probe failed: 503", "readiness-probe-failing"),
        ("Liveness probe failed: timeout", "liveness-probe-failing"),
        ("Startup probe failed: timeout", "startup-probe-failing"),
    ] {
        for (ready, expected) in [(false, rule), (true, "")] {
            let mut cache = cache(running(ready));
            cache.insert_json(event(("Pod", "loki-0"), "Unhealthy", message));
            assert_eq!(first(&cache), expected, "{message}");
        }
    }
    for (reason, message, rule) in [
        ("FailedAttachVolume", "Multi-Attach error for volume \"v\"", "volume-multi-attach"),
        ("FailedAttachVolume", "rpc error", "volume-attach-failed"),
        ("FailedMount", "MountVolume.SetUp failed: secret \"x\" not found", "volume-mount-failed"),
        ("FailedCreatePodSandBox", "plugin type=\"x\" failed", "pod-sandbox-failed"),
    ] {
        let mut creating = cache(waiting("ContainerCreating", ""));
        creating.insert_json(event(("Pod", "loki-0"), reason, message));
        assert_eq!(first(&creating), rule);
        let mut up = cache(running(false));
        up.insert_json(event(("Pod", "loki-0"), reason, message));
        assert_eq!(first(&up), "", "{reason} is over");
    }
}

#[test]
fn a_failed_hook_is_reported_with_the_log_of_its_deleted_pod() {
    let mut cache = ObjectCache::default();
    cache.insert_json(json!({"kind": "Job", "metadata": {"name": "hook", "namespace": "m", "annotations": {"helm.sh/hook": "pre-install"}},
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}]}}),
    );
    cache.logs.insert(("m".into(), "hook-x1".into(), "create".into()), vec!["no certificate".into()]);
    let found = found(&cache);
    assert_eq!((found[0].rule.as_str(), found[0].log[0].as_str()), ("hook-failed", "no certificate"));
    assert!(release().is_of_hook(&found[0].place));
}

#[test]
fn an_ingress_is_reported_with_the_operators_reason() {
    let ingress = |host: &str| {
        let address =
            if host.is_empty() { json!({}) } else { json!({"loadBalancer": {"ingress": [{"hostname": host}]}}) };
        json!({"kind": "Ingress", "metadata": {"name": "grafana", "namespace": "m"},
            "spec": {"ingressClassName": "tailscale", "tls": [{"hosts": ["grafana"]}]}, "status": address})
    };
    let rows = [
        ("", None, "ingress-without-address"),
        ("", Some("HTTPSNotEnabled"), "tailnet-https-disabled"),
        ("", Some("InvalidIngressBackend"), "ingress-rejected"),
        ("grafana-1.t.ts.net", Some("HTTPSNotEnabled"), "ingress-host-in-use"),
        ("grafana.t.ts.net", Some("HTTPSNotEnabled"), ""),
    ];
    for (host, reported, rule) in rows {
        let mut cache = ObjectCache::default();
        cache.insert_json(ingress(host));
        if let Some(reason) = reported {
            cache.insert_json(event(("Ingress", "grafana"), reason, "message"));
        }
        assert_eq!(first(&cache), rule, "{host} {reported:?}");
    }
}

#[test]
fn a_finalizer_of_a_terminating_pod_is_reported_except_the_job_controllers() {
    for (finalizer, rule) in [("example.com/keep", "pod-stuck-terminating"), ("batch.kubernetes.io/job-tracking", "")] {
        let mut cache = cache(json!({"phase": "Running"}));
        let mut pod = cache.get::<Pod>("m", "loki-0").unwrap().clone();
        pod.metadata.deletion_timestamp = "2026-01-01T00:10:20Z".parse().ok();
        pod.metadata.finalizers = vec![finalizer.to_owned()];
        cache.insert(pod.into());
        assert_eq!(first(&cache), rule, "{finalizer}");
    }
}

#[test]
fn the_tables_are_sound() {
    let known = [
        "component",
        "namespace",
        "kind",
        "name",
        "workload",
        "container",
        "image",
        "restarts",
        "code",
        "node",
        "class",
        "said",
    ];
    assert!(TABLES.iter().all(|table| !table.is_empty()));
    for rule in rules() {
        assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", rule.id);
        assert!(!rule.cause.is_empty() && !rule.hint.is_empty(), "{}", rule.id);
        for sentence in [rule.cause, rule.hint] {
            for part in sentence.split('{').skip(1) {
                let name = part.split('}').next().unwrap_or_default();
                assert!(known.contains(&name) || name.contains('"'), "{}: {{{name}}}", rule.id);
            }
        }
    }
}
