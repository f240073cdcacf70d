//! What this context may do, as the API server says.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::discovery::Scope;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};

/// How a kind is called in rules of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group, "" for the core.
    pub group: String,
    /// `plural` or `plural/subresource`.
    pub plural: String,
    /// Whether its objects stand in namespaces.
    pub is_namespaced: bool,
}

/// Something that may be done or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// With what.
    pub resource: Resource,
    /// Where; `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// e.g. `create`
    pub verb: String,
}

impl fmt::Display for Resource {
    /// `deployments.apps`, as `kubectl auth can-i` takes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.group.as_str(), self.plural.split_once('/')) {
            ("", _) => formatter.write_str(&self.plural),
            (group, None) => write!(formatter, "{}.{group}", self.plural),
            (group, Some((plural, subresource))) => write!(formatter, "{plural}.{group}/{subresource}"),
        }
    }
}

impl Resource {
    /// What a CRD will be served as.
    pub fn of_crd(crd: &Value) -> Option<(String, Resource)> {
        let text = |path: &str| crd.pointer(path).and_then(Value::as_str);
        let resource = Resource {
            group: text("/spec/group")?.to_owned(),
            plural: text("/spec/names/plural")?.to_owned(),
            is_namespaced: text("/spec/scope") == Some("Namespaced"),
        };
        Some((text("/spec/names/kind")?.to_owned(), resource))
    }
}

impl Cluster {
    /// How the kinds (apiVersion, kind) are called; those that the API server does not know are left out.
    pub async fn resources(
        &self,
        kinds: impl IntoIterator<Item = (String, String)>,
    ) -> Result<BTreeMap<(String, String), Resource>, ClusterError> {
        let mut known = BTreeMap::new();
        for key in kinds {
            let Some((resource, scope)) = self.kind(&key.0, &key.1).await? else { continue };
            let is_namespaced = scope == Scope::Namespaced;
            known.insert(key, Resource { group: resource.group, plural: resource.plural, is_namespaced });
        }
        Ok(known)
    }

    /// Whether we may do something (SelfSubjectAccessReview).
    pub async fn may(&self, right: &Right) -> Result<bool, ClusterError> {
        let plural = right.resource.plural.as_str();
        let (name, subresource) = plural.split_once('/').map_or((plural, None), |(name, sub)| (name, Some(sub)));
        let attributes = ResourceAttributes {
            verb: Some(right.verb.clone()),
            group: Some(right.resource.group.clone()),
            resource: Some(name.to_owned()),
            subresource: subresource.map(str::to_owned),
            namespace: right.namespace.clone(),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let answer = Api::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| ClusterError::from_kube("cannot review our rights", error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
