//! Fetches and renders every chart of a plan: a broken chart, value or digest ends the run before anything is changed.
//! Reads only.

mod crd_ownership;
mod unused_values;
mod value_mutation;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::helm::{Capabilities, FetchedChart, Helm, HelmError, ReleaseRequest};
use crate::plan::render::unused_values::{ignored_keys, refused_values};
use crate::plan::{Observed, Plan, PlanError, Step, Work};
use crate::stack::{CrdPolicy, Release};

/// Everything helm needs, by component.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// One per step that helm does.
    pub releases: BTreeMap<String, RenderedRelease>,
    /// Objects of every release, changed or not.
    pub manifests: BTreeMap<String, Vec<Value>>,
    /// What is not as expected in the charts and their values.
    pub chart_notices: Vec<String>,
    /// Everything a person should know before confirming, that of the charts first.
    pub notices: Vec<String>,
}

/// A chart on disk and what it renders to.
#[derive(Clone, Debug)]
pub struct RenderedRelease {
    /// The archive.
    pub chart: FetchedChart,
    /// Rendered objects without hooks.
    pub manifest: Vec<Value>,
    /// Hooks, which come and go by helm's hand.
    pub hooks: Vec<Value>,
    /// What helm takes over of objects that are of no release or of another; `None`: it takes nothing.
    pub force: Option<Taking>,
    /// CRDs to apply before the release; empty unless the policy asks for it.
    pub crds: Vec<Value>,
}

/// What helm may take over with a release.
#[derive(Clone, Debug, Default)]
pub struct Taking {
    /// (object, owner) of what was agreed to.
    pub agreed: BTreeSet<(String, String)>,
    /// The manifest of the installed revision, whose objects are the release's own.
    pub standing: Vec<Value>,
}

/// Fetches and renders, all charts side by side.
pub async fn render(cluster: &Cluster, helm: &Helm, plan: &Plan, observed: &Observed) -> Result<Prepared, PlanError> {
    let mut prepared = Prepared { manifests: observed.manifests.clone(), ..Prepared::default() };
    if !plan.each_step().any(|step| matches!(step.work, Work::Helm)) {
        return Ok(prepared);
    }
    let mut api_versions = cluster.api_versions().await?;
    api_versions.extend(plan.releases().flat_map(|release| release.api_versions.iter().cloned()));
    let capabilities = Capabilities { kube_version: cluster.version().to_owned(), api_versions };
    let steps = plan.each_step().filter(|step| matches!(step.work, Work::Helm));
    let work = steps.map(|step| prepare_step(helm, step, &capabilities));
    for (component, release, notices) in try_join_all(work).await? {
        prepared.manifests.insert(component.clone(), release.manifest.clone());
        prepared.releases.insert(component, release);
        prepared.chart_notices.extend(notices);
    }
    // One release after the other, since each runs several helms side by side.
    for release in plan.releases() {
        let Some(ready) = prepared.releases.get(release.component.as_str()) else { continue };
        let ignored = ignored_keys(helm, release, ready, &capabilities).await;
        let what = || format!("cannot determine which values chart {} uses", release.chart.name);
        prepared.chart_notices.extend(ignored.map_err(|source| PlanError::Helm { what: what(), source })?);
    }
    prepared.notices.clone_from(&prepared.chart_notices);
    prepared.notices.extend(crd_ownership::notices(cluster, &prepared.releases).await?);
    Ok(prepared)
}

async fn prepare_step(
    helm: &Helm,
    step: &Step,
    capabilities: &Capabilities,
) -> Result<(String, RenderedRelease, Vec<String>), PlanError> {
    let release = &step.release;
    let name = format!("{} {}", release.chart.name, release.chart.version);
    let failed = |verb: &str| {
        let what = format!("cannot {verb} chart {name}");
        move |source: HelmError| PlanError::Helm { what, source }
    };
    let chart = helm.fetch(&release.chart).await.map_err(failed("fetch"))?;
    let request = ReleaseRequest::new(release, &chart);
    let render = async {
        let rendered = helm.template(&request, capabilities).await;
        rendered.map_err(|source| match refused_values(release, &chart, &source) {
            Some(rejected) => PlanError::Values { chart: name.clone(), rejected: Box::new(rejected), source },
            None => failed("render")(source),
        })
    };
    let crds = async {
        match release.crds {
            CrdPolicy::ServerSideApply => helm.show_crds(&chart.path).await.map_err(failed("read the CRDs of")),
            CrdPolicy::None | CrdPolicy::Chart => Ok(Vec::new()),
        }
    };
    let (manifest, crds) = futures::try_join!(render, crds)?;
    let is_hook = |object: &Value| object.pointer("/metadata/annotations/helm.sh~1hook").is_some();
    let (hooks, manifest): (Vec<Value>, Vec<Value>) = manifest.into_iter().partition(is_hook);
    let notices = unexpected_kinds(release, &manifest);
    Ok((release.component.to_string(), RenderedRelease { chart, manifest, hooks, force: None, crds }, notices))
}

/// A vendored dependency of another version than Chart.yaml asks for is switched on without anybody asking, so
/// kinds and counts that differ from the catalogue's are reported.
fn unexpected_kinds(release: &Release, manifest: &[Value]) -> Vec<String> {
    let count = |kind: &str| manifest.iter().filter(|object| object["kind"] == kind).count();
    let differing = release.expect.iter().filter(|(kind, expected)| count(kind) != **expected as usize);
    differing
        .map(|(kind, expected)| {
            format!(
                "chart {} {} renders {} {kind} objects, the catalogue expects {expected}",
                release.chart.name,
                release.chart.version,
                count(kind)
            )
        })
        .collect()
}
