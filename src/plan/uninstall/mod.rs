//! The plan of an uninstall: the releases in reverse, then what is ours beside them. Reads only.

pub(super) mod dependents;
pub(super) mod inventory;
pub(super) mod namespace;
pub(super) mod ownership;

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::Value;

use crate::cluster::{Cluster, Found, ObjectRef, is_ours};
use crate::event::{ActionKind, Effects, Kept, PlannedStep};
use crate::helm::{Helm, ReleaseInfo, ReleaseStatus};
use crate::plan::decide::name_some;
use crate::plan::installed_releases::installed_releases;
use crate::plan::uninstall::dependents::{in_words, operator_users};
use crate::plan::uninstall::inventory::{
    NamespaceOutcome, OwnedObjects, UninstallOptions, UninstallScope, owned_objects,
};
use crate::plan::{InstalledRelease, PlanError, Removal};
use crate::stack::{CatalogueEntry, TAILSCALE_NAMESPACE, TAILSCALE_SECRET};

/// Name of the step that takes away what is ours beside the releases.
pub const OWN_OBJECTS: &str = "own-objects";
/// Its wave, after the releases'.
pub const OWN_WAVE: u8 = 10;

const TAILSCALE_OPERATOR: &str = "tailscale-operator";
const CLAIM: &str = "PersistentVolumeClaim";

/// What an uninstall does.
#[derive(Clone, Debug)]
pub struct Uninstall {
    /// Where it works, and what was asked.
    pub scope: UninstallScope,
    /// Releases, the latest wave first.
    pub removals: Vec<Removal>,
    /// What is ours beside them, as it stands now.
    pub owned_objects: OwnedObjects,
    /// What stays though no object of the API is it: releases that are not removed, folders on the nodes.
    pub beside: Vec<Kept>,
    /// Claims that helm deletes with their release, since nothing in the chart's values keeps them.
    pub doomed: Vec<ObjectRef>,
}

impl Uninstall {
    /// Whether anything is to be done.
    pub fn has_work(&self) -> bool {
        !self.removals.is_empty() || self.owned_objects.has_work()
    }

    /// Steps as events and reports show them, in the order in which they are done.
    pub fn steps(&self) -> Vec<PlannedStep> {
        let own = self.owned_objects.has_work().then(|| self.own_step());
        self.removals.iter().map(Removal::step).chain(own).collect()
    }

    /// What stays, as far as it is known from these belongings.
    pub fn kept(&self, owned_objects: &OwnedObjects) -> Vec<Kept> {
        let is_doomed = |kept: &&Kept| {
            let of_it = |claim: &ObjectRef| claim.kind == kept.kind && claim.name == kept.name;
            self.doomed.iter().any(of_it)
        };
        owned_objects.kept.iter().filter(|kept| !is_doomed(kept)).chain(&self.beside).cloned().collect()
    }

    /// What is deleted beside the releases, in the shape of what stays.
    pub fn going(&self) -> Vec<Kept> {
        let going = self.owned_objects.going.iter().map(Found::reference);
        let also = self.doomed.iter().filter(|claim| going.clone().all(|going| going.name != claim.name)).cloned();
        let as_kept = |ObjectRef { kind, namespace, name, .. }: ObjectRef| Kept {
            kind,
            namespace,
            name,
            reason: String::new(),
            removal: None,
        };
        going.clone().chain(also).chain(self.lost_namespaces().cloned()).map(as_kept).collect()
    }

    fn lost_namespaces(&self) -> impl Iterator<Item = &ObjectRef> {
        self.owned_objects.namespaces.iter().filter_map(|end| match end {
            NamespaceOutcome::Delete(namespace) => Some(namespace),
            NamespaceOutcome::Withdraw(_) => None,
        })
    }

    /// Claims with data that will be deleted.
    pub fn lost_claims(&self) -> usize {
        self.going().iter().filter(|going| going.kind == CLAIM).count()
    }

