//! What the API server serves, all of it in two requests.

use std::collections::BTreeMap;

use kube::core::discovery::v2::APIVersionDiscovery;

use crate::cluster::{Cluster, ClusterError, Resource};

impl Cluster {
    /// `group/version` and `group/version/Kind` of everything served (for helm's `--api-versions`).
    pub async fn api_versions(&self) -> Result<Vec<String>, ClusterError> {
        let mut served = Vec::new();
        for (_, whole, version) in self.versions().await? {
            let kinds = version.resources.into_iter().filter_map(|resource| resource.response_kind?.kind);
            served.extend(kinds.map(|kind| format!("{whole}/{kind}")));
            served.push(whole);
        }
        Ok(served)
    }

    /// How every served kind is called, by (apiVersion, kind).
    pub async fn resources(&self) -> Result<BTreeMap<(String, String), Resource>, ClusterError> {
        let mut known = BTreeMap::new();
        for (group, whole, version) in self.versions().await? {
            for served in version.resources {
                let kind = served.response_kind.and_then(|kind| kind.kind);
                let (Some(plural), Some(kind)) = (served.resource, kind) else { continue };
                let is_namespaced = served.scope.as_deref() == Some("Namespaced");
                known.insert((whole.clone(), kind), Resource { group: group.clone(), plural, is_namespaced });
            }
        }
        Ok(known)
    }

    /// Every version of every group: the group, the apiVersion, and what it serves.
    async fn versions(&self) -> Result<Vec<(String, String, APIVersionDiscovery)>, ClusterError> {
        let failed = |error| ClusterError::from_kube("cannot discover the API", error);
        let (core, groups) = futures::try_join!(
            self.client.list_core_api_versions_aggregated(),
            self.client.list_api_groups_aggregated()
        )
        .map_err(failed)?;
        let mut versions = Vec::new();
        for served in core.items.into_iter().chain(groups.items) {
            let group = served.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in served.versions {
                let number = version.version.clone().unwrap_or_default();
                let whole = if group.is_empty() { number } else { format!("{group}/{number}") };
                versions.push((group.clone(), whole, version));
            }
        }
        Ok(versions)
    }
}
