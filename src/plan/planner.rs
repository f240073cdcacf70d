//! Computes the plan of the desired releases. Reads only.

use crate::cluster::{Cluster, ClusterIdentity};
use crate::config::Settings;
use crate::event::ActionKind;
use crate::helm::Helm;
use crate::plan::available_versions::{mark_no_rollback, untried};
use crate::plan::decide::build;
use crate::plan::observe::{Observed, observe, removals};
use crate::plan::predict::predict;
use crate::plan::render::{crd_ownership, render};
use crate::plan::{Plan, PlanError, deselected};
use crate::stack::{self, Catalogue, Release};

/// Inputs of a plan.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// helm on this cluster.
    pub helm: &'a Helm,
    /// The catalogue of the desired releases.
    pub catalogue: &'a Catalogue,
}

impl Planner<'_> {
    /// Observes the cluster, decides each release's action, renders the charts and predicts the effects. Without
    /// takeovers: these need [`Plan::taking_over`].
    pub async fn plan(&self, settings: &Settings, desired: Vec<Release>) -> Result<Plan, PlanError> {
        let Planner { cluster, helm, catalogue } = *self;
        let observed = observe(cluster, helm.driver(), &desired).await?;
        let mut plan = build(desired, &observed)?;
        plan.removals = removals(cluster, helm.driver(), &catalogue.left_out(settings)).await?;
        mark_no_rollback(&mut plan, catalogue);
        plan.chart_notices = render(cluster, helm, &mut plan).await?;
        let crds = crd_ownership::notices(cluster, &plan.incoming()).await?;
        let dashboards = deselected::notice(cluster, &plan).await?;
        predict(cluster, &mut plan, &[stack::saved_answers_object(settings)]).await?;
        plan.untried = untried(&plan, catalogue);
        let mut notices = [plan.chart_notices.clone(), crds].concat();
        notices.extend(dashboards);
        notices.extend(plan.untried.iter().map(ToString::to_string));
        notices.extend(unidentified(cluster));
        notices.extend(operator_on_the_path(cluster, &plan).await?);
        notices.extend(migrations(catalogue, settings, &plan));
        let unmanaged = plan.unmanaged.iter();
        notices.extend(unmanaged.map(|name| format!("tailwatch did not install {name}; --adopt adopts it")));
        notices.extend(plan.reconciled.iter().cloned());
        Ok(Plan { notices, ..plan })
    }

    /// The rendered plan of a first installation, whatever is installed: its objects are those of every release.
    pub async fn first_installation(&self, desired: Vec<Release>) -> Result<Plan, PlanError> {
        let mut plan = build(desired, &Observed::default())?;
        render(self.cluster, self.helm, &mut plan).await?;
        Ok(plan)
    }
}

/// A notice that a change of the Tailscale operator interrupts the connection of this run.
async fn operator_on_the_path(cluster: &Cluster, plan: &Plan) -> Result<Option<String>, PlanError> {
    let mut changed = plan.each_step().filter(|step| step.action != ActionKind::Unchanged);
    let changes = changed.any(|step| step.release.rules().serves_ingresses);
    if !changes {
        return Ok(None);
    }
    let operators = cluster.operators().await?.unwrap_or_default();
    Ok(cluster.reached_through(&operators.tailscale).map(|operator| {
        format!(
            "this context reaches the API server through Deployment {} in namespace {}, which the plan changes: the \
             connection breaks while it restarts, and the run waits for it; another context avoids that",
            operator.name, operator.namespace
        )
    }))
}

/// A notice that a switch to another cluster cannot be detected during the run.
pub fn unidentified(cluster: &Cluster) -> Option<String> {
    match cluster.identity() {
        ClusterIdentity::Uid(_) => None,
        ClusterIdentity::Address(_) => Some(format!(
            "this context cannot read namespace kube-system: {} is identified only by its address and certificate \
             authority, and a switch to another cluster during the run is not detected",
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
