//! The owner of an object, from its metadata.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};
use crate::stack::{MANAGED_BY, TAILWATCH};

const HELM: &str = "Helm";

/// A live object by its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedObject {
    /// Its reference.
    pub object: ObjectRef,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Field managers, without those of subresources.
    pub managers: Vec<String>,
}

impl ManagedObject {
    /// (name, namespace) of the helm release in its annotations.
    pub fn release(&self) -> Option<(&str, &str)> {
        let mark = |key: &str| self.annotations.get(key).map(String::as_str);
        Some((mark("meta.helm.sh/release-name")?, mark("meta.helm.sh/release-namespace")?))
    }

    /// Whether helm accepts it as a part of this release, (name, namespace): both annotations and the label match (helm
    /// pkg/action/validate.go, checkOwnership).
    pub fn is_part_of(&self, release: (&str, &str)) -> bool {
        let managed = self.labels.get(MANAGED_BY).is_some_and(|manager| manager == HELM);
        managed && self.release() == Some(release)
    }

    /// Whether tailwatch's field manager applied it.
    pub fn is_applied_by_us(&self) -> bool {
        self.managers.iter().any(|manager| manager == FIELD_MANAGER)
    }

    /// `release prom in namespace metrics`, or `field manager kubectl-create`, with the label of another manager.
    pub fn owner(&self) -> String {
        let label = self.labels.get(MANAGED_BY).filter(|manager| *manager != HELM);
        let label = label.map(|manager| format!(", label {MANAGED_BY}={manager}")).unwrap_or_default();
        match (self.release(), self.managers.as_slice()) {
            (Some((name, namespace)), _) => format!("release {name} in namespace {namespace}"),
            (None, []) => format!("an unknown owner{label}"),
            (None, managers) => format!("field manager {}{label}", managers.join(", ")),
        }
    }

    /// The ownership of an object.
    pub fn of(object: &Value) -> ManagedObject {
        let metadata = object.get("metadata").cloned().and_then(|value| serde_json::from_value(value).ok());
        ManagedObject::from_metadata(ObjectRef::of(object), metadata.unwrap_or_default())
    }

    fn from_metadata(object: ObjectRef, metadata: ObjectMeta) -> ManagedObject {
        let fields = metadata.managed_fields.unwrap_or_default();
        let fields = fields.into_iter().filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
        let mut managers: Vec<String> = fields.filter_map(|entry| entry.manager).collect();
        managers.sort();
        managers.dedup();
        let (labels, annotations) = (metadata.labels.unwrap_or_default(), metadata.annotations.unwrap_or_default());
        ManagedObject { object, labels, annotations, managers }
    }
}

/// Maximal age of a managedFields entry before the object's creation. The API server sets the entry's time just before
/// the creation timestamp (k8s.io/apiserver pkg/endpoints/handlers/patch.go, pkg/registry/rest/create.go).
const MAX_ENTRY_AGE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// Whether a field manager of tailwatch set a label or annotation. A copy of an own object has tailwatch's label but not
/// its field managers: `kubectl get -o yaml` omits them, and the API server records the writer. A copy with
/// `--show-managed-fields` has entries that are older than itself. An object restored from a backup counts as a copy.
/// This detects mistakes, not attacks: a user who may write the object can use tailwatch's field manager.
pub(super) fn is_set_by_us(metadata: &ObjectMeta, map: &str, key: &str) -> bool {
    let is_ours = |manager: &str| {
        let rest = manager.strip_prefix(FIELD_MANAGER);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let sets = |fields: &Value| {
        let field = fields.get("f:metadata").and_then(|metadata| metadata.get(format!("f:{map}")));
        field.is_some_and(|map| map.get(format!("f:{key}")).is_some())
    };
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_of_it = |time: jiff::Timestamp| created.is_none_or(|created| time.duration_until(created) <= MAX_ENTRY_AGE);
    metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref().is_some_and(is_ours)
            && entry.fields_v1.as_ref().is_some_and(|fields| sets(&fields.0))
            && entry.time.as_ref().is_none_or(|time| is_of_it(time.0))
    })
}

