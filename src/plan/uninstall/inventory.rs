//! Own objects outside of the releases: those that an uninstall deletes, and those that it retains, with the reason.
//! Read from the cluster alone: the plan, its execution after an interruption and the final report use the same code.

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ObjectRef, PartialObject};
use crate::event::RetainedObject;
use crate::plan::list::name_some;
use crate::plan::uninstall::dependents::{KubeletService, describe, kubelet_objects, kubelet_service};
use crate::plan::uninstall::namespace::{NamespaceInventory, NamespaceVerdict, retained_object};
use crate::plan::uninstall::ownership::{CrdOwner, crd_owner, release_of};
use crate::plan::uninstall::scope::{NamespaceOutcome, UninstallOptions, UninstallScope};

/// API group of the CRDs that we apply for kube-prometheus-stack.
const PROMETHEUS_GROUP: &str = "monitoring.coreos.com";
const DELETE_CRDS: &str = "--delete-crds";

/// Deletions outside of the releases, and retained objects.
#[derive(Clone, Debug, Default)]
pub struct OwnedObjects {
    /// Deletions, in this order; the lease, if there is one, is the last.
    pub deletions: Vec<PartialObject>,
    /// Namespaces to delete or to unlabel, the stack's last.
    pub namespaces: Vec<NamespaceOutcome>,
    /// Retained objects, by namespace and kind.
    pub retained: Vec<RetainedObject>,
}

/// Objects that were read.
#[derive(Clone, Debug, Default)]
struct LiveObjects {
    namespaces: Vec<NamespaceInventory>,
    /// CRDs with the objects that would be deleted with each.
    crds: Vec<(PartialObject, Vec<String>)>,
    kubelet: KubeletService,
    /// Released volumes of claims in the stack's namespace.
    volumes: Vec<String>,
}

impl OwnedObjects {
    /// Whether anything is to be deleted.
    pub fn has_work(&self) -> bool {
        !self.deletions.is_empty() || !self.namespaces.is_empty()
    }
}

/// Reads the own objects and decides which are deleted and which are retained.
pub async fn owned_objects(cluster: &Cluster, scope: &UninstallScope) -> Result<OwnedObjects, ClusterError> {
    Ok(classify(&read(cluster, scope).await?, scope))
}

