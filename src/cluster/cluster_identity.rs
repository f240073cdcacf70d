//! Identity of the cluster: the UID of the namespace `kube-system`, which is created once per cluster. The address is
//! no identity: a tunnel can be switched to another cluster.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use k8s_openapi::api::core::v1::Namespace;
use kube::client::Body;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt as _};

use crate::cluster::ClusterError;
use crate::cluster::client::Carrier;
use crate::cluster::error::innermost;
use crate::cluster::request_metrics::is_write;

const NAMESPACE: &str = "kube-system";
/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which a confirmation is valid for writes: a step writes many objects at once.
const FRESH: Duration = Duration::from_millis(250);
/// What a cluster is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterIdentity {
    /// UID of its namespace `kube-system`.
    Uid(String),
    /// Without permission to read the namespace: a hash of the API server's address and certificate authority. Two
    /// clusters that share both are not distinguished.
    Address(String),
}

impl fmt::Display for ClusterIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterIdentity::Uid(uid) => formatter.write_str(uid),
            ClusterIdentity::Address(hash) => write!(formatter, "address-{hash}"),
        }
    }
}

/// Compares the current cluster at the address with the one at the start. Cheap to clone; clones share the result.
///
/// Its own client opens a connection for each request, as each helm process does: an older connection can still be to
/// the previous cluster.
#[derive(Clone)]
pub(super) struct Probe {
    server: Arc<str>,
    client: Client,
    expected: Arc<OnceLock<String>>,
    /// Last successful comparison.
    confirmed: Arc<Mutex<Option<Instant>>>,
    /// The UID of the other cluster, once one was found.
    other: Arc<OnceLock<String>>,
}

impl Probe {
    /// `carrier` must not share its connections.
    pub(super) fn new(server: &str, carrier: &Carrier) -> Probe {
        let close = |mut request: Request<Body>| {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            request
        };
        let client = Client::new(ServiceBuilder::new().map_request(close).service(carrier.clone()), "default");
        Probe::asking(server, client)
    }

    /// Without an expected identity.
    #[cfg(test)]
    pub(super) fn none() -> Probe {
        let never = |_: Request<Body>| std::future::pending::<Result<http::Response<Body>, std::io::Error>>();
        Probe::asking("https://test", Client::new(tower::service_fn(never), "default"))
    }

    fn asking(server: &str, client: Client) -> Probe {
        Probe {
            server: server.into(),
            client,
            expected: Arc::default(),
            confirmed: Arc::default(),
            other: Arc::default(),
        }
    }

    /// An identity without UID is not compared.
    fn expect(&self, identity: &ClusterIdentity) {
        if let ClusterIdentity::Uid(uid) = identity {
            let _ = self.expected.set(uid.clone());
        }
    }

    /// The error, once another cluster was found at the address.
    pub(super) fn other_cluster(&self) -> Option<ClusterError> {
        let (expected, found) = (self.expected.get()?.clone(), self.other.get()?.clone());
        Some(ClusterError::OtherCluster { server: self.server.to_string(), expected, found })
    }

    /// An error if another cluster is at the address, now or earlier. Concurrent calls share one request.
    pub(super) async fn confirm(&self, fresh_for: Duration) -> Result<(), ClusterError> {
        let Some(expected) = self.expected.get() else { return Ok(()) };
        let mut confirmed = self.confirmed.lock().await;
        if let Some(error) = self.other_cluster() {
            return Err(error);
        }
        if confirmed.is_some_and(|since| since.elapsed() < fresh_for) {
            return Ok(());
        }
        let unreachable = |reason| ClusterError::Unreachable { server: self.server.to_string(), reason, next: None };
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let found = match timeout(TIMEOUT, namespaces.get_metadata(NAMESPACE)).await {
            Ok(Ok(found)) => found.metadata.uid.unwrap_or_default(),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403 | 404) => {
                format!("unknown, it answers {}", status.code)
            }
            Ok(Err(kube::Error::Api(status))) => {
                return Err(ClusterError::from_kube("cannot read namespace kube-system", kube::Error::Api(status)));
            }
            Ok(Err(error)) => return Err(unreachable(innermost(&error))),
            Err(_) => return Err(unreachable(format!("no usable answer within {} s", TIMEOUT.as_secs()))),
        };
        if found != *expected {
            let _ = self.other.set(found);
            return self.other_cluster().map_or(Ok(()), Err);
        }
        *confirmed = Some(Instant::now());
        Ok(())
    }
}

/// The layer of the client that blocks writes to another cluster than at the start.
#[derive(Clone)]
pub(super) struct SameCluster(pub(super) Probe);

impl<S> Layer<S> for SameCluster {
    type Service = Confirming<S>;

    fn layer(&self, inner: S) -> Confirming<S> {
        Confirming { inner: Arc::new(Mutex::new(inner)), probe: self.0.clone() }
    }
}

/// The service around kube's own; confirms the identity before a write.
pub(super) struct Confirming<S> {
    inner: Arc<Mutex<S>>,
    probe: Probe,
}

impl<S, B, R> Service<Request<B>> for Confirming<S>
where
    S: Service<Request<B>, Response = R> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = R;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<R, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, probe) = (self.inner.clone(), self.probe.clone());
        Box::pin(async move {
            if is_write(request.method(), request.uri()) {
                probe.confirm(FRESH).await?;
            }
            let answer = inner.lock().await.ready().await.map_err(Into::into)?.call(request);
            answer.await.map_err(Into::into)
        })
    }
}

/// Reads the identity; without permission to read the namespace, the address is used.
pub(super) async fn identity(
    client: &Client,
    authority: &[u8],
    probe: &Probe,
) -> Result<ClusterIdentity, ClusterError> {
    let identity = read_once(client, (&probe.server, authority)).await?;
    probe.expect(&identity);
    Ok(identity)
}

async fn read_once(client: &Client, address: (&str, &[u8])) -> Result<ClusterIdentity, ClusterError> {
    let unreachable = |reason| ClusterError::Unreachable { server: address.0.to_owned(), reason, next: None };
    let namespaces = Api::<Namespace>::all(client.clone());
    match timeout(TIMEOUT, namespaces.get_metadata(NAMESPACE)).await {
        Ok(Ok(found)) => Ok(match found.metadata.uid.filter(|uid| !uid.is_empty()) {
            Some(uid) => ClusterIdentity::Uid(uid),
            None => of_address(address),
        }),
        // Other requests report whether the credentials are valid.
        Ok(Err(kube::Error::Api(status))) if status.code < 500 => Ok(of_address(address)),
        Ok(Err(error)) => Err(ClusterError::from_kube("cannot read namespace kube-system", error)),
        Err(_) => Err(unreachable(format!("no usable answer within {} s", TIMEOUT.as_secs()))),
    }
}

/// From the API server's URL and its certificate authority in PEM.
fn of_address((server, authority): (&str, &[u8])) -> ClusterIdentity {
    let mut hash = Sha256::new();
    hash.update(server);
    hash.update(authority);
    ClusterIdentity::Address(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_authority_is_part_of_an_address_identity() {
        let of = |server: &str, root: Option<&[u8]>| of_address((server, root.unwrap_or_default())).to_string();
        let local = of("https://127.0.0.1:6443", Some(b"one"));
        assert_eq!(local, of("https://127.0.0.1:6443", Some(b"one")));
        assert_ne!(local, of("https://127.0.0.1:6443", Some(b"two")));
        assert_ne!(local, of("https://127.0.0.1:7443", Some(b"one")));
        assert_ne!(local, of("https://127.0.0.1:6443", None));
    }
}
