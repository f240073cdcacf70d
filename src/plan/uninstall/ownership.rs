//! The owner of an object: tailwatch, a release of the stack, the Tailscale operator or a third party. Pure. Only the
//! metadata decides; an object without a mark is never tailwatch's.

use crate::cluster::PartialObject;
use crate::stack::{CatalogueEntry, MANAGED_BY, TAILSCALE_NAMESPACE, TAILWATCH};

const RELEASE: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// `app.kubernetes.io/managed-by` of objects that prometheus-operator creates.
pub(in crate::plan) const PROMETHEUS_OPERATOR: &str = "prometheus-operator";
/// Label of objects that the Tailscale operator creates for a proxy.
const OF_A_PROXY: &str = "tailscale.com/managed";

/// Default objects of a namespace, with those of OpenShift and of Istio.
const DEFAULT_NAMESPACE_OBJECTS: [(&str, &[&str]); 3] = [
    ("ConfigMap", &["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"]),
    ("ServiceAccount", &["default", "builder", "deployer"]),
    ("RoleBinding", &["system:deployers", "system:image-builders", "system:image-pullers"]),
];

/// Owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Owner {
    /// tailwatch: an own object.
    Ours,
    /// A PersistentVolumeClaim of this component.
    Claim(String),
    /// An object of this release's chart, or helm's record of it.
    Release(String),
    /// State that the Tailscale operator keeps in its own namespace.
    TailscaleOperator,
    /// Irrelevant: it is deleted with its owner, is terminating, or is a default object of every namespace.
    Ignored,
    /// A third party.
    Foreign,
}

/// The owner of an object in a namespace; `rows` are the stack's releases that tailwatch installed.
pub(in crate::plan) fn owner_of(found: &PartialObject, rows: &[CatalogueEntry]) -> Owner {
    let is_default_object =
        DEFAULT_NAMESPACE_OBJECTS.iter().any(|(kind, names)| found.kind == *kind && names.contains(&found.name()));
    if is_default_object || is_endpoints_of_a_service(found) {
        return Owner::Ignored;
    }
    let is_the_lock = found.kind == "Lease" && found.name() == TAILWATCH;
    if found.is_ours() || is_the_lock {
        return Owner::Ours;
    }
    if let Some(component) = claim_of(found, rows) {
        return Owner::Claim(component.to_owned());
    }
    if let Some(component) = release_of(found, rows) {
        return Owner::Release(component.to_owned());
    }
    let is_state = found.kind == "Secret" && found.name() == "operator" || !found.label(OF_A_PROXY).is_empty();
    match found.owners().next() {
        Some(_) => Owner::Ignored,
        None if found.is_terminating() => Owner::Ignored,
        None if found.namespace() == TAILSCALE_NAMESPACE && is_state => Owner::TailscaleOperator,
        None => Owner::Foreign,
    }
}

/// Endpoints that their controller creates for a Service and deletes after it; they have no owner reference. The label
/// is of Kubernetes 1.33, the annotation is older.
fn is_endpoints_of_a_service(found: &PartialObject) -> bool {
    let marked = !found.label("endpoints.kubernetes.io/managed-by").is_empty()
        || !found.annotation("endpoints.kubernetes.io/last-change-trigger-time").is_empty();
    found.kind == "Endpoints" && marked
}

/// The component that stores its data in a claim. Charts mark their own claims; those of StatefulSets have the
/// selector's labels and the name TEMPLATE-SET-ORDINAL (Kubernetes pkg/controller/statefulset/stateful_set_utils.go).
pub(in crate::plan) fn claim_of<'a>(found: &PartialObject, rows: &'a [CatalogueEntry]) -> Option<&'a str> {
    if found.kind != "PersistentVolumeClaim" {
        return None;
    }
    let instance = found.label(INSTANCE);
    let of_the_operator = |row: &CatalogueEntry| {
        let is_created = found.label(MANAGED_BY) == PROMETHEUS_OPERATOR;
        is_created && row.wait_for.iter().any(|workload| workload.name == instance)
    };
    let of_a_set = |row: &CatalogueEntry| {
        let set = found.name().rsplit_once('-').filter(|(_, ordinal)| ordinal.parse::<u32>().is_ok());
        instance == row.name && set.is_some_and(|(set, _)| format!("-{set}-").contains(&format!("-{}-", row.name)))
    };
    let here = |row: &&CatalogueEntry| row.namespace == found.namespace();
    let marked = release_of(found, rows);
    marked.or_else(|| {
        rows.iter().filter(here).find(|row| of_the_operator(row) || of_a_set(row)).map(|row| row.name.as_str())
    })
}

