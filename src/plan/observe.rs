//! What stands in the cluster, read once. Reads only.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::{Cluster, RevisionRecord, is_ours};
use crate::config::{OperatorPlan, Settings, TailscaleOperator};
use crate::helm::{Helm, HelmError, ReleaseInfo, ReleaseStatus};
use crate::plan::compare::changed_paths;
use crate::plan::drift::{self, Drift};
use crate::plan::installed_releases::installed_releases;
use crate::plan::revision_notes::{Healthy, rollback_key};
use crate::plan::uninstall::tailscale_is_ours;
use crate::plan::{InstalledRelease, PlanError, Removal};
use crate::stack::{
    CatalogueEntry, ClusterFacts, GRAFANA_SECRET, OAUTH2_PROXY_SECRET, Release, TAILSCALE_NAMESPACE, TAILSCALE_SECRET,
    WEBHOOK_SECRET,
};

/// What stands, for the releases of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Releases by name, those of the catalogue only.
    pub releases: BTreeMap<String, ReleaseInfo>,
    /// User-supplied values of each release that is deployed.
    pub values: BTreeMap<String, Value>,
    /// Objects of the last deployed revision of each release.
    pub manifests: BTreeMap<String, Vec<Value>>,
    /// What is not as it should be, of releases that are deployed.
    pub drift: BTreeMap<String, ReleaseDrift>,
    /// Releases that stand though no run of ours ever touched them.
    pub unmanaged_releases: Vec<String>,
    /// Who began what never ended, of releases that are pending or being removed.
    pub begun: BTreeMap<String, PendingOwner>,
    /// Revision of each release that was last seen healthy.
    pub healthy: BTreeMap<String, Healthy>,
}

/// Drift of a release, and of our objects beside it.
#[derive(Clone, Debug, Default)]
pub struct ReleaseDrift {
    /// Against the release's manifest.
    pub manifest: Drift,
    /// Against our own objects.
    pub own: Drift,
}

/// Who began an operation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingOwner {
    /// A run of ours, which is over: we hold the lock or will.
    ByUs,
    /// helm in other hands; it may still be at work.
    ByOther {
        /// Since when, RFC 3339.
        since: String,
    },
}

/// What the cluster has of the Tailscale operator.
pub async fn tailscale_operator(cluster: &Cluster) -> Result<TailscaleOperator, PlanError> {
    let classes = async { cluster.ingress_classes().await.map_err(PlanError::from) };
    let (classes, is_ours) = futures::try_join!(classes, tailscale_is_ours(cluster))?;
    Ok(TailscaleOperator { has_class: classes.iter().any(|class| class == "tailscale"), is_ours })
}

/// Facts that only the cluster knows and that the wanted state depends on.
pub async fn cluster_facts(cluster: &Cluster, settings: &Settings) -> Result<ClusterFacts, PlanError> {
    let namespace = settings.namespace.as_str();
    let (oauth2_proxy, grafana, webhook, tailscale) = futures::try_join!(
        cluster.secret(namespace, OAUTH2_PROXY_SECRET),
        cluster.secret(namespace, GRAFANA_SECRET),
        cluster.secret(namespace, WEBHOOK_SECRET),
        cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET),
    )?;
    let operator = settings.tailscale.operator.plan(tailscale_operator(cluster).await?);
    Ok(ClusterFacts {
        install_tailscale_operator: operator == OperatorPlan::Install,
        oauth2_proxy,
        grafana,
        webhook,
        tailscale,
        now: jiff::Timestamp::now(),
    })
}

