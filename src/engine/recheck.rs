//! What a plan was made from, compared again just before a step changes it: the steps before it take minutes, in which
//! others may change the cluster.

use std::collections::BTreeSet;

use crate::check::preflight::conflicts;
use crate::cluster::Cluster;
use crate::engine::StepError;
use crate::engine::retry::UnreachableRetry;
use crate::helm::Helm;
use crate::plan::{PlannedState, Step};

/// An error where helm lists another revision or status of the release than it was planned from.
pub(super) async fn release(
    outage: &UnreachableRetry<'_>,
    helm: &Helm,
    planned: PlannedState<'_>,
) -> Result<(), StepError> {
    let PlannedState { namespace, release: name, .. } = planned;
    let listed = outage.read_by_helm(|| helm.list(namespace)).await?;
    let listed = listed.map_err(|source| StepError::Helm { what: "list the releases", diagnosis: None, source })?;
    if planned.holds(&listed) {
        return Ok(());
    }
    let what = match listed.iter().find(|info| info.name == name) {
        Some(info) => format!("release {name} is at revision {}, {}", info.revision, info.status.words()),
        None => format!("release {name} is not installed any more"),
    };
    Err(StepError::Changed { what })
}

/// helm takes over whatever it meets, for a release as a whole: an error where that is more than was agreed to.
/// `agreed`: (object, owner) of each.
pub(super) async fn takeovers(
    outage: &UnreachableRetry<'_>,
    (cluster, step): (&Cluster, &Step),
    agreed: &BTreeSet<(&str, &str)>,
) -> Result<(), StepError> {
    let incoming: Vec<_> = step.planned().into_iter().collect();
    let met = outage.retry_unreachable(|| conflicts::takeable(cluster, &incoming)).await.map_err(StepError::Look)?;
    let more = met.into_iter().find(|met| !agreed.contains(&(met.object.as_str(), met.owner.as_str())));
    more.map_or(Ok(()), |more| {
        Err(StepError::Changed { what: format!("{} of another owner exists by now: {}", more.object, more.owner) })
    })
}
