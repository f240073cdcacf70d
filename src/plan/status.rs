//! The state of the installed stack, for `status` and `diagnose`. Reads only.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::json;

use crate::cluster::{Cluster, ObjectRef, TrackedRelease};
use crate::event::{Diagnosis, Severity, StatusRow};
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::{PlanError, installed_releases};
use crate::stack::{CatalogueEntry, ComponentRules};

/// The state of each release; of an optional one only if it is installed.
pub async fn status(cluster: &Cluster, helm: &Helm, rows: &[CatalogueEntry]) -> Result<Vec<StatusRow>, PlanError> {
    let named = rows.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let listed = installed_releases(cluster, helm, named).await?;
    let installed: BTreeMap<(&str, &str), &ReleaseInfo> =
        listed.iter().map(|info| ((info.namespace.as_str(), info.name.as_str()), info)).collect();
    let shown = rows.iter().filter_map(|row| {
        let info = installed.get(&(row.namespace.as_str(), row.name.as_str())).copied();
        (info.is_some() || !row.optional).then_some((row, info))
    });
    try_join_all(shown.map(|(row, info)| read(cluster, helm, row, info))).await
}

async fn read(
    cluster: &Cluster,
    helm: &Helm,
    row: &CatalogueEntry,
    info: Option<&ReleaseInfo>,
) -> Result<StatusRow, PlanError> {
    let mut shown = StatusRow {
        component: row.name.clone(),
        wave: row.wave,
        namespace: row.namespace.clone(),
        status: info.map(|info| info.status.words().to_owned()),
        chart_version: info.map(|info| info.chart_version.to_string()),
        app_version: info.map(|info| info.app_version.clone()),
        revision: info.map(|info| info.revision),
        ready: 0,
        desired: 0,
        waiting: None,
    };
    if info.is_none() {
        return Ok(shown);
    }
    let what = format!("cannot read release {}", row.name);
    let manifest = helm.manifest(&row.name, &row.namespace).await.map_err(|source| PlanError::Helm { what, source })?;
    let tracked = TrackedRelease::new(&row.name, &row.namespace, &manifest).waiting_for(&row.wait_for);
    let readiness = cluster.readiness(&tracked).await?;
    (shown.ready, shown.desired) = (readiness.ready, readiness.desired);
    shown.waiting = readiness.waiting;
    Ok(shown)
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
    helm: &Helm,
    rows: &[CatalogueEntry],
) -> Result<Vec<(ReleaseInfo, TrackedRelease)>, PlanError> {
    let reading = |source| PlanError::Helm { what: "cannot read the releases".into(), source };
    let named = rows.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let installed = installed_releases(cluster, helm, named).await?;
    let found = rows.iter().filter_map(|row| {
        let info = installed.iter().find(|info| info.name == row.name && info.namespace == row.namespace)?;
        Some((row, info.clone()))
    });
    let reads = found.map(|(row, info)| async move {
        let manifest = helm.manifest(&row.name, &row.namespace).await?;
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "grafana"}});
        let own = ComponentRules::of(&row.name).signs_users_in.then_some(&ingress);
        let tracked = TrackedRelease::new(&row.name, &row.namespace, &manifest).waiting_for(&row.wait_for);
        Ok((info, tracked.with_own(own.into_iter())))
    });
    try_join_all(reads).await.map_err(reading)
}

/// The diagnosis of a release that helm has not deployed.
pub fn diagnosis_of(info: &ReleaseInfo) -> Option<Diagnosis> {
    let evidence = format!("revision {} is {}", info.revision, info.status.words());
    let found = info.status.known_error()?.of_release(&info.name, &info.namespace, &evidence);
    Some(Diagnosis { severity: Severity::Deadline, ..found })
}