/// Reads releases, their values and manifests, and looks for drift.
pub async fn observe(cluster: &Cluster, helm: &Helm, wanted: &[Release]) -> Result<Observed, PlanError> {
    let releases = releases_of(cluster, helm, wanted).await?;
    let read = releases.values().map(|info| async {
        let (values, manifest) = read_release(helm, info).await.map_err(|source| reading(&info.name, source))?;
        Ok::<_, PlanError>((info.name.clone(), values, manifest))
    });
    let mut observed = Observed { releases: releases.clone(), ..Observed::default() };
    for (name, values, manifest) in try_join_all(read).await? {
        observed.values.extend(values.map(|values| (name.clone(), values)));
        observed.manifests.insert(name, manifest);
    }
    for namespace in namespaces(wanted) {
        let (notes, records) =
            futures::try_join!(cluster.notes(namespace), cluster.revision_records(namespace, helm.driver()))?;
        for info in releases.values().filter(|info| info.namespace == namespace) {
            let healthy = notes.get(&info.name).and_then(|text| Healthy::read(text));
            observed.healthy.extend(healthy.map(|healthy| (info.name.clone(), healthy)));
            let own: Vec<RevisionRecord> =
                records.iter().filter(|record| record.release == info.name).cloned().collect();
            if info.status.is_under_way() {
                let rollback = notes.get(&rollback_key(&info.name)).and_then(|text| text.parse().ok());
                observed.begun.insert(info.name.clone(), pending_owner(&own, info, rollback));
            }
            if !is_ours(&records, &info.name) {
                observed.unmanaged_releases.push(info.name.clone());
            }
        }
    }
    observed.drift = drift_of(cluster, wanted, &observed).await?;
    Ok(observed)
}

/// Values of a deployed release, and the manifest of its last deployed revision; a release that never was deployed has
/// none that could be relied on.
async fn read_release(helm: &Helm, info: &ReleaseInfo) -> Result<(Option<Value>, Vec<Value>), HelmError> {
    let (name, namespace) = (info.name.as_str(), info.namespace.as_str());
    if info.status == ReleaseStatus::Deployed {
        let (values, manifest) = futures::try_join!(helm.values(name, namespace), helm.manifest(name, namespace))?;
        return Ok((Some(values), manifest));
    }
    let history = helm.history(name, namespace).await?;
    match history.iter().rev().find(|(_, status)| *status == ReleaseStatus::Deployed) {
        Some((revision, _)) => Ok((None, helm.manifest_of(name, namespace, *revision).await?)),
        None => Ok((None, Vec::new())),
    }
}

async fn releases_of(
    cluster: &Cluster,
    helm: &Helm,
    wanted: &[Release],
) -> Result<BTreeMap<String, ReleaseInfo>, PlanError> {
    let named = wanted.iter().map(|release| (release.component.as_str(), release.namespace.as_str()));
    let listed = installed_releases(cluster, helm, named).await?;
    let is_wanted = |info: &ReleaseInfo| {
        wanted.iter().any(|release| release.component.as_str() == info.name && release.namespace == info.namespace)
    };
    Ok(listed.into_iter().filter(is_wanted).map(|info| (info.name.clone(), info)).collect())
}

