//! Connects to the cluster of a kubeconfig and sends a first request; its errors are distinguished by cause.

mod access;
mod client_certificate;
mod connect_error;
mod credentials;
mod exec_plugin;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod kubeconfig;
mod kubeconfig_schema;
mod kubeconfig_snapshot;
mod plain_proxy;
mod proxy_route;
mod target;
mod transport;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use kube::Client;
use kube::client::ClientBuilder;

use crate::cluster::client::access::Access;
use crate::cluster::client::connect_error::Attempt;
use crate::cluster::client::credentials::Credentials;
use crate::cluster::client::exec_plugin::Plugin;
pub use crate::cluster::client::kubeconfig::KubeconfigOnce;
use crate::cluster::client::kubeconfig::Places;
pub use crate::cluster::client::kubeconfig_snapshot::KubeconfigSnapshot;
pub use crate::cluster::client::target::ClusterTarget;
pub(super) use crate::cluster::client::transport::Carrier;
use crate::cluster::client::transport::{Transport, transport};
use crate::cluster::cluster_identity::{Probe, SameCluster, identity};
use crate::cluster::forwards::Forwards;
use crate::cluster::request_metrics::RequestCounts;
use crate::cluster::request_timeout::TimeLimits;
use crate::cluster::unresponsive::Answers;
use crate::cluster::write_fence::Fence;
use crate::cluster::{Cluster, ClusterError};
use crate::process::Environment;

const USER_AGENT: &str = concat!("tailwatch/", env!("CARGO_PKG_VERSION"));
/// Connections that are opened beside the first two.
const CONNECTIONS: usize = 4;
/// Timeout of the first request.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    /// Reads the kubeconfig, the API server's version and the identity of the cluster.
    pub async fn connect(target: &ClusterTarget) -> Result<Cluster, ClusterError> {
        let access = Access::of(target)?;
        let bad = |reason: String| bad_kubeconfig(&access, reason);
        let credentials = credentials(&access, target).map_err(bad)?;
        let Transport { carrier, verifications } = transport(&access, &credentials, USER_AGENT).map_err(bad)?;
        let attempt = Attempt { access: &access, verifications: &verifications };
        // A plugin can prompt the user for longer than a request's timeout.
        credentials.give().await.map_err(|error| attempt.bad(error.reason, error.next))?;
        let server = access.server.to_string();
        let counts = RequestCounts::recording(target.writes.clone());
        let (fence, answers) = (Fence::default(), Answers::default());
        let probe = Probe::new(&server, &transport(&access, &credentials, USER_AGENT).map_err(bad)?.carrier);
        let client: Client = ClientBuilder::new(carrier, "default")
            .with_layer(&counts)
            .with_layer(&TimeLimits::new(&server, &fence, &answers))
            .with_layer(&SameCluster(probe.clone()))
            .build();
        open_connections(&client);
        let authority = access.cluster.authority();
        let (version, identity) = futures::join!(
            tokio::time::timeout(TIMEOUT, client.apiserver_version()),
            identity(&client, &authority, &probe),
        );
        let version = match version {
            Ok(Ok(version)) => version,
            Ok(Err(error)) => return Err(attempt.failed(error)),
            Err(_) => return Err(attempt.timed_out(TIMEOUT)),
        };
        let version =
            version.git_version.trim_start_matches('v').split(['+', '-']).next().unwrap_or_default().to_owned();
        let identity = identity?;
        let Access { context, mut snapshot, .. } = access;
        if let Some(issued) = credentials.in_place_of_plugin().await {
            snapshot = snapshot.without_plugin(issued);
        }
        let kinds = Default::default();
        let forwards = Forwards::default();
        Ok(Cluster {
            client,
            counts,
            context,
            snapshot,
            server,
            version,
            kinds,
            fence,
            answers,
            identity,
            probe,
            forwards,
            compared: Arc::new(AtomicU64::new(u64::MAX)),
        })
    }
}

/// Opens connections beside those of the first two requests: the reads that follow are parallel, and a connection takes two
/// round trips before its first request. What goes wrong is reported by the other requests.
fn open_connections(client: &Client) {
    for _ in 0..CONNECTIONS {
        let client = client.clone();
        tokio::spawn(async move { client.apiserver_version().await.is_ok() });
    }
}

/// kubectl sends credentials only over TLS.
fn credentials(access: &Access, target: &ClusterTarget) -> Result<Credentials, String> {
    if access.server.scheme() != "https" {
        return Ok(Credentials::none());
    }
    let environment = Environment::without(target.withheld.iter().cloned());
    let plugin = access.user.exec.as_ref().map(|exec| Plugin::new(exec, &access.cluster, environment));
    Credentials::of(&access.user, plugin)
}

/// Names of the contexts, and the current one; empty with an in-cluster account and no kubeconfig.
pub fn contexts(target: &ClusterTarget) -> Result<(Vec<String>, Option<String>), ClusterError> {
    let places = Places::of(target.kubeconfig.as_deref(), &target.once);
    let Some(kubeconfig) = places.read()? else {
        let is_pod = !places.is_explicit() && access::is_in_cluster();
        return if is_pod { Ok((Vec::new(), None)) } else { Err(places.missing()) };
    };
    let current = Some(kubeconfig.current.clone()).filter(|name| !name.is_empty());
    Ok((kubeconfig.context_names(), current))
}

fn bad_kubeconfig(access: &Access, reason: String) -> ClusterError {
    ClusterError::BadKubeconfig {
        place: access.place.clone(),
        reason,
        next: "see whether `kubectl config view` accepts it".into(),
    }
}
