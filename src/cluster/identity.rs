//! Which cluster it is, whatever its address: the UID of the namespace `kube-system`, which is made once with the cluster
//! and never again. An address does not tell: a tunnel can be led to another cluster behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use k8s_openapi::api::core::v1::Namespace;
use kube::client::ClientBuilder;
use kube::{Api, Client, Config};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::cluster::error::innermost;
use crate::cluster::{Cluster, ClusterError};

const NAMESPACE: &str = "kube-system";
/// How long the API server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a cluster is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterIdentity {
    /// UID of its namespace `kube-system`.
    Uid(String),
    /// The namespace may not be read, or there is none: a hash of the API server's address and certificate authority,
    /// which cannot tell two clusters apart that share both.
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

/// A client of its own, whose every request opens a connection, as every helm does: one that stands may lead to a
/// cluster that the address leads to no more.
#[derive(Clone)]
pub(super) struct Probe {
    config: Arc<Config>,
    client: Arc<OnceCell<Client>>,
}

impl Probe {
    pub(super) fn new(mut config: Config) -> Probe {
        config.headers.push((CONNECTION, HeaderValue::from_static("close")));
        Probe { config: Arc::new(config), client: Arc::default() }
    }

    async fn client(&self) -> Result<Client, kube::Error> {
        let build = || async { Ok(ClientBuilder::try_from((*self.config).clone())?.build()) };
        self.client.get_or_try_init(build).await.cloned()
    }
}

impl Cluster {
    /// What the cluster was known by when this run reached it.
    pub fn identity(&self) -> &ClusterIdentity {
        &self.identity
    }

    /// An error where the address leads to another cluster than when this run reached it; asked before writes. Where
    /// the identity is no UID there is nothing to compare.
    pub async fn confirm_identity(&self) -> Result<(), ClusterError> {
        let ClusterIdentity::Uid(expected) = &self.identity else { return Ok(()) };
        let other = |found: String| ClusterError::OtherCluster {
            server: self.server.clone(),
            expected: expected.clone(),
            found,
        };
        let failed =
            |error: &kube::Error| ClusterError::Unreachable { server: self.server.clone(), reason: innermost(error) };
        let client = self.probe.client().await.map_err(|error| failed(&error))?;
        let asked = Api::<Namespace>::all(client);
        match tokio::time::timeout(PATIENCE, asked.get_metadata(NAMESPACE)).await {
            Ok(Ok(found)) if found.metadata.uid.as_ref() == Some(expected) => Ok(()),
            Ok(Ok(found)) => Err(other(found.metadata.uid.unwrap_or_default())),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403 | 404) => {
                Err(other(format!("unknown, it answers {}", status.code)))
            }
            Ok(Err(error)) => Err(ClusterError::from_kube("cannot read namespace kube-system", error)),
            Err(_) => Err(ClusterError::Unreachable {
                server: self.server.clone(),
                reason: format!("no usable answer within {} s", PATIENCE.as_secs()),
            }),
        }
    }
}

/// Asks for it once. Where the namespace may not be read the address stands in.
pub(super) async fn identity(client: &Client, config: &Config) -> Result<ClusterIdentity, ClusterError> {
    let server = config.cluster_url.to_string();
    let unreachable = |reason| ClusterError::Unreachable { server: server.clone(), reason };
    let asked = Api::<Namespace>::all(client.clone());
    match tokio::time::timeout(PATIENCE, asked.get_metadata(NAMESPACE)).await {
        Ok(Ok(found)) => Ok(match found.metadata.uid.filter(|uid| !uid.is_empty()) {
            Some(uid) => ClusterIdentity::Uid(uid),
            None => of_address(config),
        }),
        // Whether the credentials are good for anything else is told by what needs them.
        Ok(Err(kube::Error::Api(status))) if status.code < 500 => Ok(of_address(config)),
        Ok(Err(error)) => Err(ClusterError::from_kube("cannot read namespace kube-system", error)),
        Err(_) => Err(unreachable(format!("no usable answer within {} s", PATIENCE.as_secs()))),
    }
}

fn of_address(config: &Config) -> ClusterIdentity {
    let mut hash = Sha256::new();
    hash.update(config.cluster_url.to_string());
    for certificate in config.root_cert.iter().flatten() {
        hash.update(certificate);
    }
    ClusterIdentity::Address(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str, root: Option<&[u8]>) -> Config {
        let mut config = Config::new(server.parse().unwrap());
        config.root_cert = root.map(|root| vec![root.to_vec()]);
        config
    }

    #[test]
    fn an_address_is_told_from_others_by_its_certificate_authority() {
        let of = |server: &str, root: Option<&[u8]>| of_address(&config(server, root)).to_string();
        let local = of("https://127.0.0.1:6443", Some(b"one"));
        assert_eq!(local, of("https://127.0.0.1:6443", Some(b"one")));
        assert_ne!(local, of("https://127.0.0.1:6443", Some(b"two")));
        assert_ne!(local, of("https://127.0.0.1:7443", Some(b"one")));
        assert_ne!(local, of("https://127.0.0.1:6443", None));
    }
}
