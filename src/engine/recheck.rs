//! Compares the cluster with the plan again just before a step changes it: earlier steps take minutes, in which others
//! may change the cluster.

use std::collections::BTreeSet;

use crate::check::preflight::conflicts;
use crate::cluster::{Cluster, current};
use crate::engine::StepError;
use crate::engine::retry::UnreachableRetry;
use crate::plan::{PlannedState, Step};
use crate::stack::HelmDriver;

/// An error if the release has another revision or status than the plan was built from.
pub(super) async fn release(
    retry: &UnreachableRetry<'_>,
    driver: HelmDriver,
    planned: PlannedState<'_>,
) -> Result<(), StepError> {
    let PlannedState { namespace, release: name, .. } = planned;
    let records = retry.retry_unreachable(|| retry.cluster.revision_records(namespace, driver)).await;
    let records = records.map_err(|source| StepError::Read(source).or_cancelled())?;
    if planned.holds(&records) {
        return Ok(());
    }
    let what = match current(&records, name) {
        Some(record) => format!("release {name} is at revision {}, {}", record.revision, record.status),
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
