//! Preflight checks of the target cluster: permissions, quotas, host ports, tailnet.

use crate::check::preflight::target::{self, Intent, PlannedRemoval, Proof, TailnetStatus};
use crate::cluster::Cluster;
use crate::commands::survey::Survey;
use crate::config::Settings;
use crate::engine;
use crate::error::Error;
use crate::event::CheckResult;
use crate::helm::Helm;
use crate::plan;

/// Checks the target of a surveyed plan.
pub(super) async fn look(
    (cluster, helm): (&Cluster, &Helm),
    settings: &Settings,
    survey: &Survey,
    proof: Proof,
) -> Result<Vec<CheckResult>, Error> {
    let removals = &survey.plan.removals;
    let (machine, leaving) = tokio::join!(TailnetStatus::read(helm.environment()), plan::manifests(helm, removals));
    let removed = removals.iter().zip(&leaving).map(|(removal, objects)| PlannedRemoval {
        namespace: &removal.namespace,
        objects,
        dependents: &engine::DEPENDENTS,
    });
    let intent = Intent {
        settings,
        incoming: survey.incoming(),
        removed: removed.collect(),
        growing: survey.growing(),
        driver: helm.driver(),
        proof,
        machine: machine.as_ref(),
    };
    Ok(target::run(cluster, &intent).await?)
}
