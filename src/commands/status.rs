//! `tailwatch status`: installed releases, versions, readiness, address.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde::Serialize;

use crate::cli::SettingsArgs;
use crate::cluster::{Cluster, ObjectRef, TrackedRelease};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::settings_sources::settings_sources;
use crate::error::{self, Error};
use crate::event::StatusRow;
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::{self, PlanError};
use crate::report;
use crate::session::Session;
use crate::stack::CatalogueEntry;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    address: Option<String>,
    releases: Vec<StatusRow>,
}

pub(super) async fn status(session: &Session) -> Result<u8, Error> {
    let draft = crate::config::load(&settings_sources(session, &SettingsArgs::default()))?;
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let Connected { target: Target { cluster, helm, catalogue }, .. } = connect::connect(session, &draft).await?;
    let rows = catalogue.overview(&namespace);
    let read = async { tokio::try_join!(releases(&cluster, &helm, &rows), address(&cluster, &namespace)) };
    let (releases, address) = connect::of_one_cluster(&cluster, read).await?;
    if releases.iter().all(|row| row.status.is_none()) && !session.ui.writes_json() {
        return Err(PlanError::NothingInstalled { namespace }.into());
    }
    let context = cluster.context().map(str::to_owned);
    let document = StatusDocument { version: 1, context, namespace, address, releases };
    session.ui.document(&document, |StatusDocument { address, releases, .. }, style, width| {
        let address = address.as_ref().map_or_else(|| "not assigned yet".into(), |host| format!("https://{host}/"));
        format!("{}\n  Grafana  {address}\n", report::status_table(releases, style, width))
    });
    Ok(error::OK)
}

async fn releases(cluster: &Cluster, helm: &Helm, rows: &[CatalogueEntry]) -> Result<Vec<StatusRow>, Error> {
    let named = rows.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let listed = plan::installed_releases(cluster, helm, named).await?;
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
) -> Result<StatusRow, Error> {
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

async fn address(cluster: &Cluster, namespace: &str) -> Result<Option<String>, Error> {
    let reference = ObjectRef {
        api_version: "networking.k8s.io/v1".into(),
        kind: "Ingress".into(),
        namespace: Some(namespace.to_owned()),
        name: "grafana".into(),
    };
    let ingress = cluster.get(&reference).await?.unwrap_or_default();
    Ok(ingress.pointer("/status/loadBalancer/ingress/0/hostname").and_then(|host| host.as_str()).map(str::to_owned))
}
