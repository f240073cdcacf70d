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
enum Mood {
    Answers,
    /// Takes every request and says nothing.
    Hangs,
    Refuses,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    lease: Option<Value>,
    version: u64,
}

#[derive(Clone, Debug)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn new() -> Server {
        Server(Arc::new(Mutex::new(State { mood: Mood::Answers, lease: None, version: 0 })))
    }

    fn be(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    /// Someone else takes the lock.
    fn rob(&self) {
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
        let standing = state.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (method, standing) {
            (&Method::GET, None) => status(404, "NotFound"),
            (&Method::GET, Some(_)) => (200, state.lease.clone().unwrap()),
            (&Method::PUT, Some(standing)) if sent["metadata"]["resourceVersion"] != standing => {
                status(409, "Conflict")
            }
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
                let mood = server.0.lock().unwrap().mood;
                match mood {
                    Mood::Answers => {}
                    Mood::Hangs => std::future::pending().await,
                    Mood::Refuses => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
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

const LIFE: Duration = Duration::from_secs(20);

async fn taken(cluster: &Cluster, holder: &str, lost: &CancellationToken) -> Result<Lease, ClusterError> {
    let host = Known { identity: "here" };
    let request =
        LeaseRequest { namespace: "m", name: "tailwatch", holder, duration: LIFE, wait_limit: LIFE, host: &host };
    cluster.acquire_lease(request, lost).await
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_renew_stops_changing_things_before_its_lock_is_stale_and_goes_on_when_it_can() {
    for mood in [Mood::Hangs, Mood::Refuses] {
        let server = Server::new();
        let (cluster, lost) = (server.cluster(), CancellationToken::new());
        let lease = taken(&cluster, "1@host/1", &lost).await.unwrap();
        sleep(LIFE * 3).await;
        assert_eq!(cluster.fence().closed_for(), None, "heartbeats come");
        server.be(mood);
        sleep(LIFE).await;
        assert!(cluster.fence().closed_for().is_some(), "{mood:?}");
        let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(cluster.client.clone(), "m");
        let change = secrets.delete("x", &DeleteParams::default()).await.unwrap_err();
        let change = ClusterError::from_kube("cannot delete it", change);
        assert!(matches!(change, ClusterError::Unrenewed { .. }), "{change}");
        assert!(!lost.is_cancelled(), "nobody has taken it");
        server.be(Mood::Answers);
        sleep(LIFE / 2).await;
        assert_eq!(cluster.fence().closed_for(), None, "{mood:?}");
        assert!(!lost.is_cancelled());
        assert_eq!(lease.release().await, None);
        assert_eq!(cluster.fence().closed_for(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_someone_took_meanwhile_ends_the_run_with_its_own_reason() {
    let server = Server::new();
    let (cluster, lost) = (server.cluster(), CancellationToken::new());
    let lease = taken(&cluster, "1@host/1", &lost).await.unwrap();
    server.be(Mood::Hangs);
    sleep(LIFE).await;
    server.rob();
    server.be(Mood::Answers);
    lost.cancelled().await;
    assert!(cluster.fence().closed_for().is_some(), "the fence stays closed");
    assert_eq!(lease.release().await.as_deref(), Some("1@elsewhere/0 holds it now"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_taken_after_the_last_heartbeat_is_known_as_lost_when_it_is_released() {
    let server = Server::new();
    let lost = CancellationToken::new();
    let lease = taken(&server.cluster(), "1@host/1", &lost).await.unwrap();
    server.rob();
    assert_eq!(lease.release().await.as_deref(), Some("1@elsewhere/0 holds it now"));
    let server = Server::new();
    let lease = taken(&server.cluster(), "1@host/1", &lost).await.unwrap();
    assert_eq!(lease.release().await, None);
}

/// Two containers that are both called 1@ci, of one copied state folder: they have the same identity, and each finds its
/// own lock file free.
#[tokio::test(start_paused = true)]
async fn a_copied_identity_takes_no_lock_whose_holder_shows_that_it_lives() {
    let server = Server::new();
    let lost = CancellationToken::new();
    let first = taken(&server.cluster(), "1@ci/aaaa", &lost).await.unwrap();
    let Err(second) = taken(&server.cluster(), "1@ci/bbbb", &lost).await else { panic!("it was taken") };
    assert!(second.is_locked(), "{second}");
    let before = server.renewed();
    drop(first);
    let began = Instant::now();
    let third = taken(&server.cluster(), "1@ci/cccc", &lost).await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= LIFE / 3 && waited < LIFE, "one heartbeat, not the whole life: {waited:?}");
    assert_ne!(server.renewed(), before);
    drop(third);
}
