//! The lock against an API server that misbehaves on demand, with a clock that is turned by hand.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::cluster::request_timeout::TimeLimits;
use crate::cluster::write_fence::Fence;
use tower::Layer as _;

/// How the API server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Answers,
    /// Takes every request and says nothing.
    Hangs,
    Rejects,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    lease: Option<Value>,
    version: u64,
}

#[derive(Clone, Debug)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn new() -> Server {
        Server(Arc::new(Mutex::new(State { behaviour: Behaviour::Answers, lease: None, version: 0 })))
    }

    fn set(&self, behaviour: Behaviour) {
        self.0.lock().unwrap().behaviour = behaviour;
    }

    /// Another client takes the lock.
    fn take_lock(&self) {
        let mut state = self.0.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = "1@elsewhere/0".into();
        lease["metadata"]["resourceVersion"] = version.into();
    }

    fn renewed(&self) -> Option<String> {
        let state = self.0.lock().unwrap();
        state.lease.as_ref().map(|lease| lease["spec"]["renewTime"].to_string())
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        let status = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "status": "Failure", "message": reason, "reason": reason, "code": code}))
        };
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let live = state.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method, live) {
            (&Method::GET, None) => status(404, "NotFound"),
            (&Method::GET, Some(_)) => (200, state.lease.clone().unwrap()),
            (&Method::PUT, Some(live)) if sent["metadata"]["resourceVersion"] != live => status(409, "Conflict"),
            (&Method::PATCH, Some(_)) => {
                let lease = state.lease.as_mut().unwrap();
                if lease["spec"]["holderIdentity"] != sent[0]["value"] {
                    return status(422, "Invalid");
                }
                lease["spec"]["holderIdentity"] = sent[1]["value"].clone();
                (200, lease.clone())
            }
            _ => {
                state.version += 1;
                let mut stored = sent;
                stored["metadata"]["resourceVersion"] = state.version.to_string().into();
                state.lease = Some(stored.clone());
                (200, stored)
            }
        }
    }

    fn cluster(&self) -> Cluster {
        let (server, fence, answers) = (self.clone(), Fence::with_clock(clock), Answers::default());
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let behaviour = server.0.lock().unwrap().behaviour;
                match behaviour {
                    Behaviour::Answers => {}
                    Behaviour::Hangs => std::future::pending().await,
                    Behaviour::Rejects => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
                }
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
                let (code, text) = server.answer(&parts.method, &body);
                let response = Response::builder().status(code).body(Body::from(text.to_string().into_bytes()));
                response.map_err(std::io::Error::other)
            }
        });
        let service = TimeLimits::new("https://test", &fence, &answers).layer(service);
        Cluster::for_tests(Client::new(service, "m"), fence, answers)
    }
}

thread_local! {
    static BEGAN: Instant = Instant::now();
}

/// The paused clock of the test.
fn clock() -> Duration {
    Duration::from_secs(1000) + BEGAN.with(Instant::elapsed)
}

struct Known {
    identity: &'static str,
}

impl HostLiveness for Known {
    fn identity(&self) -> &str {
        self.identity
    }

    fn is_alone(&self) -> bool {
        true
    }
}

const DURATION: Duration = Duration::from_secs(20);

async fn acquired(cluster: &Cluster, holder: &str, lost: &CancellationToken) -> Result<Lease, ClusterError> {
    let host = Known { identity: "here" };
    let request = LeaseRequest {
        namespace: "m",
        name: "tailwatch",
        holder,
        duration: DURATION,
        wait_limit: DURATION,
        host: &host,
    };
    let free = cluster.until_free(request).await?;
    cluster.acquire_lease(request, free, lost).await
}

#[tokio::test(start_paused = true)]
async fn writes_are_blocked_before_an_unrenewed_lock_expires_and_allowed_after_a_renewal() {
    for behaviour in [Behaviour::Hangs, Behaviour::Rejects] {
        let server = Server::new();
        let (cluster, lost) = (server.cluster(), CancellationToken::new());
        let lease = acquired(&cluster, "1@host/1", &lost).await.unwrap();
        sleep(DURATION * 3).await;
        assert_eq!(cluster.fence().closed_for(), None, "the heartbeat renews it");
        server.set(behaviour);
        sleep(DURATION).await;
        assert!(cluster.fence().closed_for().is_some(), "{behaviour:?}");
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(cluster.client.clone(), "m");
        let change = secrets.delete("x", &DeleteParams::default()).await.unwrap_err();
        let change = ClusterError::from_kube("cannot delete it", change);
        assert!(matches!(change, ClusterError::Unrenewed { .. }), "{change}");
        assert!(!lost.is_cancelled(), "no other client has taken it");
        server.set(Behaviour::Answers);
        sleep(DURATION / 2).await;
        assert_eq!(cluster.fence().closed_for(), None, "{behaviour:?}");
        assert!(!lost.is_cancelled());
        assert_eq!(lease.release().await, None);
        assert_eq!(cluster.fence().closed_for(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_client_took_ends_the_run_with_its_own_error() {
    let server = Server::new();
    let (cluster, lost) = (server.cluster(), CancellationToken::new());
    let lease = acquired(&cluster, "1@host/1", &lost).await.unwrap();
    server.set(Behaviour::Hangs);
    sleep(DURATION).await;
    server.take_lock();
    server.set(Behaviour::Answers);
    lost.cancelled().await;
    assert!(cluster.fence().closed_for().is_some(), "the fence stays closed");
    assert_eq!(lease.release().await.as_deref(), Some("1@elsewhere/0 holds it now"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_lost_after_the_last_heartbeat_is_reported_at_its_release() {
    let server = Server::new();
    let lost = CancellationToken::new();
    let lease = acquired(&server.cluster(), "1@host/1", &lost).await.unwrap();
    server.take_lock();
    assert_eq!(lease.release().await.as_deref(), Some("1@elsewhere/0 holds it now"));
    let server = Server::new();
    let lease = acquired(&server.cluster(), "1@host/1", &lost).await.unwrap();
    assert_eq!(lease.release().await, None);
}

/// Two containers that are both called 1@ci, of one copied state folder: they have the same identity, and each finds
/// its own lock file free.
#[tokio::test(start_paused = true)]
async fn a_copied_identity_does_not_acquire_the_lock_of_a_running_holder() {
    let server = Server::new();
    let lost = CancellationToken::new();
    let first = acquired(&server.cluster(), "1@ci/aaaa", &lost).await.unwrap();
    let Err(second) = acquired(&server.cluster(), "1@ci/bbbb", &lost).await else { panic!("it was taken") };
    assert!(second.is_locked(), "{second}");
    let before = server.renewed();
    drop(first);
    let began = Instant::now();
    let third = acquired(&server.cluster(), "1@ci/cccc", &lost).await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= DURATION / 3 && waited < DURATION, "one heartbeat, not the whole duration: {waited:?}");
    assert_ne!(server.renewed(), before);
    drop(third);
}
