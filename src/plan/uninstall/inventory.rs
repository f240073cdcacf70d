//! What stands of ours beside the releases: what of it an uninstall takes away, and what it leaves and why. Judged from
//! the cluster alone, so that the same look serves the plan, its execution after an interruption, and the last word.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, Found, ObjectRef};
use crate::event::Kept;
use crate::plan::decide::name_some;
use crate::plan::uninstall::dependents::{KubeletService, in_words, kubelet_left, kubelet_service};
use crate::plan::uninstall::namespace::{NamespaceInventory, NamespaceVerdict, kept};
use crate::plan::uninstall::ownership::{CrdOwner, crd_owner, release_of};
use crate::stack::CatalogueEntry;

/// API group of the CRDs that we apply for kube-prometheus-stack.
const PROMETHEUS_GROUP: &str = "monitoring.coreos.com";
const DELETE_CRDS: &str = "--delete-crds";

/// What an uninstall was asked for beyond the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UninstallOptions {
    /// Volumes, Secrets and answers go.
    pub data: bool,
    /// The CRDs go.
    pub crds: bool,
}

/// Where an uninstall works.
#[derive(Clone, Debug)]
pub struct UninstallScope {
    /// Namespace of the stack.
    pub namespace: String,
    /// Releases of the catalogue that are ours where they stand.
    pub rows: Vec<CatalogueEntry>,
    /// What was asked for.
    pub asked: UninstallOptions,
    /// Whether the Tailscale operator is ours and yet stays, since others need it.
    pub operator_stays: bool,
    /// UIDs of the objects beside the releases whose deletion is confirmed; `None` while it is planned.
    pub confirmed: Option<BTreeSet<String>>,
}

impl UninstallScope {
    /// Whether an object with data was not in the confirmed plan. What has an owner is deleted with that.
    pub(in crate::plan) fn is_unconfirmed(&self, found: &Found) -> bool {
        let has_data = ["PersistentVolumeClaim", "Secret"].contains(&found.kind.as_str());
        let is_missing = |confirmed: &BTreeSet<String>| !confirmed.contains(found.uid());
        has_data && found.owners().next().is_none() && self.confirmed.as_ref().is_some_and(is_missing)
    }
}

/// What goes beside the releases, and what stays.
#[derive(Clone, Debug, Default)]
pub struct OwnedObjects {
    /// What is deleted, in this order; the lock, if there is one, is the last.
    pub going: Vec<Found>,
    /// What becomes of the namespaces, the stack's last.
    pub namespaces: Vec<NamespaceOutcome>,
    /// What stays, by namespace and kind.
    pub kept: Vec<Kept>,
}

/// What becomes of a namespace in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceOutcome {
    /// We made it and nothing is left in it: it goes.
    Delete(ObjectRef),
    /// It was there before: our labels go.
    Withdraw(ObjectRef),
}

/// What was read.
#[derive(Clone, Debug, Default)]
struct Seen {
    namespaces: Vec<NamespaceInventory>,
    /// CRDs with the objects that would go with each.
    crds: Vec<(Found, Vec<String>)>,
    kubelet: KubeletService,
    /// Volumes that outlived their claims in the stack's namespace.
    volumes: Vec<String>,
}

impl OwnedObjects {
    /// Whether anything is to be done.
    pub fn has_work(&self) -> bool {
        !self.going.is_empty() || !self.namespaces.is_empty()
    }
}

/// Looks at what stands and judges it.
pub async fn owned_objects(cluster: &Cluster, scope: &UninstallScope) -> Result<OwnedObjects, ClusterError> {
    Ok(judge(&look(cluster, scope).await?, scope))
}

