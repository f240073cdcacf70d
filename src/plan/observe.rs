//! The state of the cluster, read once. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::{
    Cluster, ClusterError, ManifestObjects, ObjectRef, Operators, PartialObject, RevisionRecord, data_of, is_ours,
    permitted,
};
use crate::config::{IngressClass, OperatorPlan, Settings, TailscaleOperator};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::compare::changed_values;
use crate::plan::drift::{Expected, ReleaseDrift, of_releases};
use crate::plan::installed_releases::{Installed, installed_releases};
use crate::plan::revision_notes::{Healthy, rollback_key};
use crate::plan::{PlanError, Removal};
use crate::stack::{
    ALERTS_SECRET, CHARTS_RECORD, Catalogue, CatalogueEntry, ClusterFacts, GRAFANA_SECRET, HelmDriver, LEVELS,
    OAUTH2_PROXY_SECRET, RecordedCharts, Release, TAILSCALE_NAMESPACE, TAILSCALE_SECRET, WEBHOOK_SECRET,
};

/// Observed state of the catalogue's releases.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Releases by name, those of the catalogue only.
    pub releases: BTreeMap<String, ReleaseInfo>,
    /// User-supplied values of each deployed release.
    pub values: BTreeMap<String, Value>,
    /// Objects of the last deployed revision of each release.
    pub manifests: BTreeMap<String, Vec<Value>>,
    /// Drift of the deployed releases, if it was read.
    pub drift: BTreeMap<String, ReleaseDrift>,
    /// Installed releases that tailwatch did not install.
    pub unmanaged_releases: Vec<String>,
    /// Who started the operation, for releases that are pending or uninstalling.
    pub pending: BTreeMap<String, PendingOwner>,
    /// Last healthy revision of each release.
    pub healthy: BTreeMap<String, Healthy>,
}

/// Who started a pending operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingOwner {
    /// A tailwatch run, which has ended: this run holds the lock or will.
    ByUs,
    /// Another helm client; it may still be running.
    ByOther {
        /// Since when, RFC 3339.
        since: String,
    },
}

/// State of the Tailscale operator in the cluster.
pub async fn tailscale_operator(cluster: &Cluster) -> Result<TailscaleOperator, PlanError> {
    let classes = async { cluster.tailscale_classes().await.map_err(PlanError::from) };
    let (classes, is_ours) = futures::try_join!(classes, tailscale_is_ours(cluster))?;
    Ok(TailscaleOperator { has_class: !classes.is_empty(), is_ours })
}

/// What is read of the cluster before the desired state is known.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What the desired state depends on.
    pub facts: ClusterFacts,
    /// The operators; `None` without the permission to list Deployments.
    pub operators: Option<Operators>,
}

