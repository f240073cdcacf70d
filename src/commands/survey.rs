//! From settings to a prepared plan: facts, wanted releases, what stands, the plan, rendered charts. Reads only.

use crate::cli::GlobalArgs;
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::engine::{self, Prepared};
use crate::error::Error;
use crate::helm::Helm;
use crate::plan::{self, Observed, Plan, Rendered};
use crate::stack::{self, Catalogue, Release};

/// Everything that is known before the first change.
pub(super) struct Survey {
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    pub(super) prepared: Prepared,
}

/// The catalogue of `--values-dir`, or the built-in one.
pub(super) fn catalogue(global: &GlobalArgs) -> Result<Catalogue, Error> {
    Ok(match &global.values_dir {
        Some(folder) => Catalogue::from_dir(folder)?,
        None => Catalogue::embedded()?,
    })
}

/// The releases that should stand.
pub(super) async fn wanted(global: &GlobalArgs, cluster: &Cluster, settings: &Settings) -> Result<Vec<Release>, Error> {
    let catalogue = catalogue(global)?;
    let facts = plan::live_facts(cluster, settings).await?;
    Ok(stack::desired(&catalogue, settings, &facts)?)
}

/// Observes, plans, fetches and renders.
pub(super) async fn survey(
    global: &GlobalArgs,
    cluster: &Cluster,
    helm: &Helm,
    settings: &Settings,
) -> Result<Survey, Error> {
    let releases = wanted(global, cluster, settings).await?;
    let observed = plan::observe(cluster, helm, &releases).await?;
    let mut plan = plan::build(releases, &observed)?;
    plan.removals = plan::removals(cluster, helm, &catalogue(global)?.left_out(settings)).await?;
    let prepared = engine::prepare(cluster, helm, &plan, &observed).await?;
    let rendered = prepared.releases.iter().map(|(name, release)| {
        let rendered = Rendered { manifest: &release.manifest, crds: &release.crds };
        (name.as_str(), rendered)
    });
    plan::foresee(cluster, &mut plan, &observed, &rendered.collect()).await?;
    Ok(Survey { observed, plan, prepared })
}
