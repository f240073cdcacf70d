//! Tests the answers about the identity provider with requests before the install. The requests come from this machine,
//! but the cluster needs the provider: if this machine does not reach it, the result is only a warning.

mod client;
mod discovery;
#[cfg(any(test, fuzzing))]
pub(in crate::check) mod fuzzing;
mod identity;

use tokio::sync::OnceCell;

use crate::check::https_client;
use crate::check::row::Row;
use crate::check::runner;
use crate::cluster::{Cluster, ClusterError};
use crate::config::Settings;
use crate::event::CheckResult;
use crate::stack::{OAUTH2_PROXY_SECRET, OidcClient, StackError};

pub use identity::GROUP;
use identity::Identity;

/// Runs the rows; without a client, those that need its secret are skipped.
pub async fn run(settings: &Settings, client: Option<OidcClient>) -> Vec<CheckResult> {
    let identity = Identity {
        settings: settings.clone(),
        client,
        web: https_client::client(https_client::TIMEOUT),
        document: OnceCell::new(),
        reaction: OnceCell::new(),
    };
    runner::run(rows(), &identity, None).await
}

/// The client with its secret: from the answers, otherwise the one in the cluster for this issuer and client id.
pub async fn client(cluster: &Cluster, settings: &Settings) -> Result<Result<OidcClient, StackError>, ClusterError> {
    let kept = cluster.secret(settings.namespace.as_str(), OAUTH2_PROXY_SECRET).await?;
    Ok(OidcClient::resolve(&settings.auth0, kept.as_ref()))
}

pub(in crate::check) fn rows() -> Vec<&'static Row<Identity>> {
    discovery::ROWS.iter().chain(client::ROWS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_needs_come_first() {
        let rows = rows();
        for (at, row) in rows.iter().enumerate() {
            let before: Vec<_> = rows[..at].iter().map(|row| row.id).collect();
            assert!(!before.contains(&row.id), "{} twice", row.id);
            assert!(row.needs.iter().all(|need| before.contains(need)), "{}", row.id);
            assert!(!row.hint.is_empty(), "{} has no hint", row.id);
        }
    }
}
