//! What stands in the cluster already and would meet the stack: looked at before a change, and what is taken over is told.

use std::collections::BTreeMap;

use crate::check::adoption::{self, Findings, Intent, Unasked};
use crate::cluster::Cluster;
use crate::commands::survey::Survey;
use crate::error::Error;
use crate::event::{CheckResult, Verdict};
use crate::helm::{Helm, Ownership};
use crate::plan::PlanError;

/// What `--adopt` says.
pub(super) fn consent(adopt: bool) -> Ownership {
    if adopt { Ownership::Take } else { Ownership::Respect }
}

/// Looks around for what is surveyed.
pub(super) async fn look(
    cluster: &Cluster,
    helm: &Helm,
    survey: &Survey,
    ownership: Ownership,
) -> Result<Findings, Error> {
    let intent = Intent { wanted: survey.plan.releases().collect(), incoming: survey.incoming(), ownership };
    adoption::run(cluster, helm, &intent).await.map_err(|error| match error {
        Unasked::Cluster(source) => Error::Cluster(source),
        Unasked::Helm(source) => {
            PlanError::Helm { what: "cannot list the releases of the cluster".into(), source }.into()
        }
    })
}

/// Lets helm take over what was found to be taken, and puts that, and what only deserves a word, into the plan. Returns
/// the workloads whose pods are replaced by it.
pub(super) fn announce(findings: &Findings, survey: &mut Survey) -> Vec<String> {
    // What is taken over is told below, object by object.
    let is_doubtful = |check: &&CheckResult| check.verdict == Verdict::Warn && check.id != adoption::OWNERSHIP;
    let doubtful = findings.checks.iter().filter(is_doubtful);
    survey.prepared.notices.extend(doubtful.map(|check| check.detail.clone()));
    let mut restarts = Vec::new();
    for taken in &findings.taken {
        let Some(component) = &taken.component else { continue };
        if let Some(prepared) = survey.prepared.releases.get_mut(component) {
            prepared.ownership = Ownership::Take;
        }
        if taken.restarts {
            let steps = survey.plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
            for step in steps.filter(|step| step.release.component.as_str() == component) {
                step.effects.restarts.push(taken.object.clone());
            }
            restarts.push(taken.object.clone());
        }
    }
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for taken in &findings.taken {
        owners.entry(&taken.owner).or_default().push(&taken.object);
    }
    let notices = &mut survey.prepared.notices;
    notices.extend(owners.iter().map(|(owner, objects)| format!("taken over from {owner}: {}", objects.join(", "))));
    notices.extend(restarts.iter().map(|object| format!("taking over {object} replaces its pods")));
    restarts
}