fn namespaces(wanted: &[Release]) -> Vec<&str> {
    let mut namespaces: Vec<&str> = wanted.iter().map(|release| release.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    namespaces
}

fn reading(release: &str, source: HelmError) -> PlanError {
    PlanError::Helm { what: format!("cannot read release {release}"), source }
}

/// Releases of ours that stand though the answers leave them out, the latest wave first.
pub async fn removals(cluster: &Cluster, helm: &Helm, left_out: &[CatalogueEntry]) -> Result<Vec<Removal>, PlanError> {
    let named = left_out.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let listed = installed_releases(cluster, helm, named).await?;
    let mut removals = Vec::new();
    for row in left_out {
        let of_row = |info: &&ReleaseInfo| info.name == row.name && info.namespace == row.namespace;
        let Some(info) = listed.iter().find(of_row) else { continue };
        // What no run of ours ever touched is another owner's.
        if !is_ours(&cluster.revision_records(&row.namespace, helm.driver()).await?, &row.name) {
            continue;
        }
        removals.push(Removal {
            component: row.name.clone(),
            wave: row.wave,
            namespace: row.namespace.clone(),
            chart: info.chart.clone(),
            from: InstalledRelease::from(info),
            reason: "the answers leave it out; its volumes stay".into(),
        });
    }
    removals.sort_by_key(|removal| std::cmp::Reverse(removal.wave));
    Ok(removals)
}

/// helm hands labels down from a revision to the next, so a mark that the revision before has too says nothing of
/// who began this one; a rollback of ours is noted before it begins. A removal is taken for ours: it ends the same in
/// whoever's hands.
fn pending_owner(records: &[RevisionRecord], info: &ReleaseInfo, rollback: Option<u32>) -> PendingOwner {
    let Some(last) = records.iter().find(|record| record.revision == info.revision) else {
        return PendingOwner::ByOther { since: "an unknown time".into() };
    };
    let before = records.iter().filter(|record| record.revision < info.revision).max_by_key(|record| record.revision);
    let is_ours = match (info.status, &last.run, before.map(|record| &record.run)) {
        (_, None, _) => false,
        (ReleaseStatus::PendingRollback, ..) => rollback == Some(info.revision),
        (ReleaseStatus::Uninstalling, Some(_), _) | (_, Some(_), None) => true,
        (_, mark @ Some(_), Some(earlier)) => mark != earlier,
    };
    if is_ours { PendingOwner::ByUs } else { PendingOwner::ByOther { since: last.since.clone() } }
}

async fn drift_of(
    cluster: &Cluster,
    wanted: &[Release],
    observed: &Observed,
) -> Result<BTreeMap<String, ReleaseDrift>, PlanError> {
    let is_deployed = |release: &&Release| observed.values.contains_key(release.component.as_str());
    let compared = wanted.iter().filter(is_deployed).map(|release| async {
        let name = release.component.to_string();
        let manifest = observed.manifests.get(&name).map(Vec::as_slice).unwrap_or_default();
        let own = async {
            match observed.is_as_wanted(release) {
                true => drift::of_own_objects(cluster, &release.objects).await,
                // They are applied in any case.
                false => Ok(Drift::default()),
            }
        };
        let (manifest, own) = futures::try_join!(drift::of_manifest(cluster, manifest, &release.namespace), own)?;
        Ok::<_, PlanError>((name, ReleaseDrift { manifest, own }))
    });
    Ok(try_join_all(compared).await?.into_iter().collect())
}

impl Observed {
    /// Whether the release is deployed with the wanted chart and values.
    pub(super) fn is_as_wanted(&self, release: &Release) -> bool {
        let name = release.component.as_str();
        self.releases.get(name).is_some_and(|info| {
            info.status == ReleaseStatus::Deployed
                && info.chart == release.chart.name
                && info.chart_version == release.chart.version
                && self.values.get(name).is_some_and(|values| changed_paths(values, &release.values).is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u32, run: Option<&str>) -> RevisionRecord {
        RevisionRecord::for_tests(revision, run)
    }

    fn judged(status: ReleaseStatus, records: &[RevisionRecord], rollback: Option<u32>) -> bool {
        let info = ReleaseInfo {
            name: "loki".into(),
            namespace: "monitoring".into(),
            revision: 2,
            status,
            chart: "loki".into(),
            chart_version: "1.0.0".parse().unwrap(),
            app_version: String::new(),
        };
        pending_owner(records, &info, rollback) == PendingOwner::ByUs
    }

    #[test]
    fn an_interrupted_revision_of_ours_has_a_mark_of_its_own() {
        use ReleaseStatus::{PendingRollback, PendingUpgrade, Uninstalling};
        assert!(judged(PendingUpgrade, &[record(1, Some("a")), record(2, Some("b"))], None));
        assert!(judged(PendingUpgrade, &[record(2, Some("a"))], None), "the first revision that is kept");
        assert!(!judged(PendingUpgrade, &[record(1, Some("a")), record(2, Some("a"))], None), "handed down by helm");
        assert!(!judged(PendingUpgrade, &[record(1, Some("a")), record(2, None)], None));
        assert!(judged(PendingRollback, &[record(1, Some("a")), record(2, Some("a"))], Some(2)));
        assert!(!judged(PendingRollback, &[record(1, Some("a")), record(2, Some("a"))], Some(1)), "an earlier one");
        assert!(!judged(Uninstalling, &[record(2, None)], None));
        assert!(!judged(PendingUpgrade, &[], None), "a record that has come and gone since helm listed it");
    }
}