    /// `8 NetworkPolicy, 3 Secret`
    fn counted(&self) -> String {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for Kept { kind, .. } in self.going() {
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if counts.is_empty() { "our labels of a namespace that stays".into() } else { counts.join(", ") }
    }

    fn own_step(&self) -> PlannedStep {
        let objects = self.owned_objects.going.iter().map(|found| in_words(&found.reference()));
        let removed = objects.chain(self.lost_namespaces().map(in_words)).collect();
        PlannedStep {
            component: OWN_OBJECTS.into(),
            wave: OWN_WAVE,
            namespace: self.scope.namespace.clone(),
            chart: String::new(),
            chart_version: String::new(),
            from_version: None,
            action: ActionKind::Remove,
            reason: self.counted(),
            effects: Effects { removed, ..Effects::default() },
            usual_seconds: None,
        }
    }
}

/// Reads what stands and plans its removal; `rows` are the catalogue's releases for the stack's namespace.
pub async fn uninstall(
    cluster: &Cluster,
    helm: &Helm,
    (namespace, rows): (&str, Vec<CatalogueEntry>),
    asked: UninstallOptions,
) -> Result<Uninstall, PlanError> {
    let named = rows.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let standing = installed_releases(cluster, helm, named).await?;
    let mut scope =
        UninstallScope { namespace: namespace.to_owned(), rows, asked, operator_stays: false, confirmed: None };
    let mut beside = Vec::new();
    scope.rows.retain(|row| match standing.iter().find(|info| is_of(info, row)) {
        Some(info) if info.chart != row.chart => {
            beside.push(release_kept(row, &format!("it was made from chart {}, not from {}", info.chart, row.chart)));
            false
        }
        _ => true,
    });
    let foreign = foreign((cluster, helm), &scope.rows, &standing).await?;
    scope.rows.retain(|row| {
        let is_foreign = foreign.contains(&row.name);
        if is_foreign {
            let removal = Some(format!("helm uninstall {} -n {}", row.name, row.namespace));
            beside.push(Kept { removal, ..release_kept(row, "it was not installed by tailwatch") });
        }
        !is_foreign
    });
    if !tailscale_is_ours(cluster).await? {
        scope.rows.retain(|row| row.namespace != TAILSCALE_NAMESPACE || row.namespace == scope.namespace);
    }
    let mut removals = removals(&scope.rows, &standing);
    if let Some(at) = removals.iter().position(|removal| removal.component == TAILSCALE_OPERATOR) {
        let users = operator_users(cluster, namespace, &scope.rows).await?;
        if !users.is_empty() {
            let users = name_some(&users.iter().map(in_words).collect::<Vec<_>>());
            let row = scope.rows.iter().find(|row| row.name == TAILSCALE_OPERATOR);
            beside.extend(row.map(|row| release_kept(row, &format!("it serves {users}"))));
            scope.operator_stays = true;
            removals.remove(at);
        }
    }
    let mut doomed = Vec::new();
    for (removal, manifest) in removals.iter().zip(manifests(helm, &removals).await) {
        beside.extend(state_folders(&removal.component, &manifest));
        let placed = |claim: ObjectRef| ObjectRef { namespace: Some(removal.namespace.clone()), ..claim };
        doomed.extend(doomed_claims(&manifest).map(placed));
    }
    let owned_objects = owned_objects(cluster, &scope).await?;
    scope.confirmed = Some(owned_objects.going.iter().map(|found| found.uid().to_owned()).collect());
    Ok(Uninstall { scope, removals, owned_objects, beside, doomed })
}

/// Names of the releases that stand and that no run of ours ever touched: others install the same charts by the same
/// names.
async fn foreign(
    (cluster, helm): (&Cluster, &Helm),
    rows: &[CatalogueEntry],
    standing: &[ReleaseInfo],
) -> Result<BTreeSet<String>, PlanError> {
    let rows: Vec<&CatalogueEntry> = rows.iter().filter(|row| standing.iter().any(|info| is_of(info, row))).collect();
    let namespaces: BTreeSet<&str> = rows.iter().map(|row| row.namespace.as_str()).collect();
    let mut foreign = BTreeSet::new();
    for namespace in namespaces {
        let records = cluster.revision_records(namespace, helm.driver()).await?;
        let here = rows.iter().filter(|row| row.namespace == namespace);
        foreign.extend(here.filter(|row| !is_ours(&records, &row.name)).map(|row| row.name.clone()));
    }
    Ok(foreign)
}

fn is_of(info: &ReleaseInfo, row: &CatalogueEntry) -> bool {
    info.name == row.name && info.namespace == row.namespace
}

/// Tailscale's own instructions make a release of the same name in the same namespace: only our Secret, or our mark in
/// the namespace, tells that it is ours.
pub(super) async fn tailscale_is_ours(cluster: &Cluster) -> Result<bool, PlanError> {
    let object = |kind: &str, namespace: Option<&str>, name: &str| ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    };
    let (secret, namespace) =
        (object("Secret", Some(TAILSCALE_NAMESPACE), TAILSCALE_SECRET), object("Namespace", None, TAILSCALE_NAMESPACE));
    let (secret, namespace) = futures::try_join!(cluster.get(&secret), cluster.get(&namespace))?;
    let is_ours = secret.is_some_and(|secret| Found::of(&secret).is_ours());
    Ok(is_ours || namespace.is_some_and(|namespace| Found::of(&namespace).is_created_by_us()))
}

fn removals(rows: &[CatalogueEntry], standing: &[ReleaseInfo]) -> Vec<Removal> {
    let removal = |row: &CatalogueEntry| {
        let info = standing.iter().find(|info| is_of(info, row))?;
        Some(Removal {
            component: row.name.clone(),
            wave: row.wave,
            namespace: row.namespace.clone(),
            chart: info.chart.clone(),
            from: InstalledRelease::from(info),
            reason: match info.status {
                ReleaseStatus::Uninstalling => "an interrupted removal continues".into(),
                _ => format!("revision {} is installed", info.revision),
            },
        })
    };
    let mut removals: Vec<Removal> = rows.iter().filter_map(removal).collect();
    removals.sort_by_key(|removal| std::cmp::Reverse(removal.wave));
    removals
}

