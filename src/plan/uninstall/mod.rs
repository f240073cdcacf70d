//! The plan of an uninstall: the releases in reverse order, then the own objects. Reads only.

pub(super) mod dependents;
pub(super) mod inventory;
pub(super) mod namespace;
pub(super) mod ownership;
pub(super) mod scope;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{Cluster, ManifestObjects, ObjectRef, PartialObject, is_ours};
use crate::event::{ActionKind, Effects, PlannedStep, RetainedObject};
use crate::helm::ReleaseStatus;
use crate::plan::installed_releases::{Installed, installed_rows};
use crate::plan::list::name_some;
use crate::plan::observe::tailscale_is_ours;
use crate::plan::uninstall::dependents::{describe, operator_users};
use crate::plan::uninstall::inventory::{OwnedObjects, owned_objects};
use crate::plan::uninstall::scope::{NamespaceOutcome, UninstallOptions, UninstallScope};
use crate::plan::{PlanError, Removal};
use crate::stack::{CatalogueEntry, ComponentRules, HelmDriver, TAILSCALE_NAMESPACE};

/// Name of the step that deletes the own objects.
pub const OWN_OBJECTS: &str = "own-objects";
/// Its wave, after those of the releases.
pub const OWN_WAVE: u8 = 10;

const CLAIM: &str = "PersistentVolumeClaim";

/// Plan of an uninstall.
#[derive(Clone, Debug)]
pub struct Uninstall {
    /// Scope and options.
    pub scope: UninstallScope,
    /// Releases, the latest wave first.
    pub removals: Vec<Removal>,
    /// Own objects in the cluster.
    pub owned_objects: OwnedObjects,
    /// Retained, but no object of the API: releases that are not removed, directories on the nodes.
    pub also_retained: Vec<RetainedObject>,
    /// Claims of charts without `helm.sh/resource-policy: keep`: helm deletes them with their release.
    pub chart_claims: Vec<ObjectRef>,
}

impl Uninstall {
    /// Whether anything is to be deleted.
    pub fn has_work(&self) -> bool {
        !self.removals.is_empty() || self.owned_objects.has_work()
    }

    /// Steps as events and reports show them, in the order of execution.
    pub fn steps(&self) -> Vec<PlannedStep> {
        let own = self.owned_objects.has_work().then(|| self.own_step());
        self.removals.iter().map(Removal::step).chain(own).collect()
    }

    /// What the plan retains.
    pub fn retained_objects(&self) -> Vec<RetainedObject> {
        let is_deleted = |retained: &&RetainedObject| {
            let is_it = |claim: &ObjectRef| {
                (&claim.kind, &claim.namespace, &claim.name) == (&retained.kind, &retained.namespace, &retained.name)
            };
            self.chart_claims.iter().any(is_it)
        };
        self.owned_objects
            .retained
            .iter()
            .filter(|retained| !is_deleted(retained))
            .chain(&self.also_retained)
            .cloned()
            .collect()
    }

    /// What the uninstall has retained: a claim that was created under the name of a deleted one is retained, too.
    pub fn retained(&self, found: OwnedObjects) -> Vec<RetainedObject> {
        found.retained.into_iter().chain(self.also_retained.iter().cloned()).collect()
    }

    /// Objects that are deleted outside of the releases, in the shape of retained ones.
    pub fn deletions(&self) -> Vec<RetainedObject> {
        let own = self.owned_objects.deletions.iter().map(PartialObject::reference);
        let also = self.chart_claims.iter().filter(|claim| own.clone().all(|own| own.name != claim.name)).cloned();
        let as_retained = |ObjectRef { kind, namespace, name, .. }: ObjectRef| RetainedObject {
            kind,
            namespace,
            name,
            reason: String::new(),
            removal: None,
        };
        own.clone().chain(also).chain(self.deleted_namespaces().cloned()).map(as_retained).collect()
    }

    fn deleted_namespaces(&self) -> impl Iterator<Item = &ObjectRef> {
        self.owned_objects.namespaces.iter().filter_map(|end| match end {
            NamespaceOutcome::Delete(namespace) => Some(namespace),
            NamespaceOutcome::RemoveLabels(_) => None,
        })
    }

    /// Claims with data that will be deleted.
    pub fn deleted_claims(&self) -> usize {
        self.deletions().iter().filter(|deleted| deleted.kind == CLAIM).count()
    }

