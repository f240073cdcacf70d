//! From settings to a prepared plan: facts, desired and installed releases, plan, rendered charts. Reads only.

use crate::check::preflight::conflicts::{OwnChange, PlannedRelease, Takeover};
use crate::check::preflight::oidc;
use crate::cli::GlobalArgs;
use crate::cluster::{Cluster, ClusterIdentity};
use crate::commands::secrets;
use crate::config::Settings;
use crate::error::Error;
use crate::event::{ActionKind, CheckResult, Verdict};
use crate::helm::Helm;
use crate::plan::{self, Observed, Plan, Prepared, Rendered, Replacement, Untried, Work};
use crate::stack::{self, Catalogue, Release};

/// Everything that is known before the first change.
pub(super) struct Survey {
    pub(super) observed: Observed,
    pub(super) plan: Plan,
    pub(super) prepared: Prepared,
    /// Steps that need an explicit yes.
    pub(super) untried: Vec<Untried>,
    /// Takeovers from other owners.
    pub(super) taken: Vec<Takeover>,
}

impl Survey {
    /// Installed releases with our names that tailwatch did not install.
    pub(super) fn unmanaged_releases(&self) -> Vec<String> {
        let named = self.observed.unmanaged_releases.iter().filter_map(|name| self.observed.releases.get(name));
        named.map(|info| format!("release {} in namespace {}", info.name, info.namespace)).collect()
    }

    /// The releases that helm will install or change.
    pub(super) fn incoming(&self) -> Vec<PlannedRelease<'_>> {
        let incoming = self.plan.releases().filter_map(|release| {
            let name = release.component.as_str();
            let prepared = self.prepared.releases.get(name)?;
            let standing = self.observed.manifests.get(name).map(Vec::as_slice).unwrap_or_default();
            let (rendered, hooks, crds) = (&prepared.manifest, &prepared.hooks, &prepared.crds);
            Some(PlannedRelease { release, rendered, hooks, crds, standing })
        });
        incoming.collect()
    }

    /// Our own objects that will be made or changed.
    pub(super) fn own(&self) -> Vec<OwnChange<'_>> {
        let changes = self.plan.own_changes();
        changes.map(|changed| OwnChange { live: changed.live.as_ref(), wanted: &changed.desired }).collect()
    }

    /// Adds the checks that only warn to the notices of the plan.
    pub(super) fn note_doubts(&mut self, checks: &[CheckResult]) {
        let doubtful = checks.iter().filter(|check| check.verdict == Verdict::Warn);
        self.prepared.notices.extend(doubtful.map(|check| {
            let topic = if check.group == oidc::GROUP { &check.group } else { &check.id };
            format!("{topic}: {}", check.detail)
        }));
    }

    /// Namespaces in which a claim will grow.
    pub(super) fn growing(&self) -> Vec<&str> {
        let replacements = self.plan.each_step().flat_map(|step| &step.replacements);
        let claims = replacements.filter_map(|replacements| match replacements {
            Replacement::ExpandClaim { namespace, .. } => Some(namespace.as_str()),
            Replacement::Orphan(_) | Replacement::Cascade(_) => None,
        });
        claims.collect()
    }

    /// Whether helm will install or change this component.
    pub(super) fn changes(&self, component: &str) -> bool {
        let mut steps = self.plan.each_step().filter(|step| step.release.component.as_str() == component);
        steps.any(|step| matches!(step.work, Work::Helm))
    }
}

/// The catalogue of `--values-dir`, or the built-in one.
pub(super) fn catalogue(global: &GlobalArgs) -> Result<Catalogue, Error> {
    Ok(match &global.values_dir {
        Some(folder) => Catalogue::from_dir(folder)?,
        None => Catalogue::embedded()?,
    })
}

/// The desired releases.
pub(super) async fn wanted(global: &GlobalArgs, cluster: &Cluster, settings: &Settings) -> Result<Vec<Release>, Error> {
    let catalogue = catalogue(global)?;
    let facts = plan::cluster_facts(cluster, settings).await?;
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
    let catalogue = catalogue(global)?;
    let mut plan = plan::build(releases, &observed)?;
    plan.removals = plan::removals(cluster, helm, &catalogue.left_out(settings)).await?;
    plan::mark_no_rollback(&mut plan, &catalogue);
    secrets::hide_planned(&plan);
    let mut prepared = plan::render(cluster, helm, &plan, &observed).await?;
    let rendered = prepared.releases.iter().map(|(name, release)| {
        let rendered = Rendered { manifest: &release.manifest, crds: &release.crds };
        (name.as_str(), rendered)
    });
    let records = [stack::saved_answers_object(settings)];
    plan::predict(cluster, &mut plan, &observed, &rendered.collect(), &records).await?;
    let untried = plan::untried(&plan, &catalogue);
    prepared.notices.extend(untried.iter().map(ToString::to_string));
    prepared.notices.extend(unidentified(cluster));
    prepared.notices.extend(migrations(&catalogue, settings, &plan));
    let mut survey = Survey { observed, plan, prepared, untried, taken: Vec::new() };
    let unmanaged_releases = survey.unmanaged_releases().into_iter();
    let reported =
        unmanaged_releases.map(|name| format!("{name} was made by no run of tailwatch; --adopt takes it over"));
    survey.prepared.notices.extend(reported);
    Ok(survey)
}

/// What cannot be noticed under the run where the cluster has no identity.
pub(super) fn unidentified(cluster: &Cluster) -> Option<String> {
    match cluster.identity() {
        ClusterIdentity::Uid(_) => None,
        ClusterIdentity::Address(_) => Some(format!(
            "namespace kube-system cannot be read by this context, so that {} is known by its address and certificate \
             authority alone; where it is led to another cluster under the run, that is not noticed",
            cluster.server()
        )),
    }
}

/// Notices about values of older charts, only for steps that change something.
fn migrations(catalogue: &Catalogue, settings: &Settings, plan: &Plan) -> Vec<String> {
    let steps = plan.each_step().filter(|step| step.action != ActionKind::Unchanged);
    let mut reported = catalogue.migrations(settings);
    steps.flat_map(|step| reported.remove(&step.release.component).unwrap_or_default()).collect()
}
