//! `tailwatch version`: what this build is and installs, for a report of a problem. Needs no cluster.

use std::env::consts::{ARCH, OS};

use serde::Serialize;

use crate::check::preflight::prerequisites::OLDEST_KUBERNETES;
use crate::error::{self, Error};
use crate::helm::OLDEST_HELM;
use crate::session::Session;
use crate::workflow::connect;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionDocument {
    version: u8,
    tailwatch: &'static str,
    /// The commit that a release was built from; `-changed` follows if files differed from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// Operating system and architecture of this build, e.g. `linux x86_64`.
    platform: String,
    /// The oldest Kubernetes.
    oldest_kubernetes: String,
    /// The oldest helm.
    oldest_helm: String,
    /// In wave order.
    charts: Vec<Chart>,
}

/// A chart that an install without `versions:` in the answers installs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chart {
    wave: u8,
    chart: String,
    version: String,
}

pub(super) fn version(session: &Session) -> Result<u8, Error> {
    let catalogue = connect::catalogue(&session.global)?;
    let rows = catalogue.overview("");
    let charts = catalogue.versions().filter_map(|(name, version)| {
        let row = rows.iter().find(|row| row.name == name.as_str())?;
        Some(Chart { wave: row.wave, chart: row.chart.clone(), version: version.to_string() })
    });
    let (major, minor) = OLDEST_KUBERNETES;
    let document = VersionDocument {
        version: 1,
        tailwatch: env!("CARGO_PKG_VERSION"),
        commit: option_env!("TAILWATCH_COMMIT"),
        platform: format!("{OS} {ARCH}"),
        oldest_kubernetes: format!("{major}.{minor}"),
        oldest_helm: OLDEST_HELM.to_string(),
        charts: charts.collect(),
    };
    session.ui.document(&document, |document, _, _| {
        let VersionDocument { tailwatch, commit, platform, oldest_kubernetes, oldest_helm, charts, .. } = document;
        let commit = commit.map(|commit| format!(" of commit {commit}")).unwrap_or_default();
        let charts: String =
            charts.iter().map(|Chart { wave, chart, version }| format!("wave {wave}  {chart} {version}\n")).collect();
        format!(
            "tailwatch {tailwatch}{commit}, {platform}\nneeds Kubernetes {oldest_kubernetes} or later, helm {oldest_helm} or later\n\
             {charts}"
        )
    });
    Ok(error::OK)
}
