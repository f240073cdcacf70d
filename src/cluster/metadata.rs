//! Objects by their metadata only, of one kind or of every kind in a namespace or group.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use kube::discovery::{self, Scope, verbs};
use serde_json::Value;

use crate::cluster::dynamic::PAGE;
use crate::cluster::views::{Pod, Service};
use crate::cluster::{Cluster, ClusterError, ObjectRef, managed_by};
use crate::stack::MADE_BY_US;

/// Lists that run in parallel.
const LISTS_AT_ONCE: usize = 8;

/// An object by its metadata.
#[derive(Clone, Debug, Default)]
pub struct PartialObject {
    /// e.g. `apps/v1`
    pub api_version: String,
    /// e.g. `Deployment`
    pub kind: String,
    /// The lower-case plural and the group, e.g. `deployments.apps`: the name of the CRD of a custom resource.
    pub resource: String,
    metadata: ObjectMeta,
}

impl PartialObject {
    /// The metadata of an object.
    pub fn of(object: &Value) -> PartialObject {
        let ObjectRef { api_version, kind, .. } = ObjectRef::of(object);
        let metadata = object.get("metadata").cloned().and_then(|value| serde_json::from_value(value).ok());
        PartialObject { api_version, kind, resource: String::new(), metadata: metadata.unwrap_or_default() }
    }

    /// An object in namespace m; its uid is its name, and its metadata has these fields, too.
    #[cfg(test)]
    pub(crate) fn for_tests(kind: &str, name: &str, more: Value) -> PartialObject {
        let mut metadata = serde_json::json!({"name": name, "namespace": "m", "uid": name});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        PartialObject::of(&serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: self.metadata.namespace.clone(),
            name: self.name().to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace, "" for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// A label, "" if there is none.
    pub fn label(&self, key: &str) -> &str {
        self.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str)
    }

    /// An annotation, "" if there is none.
    pub fn annotation(&self, key: &str) -> &str {
        self.metadata.annotations.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str)
    }

    /// Whether tailwatch created or adopted it: it has tailwatch's label, set by a field manager of tailwatch.
    pub fn is_ours(&self) -> bool {
        managed_by::is_ours(&self.metadata)
    }

    /// Whether tailwatch created this namespace: it has tailwatch's annotation, set by a field manager of tailwatch.
    pub fn is_created_by_us(&self) -> bool {
        !self.annotation(MADE_BY_US).is_empty() && managed_by::is_set_by_us(&self.metadata, "annotations", MADE_BY_US)
    }

    /// Whether a field manager of tailwatch set this label.
    pub fn is_label_of_ours(&self, key: &str) -> bool {
        managed_by::is_set_by_us(&self.metadata, "labels", key)
    }

    /// Its first owner reference, e.g. `Deployment shop`.
    pub fn controller(&self) -> Option<String> {
        let mut owners = self.metadata.owner_references.iter().flatten();
        owners.next().map(|owner| format!("{} {}", owner.kind, owner.name))
    }

    /// Whether it has `helm.sh/resource-policy: keep`: helm retains it when it uninstalls the release.
    pub fn has_keep_policy(&self) -> bool {
        self.annotation("helm.sh/resource-policy") == "keep"
    }

    /// Keys of its annotations.
    pub fn annotations(&self) -> impl Iterator<Item = &str> {
        self.metadata.annotations.iter().flatten().map(|(key, _)| key.as_str())
    }

    /// UIDs of its owner references.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.metadata.owner_references.iter().flatten().map(|owner| owner.uid.as_str())
    }

    /// Whether it has a deletion timestamp.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Its deletion timestamp.
    pub fn terminating_since(&self) -> Option<jiff::Timestamp> {
        self.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// `deletionGracePeriodSeconds`.
    pub fn grace_seconds(&self) -> Option<i64> {
        self.metadata.deletion_grace_period_seconds
    }

    /// Finalizers.
    pub fn finalizers(&self) -> &[String] {
        self.metadata.finalizers.as_deref().unwrap_or_default()
    }

    /// Field managers of its `spec`.
    pub fn managers_of_spec(&self) -> BTreeSet<&str> {
        let entries = self.metadata.managed_fields.iter().flatten();
        let sets_spec =
            entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|set| set.0.get("f:spec").is_some()));
        sets_spec.filter_map(|entry| entry.manager.as_deref()).collect()
    }
}