/// The release that an object or a helm record belongs to.
pub(in crate::plan) fn release_of<'a>(found: &PartialObject, rows: &'a [CatalogueEntry]) -> Option<&'a str> {
    let (name, namespace) = match is_record(found) {
        true => (found.label("name"), found.namespace()),
        false => (found.annotation(RELEASE), found.annotation(RELEASE_NAMESPACE)),
    };
    rows.iter().find(|row| row.name == name && row.namespace == namespace).map(|row| row.name.as_str())
}

/// Whether it is helm's record of a revision.
pub(in crate::plan) fn is_record(found: &PartialObject) -> bool {
    matches!(found.kind.as_str(), "Secret" | "ConfigMap") && found.label("owner") == "helm"
}

/// Whether a pod belongs to one of the stack's workloads.
pub(in crate::plan) fn is_of_a_workload(pod: &PartialObject, rows: &[CatalogueEntry]) -> bool {
    let instance = pod.label(INSTANCE);
    let named =
        |row: &CatalogueEntry| row.name == instance || row.wait_for.iter().any(|workload| workload.name == instance);
    rows.iter().any(|row| row.namespace == pod.namespace() && named(row))
}

/// Owner of a CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum CrdOwner {
    /// tailwatch only.
    Ours,
    /// tailwatch and another manager: which one.
    Shared(String),
    /// Not tailwatch.
    Foreign,
}

