//! Fetches and renders every chart of a plan: an invalid chart, value or digest ends the run before any change. Reads
//! only.

mod added_permissions;
pub(super) mod crd_ownership;
pub(super) mod rendered_release;
mod unused_values;
mod value_mutation;

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::helm::{Capabilities, Helm, HelmError, ReleaseRequest};
use crate::plan::render::added_permissions::added_permissions;
use crate::plan::render::rendered_release::RenderedRelease;
use crate::plan::render::unused_values::{ignored_keys, rejected_values};
use crate::plan::{Plan, PlanError, Step, Work};
use crate::stack::{CrdPolicy, Release};

/// A version that every chart supports.
const SOME_KUBERNETES: &str = "1.34.0";

/// Fetches and renders the charts of all steps with helm. Returns notices about the charts and their values.
pub(super) async fn render(cluster: &Cluster, helm: &Helm, plan: &mut Plan) -> Result<Vec<String>, PlanError> {
    let by_helm = |step: &&Step| matches!(step.work, Work::Helm);
    if !plan.each_step().any(|step| by_helm(&step)) {
        return Ok(Vec::new());
    }
    let mut api_versions = cluster.api_versions().await?;
    api_versions.extend(plan.releases().flat_map(|release| release.api_versions.iter().cloned()));
    let capabilities = Capabilities { kube_version: cluster.version().to_owned(), api_versions };
    let work = plan.each_step().filter(by_helm).map(|step| render_release(helm, &step.release, &capabilities));
    let rendered = try_join_all(work).await?;
    let mut notices = Vec::new();
    let steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps).filter(|step| by_helm(&&**step));
    for (step, rendered) in steps.zip(rendered) {
        notices.extend(unexpected_kinds(&step.release, &rendered.manifest));
        step.rendered = Some(rendered);
    }
    // One release after the other: each runs several helm processes.
    for step in plan.each_step() {
        let (release, Some(rendered)) = (&step.release, &step.rendered) else { continue };
        let ignored = ignored_keys(helm, release, rendered, &capabilities).await;
        let what = || format!("cannot determine which values chart {} uses", release.chart.name);
        notices.extend(ignored.map_err(|source| PlanError::Helm { what: what(), source })?);
        notices.extend(added_permissions(helm, release, rendered, &capabilities).await);
    }
    Ok(notices)
}

/// Fetches and renders the charts of all releases for a cluster that cannot be read.
pub async fn render_without_cluster(helm: &Helm, releases: &[Release]) -> Result<Vec<RenderedRelease>, PlanError> {
    let api_versions = releases.iter().flat_map(|release| release.api_versions.iter().cloned()).collect();
    let capabilities = Capabilities { kube_version: SOME_KUBERNETES.into(), api_versions };
    try_join_all(releases.iter().map(|release| render_release(helm, release, &capabilities))).await
}

async fn render_release(
    helm: &Helm,
    release: &Release,
    capabilities: &Capabilities,
) -> Result<RenderedRelease, PlanError> {
    let name = format!("{} {}", release.chart.name, release.chart.version);
    let failed = |verb: &str| {
        let what = format!("cannot {verb} chart {name}");
        move |source: HelmError| PlanError::Helm { what, source }
    };
    let chart = helm.fetch(&release.chart).await.map_err(failed("fetch"))?;
    let request = ReleaseRequest::new(release, &chart);
    let render = async {
        let rendered = helm.template(&request, capabilities).await;
        rendered.map_err(|source| match rejected_values(release, &chart, &source) {
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
    Ok(RenderedRelease { chart, manifest, hooks, crds })
}

/// Reports kinds and counts that differ from the catalogue's: helm enables a vendored dependency of another version
/// than Chart.yaml requires.
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
