//! `tailwatch diagnose`: evaluates every diagnosis rule on the installed stack; nothing is changed.

use futures::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use crate::cli::SettingsArgs;
use crate::cluster::{Cluster, Findings, TrackedRelease};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::settings_sources::settings_sources;
use crate::config::OAUTH2_PROXY;
use crate::error::{self, Error};
use crate::event::{Diagnosis, Severity};
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::{self, PlanError};
use crate::report::{self, Examined};
use crate::session::Session;
use crate::stack::CatalogueEntry;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiagnoseDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    rules: usize,
    objects: usize,
    findings: Vec<Diagnosis>,
}

pub(super) async fn diagnose(session: &Session) -> Result<u8, Error> {
    let draft = crate::config::load(&settings_sources(session, &SettingsArgs::default()))?;
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let Connected { target: Target { cluster, helm, catalogue }, .. } = connect::connect(session, &draft).await?;
    let rows = catalogue.overview(&namespace);
    let read = async {
        let releases = releases((&cluster, &helm), &rows).await?;
        if releases.is_empty() {
            return Err(PlanError::NothingInstalled { namespace: namespace.clone() }.into());
        }
        let tracked: Vec<TrackedRelease> = releases.iter().map(|(_, tracked)| tracked.clone()).collect();
        Ok((cluster.diagnose(&tracked).await?, releases))
    };
    let (Findings { mut diagnoses, rules, objects }, releases) = connect::of_one_cluster(&cluster, read).await?;
    diagnoses.extend(releases.iter().filter_map(|(info, _)| of_release(info)));
    let problems = diagnoses.iter().filter(|found| found.severity != Severity::Notice).count();
    let context = cluster.context().map(str::to_owned);
    let document = DiagnoseDocument { version: 1, context, namespace, rules, objects, findings: diagnoses };
    session.ui.document(&document, |DiagnoseDocument { findings, .. }, style, width| {
        report::findings_table(findings, Examined { rules, objects }, style, width)
    });
    if problems > 0 { Err(Error::ProblemsFound { findings: problems }) } else { Ok(error::OK) }
}

/// Every installed release, with its objects.
async fn releases(
    (cluster, helm): (&Cluster, &Helm),
    rows: &[CatalogueEntry],
) -> Result<Vec<(ReleaseInfo, TrackedRelease)>, Error> {
    let reading = |source| Error::from(PlanError::Helm { what: "cannot read the releases".into(), source });
    let named = rows.iter().map(|row| (row.name.as_str(), row.namespace.as_str()));
    let installed = plan::installed_releases(cluster, helm, named).await?;
    let found = rows.iter().filter_map(|row| {
        let info = installed.iter().find(|info| info.name == row.name && info.namespace == row.namespace)?;
        Some((row, info.clone()))
    });
    let reads = found.map(|(row, info)| async move {
        let manifest = helm.manifest(&row.name, &row.namespace).await?;
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "grafana"}});
        let own = (row.name == OAUTH2_PROXY).then_some(&ingress);
        let tracked = TrackedRelease::new(&row.name, &row.namespace, &manifest).waiting_for(&row.wait_for);
        Ok((info, tracked.with_own(own.into_iter())))
    });
    try_join_all(reads).await.map_err(reading)
}

fn of_release(info: &ReleaseInfo) -> Option<Diagnosis> {
    let evidence = format!("revision {} is {}", info.revision, info.status.words());
    let found = info.status.trouble()?.of_release(&info.name, &info.namespace, &evidence);
    Some(Diagnosis { severity: Severity::Deadline, ..found })
}
