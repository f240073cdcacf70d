//! The state of the installed stack, for `status` and `diagnose`. Reads only.

use serde_json::json;

use crate::cluster::{Cluster, ManifestObjects, ObjectRef, ReleaseReadiness, TrackedRelease, permitted};
use crate::event::{ChartArchive, Diagnosis, Severity, StatusRow};
use crate::helm::ReleaseInfo;
use crate::plan::{Installed, PlanError, installed_rows};
use crate::stack::{CatalogueEntry, ComponentRules, HelmDriver, RecordedCharts};

/// The state of each release of a stack in this namespace; of an optional one only if it is installed.
pub async fn status(
    cluster: &Cluster,
    driver: HelmDriver,
    (namespace, rows): (&str, &[CatalogueEntry]),
) -> Result<Vec<StatusRow>, PlanError> {
    let (installed, charts) =
        futures::try_join!(installed_rows(cluster, driver, rows, ManifestObjects::WithReadiness), async {
            Ok(permitted(cluster.recorded_charts(namespace).await)?.unwrap_or_default())
        },)?;
    let found = |row: &CatalogueEntry| installed.iter().find(|found| found.info.is_of(row));
    let tracked = |(row, found): (&CatalogueEntry, &Installed)| {
        TrackedRelease::new(&row.name, &row.namespace, &found.manifest).waiting_for(&row.wait_for)
    };
    let releases: Vec<TrackedRelease> = rows.iter().filter_map(|row| Some(tracked((row, found(row)?)))).collect();
    let mut readiness = cluster.readiness(&releases).await?.into_iter();
    let shown = rows.iter().filter(|row| found(row).is_some() || !row.optional);
    Ok(shown.map(|row| status_of(row, found(row), &charts, &mut readiness)).collect())
}

/// `readiness` is that of the installed releases, in their order.
fn status_of(
    row: &CatalogueEntry,
    found: Option<&Installed>,
    charts: &RecordedCharts,
    readiness: &mut impl Iterator<Item = ReleaseReadiness>,
) -> StatusRow {
    let info = found.map(|found| &found.info);
    let readiness = info.and_then(|_| readiness.next()).unwrap_or_default();
    StatusRow {
        component: row.name.clone(),
        wave: row.wave,
        namespace: row.namespace.clone(),
        status: info.map(|info| info.status.words().to_owned()),
        chart_version: info.map(|info| info.chart_version.to_string()),
        app_version: info.map(|info| info.app_version.clone()),
        chart_archive: info.and_then(|info| {
            let applied = charts.last_applied(&info.chart, &info.chart_version.to_string())?;
            Some(ChartArchive { repository: applied.repository.clone(), sha256: applied.sha256.clone() })
        }),
        revision: info.map(|info| info.revision),
        ready: readiness.ready,
        desired: readiness.desired,
        waiting: readiness.waiting,
    }
}

/// The host of Grafana, once assigned.
pub async fn address(cluster: &Cluster, namespace: &str) -> Result<Option<String>, PlanError> {
    let reference = ObjectRef {
        api_version: "networking.k8s.io/v1".into(),
        kind: "Ingress".into(),
        namespace: Some(namespace.to_owned()),
        name: "grafana".into(),
    };
    let ingress = cluster.get(&reference).await?.unwrap_or_default();
    Ok(ingress.pointer("/status/loadBalancer/ingress/0/hostname").and_then(|host| host.as_str()).map(str::to_owned))
}

/// Every installed release, with its objects.
pub async fn tracked_releases(
    cluster: &Cluster,
    driver: HelmDriver,
    rows: &[CatalogueEntry],
) -> Result<Vec<(ReleaseInfo, TrackedRelease)>, PlanError> {
    let installed = installed_rows(cluster, driver, rows, ManifestObjects::WithReadiness).await?;
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "grafana"}});
    let tracked = rows.iter().filter_map(|row| {
        let Installed { info, manifest, .. } = installed.iter().find(|found| found.info.is_of(row))?;
        let own = ComponentRules::of(&row.name).signs_users_in.then_some(&ingress);
        let tracked = TrackedRelease::new(&row.name, &row.namespace, manifest).waiting_for(&row.wait_for);
        Some((info.clone(), tracked.with_own(own.into_iter())))
    });
    Ok(tracked.collect())
}

/// The diagnosis of a release that helm has not deployed.
pub fn diagnosis_of(info: &ReleaseInfo) -> Option<Diagnosis> {
    let evidence = format!("revision {} is {}", info.revision, info.status.words());
    let found = info.status.known_error()?.of_release(&info.name, &info.namespace, &evidence);
    Some(Diagnosis { severity: Severity::Deadline, ..found })
}
