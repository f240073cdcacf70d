//! Discovery of the served API: in two requests, or one for each group version of an older server.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::core::ApiResource;
use kube::core::discovery::v2::{
    APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery, APIVersionDiscovery, GroupVersionKind,
};
use kube::discovery::verbs;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, Resource};

/// Group versions that are read in parallel.
const AT_ONCE: usize = 8;

impl Cluster {
    /// `group/version` and `group/version/Kind` of every served kind (for helm's `--api-versions`).
    pub async fn api_versions(&self) -> Result<Vec<String>, ClusterError> {
        let mut served = Vec::new();
        for (_, whole, version) in self.versions().await? {
            let kinds = version.resources.into_iter().filter_map(|resource| resource.response_kind?.kind);
            served.extend(kinds.map(|kind| format!("{whole}/{kind}")));
            served.push(whole);
        }
        Ok(served)
    }

    /// The resource of every served kind, by (apiVersion, kind).
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

    /// Every namespaced kind that can be listed and deleted, except events, in one version: the first of its group.
    pub(super) async fn deletable_kinds(&self) -> Result<Vec<ApiResource>, ClusterError> {
        let mut seen = BTreeSet::new();
        let mut kinds = Vec::new();
        for (group, api_version, version) in self.versions().await? {
            for served in version.resources {
                let kind = served.response_kind.and_then(|kind| kind.kind);
                let (Some(plural), Some(kind)) = (served.resource, kind) else { continue };
                let can = |verb: &str| served.verbs.iter().any(|served| served == verb);
                let counts = can(verbs::LIST) && can(verbs::DELETE) && kind != "Event";
                let is_namespaced = served.scope.as_deref() == Some("Namespaced");
                if counts && is_namespaced && seen.insert((group.clone(), kind.clone())) {
                    let version = version.version.clone().unwrap_or_default();
                    let api_version = api_version.clone();
                    kinds.push(ApiResource { group: group.clone(), version, api_version, kind, plural });
                }
            }
        }
        Ok(kinds)
    }

    /// Every version of every group: the group, the apiVersion, and its resources. Kubernetes before 1.27, and gateways
    /// that drop the Accept header, have no aggregated discovery; then each group is read.
    async fn versions(&self) -> Result<Vec<(String, String, APIVersionDiscovery)>, ClusterError> {
        let failed = |error| ClusterError::from_kube("cannot discover the API", error);
        let (core, groups) =
            tokio::join!(self.client.list_core_api_versions_aggregated(), self.client.list_api_groups_aggregated());
        let mut versions = match aggregated(core).map_err(failed)? {
            Some(core) => flattened(core),
            None => self.core_versions().await.map_err(failed)?,
        };
        versions.extend(match aggregated(groups).map_err(failed)? {
            Some(groups) => flattened(groups),
            None => self.group_versions().await.map_err(failed)?,
        });
        Ok(versions)
    }

    async fn core_versions(&self) -> kube::Result<Vec<Version>> {
        let mut versions = Vec::new();
        for number in self.client.list_core_api_versions().await?.versions {
            let served = self.client.list_core_api_resources(&number).await?;
            versions.push((String::new(), number, served_version(&served)));
        }
        Ok(versions)
    }

    /// A group is left out if its server does not answer, as kubectl does.
    async fn group_versions(&self) -> kube::Result<Vec<Version>> {
        let groups = self.client.list_api_groups().await?.groups;
        let all = groups.into_iter().flat_map(|group| {
            let name = group.name;
            group.versions.into_iter().map(move |version| (name.clone(), version.group_version))
        });
        let lists = futures::stream::iter(all).map(|(group, whole)| async move {
            let served = self.client.list_api_group_resources(&whole).await;
            (group, whole, served)
        });
        let mut versions = Vec::new();
        let mut lists = lists.buffered(AT_ONCE);
        while let Some((group, whole, served)) = lists.next().await {
            match served {
                Ok(served) => versions.push((group, whole, served_version(&served))),
                Err(kube::Error::Api(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(versions)
    }
}

/// A group, an apiVersion, its resources.
type Version = (String, String, APIVersionDiscovery);

/// `None`: the server has no aggregated discovery. Its plain lists have no `items`.
fn aggregated(answer: kube::Result<APIGroupDiscoveryList>) -> kube::Result<Option<Vec<APIGroupDiscovery>>> {
    match answer {
        Ok(list) => Ok(Some(list.items).filter(|items| !items.is_empty())),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 406 | 415) => Ok(None),
        Err(kube::Error::SerdeError(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn flattened(groups: Vec<APIGroupDiscovery>) -> Vec<Version> {
    let mut versions = Vec::new();
    for served in groups {
        let group = served.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for version in served.versions {
            let number = version.version.clone().unwrap_or_default();
            let whole = if group.is_empty() { number } else { format!("{group}/{number}") };
            versions.push((group.clone(), whole, version));
        }
    }
    versions
}

/// A plain list in the form of the aggregated one; subresources have a slash in their name.
fn served_version(served: &APIResourceList) -> APIVersionDiscovery {
    let resources = served.resources.iter().filter(|resource| !resource.name.contains('/'));
    let resources = resources.map(|resource| APIResourceDiscovery {
        resource: Some(resource.name.clone()),
        response_kind: Some(GroupVersionKind { kind: Some(resource.kind.clone()), ..GroupVersionKind::default() }),
        scope: Some(if resource.namespaced { "Namespaced" } else { "Cluster" }.to_owned()),
        verbs: resource.verbs.clone(),
        ..APIResourceDiscovery::default()
    });
    let version = served.group_version.rsplit('/').next().map(str::to_owned);
    APIVersionDiscovery { version, resources: resources.collect(), freshness: None }
}

/// (apiVersion, kind) of each version that a CRD serves.
pub(super) fn served_kinds(crd: &Value) -> Vec<(String, String)> {
    let text = |path: &str| crd.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true);
    let api_version = |version: &Value| format!("{group}/{}", version["name"].as_str().unwrap_or_default());
    served.map(|version| (api_version(version), kind.to_owned())).collect()
}
