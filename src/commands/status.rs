//! `tailwatch status`: installed releases, versions, readiness, address.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde::Serialize;

use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::cluster::{Cluster, ObjectRef, TrackedRelease};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::settings_sources::settings_sources;
use crate::error::{self, Error};
use crate::event::StatusRow;
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::{self, PlanError};
use crate::report::{self, style::Style};
use crate::stack::CatalogueEntry;
use crate::write_record::Writes;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    address: Option<String>,
    releases: Vec<StatusRow>,
}

pub(super) async fn status(global: &GlobalArgs, writes: &Writes) -> Result<u8, Error> {
    let draft = crate::config::load(&settings_sources(global, &SettingsArgs::default()))?;
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let Connected { target: Target { cluster, helm, catalogue }, .. } =
        connect::connect(global, &draft, writes).await?;
    let rows = catalogue.overview(&namespace);
    let read = async { tokio::try_join!(releases(&cluster, &helm, &rows), address(&cluster, &namespace)) };
    let (releases, address) = connect::of_one_cluster(&cluster, read).await?;
    let nothing = releases.iter().all(|row| row.status.is_none());
    let context = cluster.context().map(str::to_owned);
    match global.output {
        Output::Json => {
            report::json_document(&StatusDocument { version: 1, context, namespace, address, releases });
        }
        Output::Human => {
            if nothing {
                return Err(PlanError::NothingInstalled { namespace }.into());
            }
            report::write_stdout(&report::status_table(&releases, &Style::resolve(global), report::width()));
            let address = address.map_or_else(|| "not assigned yet".into(), |host| format!("https://{host}/"));
            report::write_stdout(&format!("\n  Grafana  {address}\n"));
        }
    }
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