async fn read(cluster: &Cluster, scope: &UninstallScope) -> Result<LiveObjects, ClusterError> {
    let mut names: Vec<&str> = scope.rows.iter().map(|row| row.namespace.as_str()).collect();
    names.push(&scope.namespace);
    names.sort_unstable_by_key(|name| (*name == scope.namespace, *name));
    names.dedup();
    let mut live = LiveObjects::default();
    for name in names {
        let Some(namespace) = cluster.get(&ObjectRef::of_namespace(name)).await? else { continue };
        let (contents, claims_in_use) = futures::try_join!(cluster.contents(name), cluster.claims_in_use(name))?;
        live.namespaces.push(NamespaceInventory { namespace: PartialObject::of(&namespace), contents, claims_in_use });
    }
    let crds = cluster.partial_objects("apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    let (crds, objects) = futures::try_join!(crds, cluster.of_group(PROMETHEUS_GROUP))?;
    for crd in crds.into_iter().filter(|crd| crd.name().ends_with(&format!(".{PROMETHEUS_GROUP}"))) {
        let others = objects.iter().filter(|found| found.resource == crd.name());
        let others = others.filter(|found| release_of(found, &scope.rows).is_none() && !found.is_terminating());
        let others = others.map(|found| describe(&found.reference())).collect();
        live.crds.push((crd, others));
    }
    live.kubelet = kubelet_objects(cluster, &kubelet_service(&[]), &scope.rows).await?;
    if scope.options.data {
        live.volumes = released_volumes(cluster, &scope.namespace).await?;
    }
    Ok(live)
}

/// Volumes with a deleted claim in the namespace and a reclaim policy other than `Delete`.
async fn released_volumes(cluster: &Cluster, namespace: &str) -> Result<Vec<String>, ClusterError> {
    let volumes = cluster.list("v1", "PersistentVolume", None, None).await?;
    let text = |volume: &Value, path: &str| -> String {
        volume.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_left = |volume: &&Value| {
        text(volume, "/status/phase") == "Released"
            && text(volume, "/spec/claimRef/namespace") == namespace
            && text(volume, "/spec/persistentVolumeReclaimPolicy") != "Delete"
    };
    Ok(volumes.iter().filter(is_left).map(|volume| ObjectRef::of(volume).name).collect())
}

fn classify(live: &LiveObjects, scope: &UninstallScope) -> OwnedObjects {
    let mut owned_objects = OwnedObjects::default();
    for place in &live.namespaces {
        let NamespaceVerdict { deletions, end, retained } = place.verdict(scope);
        owned_objects.deletions.extend(deletions);
        owned_objects.namespaces.extend(end);
        owned_objects.retained.extend(retained);
    }
    let has_own_objects = owned_objects.has_work() || !owned_objects.retained.is_empty();
    for (crd, others) in &live.crds {
        classify_crd(crd, others, scope.options, &mut owned_objects);
    }
    // It has no mark of its release: it counts as the stack's only if there are other own objects.
    if has_own_objects {
        match &live.kubelet.other_manager {
            None => owned_objects.deletions.extend(live.kubelet.objects.iter().cloned()),
            Some(other_manager) => {
                let service = live.kubelet.objects.iter().filter(|found| found.kind == "Service");
                owned_objects
                    .retained
                    .extend(service.map(|found| retained_object(found, &format!("{other_manager} manages it"), None)));
            }
        }
    }
    for name in &live.volumes {
        owned_objects.retained.push(RetainedObject {
            kind: "PersistentVolume".into(),
            namespace: None,
            name: name.clone(),
            reason: "its StorageClass retains it with the data of a deleted claim".into(),
            removal: Some(format!("kubectl delete persistentvolume {name}")),
        });
    }
    owned_objects.deletions.sort_by_key(rank);
    owned_objects.retained.sort_by(|one, other| {
        (&one.namespace, &one.kind, &one.reason, &one.name).cmp(&(
            &other.namespace,
            &other.kind,
            &other.reason,
            &other.name,
        ))
    });
    owned_objects
}

/// An object is deleted before those that it references; the lease, which an interrupted run needs again, is the last.
fn rank(found: &PartialObject) -> usize {
    const ORDER: [&str; 7] =
        ["Ingress", "NetworkPolicy", "Service", "Endpoints", "EndpointSlice", "PersistentVolumeClaim", "Secret"];
    match found.kind.as_str() {
        "CustomResourceDefinition" => ORDER.len(),
        "Lease" => ORDER.len() + 2,
        kind => ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len() + 1),
    }
}

fn classify_crd(crd: &PartialObject, others: &[String], options: UninstallOptions, owned_objects: &mut OwnedObjects) {
    let (reason, removal) = match crd_owner(crd) {
        CrdOwner::Foreign => return,
        CrdOwner::Shared(why) => (why, None),
        CrdOwner::Ours if !others.is_empty() => {
            let what = if options.crds { "would be deleted with it" } else { "is of its kind" };
            (format!("{} {what}", name_some(others)), None)
        }
        CrdOwner::Ours if options.crds => return owned_objects.deletions.push(crd.clone()),
        CrdOwner::Ours => ("its deletion would delete every object of its kind".into(), Some(DELETE_CRDS)),
    };
    owned_objects.retained.push(retained_object(crd, &reason, removal));
}

#[cfg(test)]
mod tests {
    use crate::plan::uninstall::inventory::*;
    use crate::stack::{Catalogue, MADE_BY_US};
    use serde_json::json;

    fn found(kind: &str, name: &str, namespace: &str) -> PartialObject {
        let labels = json!({"app.kubernetes.io/managed-by": "tailwatch"});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        PartialObject::set_by("tailwatch", &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn scope(options: UninstallOptions) -> UninstallScope {
        let rows = Catalogue::embedded().unwrap().overview("m");
        UninstallScope { namespace: "m".into(), rows, options, retains_operator: false, confirmed: None }
    }

    fn live() -> LiveObjects {
        let namespace = json!({"kind": "Namespace", "metadata": {"name": "m", "annotations": {MADE_BY_US: "true"}}});
        let kinds = ["Lease", "Secret", "PersistentVolumeClaim", "NetworkPolicy", "Ingress"];
        let contents = kinds.map(|kind| found(kind, "tailwatch", "m")).to_vec();
        let place = NamespaceInventory {
            namespace: PartialObject::set_by("tailwatch-origin", &namespace),
            contents,
            ..NamespaceInventory::default()
        };
        LiveObjects { namespaces: vec![place], ..LiveObjects::default() }
    }

    fn crd(name: &str) -> PartialObject {
        let fields = json!([{"manager": "tailwatch", "operation": "Apply", "apiVersion": "x", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {}}}]);
        PartialObject::of(
            &json!({"kind": "CustomResourceDefinition", "metadata": {"name": name, "managedFields": fields}}),
        )
    }

    #[test]
    fn referencing_objects_are_deleted_first_and_the_lease_last() {
        let OwnedObjects { deletions, .. } = classify(&live(), &scope(UninstallOptions { data: true, crds: true }));
        let kinds: Vec<&str> = deletions.iter().map(|found| found.kind.as_str()).collect();
        assert_eq!(kinds, ["Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Secret", "Lease"]);
    }

    #[test]
    fn a_crd_is_deleted_only_on_request_and_without_other_users() {
        let mut live = live();
        live.crds = vec![
            (crd("probes.monitoring.coreos.com"), vec![]),
            (crd("prometheusrules.monitoring.coreos.com"), vec!["PrometheusRule alerts in namespace shop".into()]),
        ];
        let names = |owned_objects: &OwnedObjects| -> Vec<String> {
            let crds = owned_objects.deletions.iter().filter(|found| found.kind == "CustomResourceDefinition");
            crds.map(|found| found.name().to_owned()).collect()
        };
        let default = classify(&live, &scope(UninstallOptions::default()));
        assert!(names(&default).is_empty());
        assert_eq!(default.retained.iter().filter(|retained| retained.kind == "CustomResourceDefinition").count(), 2);
        let on_request = classify(&live, &scope(UninstallOptions { data: false, crds: true }));
        assert_eq!(names(&on_request), ["probes.monitoring.coreos.com"]);
        let rule = on_request.retained.iter().find(|retained| retained.name.starts_with("prometheusrules")).unwrap();
        assert_eq!(rule.reason, "PrometheusRule alerts in namespace shop would be deleted with it");
    }

    #[test]
    fn the_kubelet_service_is_deleted_only_with_other_own_objects_and_without_a_manager() {
        let service =
            || KubeletService { objects: vec![found("Service", "kubelet", "kube-system")], other_manager: None };
        let deletes_it = |live: &LiveObjects| {
            classify(live, &scope(UninstallOptions::default())).deletions.iter().any(|found| found.name() == "kubelet")
        };
        assert!(deletes_it(&LiveObjects { kubelet: service(), ..live() }));
        assert!(!deletes_it(&LiveObjects { kubelet: service(), ..LiveObjects::default() }));
        let retained = KubeletService { other_manager: Some("Deployment x in namespace y".into()), ..service() };
        assert!(!deletes_it(&LiveObjects { kubelet: retained, ..live() }));
    }
}