/// Whether it is an own object: it has tailwatch's label, set by a field manager of tailwatch.
pub(super) fn is_ours(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    label.is_some_and(|value| value == TAILWATCH) && is_set_by_us(metadata, "labels", MANAGED_BY)
}

impl Cluster {
    /// Objects of a kind with their owners; `namespace` None: all. Empty if the kind is not served.
    pub async fn managed_objects(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
    ) -> Result<Vec<ManagedObject>, ClusterError> {
        let found = self.metadata((api_version, kind), namespace, None).await?;
        let held = found.into_iter().filter_map(|metadata| {
            let object = ObjectRef {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone()?,
            };
            Some(ManagedObject::from_metadata(object, metadata))
        });
        Ok(held.collect())
    }
}

/// Containers of a workload's pods.
pub fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    workload.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// Name of a container's image, without registry, tag and digest.
pub fn image_name(container: &Value) -> &str {
    let image = container["image"].as_str().unwrap_or_default();
    let last = image.split('@').next().and_then(|image| image.rsplit('/').next()).unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// The container of a workload that runs the Prometheus operator: by its image, which mirrors rename, or by the option
/// that only the operator has.
pub fn prometheus_operator(workload: &Value) -> Option<&Value> {
    containers(workload).find(|container| {
        let mut words = ["command", "args"].into_iter().filter_map(|key| container[key].as_array()).flatten();
        let is_option = |word: &Value| word.as_str().is_some_and(|word| word.contains("-prometheus-config-reloader"));
        image_name(container).ends_with("prometheus-operator") || words.any(is_option)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PartialObject;
    use serde_json::json;

    /// An object with our label, and the field managers that set it and its data.
    fn labelled(label: &str, setter: &str, data: &str) -> Value {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields});
        let labels = json!({"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}});
        let fields = [entry(setter, labels), entry(data, json!({"f:data": {"f:a": {}}}))];
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "m",
            "labels": {"app.kubernetes.io/managed-by": label}, "managedFields": fields}})
    }

    #[test]
    fn our_label_counts_only_with_our_field_manager() {
        for (label, setter, data, ours) in [
            ("tailwatch", "tailwatch", "kubectl", true),
            ("tailwatch", "tailwatch-loki", "tailwatch-loki", true),
            ("tailwatch", "kubectl-client-side-apply", "kubectl-client-side-apply", false),
            ("tailwatch", "kubectl", "tailwatch", false),
            ("tailwatch", "tailwatcher", "tailwatcher", false),
            ("argocd", "argocd", "tailwatch", false),
        ] {
            let object = labelled(label, setter, data);
            assert_eq!(PartialObject::of(&object).is_ours(), ours, "{label} {setter} {data}");
        }
        for (created, ours) in
            [("2026-01-01T00:00:01Z", true), ("2026-01-02T00:00:00Z", false), ("2025-12-01T00:00:00Z", true)]
        {
            let mut object = labelled("tailwatch", "tailwatch", "tailwatch");
            object["metadata"]["creationTimestamp"] = created.into();
            object["metadata"]["managedFields"][0]["time"] = "2026-01-01T00:00:00Z".into();
            assert_eq!(
                PartialObject::of(&object).is_ours(),
                ours,
                "created {created}, with the record of a field manager"
            );
        }
        let bare = json!({"kind": "Secret", "metadata": {"labels": {"app.kubernetes.io/managed-by": "tailwatch"}}});
        assert!(!PartialObject::of(&bare).is_ours(), "without managed fields nothing is proven");
    }

    #[test]
    fn an_owner_is_reported_by_release_manager_and_label() {
        assert_eq!(
            ManagedObject::of(&labelled("argocd", "b", "a")).owner(),
            "field manager a, b, label app.kubernetes.io/managed-by=argocd"
        );
        let mut of_release = labelled("Helm", "helm", "helm");
        of_release["metadata"]["annotations"] =
            json!({"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "m"});
        assert_eq!(ManagedObject::of(&of_release).owner(), "release shop in namespace m");
        assert_eq!(ManagedObject::of(&json!({"kind": "Secret"})).owner(), "an unknown owner");
    }
}