impl Cluster {
    /// Objects of a kind; `namespace` None: all. Empty if the kind is not served.
    pub async fn partial_objects(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<PartialObject>, ClusterError> {
        let Some((resource, scope)) = self.kind(api_version, kind).await? else { return Ok(Vec::new()) };
        self.partial_objects_of(&resource, namespace.filter(|_| scope == Scope::Namespaced)).await
    }

    /// Every object of a namespace that can be listed and deleted, except events.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<PartialObject>, ClusterError> {
        let kinds = self.deletable_kinds().await?;
        let lists = stream::iter(&kinds).map(|resource| self.partial_objects_of(resource, Some(namespace)));
        Ok(lists.buffered(LISTS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
    }

    /// Every object of an API group's kinds, in all namespaces; none for a group that is not served.
    pub async fn of_group(&self, group: &str) -> Result<Vec<PartialObject>, ClusterError> {
        let discovered = match discovery::group(&self.client, group).await {
            Ok(discovered) => discovered,
            Err(kube::Error::Discovery(_)) => return Ok(Vec::new()),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            Err(error) => return Err(ClusterError::from_kube(&format!("cannot discover the API {group}"), error)),
        };
        let kinds = discovered.resources_by_stability();
        let lists = kinds.iter().filter(|(_, capabilities)| capabilities.supports_operation(verbs::LIST));
        let lists = stream::iter(lists).map(|(resource, _)| self.partial_objects_of(resource, None));
        Ok(lists.buffered(LISTS_AT_ONCE).try_collect::<Vec<_>>().await?.concat())
    }

    /// Services of a load balancer class, of every namespace.
    pub async fn load_balancers(&self, class: &str) -> Result<Vec<ObjectRef>, ClusterError> {
        let parameters = ListParams::default().fields("spec.type=LoadBalancer");
        Ok(of_class(self.views("v1", "Service", None, &parameters).await?, class))
    }

    /// (claim, pod) of a namespace: the claims that each pod mounts.
    pub async fn claims_in_use(&self, namespace: &str) -> Result<Vec<(String, String)>, ClusterError> {
        let pods = self.views::<Pod>("v1", "Pod", Some(namespace), &ListParams::default()).await?;
        let mounts =
            pods.iter().flat_map(|pod| pod.claims().map(|claim| (claim.to_owned(), pod.metadata.name.clone())));
        Ok(mounts.collect())
    }

    async fn partial_objects_of(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
    ) -> Result<Vec<PartialObject>, ClusterError> {
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let with_kind = |metadata| PartialObject {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            resource: format!("{}.{}", resource.plural, resource.group),
            metadata,
        };
        match metadata(&api, None).await {
            Ok(found) => Ok(found.into_iter().map(with_kind).collect()),
            // Its CRD was deleted since the discovery: an absent namespace would be an empty list.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(ClusterError::from_kube(&format!("cannot list {} objects", resource.kind), error)),
        }
    }
}

fn of_class(services: Vec<Service>, class: &str) -> Vec<ObjectRef> {
    let of_class = services.into_iter().filter(|service| service.spec.load_balancer_class == class);
    let reference = |service: Service| ObjectRef {
        api_version: "v1".into(),
        kind: "Service".into(),
        namespace: Some(service.metadata.namespace),
        name: service.metadata.name,
    };
    of_class.map(reference).collect()
}

/// Metadata of every object, optionally with a label selector, in pages.
pub(super) async fn metadata(api: &Api<DynamicObject>, labels: Option<&str>) -> Result<Vec<ObjectMeta>, kube::Error> {
    let mut parameters = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default() };
    parameters.limit = Some(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list_metadata(&parameters).await?;
        parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        found.extend(page.items.into_iter().map(|object| object.metadata));
        if parameters.continue_token.is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
impl PartialObject {
    /// The metadata of an object, with this field manager for all labels and annotations.
    pub(crate) fn set_by(manager: &str, object: &Value) -> PartialObject {
        let mut object = object.clone();
        let fields = |map: &str| -> Value {
            let keys = object["metadata"][map].as_object().into_iter().flatten();
            keys.map(|(key, _)| (format!("f:{key}"), serde_json::json!({}))).collect::<serde_json::Map<_, _>>().into()
        };
        let fields =
            serde_json::json!({"f:metadata": {"f:labels": fields("labels"), "f:annotations": fields("annotations")}});
        let entry =
            serde_json::json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields});
        object["metadata"]["managedFields"] = serde_json::json!([entry]);
        PartialObject::of(&object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn load_balancers_are_chosen_by_their_class() {
        let service = |name: &str, class: Value| -> Service {
            let service = json!({"metadata": {"name": name, "namespace": "m"}, "spec": {"loadBalancerClass": class}});
            serde_json::from_value(service).unwrap()
        };
        let services = vec![service("a", "tailscale".into()), service("b", "other".into()), service("c", Value::Null)];
        let found = of_class(services, "tailscale");
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