fn release_kept(row: &CatalogueEntry, reason: &str) -> Kept {
    Kept {
        kind: "Release".into(),
        namespace: Some(row.namespace.clone()),
        name: row.name.clone(),
        reason: reason.to_owned(),
        removal: None,
    }
}

/// The objects of each release. One that goes away under the look has none.
pub async fn manifests(helm: &Helm, removals: &[Removal]) -> Vec<Vec<Value>> {
    let reads = removals.iter().map(|removal| helm.manifest(&removal.component, &removal.namespace));
    join_all(reads).await.into_iter().map(Result::unwrap_or_default).collect()
}

/// Claims of a release that its chart does not ask helm to keep.
fn doomed_claims(manifest: &[Value]) -> impl Iterator<Item = ObjectRef> {
    let claims = manifest.iter().filter(|object| object["kind"] == CLAIM);
    claims.filter(|claim| !Found::of(claim).is_kept()).map(ObjectRef::of)
}

/// Folders on the nodes that pods of a release made and keep their state in.
fn state_folders(component: &str, manifest: &[Value]) -> Vec<Kept> {
    let folders = manifest.iter().flat_map(made_folders).map(|path| Kept {
        kind: "Directory".into(),
        namespace: None,
        name: path.to_owned(),
        reason: format!("state of {component} on every node"),
        removal: Some(format!("rm -r {path}")),
    });
    folders.collect()
}

fn made_folders(workload: &Value) -> impl Iterator<Item = &str> {
    let volumes = workload.pointer("/spec/template/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let made = volumes.filter(|volume| volume.pointer("/hostPath/type") == Some(&"DirectoryOrCreate".into()));
    made.filter_map(|volume| volume.pointer("/hostPath/path")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Catalogue;
    use serde_json::json;

    fn info(name: &str, namespace: &str, status: ReleaseStatus) -> ReleaseInfo {
        ReleaseInfo {
            name: name.into(),
            namespace: namespace.into(),
            revision: 3,
            status,
            chart: name.into(),
            chart_version: semver::Version::new(1, 0, 0),
            app_version: String::new(),
        }
    }

    #[test]
    fn releases_go_in_reverse_and_only_those_of_the_stack() {
        let rows = Catalogue::embedded().unwrap().overview("m");
        let standing = [
            info("kube-prometheus-stack", "m", ReleaseStatus::Deployed),
            info("shop", "m", ReleaseStatus::Deployed),
            info("alloy", "m", ReleaseStatus::Uninstalling),
            info("loki", "other", ReleaseStatus::Deployed),
            info("tailscale-operator", "tailscale", ReleaseStatus::Failed),
        ];
        let removals = removals(&rows, &standing);
        let order: Vec<(&str, u8)> =
            removals.iter().map(|removal| (removal.component.as_str(), removal.wave)).collect();
        assert_eq!(order, [("alloy", 33), ("kube-prometheus-stack", 30), ("tailscale-operator", 20)]);
        assert_eq!(removals[0].reason, "an interrupted removal continues");
        assert_eq!(removals[1].reason, "revision 3 is installed");
    }

    #[test]
    fn a_claim_that_helm_would_delete_is_reported_as_lost() {
        let claim = |name: &str, policy: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "annotations": {"helm.sh/resource-policy": policy}}})
        };
        let manifest = [claim("kept", "keep"), claim("grafana", ""), json!({"kind": "Service"})];
        let doomed: Vec<ObjectRef> = doomed_claims(&manifest).collect();
        assert_eq!(doomed.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["grafana"]);
        let kept = |name: &str| Kept {
            kind: CLAIM.into(),
            namespace: Some("m".into()),
            name: name.into(),
            reason: "data".into(),
            removal: None,
        };
        let owned_objects = OwnedObjects { kept: vec![kept("grafana"), kept("kept")], ..OwnedObjects::default() };
        let scope = UninstallScope {
            namespace: "m".into(),
            rows: vec![],
            asked: UninstallOptions::default(),
            operator_stays: false,
            confirmed: None,
        };
        let plan = Uninstall { scope, removals: vec![], owned_objects, beside: vec![], doomed };
        assert_eq!(plan.lost_claims(), 1);
        assert_eq!(plan.kept(&plan.owned_objects), [kept("kept")]);
    }

    #[test]
    fn folders_that_pods_made_on_the_nodes_are_reported() {
        let volumes = json!([{"hostPath": {"path": "/var/log"}},
            {"hostPath": {"path": "/var/lib/alloy", "type": "DirectoryOrCreate"}}, {"emptyDir": {}}]);
        let workload = json!({"spec": {"template": {"spec": {"volumes": volumes}}}});
        assert_eq!(made_folders(&workload).collect::<Vec<_>>(), ["/var/lib/alloy"]);
    }
}
