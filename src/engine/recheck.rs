//! What a plan was made from, compared again just before a step changes it: the steps before it take minutes, in which
//! others may change the cluster.

use crate::check::preflight::conflicts::{self, PlannedRelease};
use crate::cluster::Cluster;
use crate::engine::StepError;
use crate::engine::retry::UnreachableRetry;
use crate::helm::Helm;
use crate::plan::{PlannedState, RenderedRelease, Taking};
use crate::stack::Release;

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
pub(super) async fn force(
    outage: &UnreachableRetry<'_>,
    cluster: &Cluster,
    (release, prepared): (&Release, &RenderedRelease),
) -> Result<(), StepError> {
    let Some(Taking { agreed, standing }) = &prepared.force else { return Ok(()) };
    let RenderedRelease { manifest, hooks, crds, .. } = prepared;
    let incoming = [PlannedRelease { release, rendered: manifest, hooks, crds, standing }];
    let met = outage.retry_unreachable(|| conflicts::takeable(cluster, &incoming)).await.map_err(StepError::Look)?;
    let more = met.into_iter().map(|taken| (taken.object, taken.owner)).find(|met| !agreed.contains(met));
    more.map_or(Ok(()), |(object, owner)| {
        Err(StepError::Changed { what: format!("{object} of another owner exists by now: {owner}") })
    })
}