async fn look(cluster: &Cluster, scope: &UninstallScope) -> Result<Seen, ClusterError> {
    let mut names: Vec<&str> = scope.rows.iter().map(|row| row.namespace.as_str()).collect();
    names.push(&scope.namespace);
    names.sort_unstable_by_key(|name| (*name == scope.namespace, *name));
    names.dedup();
    let standing = cluster.found("v1", "Namespace", None).await?;
    let mut seen = Seen::default();
    for name in names {
        let Some(namespace) = standing.iter().find(|found| found.name() == name) else { continue };
        let (contents, claims_in_use) = futures::try_join!(cluster.contents(name), cluster.claims_in_use(name))?;
        seen.namespaces.push(NamespaceInventory { namespace: namespace.clone(), contents, claims_in_use });
    }
    let crds = cluster.found("apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    let (crds, objects) = futures::try_join!(crds, cluster.of_group(PROMETHEUS_GROUP))?;
    for crd in crds.into_iter().filter(|crd| crd.name().ends_with(&format!(".{PROMETHEUS_GROUP}"))) {
        let others = objects.iter().filter(|found| found.resource == crd.name());
        let others = others.filter(|found| release_of(found, &scope.rows).is_none() && !found.is_leaving());
        let others = others.map(|found| in_words(&found.reference())).collect();
        seen.crds.push((crd, others));
    }
    seen.kubelet = kubelet_left(cluster, &kubelet_service(&[]), &scope.rows).await?;
    if scope.asked.data {
        seen.volumes = released_volumes(cluster, &scope.namespace).await?;
    }
    Ok(seen)
}

/// Volumes whose claim in a namespace is gone and which nobody deletes.
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

fn judge(seen: &Seen, scope: &UninstallScope) -> OwnedObjects {
    let mut owned_objects = OwnedObjects::default();
    for place in &seen.namespaces {
        let NamespaceVerdict { going, end, kept } = place.verdict(scope);
        owned_objects.going.extend(going);
        owned_objects.namespaces.extend(end);
        owned_objects.kept.extend(kept);
    }
    let has_been_here = owned_objects.has_work() || !owned_objects.kept.is_empty();
    for (crd, others) in &seen.crds {
        judge_crd(crd, others, scope.asked, &mut owned_objects);
    }
    // Nothing in it says whose it was: only where something else of ours stands, it may be ours.
    if has_been_here {
        match &seen.kubelet.keeper {
            None => owned_objects.going.extend(seen.kubelet.objects.iter().cloned()),
            Some(keeper) => {
                let service = seen.kubelet.objects.iter().filter(|found| found.kind == "Service");
                owned_objects.kept.extend(service.map(|found| kept(found, &format!("{keeper} keeps it"), None)));
            }
        }
    }
    for name in &seen.volumes {
        owned_objects.kept.push(Kept {
            kind: "PersistentVolume".into(),
            namespace: None,
            name: name.clone(),
            reason: "its StorageClass retains it with the data of a deleted claim".into(),
            removal: Some(format!("kubectl delete persistentvolume {name}")),
        });
    }
    owned_objects.going.sort_by_key(rank);
    owned_objects.kept.sort_by(|one, other| {
        (&one.namespace, &one.kind, &one.reason, &one.name).cmp(&(
            &other.namespace,
            &other.kind,
            &other.reason,
            &other.name,
        ))
    });
    owned_objects
}

/// Whatever holds others goes before them, and what an interrupted run needs again goes last.
fn rank(found: &Found) -> usize {
    const ORDER: [&str; 7] =
        ["Ingress", "NetworkPolicy", "Service", "Endpoints", "EndpointSlice", "PersistentVolumeClaim", "Secret"];
    match found.kind.as_str() {
        "CustomResourceDefinition" => ORDER.len(),
        "Lease" => ORDER.len() + 2,
        kind => ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len() + 1),
    }
}

fn judge_crd(crd: &Found, others: &[String], asked: UninstallOptions, owned_objects: &mut OwnedObjects) {
    let (reason, removal) = match crd_owner(crd) {
        CrdOwner::Foreign => return,
        CrdOwner::Shared(why) => (why, None),
        CrdOwner::Ours if !others.is_empty() => {
            let what = if asked.crds { "would be deleted with it" } else { "is of its kind" };
            (format!("{} {what}", name_some(others)), None)
        }
        CrdOwner::Ours if asked.crds => return owned_objects.going.push(crd.clone()),
        CrdOwner::Ours => ("with it every object of its kind would be deleted".into(), Some(DELETE_CRDS)),
    };
    owned_objects.kept.push(kept(crd, &reason, removal));
}

