//! Permissions of this context, reviewed by the API server.

use std::fmt;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};

/// A resource in the form of RBAC rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group, "" for the core.
    pub group: String,
    /// `plural` or `plural/subresource`.
    pub plural: String,
    /// Whether it is namespaced.
    pub is_namespaced: bool,
}

/// A permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// On which resource.
    pub resource: Resource,
    /// In which namespace; `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// On the object of this name; `None`: on every object. `create`, `list` and `watch` have no name.
    pub name: Option<String>,
    /// e.g. `create`
    pub verb: String,
}

impl fmt::Display for Resource {
    /// `deployments.apps`, the form of `kubectl auth can-i`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.group.as_str(), self.plural.split_once('/')) {
            ("", _) => formatter.write_str(&self.plural),
            (group, None) => write!(formatter, "{}.{group}", self.plural),
            (group, Some((plural, subresource))) => write!(formatter, "{plural}.{group}/{subresource}"),
        }
    }
}

impl Resource {
    /// The resources of a CRD: (apiVersion, kind) and resource, for each version.
    pub fn of_crd(crd: &Value) -> Vec<((String, String), Resource)> {
        let text = |path: &str| crd.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
        let is_namespaced = text("/spec/scope") == "Namespaced";
        let resource = Resource { group: group.clone(), plural: text("/spec/names/plural"), is_namespaced };
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
        let names = versions.filter_map(|version| version["name"].as_str());
        names.map(|version| ((format!("{group}/{version}"), kind.clone()), resource.clone())).collect()
    }
}

impl Cluster {
    /// Whether this user has a permission (SelfSubjectAccessReview).
    pub async fn may(&self, permission: &Permission) -> Result<bool, ClusterError> {
        let plural = permission.resource.plural.as_str();
        let (name, subresource) = plural.split_once('/').map_or((plural, None), |(name, sub)| (name, Some(sub)));
        let attributes = ResourceAttributes {
            verb: Some(permission.verb.clone()),
            group: Some(permission.resource.group.clone()),
            resource: Some(name.to_owned()),
            subresource: subresource.map(str::to_owned),
            namespace: permission.namespace.clone(),
            name: permission.name.clone(),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer =
            answer.map_err(|error| ClusterError::from_kube("cannot review the permissions of this user", error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