/// The owner of a CRD, by the managers of its `spec` fields, its release annotation and its owner references.
pub(in crate::plan) fn crd_owner(found: &PartialObject) -> CrdOwner {
    let mut managers = found.managers_of_spec();
    if !managers.remove(crate::cluster::FIELD_MANAGER) {
        return CrdOwner::Foreign;
    }
    if let Some(other) = managers.first() {
        return CrdOwner::Shared(format!("{other} applies it, too"));
    }
    if !found.annotation(RELEASE).is_empty() {
        return CrdOwner::Shared(format!("it belongs to release {}", found.annotation(RELEASE)));
    }
    match found.owners().next() {
        Some(_) => CrdOwner::Shared("it belongs to another object".into()),
        None => CrdOwner::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Catalogue;
    use serde_json::{Value, json};

    fn rows() -> Vec<CatalogueEntry> {
        Catalogue::embedded().unwrap().overview("m")
    }

    fn owner(kind: &str, metadata: Value) -> Owner {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
        if object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = "m".into();
        }
        owner_of(&PartialObject::set_by("tailwatch", &object), &rows())
    }

    #[test]
    fn only_marks_make_an_object_ours() {
        let ours = json!({"name": "x", "labels": {"app.kubernetes.io/managed-by": "tailwatch"}});
        assert_eq!(owner("Secret", ours), Owner::Ours);
        assert_eq!(owner("Lease", json!({"name": "tailwatch"})), Owner::Ours);
        let labels = json!({"app.kubernetes.io/managed-by": "tailwatch"});
        let copy = json!({"kind": "Secret", "metadata": {"name": "x", "namespace": "m", "labels": labels}});
        assert_eq!(owner_of(&PartialObject::set_by("kubectl", &copy), &rows()), Owner::Foreign, "a copy of the label");
        for foreign in ["oauth2-proxy-auth0", "grafana-admin", "tailwatch-answers", "loki", "operator"] {
            assert_eq!(owner("Secret", json!({"name": foreign})), Owner::Foreign, "{foreign}");
        }
        assert_eq!(owner("ConfigMap", json!({"name": "kube-root-ca.crt"})), Owner::Ignored);
        assert_eq!(owner("ServiceAccount", json!({"name": "default"})), Owner::Ignored);
        assert_eq!(owner("ServiceAccount", json!({"name": "shop"})), Owner::Foreign);
        let owned = json!({"name": "x-1", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "1"}]});
        assert_eq!(owner("Pod", owned), Owner::Ignored);
        let created = json!({"name": "x", "labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}});
        assert_eq!(owner("Endpoints", created), Owner::Ignored);
        assert_eq!(owner("Endpoints", json!({"name": "x"})), Owner::Foreign);
        let leaving = json!({"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(owner("ConfigMap", leaving), Owner::Ignored);
    }

    #[test]
    fn a_release_is_known_by_name_and_namespace() {
        let chart = |name: &str, namespace: &str| {
            owner("Service", json!({"name": "x", "annotations": {RELEASE: name, RELEASE_NAMESPACE: namespace}}))
        };
        assert_eq!(chart("loki", "m"), Owner::Release("loki".into()));
        assert_eq!(chart("loki", "other"), Owner::Foreign);
        assert_eq!(chart("shop", "m"), Owner::Foreign);
        let record = |name: &str| owner("Secret", json!({"name": "r", "labels": {"owner": "helm", "name": name}}));
        assert_eq!(record("alloy"), Owner::Release("alloy".into()));
        assert_eq!(record("shop"), Owner::Foreign);
    }

    #[test]
    fn claims_are_ours_by_their_labels_and_names() {
        let claim = |name: &str, labels: Value| {
            owner("PersistentVolumeClaim", json!({"name": name, "labels": labels, "annotations": {}}))
        };
        let of = |component: &str| Owner::Claim(component.into());
        assert_eq!(claim("storage-loki-0", json!({INSTANCE: "loki"})), of("loki"));
        let prometheus = json!({INSTANCE: "kube-prometheus-stack-prometheus", MANAGED_BY: "prometheus-operator"});
        assert_eq!(claim("prometheus-db-0", prometheus), of("kube-prometheus-stack"));
        let chart = json!({"name": "kube-prometheus-stack-grafana",
            "annotations": {RELEASE: "kube-prometheus-stack", RELEASE_NAMESPACE: "m"}});
        assert_eq!(owner("PersistentVolumeClaim", chart), of("kube-prometheus-stack"));
        // Third parties: another name, another instance, another operator's object, another namespace.
        assert_eq!(claim("storage-loki-0", json!({})), Owner::Foreign);
        assert_eq!(claim("backup-of-lokis-0", json!({INSTANCE: "loki"})), Owner::Foreign);
        assert_eq!(claim("loki-backup", json!({INSTANCE: "loki"})), Owner::Foreign);
        assert_eq!(claim("db-0", json!({INSTANCE: "shop", MANAGED_BY: "prometheus-operator"})), Owner::Foreign);
        let elsewhere = json!({"name": "storage-loki-0", "namespace": "other", "labels": {INSTANCE: "loki"}});
        assert_eq!(owner("PersistentVolumeClaim", elsewhere), Owner::Foreign);
    }

    #[test]
    fn state_of_the_tailscale_operator_is_in_its_namespace_only() {
        let state = json!({"name": "operator", "namespace": "tailscale"});
        assert_eq!(owner("Secret", state), Owner::TailscaleOperator);
        let proxy = json!({"name": "ts-x-0", "namespace": "tailscale", "labels": {OF_A_PROXY: "true"}});
        assert_eq!(owner("Secret", proxy), Owner::TailscaleOperator);
        assert_eq!(owner("Secret", json!({"name": "mine", "namespace": "tailscale"})), Owner::Foreign);
    }

    #[test]
    fn a_crd_is_ours_while_no_other_manager_sets_its_specification() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "apiVersion": "x", "fieldsType": "FieldsV1", "fieldsV1": fields});
        let spec = || json!({"f:spec": {"f:group": {}}});
        let crd = |entries: Vec<Value>, annotations: Value| {
            crd_owner(&PartialObject::of(&json!({"kind": "CustomResourceDefinition",
                "metadata": {"name": "x", "managedFields": entries, "annotations": annotations}})))
        };
        let status = entry("kube-apiserver", json!({"f:status": {}}));
        assert_eq!(crd(vec![entry("tailwatch", spec()), status], json!({})), CrdOwner::Ours);
        assert_eq!(crd(vec![entry("helm", spec())], json!({})), CrdOwner::Foreign);
        let both = crd(vec![entry("tailwatch", spec()), entry("helm", spec())], json!({}));
        assert_eq!(both, CrdOwner::Shared("helm applies it, too".into()));
        let marked = crd(vec![entry("tailwatch", spec())], json!({RELEASE: "other"}));
        assert_eq!(marked, CrdOwner::Shared("it belongs to release other".into()));
    }
}
