//! Compares the cluster with the plan again just before a step changes it: earlier steps take minutes, in which others
//! may change the cluster.

use std::collections::BTreeSet;

use crate::check::preflight::conflicts;
use crate::cluster::Cluster;
use crate::engine::StepError;
use crate::engine::retry::UnreachableRetry;
use crate::helm::Helm;
use crate::plan::{PlannedState, Step};

/// An error if helm lists another revision or status of the release than the plan was built from.
pub(super) async fn release(
    retry: &UnreachableRetry<'_>,
    helm: &Helm,
    planned: PlannedState<'_>,
) -> Result<(), StepError> {
    let PlannedState { namespace, release: name, .. } = planned;
    let listed = retry.read_by_helm(|| helm.list(namespace)).await?;
    let listed = listed.map_err(|source| StepError::Helm { what: "list the releases", diagnosis: None, source })?;
    if planned.holds(&listed) {
        return Ok(());
    }
    let what = match listed.iter().find(|info| info.name == name) {
        Some(info) => format!("release {name} is at revision {}, {}", info.revision, info.status.words()),
        None => format!("release {name} is no longer installed"),
    };
    Err(StepError::Changed { what })
}

/// `--take-ownership` adopts every existing object of a release: an error if there are more than were confirmed.
/// `agreed`: (object, owner) of each.
pub(super) async fn takeovers(
    retry: &UnreachableRetry<'_>,
    (cluster, step): (&Cluster, &Step),
    agreed: &BTreeSet<(&str, &str)>,
) -> Result<(), StepError> {
    let incoming: Vec<_> = step.planned().into_iter().collect();
    let met = retry.retry_unreachable(|| conflicts::takeovers(cluster, &incoming)).await.map_err(StepError::Read)?;
    let more = met.into_iter().find(|met| !agreed.contains(&(met.object.as_str(), met.owner.as_str())));
    more.map_or(Ok(()), |more| {
        Err(StepError::Changed { what: format!("{} of another owner exists by now: {}", more.object, more.owner) })
    })
}
