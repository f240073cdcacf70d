//! What stands of ours beside the releases: what of it an uninstall takes away, and what it leaves and why. Judged from
//! the cluster alone, so that the same look serves the plan, its execution after an interruption, and the last word.

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, Found, ObjectRef};
use crate::event::Kept;
use crate::plan::build::name_some;
use crate::plan::outsiders::{KubeletService, in_words, kubelet_left, kubelet_service};
use crate::plan::place::{Place, PlaceVerdict, kept};
use crate::plan::whose::{CrdOwner, crd_owner, release_of};
use crate::stack::Overview;

/// API group of the CRDs that we apply for kube-prometheus-stack.
const PROMETHEUS_GROUP: &str = "monitoring.coreos.com";
const DELETE_CRDS: &str = "--delete-crds";

/// What an uninstall was asked for beyond the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Volumes, Secrets and answers go.
    pub data: bool,
    /// The CRDs go.
    pub crds: bool,
}

/// Where an uninstall works.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Namespace of the stack.
    pub namespace: String,
    /// Releases of the catalogue that are ours where they stand.
    pub rows: Vec<Overview>,
    /// What was asked for.
    pub asked: Asked,
    /// Whether the Tailscale operator is ours and yet stays, since others need it.
    pub operator_stays: bool,
}

/// What goes beside the releases, and what stays.
#[derive(Clone, Debug, Default)]
pub struct Belongings {
    /// What is deleted, in this order; the lock, if there is one, is the last.
    pub going: Vec<Found>,
    /// What becomes of the namespaces, the stack's last.
    pub namespaces: Vec<NamespaceEnd>,
    /// What stays, by namespace and kind.
    pub kept: Vec<Kept>,
}

/// What becomes of a namespace in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceEnd {
    /// We made it and nothing is left in it: it goes.
    Delete(ObjectRef),
    /// It was there before: our labels go.
    Withdraw(ObjectRef),
}

/// What was read.
#[derive(Clone, Debug, Default)]
struct Seen {
    places: Vec<Place>,
    /// CRDs with the objects that would go with each.
    crds: Vec<(Found, Vec<String>)>,
    kubelet: KubeletService,
    /// Volumes that outlived their claims in the stack's namespace.
    volumes: Vec<String>,
}

impl Belongings {
    /// Whether anything is to be done.
    pub fn has_work(&self) -> bool {
        !self.going.is_empty() || !self.namespaces.is_empty()
    }
}

/// Looks at what stands and judges it.
pub async fn belongings(cluster: &Cluster, ground: &Ground) -> Result<Belongings, ClusterError> {
    Ok(judge(&look(cluster, ground).await?, ground))
}

