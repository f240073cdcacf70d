//! Whether what is surveyed may be made and can stand where it is to stand.

use crate::check::ground::{self, Intent, Machine, Proof};
use crate::cluster::Cluster;
use crate::commands::survey::Survey;
use crate::config::Settings;
use crate::error::Error;
use crate::event::CheckResult;

/// Looks at the ground of what is surveyed.
pub(super) async fn look(
    cluster: &Cluster,
    settings: &Settings,
    survey: &Survey,
    proof: Proof,
) -> Result<Vec<CheckResult>, Error> {
    let machine = Machine::read().await;
    let intent = Intent {
        settings,
        incoming: survey.incoming(),
        outgoing: survey.outgoing(),
        growing: survey.growing(),
        proof,
        machine: machine.as_ref(),
    };
    Ok(ground::run(cluster, &intent).await?)
}
