//! Watches against an API server that misbehaves on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

/// Answers of a small API server: how a kind is served, its lists, its watches. `watch` is asked with the kind and
/// how many watches of it have been there before.
#[derive(Clone)]
struct Server {
    list: fn(&str, u32) -> Value,
    watch: fn(&str, u32) -> Vec<Value>,
    lists: Arc<AtomicU32>,
    watches: Arc<AtomicU32>,
}

fn resources(group_version: &str) -> Value {
    let kinds: &[(&str, &str)] = match group_version {
        "apps/v1" => &[("deployments", "Deployment"), ("statefulsets", "StatefulSet"), ("daemonsets", "DaemonSet")],
        "batch/v1" => &[("jobs", "Job")],
        "networking.k8s.io/v1" => &[("ingresses", "Ingress")],
        "storage.k8s.io/v1" => &[("storageclasses", "StorageClass")],
        _ => &[("pods", "Pod"), ("persistentvolumeclaims", "PersistentVolumeClaim"), ("events", "Event")],
    };
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(name, kind)| json!({"name": name, "singularName": "", "kind": kind, "namespaced": *kind != "StorageClass", "verbs": ["list", "watch"]}))
        .collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

impl Server {
    fn answer(&self, request: &Request<Body>) -> (u16, String) {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let kind = path.rsplit('/').next().unwrap_or_default();
        if !path.contains("namespaces/") && kind != "storageclasses" {
            let group_version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
            return (200, resources(group_version).to_string());
        }
        let of_interest = kind == "deployments";
        if query.contains("watch=true") {
            let before = if of_interest { self.watches.fetch_add(1, Ordering::SeqCst) } else { 0 };
            let lines: Vec<String> = (self.watch)(kind, before).iter().map(|event| format!("{event}\n")).collect();
            return (200, lines.concat());
        }
        let before = if of_interest { self.lists.fetch_add(1, Ordering::SeqCst) } else { 0 };
        let answer = (self.list)(kind, before);
        let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
        (code, answer.to_string())
    }

    fn cluster(self) -> Cluster {
        let service = tower::service_fn(move |request: Request<Body>| {
            let (code, text) = self.answer(&request);
            let response = Response::builder().status(code).body(Body::from(text.into_bytes()));
            async move { response.map_err(std::io::Error::other) }
        });
        Cluster::for_tests(Client::new(service, "m"), Default::default(), Default::default())
    }
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}, "items": items})
}

fn deployment(version: &str, available: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "m", "resourceVersion": version, "generation": 1},
        "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}})
}

async fn becomes_ready(server: Server) -> Tracker {
    let manifest = [json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})];
    let release = TrackedRelease::new("web", "m", &manifest);
    let mut tracker = server.cluster().track(vec![release]).await.unwrap();
    let ready = async {
        while !tracker.readiness("web").is_ready() {
            tracker.changed().await;
        }
    };
    timeout(Duration::from_secs(20), ready).await.expect("it becomes ready");
    tracker
}

fn quiet(_: &str, _: u32) -> Vec<Value> {
    Vec::new()
}

#[tokio::test]
async fn a_watch_that_has_expired_lists_again() {
    let watches = Arc::new(AtomicU32::new(0));
    let server = Server {
        list: |kind, before| match kind {
            "deployments" if before == 0 => list(&[deployment("5", 0)]),
            "deployments" => list(&[deployment("20", 1)]),
            _ => list(&[]),
        },
        watch: |kind, _| match kind {
            "deployments" => vec![
                json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version", "reason": "Expired", "code": 410}}),
            ],
            _ => Vec::new(),
        },
        lists: Arc::default(),
        watches: watches.clone(),
    };
    let lists = server.lists.clone();
    becomes_ready(server).await;
    assert!(lists.load(Ordering::SeqCst) >= 2 && watches.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn a_watch_that_ends_is_resumed_where_it_was() {
    let server = Server {
        list: |kind, _| if kind == "deployments" { list(&[deployment("5", 0)]) } else { list(&[]) },
        watch: |kind, before| match (kind, before) {
            ("deployments", 2) => vec![json!({"type": "MODIFIED", "object": deployment("30", 1)})],
            ("deployments", _) => {
                vec![json!({"type": "BOOKMARK", "object": {"kind": "Deployment", "apiVersion": "apps/v1",
                "metadata": {"resourceVersion": "11", "creationTimestamp": null}, "spec": {}}})]
            }
            _ => Vec::new(),
        },
        lists: Arc::default(),
        watches: Arc::default(),
    };
    let lists = server.lists.clone();
    becomes_ready(server).await;
    assert_eq!(lists.load(Ordering::SeqCst), 1, "no list but the first");
}

/// Readiness needs no events.
#[tokio::test]
async fn a_kind_that_the_user_may_not_watch_only_explains_less() {
    let server = Server {
        list: |kind, before| match kind {
            "events" | "ingresses" => {
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "message": "no", "code": 403})
            }
            "deployments" if before > 0 => list(&[deployment("20", 1)]),
            "deployments" => list(&[deployment("5", 0)]),
            _ => list(&[]),
        },
        watch: quiet,
        lists: Arc::default(),
        watches: Arc::default(),
    };
    let manifest = [json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})];
    let release = TrackedRelease::new("web", "m", &manifest);
    let tracker = server.cluster().track(vec![release]).await.unwrap();
    tracker.catch_up("web").await.unwrap();
    tracker.catch_up("web").await.unwrap();
    assert!(tracker.readiness("web").is_ready());
    assert!(tracker.watched.store.unreachable_since().is_none());
}