async fn look(cluster: &Cluster, ground: &Ground) -> Result<Seen, ClusterError> {
    let mut names: Vec<&str> = ground.rows.iter().map(|row| row.namespace.as_str()).collect();
    names.push(&ground.namespace);
    names.sort_unstable_by_key(|name| (*name == ground.namespace, *name));
    names.dedup();
    let standing = cluster.found("v1", "Namespace", None).await?;
    let mut seen = Seen::default();
    for name in names {
        let Some(namespace) = standing.iter().find(|found| found.name() == name) else { continue };
        let (contents, claims_in_use) = futures::try_join!(cluster.contents(name), cluster.claims_in_use(name))?;
        seen.places.push(Place { namespace: namespace.clone(), contents, claims_in_use });
    }
    let crds = cluster.found("apiextensions.k8s.io/v1", "CustomResourceDefinition", None);
    let (crds, objects) = futures::try_join!(crds, cluster.of_group(PROMETHEUS_GROUP))?;
    for crd in crds.into_iter().filter(|crd| crd.name().ends_with(&format!(".{PROMETHEUS_GROUP}"))) {
        let others = objects.iter().filter(|found| found.resource == crd.name());
        let others = others.filter(|found| release_of(found, &ground.rows).is_none() && !found.is_leaving());
        let others = others.map(|found| in_words(&found.reference())).collect();
        seen.crds.push((crd, others));
    }
    seen.kubelet = kubelet_left(cluster, &kubelet_service(&[]), &ground.rows).await?;
    if ground.asked.data {
        seen.volumes = released_volumes(cluster, &ground.namespace).await?;
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

fn judge(seen: &Seen, ground: &Ground) -> Belongings {
    let mut belongings = Belongings::default();
    for place in &seen.places {
        let PlaceVerdict { going, end, kept } = place.verdict(ground);
        belongings.going.extend(going);
        belongings.namespaces.extend(end);
        belongings.kept.extend(kept);
    }
    let has_been_here = belongings.has_work() || !belongings.kept.is_empty();
    for (crd, others) in &seen.crds {
        judge_crd(crd, others, ground.asked, &mut belongings);
    }
    // Nothing in it says whose it was: only where something else of ours stands, it may be ours.
    if has_been_here {
        match &seen.kubelet.keeper {
            None => belongings.going.extend(seen.kubelet.objects.iter().cloned()),
            Some(keeper) => {
                let service = seen.kubelet.objects.iter().filter(|found| found.kind == "Service");
                belongings.kept.extend(service.map(|found| kept(found, &format!("{keeper} keeps it"), None)));
            }
        }
    }
    for name in &seen.volumes {
        belongings.kept.push(Kept {
            kind: "PersistentVolume".into(),
            namespace: None,
            name: name.clone(),
            reason: "its StorageClass retains it with the data of a deleted claim".into(),
            removal: Some(format!("kubectl delete persistentvolume {name}")),
        });
    }
    belongings.going.sort_by_key(rank);
    belongings.kept.sort_by(|one, other| {
        (&one.namespace, &one.kind, &one.reason, &one.name).cmp(&(
            &other.namespace,
            &other.kind,
            &other.reason,
            &other.name,
        ))
    });
    belongings
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

fn judge_crd(crd: &Found, others: &[String], asked: Asked, belongings: &mut Belongings) {
    let (reason, removal) = match crd_owner(crd) {
        CrdOwner::Foreign => return,
        CrdOwner::Shared(why) => (why, None),
        CrdOwner::Ours if !others.is_empty() => {
            let what = if asked.crds { "would be deleted with it" } else { "is of its kind" };
            (format!("{} {what}", name_some(others)), None)
        }
        CrdOwner::Ours if asked.crds => return belongings.going.push(crd.clone()),
        CrdOwner::Ours => ("with it every object of its kind would be deleted".into(), Some(DELETE_CRDS)),
    };
    belongings.kept.push(kept(crd, &reason, removal));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Catalogue, MADE_BY_US};
    use serde_json::json;

    fn found(kind: &str, name: &str, namespace: &str) -> Found {
        let labels = json!({"app.kubernetes.io/managed-by": "tailwatch"});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        Found::set_by("tailwatch", &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn ground(asked: Asked) -> Ground {
        let rows = Catalogue::embedded().unwrap().overview("m");
        Ground { namespace: "m".into(), rows, asked, operator_stays: false }
    }

    fn seen() -> Seen {
        let namespace = json!({"kind": "Namespace", "metadata": {"name": "m", "annotations": {MADE_BY_US: "true"}}});
        let kinds = ["Lease", "Secret", "PersistentVolumeClaim", "NetworkPolicy", "Ingress"];
        let contents = kinds.map(|kind| found(kind, "tailwatch", "m")).to_vec();
        let place = Place { namespace: Found::set_by("tailwatch-origin", &namespace), contents, ..Place::default() };
        Seen { places: vec![place], ..Seen::default() }
    }

    fn crd(name: &str) -> Found {
        let fields = json!([{"manager": "tailwatch", "operation": "Apply", "apiVersion": "x", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {}}}]);
        Found::of(&json!({"kind": "CustomResourceDefinition", "metadata": {"name": name, "managedFields": fields}}))
    }

    #[test]
    fn what_holds_others_goes_first_and_the_lock_last() {
        let Belongings { going, .. } = judge(&seen(), &ground(Asked { data: true, crds: true }));
        let kinds: Vec<&str> = going.iter().map(|found| found.kind.as_str()).collect();
        assert_eq!(kinds, ["Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Secret", "Lease"]);
    }

    #[test]
    fn a_crd_goes_only_when_asked_and_when_nobody_else_uses_it() {
        let mut seen = seen();
        seen.crds = vec![
            (crd("probes.monitoring.coreos.com"), vec![]),
            (crd("prometheusrules.monitoring.coreos.com"), vec!["PrometheusRule alerts in namespace shop".into()]),
        ];
        let names = |belongings: &Belongings| -> Vec<String> {
            let crds = belongings.going.iter().filter(|found| found.kind == "CustomResourceDefinition");
            crds.map(|found| found.name().to_owned()).collect()
        };
        let default = judge(&seen, &ground(Asked::default()));
        assert!(names(&default).is_empty());
        assert_eq!(default.kept.iter().filter(|kept| kept.kind == "CustomResourceDefinition").count(), 2);
        let asked = judge(&seen, &ground(Asked { data: false, crds: true }));
        assert_eq!(names(&asked), ["probes.monitoring.coreos.com"]);
        let rule = asked.kept.iter().find(|kept| kept.name.starts_with("prometheusrules")).unwrap();
        assert_eq!(rule.reason, "PrometheusRule alerts in namespace shop would be deleted with it");
    }

    #[test]
    fn the_kubelet_service_goes_only_where_we_have_been_and_nobody_keeps_it() {
        let service = || KubeletService { objects: vec![found("Service", "kubelet", "kube-system")], keeper: None };
        let goes =
            |seen: &Seen| judge(seen, &ground(Asked::default())).going.iter().any(|found| found.name() == "kubelet");
        assert!(goes(&Seen { kubelet: service(), ..seen() }));
        assert!(!goes(&Seen { kubelet: service(), ..Seen::default() }));
        let kept = KubeletService { keeper: Some("Deployment x in namespace y".into()), ..service() };
        assert!(!goes(&Seen { kubelet: kept, ..seen() }));
    }
}