#[cfg(test)]
mod tests {
    use crate::plan::uninstall::inventory::*;
    use crate::stack::{Catalogue, MADE_BY_US};
    use serde_json::json;

    fn found(kind: &str, name: &str, namespace: &str) -> Found {
        let labels = json!({"app.kubernetes.io/managed-by": "tailwatch"});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        Found::set_by("tailwatch", &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn scope(asked: UninstallOptions) -> UninstallScope {
        let rows = Catalogue::embedded().unwrap().overview("m");
        UninstallScope { namespace: "m".into(), rows, asked, operator_stays: false, confirmed: None }
    }

    fn seen() -> Seen {
        let namespace = json!({"kind": "Namespace", "metadata": {"name": "m", "annotations": {MADE_BY_US: "true"}}});
        let kinds = ["Lease", "Secret", "PersistentVolumeClaim", "NetworkPolicy", "Ingress"];
        let contents = kinds.map(|kind| found(kind, "tailwatch", "m")).to_vec();
        let place = NamespaceInventory {
            namespace: Found::set_by("tailwatch-origin", &namespace),
            contents,
            ..NamespaceInventory::default()
        };
        Seen { namespaces: vec![place], ..Seen::default() }
    }

    fn crd(name: &str) -> Found {
        let fields = json!([{"manager": "tailwatch", "operation": "Apply", "apiVersion": "x", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {}}}]);
        Found::of(&json!({"kind": "CustomResourceDefinition", "metadata": {"name": name, "managedFields": fields}}))
    }

    #[test]
    fn what_holds_others_goes_first_and_the_lock_last() {
        let OwnedObjects { going, .. } = judge(&seen(), &scope(UninstallOptions { data: true, crds: true }));
        let kinds: Vec<&str> = going.iter().map(|found| found.kind.as_str()).collect();
        assert_eq!(kinds, ["Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Secret", "Lease"]);
    }

    #[test]
    fn a_crd_goes_only_when_asked_and_when_no_one_else_uses_it() {
        let mut seen = seen();
        seen.crds = vec![
            (crd("probes.monitoring.coreos.com"), vec![]),
            (crd("prometheusrules.monitoring.coreos.com"), vec!["PrometheusRule alerts in namespace shop".into()]),
        ];
        let names = |owned_objects: &OwnedObjects| -> Vec<String> {
            let crds = owned_objects.going.iter().filter(|found| found.kind == "CustomResourceDefinition");
            crds.map(|found| found.name().to_owned()).collect()
        };
        let default = judge(&seen, &scope(UninstallOptions::default()));
        assert!(names(&default).is_empty());
        assert_eq!(default.kept.iter().filter(|kept| kept.kind == "CustomResourceDefinition").count(), 2);
        let asked = judge(&seen, &scope(UninstallOptions { data: false, crds: true }));
        assert_eq!(names(&asked), ["probes.monitoring.coreos.com"]);
        let rule = asked.kept.iter().find(|kept| kept.name.starts_with("prometheusrules")).unwrap();
        assert_eq!(rule.reason, "PrometheusRule alerts in namespace shop would be deleted with it");
    }

    #[test]
    fn the_kubelet_service_goes_only_where_we_have_been_and_no_one_keeps_it() {
        let service = || KubeletService { objects: vec![found("Service", "kubelet", "kube-system")], keeper: None };
        let goes = |seen: &Seen| {
            judge(seen, &scope(UninstallOptions::default())).going.iter().any(|found| found.name() == "kubelet")
        };
        assert!(goes(&Seen { kubelet: service(), ..seen() }));
        assert!(!goes(&Seen { kubelet: service(), ..Seen::default() }));
        let kept = KubeletService { keeper: Some("Deployment x in namespace y".into()), ..service() };
        assert!(!goes(&Seen { kubelet: kept, ..seen() }));
    }
}