    /// `8 NetworkPolicy, 3 Secret`
    fn counted(&self) -> String {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for RetainedObject { kind, .. } in self.deletions() {
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if counts.is_empty() { "labels of a retained namespace".into() } else { counts.join(", ") }
    }

    fn own_step(&self) -> PlannedStep {
        let objects = self.owned_objects.deletions.iter().map(|found| describe(&found.reference()));
        let removed = objects.chain(self.deleted_namespaces().map(describe)).collect();
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

/// Reads the installed stack and plans its removal; `rows` are the catalogue's releases for the stack's namespace.
pub async fn uninstall(
    cluster: &Cluster,
    driver: HelmDriver,
    (namespace, rows): (&str, Vec<CatalogueEntry>),
    options: UninstallOptions,
) -> Result<Uninstall, PlanError> {
    let installed = installed_rows(cluster, driver, &rows, ManifestObjects::All).await?;
    let mut scope =
        UninstallScope { namespace: namespace.to_owned(), rows, options, retains_operator: false, confirmed: None };
    let mut also_retained = Vec::new();
    scope.rows.retain(|row| match installed.iter().map(|found| &found.info).find(|info| info.is_of(row)) {
        Some(info) if info.chart != row.chart => {
            also_retained.push(retained_release(row, &format!("it has chart {}, expected {}", info.chart, row.chart)));
            false
        }
        _ => true,
    });
    let foreign = foreign(&scope.rows, &installed);
    scope.rows.retain(|row| {
        let is_foreign = foreign.contains(&row.name);
        if is_foreign {
            let removal = Some(format!("helm uninstall {} -n {}", row.name, row.namespace));
            also_retained
                .push(RetainedObject { removal, ..retained_release(row, "it was not installed by tailwatch") });
        }
        !is_foreign
    });
    if !tailscale_is_ours(cluster).await? {
        scope.rows.retain(|row| row.namespace != TAILSCALE_NAMESPACE || row.namespace == scope.namespace);
    }
    let mut removals = removals(&scope.rows, &installed);
    let at = removals.iter().position(|removal| ComponentRules::of(&removal.component).serves_ingresses);
    if let Some(at) = at
        && let Some(reason) = operator_use(cluster, namespace, &scope.rows).await?
    {
        let row = scope.rows.iter().find(|row| ComponentRules::of(&row.name).serves_ingresses);
        also_retained.extend(row.map(|row| retained_release(row, &reason)));
        scope.retains_operator = true;
        removals.remove(at);
    }
    let mut chart_claims = Vec::new();
    for removal in &removals {
        let manifest = &removal.from.manifest;
        also_retained.extend(state_folders(&removal.component, manifest));
        let placed = |claim: ObjectRef| ObjectRef { namespace: Some(removal.namespace.clone()), ..claim };
        chart_claims.extend(claims_without_keep(manifest).map(placed));
    }
    let owned_objects = owned_objects(cluster, &scope).await?;
    scope.confirmed = Some(owned_objects.deletions.iter().map(|found| found.uid().to_owned()).collect());
    Ok(Uninstall { scope, removals, owned_objects, also_retained, chart_claims })
}

/// Why the Tailscale operator must be retained.
async fn operator_use(
    cluster: &Cluster,
    namespace: &str,
    rows: &[CatalogueEntry],
) -> Result<Option<String>, PlanError> {
    if cluster.reached_through(&cluster.operators().await?.unwrap_or_default().tailscale).is_some() {
        return Ok(Some("this context reaches the API server through it; use another context to remove it".into()));
    }
    let users = operator_users(cluster, namespace, rows).await?;
    let described = || name_some(&users.iter().map(describe).collect::<Vec<_>>());
    Ok((!users.is_empty()).then(|| format!("used by {}", described())))
}

/// Installed releases of the catalogue's names that tailwatch did not install.
fn foreign(rows: &[CatalogueEntry], installed: &[Installed]) -> BTreeSet<String> {
    let found = rows.iter().filter_map(|row| installed.iter().find(|found| found.info.is_of(row)));
    let foreign = found.filter(|found| !is_ours(&found.records, &found.info.name));
    foreign.map(|found| found.info.name.clone()).collect()
}

fn removals(rows: &[CatalogueEntry], installed: &[Installed]) -> Vec<Removal> {
    let removal = |row: &CatalogueEntry| {
        let found = installed.iter().find(|found| found.info.is_of(row))?;
        let reason = match found.info.status {
            ReleaseStatus::Uninstalling => "an interrupted removal continues".into(),
            _ => format!("revision {} is installed", found.info.revision),
        };
        Some(Removal::new(row, found, reason))
    };
    let mut removals: Vec<Removal> = rows.iter().filter_map(removal).collect();
    Removal::sort(&mut removals);
    removals
}

fn retained_release(row: &CatalogueEntry, reason: &str) -> RetainedObject {
    RetainedObject {
        kind: "Release".into(),
        namespace: Some(row.namespace.clone()),
        name: row.name.clone(),
        reason: reason.to_owned(),
        removal: None,
    }
}

/// Claims of a release without `helm.sh/resource-policy: keep`.
fn claims_without_keep(manifest: &[Value]) -> impl Iterator<Item = ObjectRef> {
    let claims = manifest.iter().filter(|object| object["kind"] == CLAIM);
    claims.filter(|claim| !PartialObject::of(claim).has_keep_policy()).map(ObjectRef::of)
}

/// Directories on the nodes (`DirectoryOrCreate`) with state of a release's pods.
fn state_folders(component: &str, manifest: &[Value]) -> Vec<RetainedObject> {
    let folders = manifest.iter().flat_map(created_folders).map(|path| RetainedObject {
        kind: "Directory".into(),
        namespace: None,
        name: path.to_owned(),
        reason: format!("state of {component} on every node"),
        removal: Some(format!("rm -r {path}")),
    });
    folders.collect()
}

fn created_folders(workload: &Value) -> impl Iterator<Item = &str> {
    let volumes = workload.pointer("/spec/template/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let created = volumes.filter(|volume| volume.pointer("/hostPath/type") == Some(&"DirectoryOrCreate".into()));
    created.filter_map(|volume| volume.pointer("/hostPath/path")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helm::ReleaseInfo;
    use crate::stack::Catalogue;
    use serde_json::json;

    fn installed(name: &str, namespace: &str, status: ReleaseStatus) -> Installed {
        let info = ReleaseInfo {
            name: name.into(),
            namespace: namespace.into(),
            revision: 3,
            status,
            chart: name.into(),
            chart_version: semver::Version::new(1, 0, 0),
            app_version: String::new(),
        };
        Installed { info, values: json!({}), manifest: Vec::new(), records: Vec::new() }
    }

    #[test]
    fn only_releases_of_the_stack_are_removed_in_reverse_order() {
        let rows = Catalogue::embedded().unwrap().overview("m");
        let installed = [
            installed("kube-prometheus-stack", "m", ReleaseStatus::Deployed),
            installed("shop", "m", ReleaseStatus::Deployed),
            installed("alloy", "m", ReleaseStatus::Uninstalling),
            installed("loki", "other", ReleaseStatus::Deployed),
            installed("tailscale-operator", "tailscale", ReleaseStatus::Failed),
        ];
        let removals = removals(&rows, &installed);
        let order: Vec<(&str, u8)> =
            removals.iter().map(|removal| (removal.component.as_str(), removal.wave)).collect();
        assert_eq!(order, [("alloy", 33), ("kube-prometheus-stack", 30), ("tailscale-operator", 20)]);
        assert_eq!(removals[0].reason, "an interrupted removal continues");
        assert_eq!(removals[1].reason, "revision 3 is installed");
    }

    #[test]
    fn a_claim_that_helm_deletes_is_not_retained() {
        let claim = |name: &str, policy: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "annotations": {"helm.sh/resource-policy": policy}}})
        };
        let manifest = [claim("kept", "keep"), claim("grafana", ""), json!({"kind": "Service"})];
        let placed = |claim: ObjectRef| ObjectRef { namespace: Some("m".into()), ..claim };
        let chart_claims: Vec<ObjectRef> = claims_without_keep(&manifest).map(placed).collect();
        assert_eq!(chart_claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["grafana"]);
        let retained = |name: &str| RetainedObject {
            kind: CLAIM.into(),
            namespace: Some("m".into()),
            name: name.into(),
            reason: "data".into(),
            removal: None,
        };
        let owned_objects =
            OwnedObjects { retained: vec![retained("grafana"), retained("kept")], ..OwnedObjects::default() };
        let scope = UninstallScope {
            namespace: "m".into(),
            rows: vec![],
            options: UninstallOptions::default(),
            retains_operator: false,
            confirmed: None,
        };
        let plan = Uninstall { scope, removals: vec![], owned_objects, also_retained: vec![], chart_claims };
        assert_eq!(plan.deleted_claims(), 1);
        assert_eq!(plan.retained_objects(), [retained("kept")]);
        // A claim of that name that is there at the end was created after the other one was deleted.
        assert_eq!(plan.retained(plan.owned_objects.clone()), [retained("grafana"), retained("kept")]);
    }

    #[test]
    fn folders_that_pods_create_on_the_nodes_are_reported() {
        let volumes = json!([{"hostPath": {"path": "/var/log"}},
            {"hostPath": {"path": "/var/lib/alloy", "type": "DirectoryOrCreate"}}, {"emptyDir": {}}]);
        let workload = json!({"spec": {"template": {"spec": {"volumes": volumes}}}});
        assert_eq!(created_folders(&workload).collect::<Vec<_>>(), ["/var/lib/alloy"]);
    }
}