/// Reads the facts that the desired state depends on, with requests that run in parallel.
pub async fn surroundings(
    cluster: &Cluster,
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<Surroundings, PlanError> {
    let namespace = settings.namespace.as_str();
    let names = catalogue.chart_names(settings);
    let webhook = names.object(WEBHOOK_SECRET);
    let secret = tailscale_secret();
    let places = [namespace, TAILSCALE_NAMESPACE].map(ObjectRef::of_namespace);
    let (mut secrets, tailscale, place, of_tailscale, classes, operators, nodes, is_ipv6_first) = futures::try_join!(
        cluster.secrets(namespace, [OAUTH2_PROXY_SECRET, GRAFANA_SECRET, ALERTS_SECRET, webhook]),
        // The check of the permissions reports it if the operator will be installed.
        async { permitted(cluster.get(&secret).await) },
        async { permitted(cluster.get(&places[0]).await) },
        async { permitted(cluster.get(&places[1]).await) },
        cluster.tailscale_classes(),
        cluster.operators(),
        // The check of the permissions reports that this context may not list nodes.
        async { permitted(cluster.node_states_for(namespace).await) },
        async { permitted(cluster.is_ipv6_first().await) },
    )?;
    let (tailscale, of_tailscale) = (tailscale.flatten(), of_tailscale.flatten());
    let is_ours = is_ours_by(tailscale.as_ref(), of_tailscale.as_ref());
    let answered = settings.tailscale.ingress_class.as_ref().map(|class| class.as_str());
    let tailscale_operator =
        settings.tailscale.operator.plan(TailscaleOperator { has_class: !classes.is_empty(), is_ours });
    let facts = ClusterFacts {
        tailscale_operator,
        ingress_class: IngressClass::choose(answered, &classes),
        tailscale_namespaces: tailscale_namespaces(operators.as_ref(), tailscale_operator),
        oauth2_proxy: secrets.remove(OAUTH2_PROXY_SECRET),
        grafana: secrets.remove(GRAFANA_SECRET),
        alerts: secrets.remove(ALERTS_SECRET),
        webhook: secrets.remove(webhook),
        tailscale: tailscale.as_ref().map(data_of),
        charts: recorded_charts(place.as_ref().and_then(Option::as_ref)),
        foreign_levels: foreign_levels([place.flatten(), of_tailscale]),
        nodes: nodes.unwrap_or_default(),
        is_ipv6_first: is_ipv6_first.unwrap_or_default(),
        now: jiff::Timestamp::now(),
    };
    Ok(Surroundings { facts, operators })
}

/// The charts that earlier runs applied, by an annotation of the stack's namespace.
fn recorded_charts(namespace: Option<&Value>) -> RecordedCharts {
    namespace.map(|found| RecordedCharts::read(PartialObject::of(found).annotation(CHARTS_RECORD))).unwrap_or_default()
}

/// (namespace, label) of each Pod Security level that another field manager has set to another value than the stack's.
fn foreign_levels(namespaces: [Option<Value>; 2]) -> BTreeSet<(String, String)> {
    let found = namespaces.iter().flatten().map(PartialObject::of);
    let levels = found.flat_map(|namespace| {
        let is_foreign = |(key, level): &&(&str, &str)| {
            let live = namespace.label(key);
            !live.is_empty() && live != *level && !namespace.is_label_of_ours(key)
        };
        let name = namespace.reference().name;
        LEVELS.iter().filter(is_foreign).map(|(key, _)| (name.clone(), (*key).to_owned())).collect::<Vec<_>>()
    });
    levels.collect()
}

/// Namespaces with proxies. An operator that will be installed, and one that cannot be read, has the chart's namespace.
fn tailscale_namespaces(operators: Option<&Operators>, plan: OperatorPlan) -> Vec<String> {
    let operators = operators.filter(|_| plan == OperatorPlan::Use).map(|operators| operators.tailscale.as_slice());
    let mut namespaces: BTreeSet<String> =
        operators.unwrap_or_default().iter().map(|operator| operator.namespace.clone()).collect();
    if namespaces.is_empty() {
        namespaces.insert(TAILSCALE_NAMESPACE.into());
    }
    namespaces.into_iter().collect()
}

/// Reads releases, their values and manifests, and finds drift.
pub(super) async fn observe(cluster: &Cluster, driver: HelmDriver, desired: &[Release]) -> Result<Observed, PlanError> {
    let mut observed = observe_releases(cluster, driver, desired).await?;
    observed.drift = drift_of(cluster, desired, &observed).await?;
    Ok(observed)
}

/// The same without drift, which needs a read of every object.
pub async fn observe_releases(
    cluster: &Cluster,
    driver: HelmDriver,
    desired: &[Release],
) -> Result<Observed, PlanError> {
    let named = desired.iter().map(|release| (release.component.as_str(), release.namespace.as_str()));
    let notes = async {
        let read = namespaces(desired)
            .into_iter()
            .map(async |namespace| Ok::<_, ClusterError>((namespace, cluster.notes(namespace).await?)));
        Ok(try_join_all(read).await?.into_iter().collect::<BTreeMap<_, _>>())
    };
    let (installed, notes) =
        futures::try_join!(installed_releases(cluster, driver, named, ManifestObjects::All), notes)?;
    let mut observed = Observed::default();
    for Installed { info, values, manifest, records } in installed {
        let name = info.name.clone();
        let note = |key: &str| notes.get(info.namespace.as_str()).and_then(|notes| notes.get(key));
        let healthy = note(&name).and_then(|text| Healthy::read(text));
        observed.healthy.extend(healthy.map(|healthy| (name.clone(), healthy)));
        if info.status.is_under_way() {
            let rollback = note(&rollback_key(&name)).and_then(|text| text.parse().ok());
            observed.pending.insert(name.clone(), pending_owner(&records, &info, rollback));
        }
        if !is_ours(&records, &name) {
            observed.unmanaged_releases.push(name.clone());
        }
        let manifest = match info.status {
            ReleaseStatus::Deployed => {
                observed.values.insert(name.clone(), values);
                manifest
            }
            _ => last_deployed(cluster, &records).await?,
        };
        observed.manifests.insert(name.clone(), manifest);
        observed.releases.insert(name, info);
    }
    Ok(observed)
}

/// The manifest of the last deployed revision; a release that was never deployed has none to compare with.
async fn last_deployed(cluster: &Cluster, records: &[RevisionRecord]) -> Result<Vec<Value>, ClusterError> {
    let deployed = records.iter().rfind(|record| ReleaseStatus::of(&record.status) == ReleaseStatus::Deployed);
    let Some(deployed) = deployed else { return Ok(Vec::new()) };
    Ok(cluster.recorded(deployed).await?.map(|recorded| recorded.manifest).unwrap_or_default())
}

fn namespaces(desired: &[Release]) -> Vec<&str> {
    let mut namespaces: Vec<&str> = desired.iter().map(|release| release.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    namespaces
}

/// Releases installed by tailwatch that the answers leave out, the latest wave first.
pub(super) async fn removals(
    cluster: &Cluster,
    driver: HelmDriver,
    left_out: &[CatalogueEntry],
) -> Result<Vec<Removal>, PlanError> {
    let named = left_out.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let installed = installed_releases(cluster, driver, named, ManifestObjects::All).await?;
    let removal = |row: &CatalogueEntry| {
        let found = installed.iter().find(|found| found.info.is_of(row))?;
        // A release that tailwatch did not install has another owner.
        let reason = "the answers leave it out; its volumes are retained".to_owned();
        is_ours(&found.records, &row.name).then(|| Removal::new(row, found, reason))
    };
    let mut removals: Vec<Removal> = left_out.iter().filter_map(removal).collect();
    Removal::sort(&mut removals);
    Ok(removals)
}

/// helm copies the labels of a revision to the next one: a run label that the previous revision has, too, does not show
/// who started this one. tailwatch notes a rollback before it starts it. An uninstall counts as ours: its result is the
/// same for every client.
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
    desired: &[Release],
    observed: &Observed,
) -> Result<BTreeMap<String, ReleaseDrift>, PlanError> {
    let is_deployed = |release: &&Release| observed.values.contains_key(release.component.as_str());
    let deployed = || desired.iter().filter(is_deployed);
    let expected = deployed().map(|release| Expected {
        manifest: observed.manifests.get(release.component.as_str()).map(Vec::as_slice).unwrap_or_default(),
        namespace: &release.namespace,
        // Otherwise helm's step applies them in any case.
        own: if observed.is_as_desired(release) { &release.objects } else { &[] },
    });
    let found = of_releases(cluster, &expected.collect::<Vec<_>>()).await?;
    Ok(deployed().map(|release| release.component.to_string()).zip(found).collect())
}

impl Observed {
    /// Whether the release is deployed with the desired chart and values.
    pub(super) fn is_as_desired(&self, release: &Release) -> bool {
        let name = release.component.as_str();
        self.releases.get(name).is_some_and(|info| {
            info.status == ReleaseStatus::Deployed
                && info.chart == release.chart.name
                && info.chart_version == release.chart.version
                && self.values.get(name).is_some_and(|values| changed_values(values, release).is_empty())
        })
    }
}

/// Whether tailwatch installed the Tailscale operator.
pub(super) async fn tailscale_is_ours(cluster: &Cluster) -> Result<bool, PlanError> {
    let (secret, place) = (tailscale_secret(), ObjectRef::of_namespace(TAILSCALE_NAMESPACE));
    let (secret, place) = futures::join!(cluster.get(&secret), cluster.get(&place));
    let (secret, place) = (permitted(secret)?.flatten(), permitted(place)?.flatten());
    Ok(is_ours_by(secret.as_ref(), place.as_ref()))
}

/// Tailscale's own instructions create a release of the same name in the same namespace: only the Secret or the
/// annotation of the namespace shows that tailwatch installed it. A context that may read neither has not installed it.
fn is_ours_by(secret: Option<&Value>, namespace: Option<&Value>) -> bool {
    secret.is_some_and(|secret| PartialObject::of(secret).is_ours())
        || namespace.is_some_and(|namespace| PartialObject::of(namespace).is_created_by_us())
}

fn tailscale_secret() -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(TAILSCALE_NAMESPACE.into()),
        name: TAILSCALE_SECRET.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u32, run: Option<&str>) -> RevisionRecord {
        RevisionRecord::for_tests(revision, run)
    }

    fn is_ours_by(status: ReleaseStatus, records: &[RevisionRecord], rollback: Option<u32>) -> bool {
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
    fn an_interrupted_revision_of_ours_has_its_own_run_label() {
        use ReleaseStatus::{PendingRollback, PendingUpgrade, Uninstalling};
        assert!(is_ours_by(PendingUpgrade, &[record(1, Some("a")), record(2, Some("b"))], None));
        assert!(is_ours_by(PendingUpgrade, &[record(2, Some("a"))], None), "the first revision that is kept");
        assert!(
            !is_ours_by(PendingUpgrade, &[record(1, Some("a")), record(2, Some("a"))], None),
            "the label is copied by helm"
        );
        assert!(!is_ours_by(PendingUpgrade, &[record(1, Some("a")), record(2, None)], None));
        assert!(is_ours_by(PendingRollback, &[record(1, Some("a")), record(2, Some("a"))], Some(2)));
        assert!(!is_ours_by(PendingRollback, &[record(1, Some("a")), record(2, Some("a"))], Some(1)), "an earlier one");
        assert!(!is_ours_by(Uninstalling, &[record(2, None)], None));
        assert!(!is_ours_by(PendingUpgrade, &[], None), "the record was deleted since helm listed it");
    }
}
