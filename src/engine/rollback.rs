//! Rolls a release back to its last healthy revision after a failed step, if that restores the previous state.

use std::time::Duration;

use crate::cluster::{TrackedRelease, revisions_of};
use crate::engine::helm_call::Mutation;
use crate::engine::progress_deadline::ProgressDeadline;
use crate::engine::step::StepRun;
use crate::engine::{EngineContext, StepError};
use crate::event::{Phase, Rollback};
use crate::plan::{Work, rollback_key};

/// Time without progress after which a rollback has failed. Its images are on the nodes.
const READY: Duration = Duration::from_secs(180);

/// Rolls the release back. `None`: no healthy revision, no helm in the step, or a signal ended it.
pub(super) async fn roll_back(run: &mut StepRun<'_>) -> Option<Rollback> {
    let (step, context) = (run.step, run.context);
    if context.cancel.is_cancelled() || !matches!(step.work, Work::Helm) {
        return None;
    }
    let (name, namespace) = (step.release.component.as_str(), step.release.namespace.as_str());
    let revision = step.last_healthy.as_ref()?.revision;
    // The time of the step may be over; the rollback has its own.
    run.deadline = ProgressDeadline::new(READY, None);
    let revisions = revisions(run).await.ok()?;
    let newest = *revisions.last()?;
    // helm created no revision: the healthy one is still the newest.
    if newest == revision || !revisions.contains(&revision) {
        return None;
    }
    if let Some(why) = step.no_rollback_reason() {
        return Some(Rollback::Unsafe { why });
    }
    run.phase(Phase::RollingBack);
    if let Err(error) = rolled_back(run, (name, namespace), (revision, newest)).await {
        return Some(Rollback::Failed { revision, why: reason(&error) });
    }
    run.deadline = ProgressDeadline::new(READY, None);
    Some(match wait_for_revision(run).await {
        Ok(chart_version) => {
            run.note_healthy(&chart_version).await;
            Rollback::Done { revision, chart_version: chart_version.to_string() }
        }
        Err(StepError::Timeout { why, .. }) => Rollback::NotReady { revision, why },
        Err(error) => Rollback::NotReady { revision, why: reason(&error) },
    })
}

/// What helm or the API server reported, else the error itself.
fn reason(error: &StepError) -> String {
    error.causes().into_iter().next().unwrap_or_else(|| error.to_string())
}

/// `helm rollback`, again for as long as the API server is unreachable or the lock is not renewed: helm rolls back from
/// a pending rollback, too (pkg/action/rollback.go).
async fn rolled_back(
    run: &StepRun<'_>,
    (name, namespace): (&str, &str),
    (revision, mut newest): (u32, u32),
) -> Result<(), StepError> {
    let context = run.context;
    let key = rollback_key(name);
    loop {
        // A later run recognises this rollback as one of tailwatch, if it never ends.
        let next = (newest + 1).to_string();
        let noted = run.retry_unreachable(|| context.cluster.note(namespace, &key, &next)).await;
        noted.map_err(|source| StepError::Read(source).or_cancelled())?;
        run.retry().ready_for_helm().await?;
        let mutation = Mutation::new(context, run.time_left());
        let back = mutation.watch(context.helm.rollback((name, namespace), revision, mutation.limits())).await;
        match back.map_err(|source| run.ended_by(&mutation, "roll back the release", source)) {
            Err(error) if run.is_retryable(&error) => {}
            ended => return ended,
        }
        newest = revisions(run).await?.last().copied().unwrap_or(newest);
    }
}

/// Revisions of the release, ascending.
async fn revisions(run: &StepRun<'_>) -> Result<Vec<u32>, StepError> {
    let records = run.records().await?;
    let own = revisions_of(&records, run.step.release.component.as_str());
    Ok(own.into_iter().map(|record| record.revision).collect())
}

/// Waits for the objects of the restored revision, which differ from those of the failed one; returns its chart version.
async fn wait_for_revision(run: &mut StepRun<'_>) -> Result<semver::Version, StepError> {
    let release = &run.step.release;
    let (name, namespace) = (release.component.as_str(), release.namespace.as_str());
    let EngineContext { cluster, helm, .. } = run.context;
    let restored = run.retry_unreachable(|| cluster.current_release((name, namespace), helm.driver())).await;
    let Some(restored) = restored.map_err(|source| StepError::Read(source).or_cancelled())? else {
        return Err(StepError::Changed { what: format!("release {name} is no longer installed") });
    };
    let tracked = TrackedRelease::new(name, namespace, &restored.manifest).waiting_for(&release.wait_for);
    run.tracker = run.retry_unreachable(|| run.tracker.instead(tracked.clone())).await.map_err(StepError::Watch)?;
    run.wait().await?;
    Ok(restored.chart_version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helm::HelmError;

    #[test]
    fn a_failed_rollback_has_the_reason_of_helm() {
        let failed = |stderr: &str| HelmError::Failed {
            command: "helm rollback loki 1".into(),
            end: "exit code 1".into(),
            stderr: stderr.into(),
        };
        let text = failed("release has no 1 version").to_string();
        let error = StepError::Helm {
            what: "roll back the release",
            diagnosis: None,
            source: failed("release has no 1 version"),
        };
        assert_eq!(reason(&error), text);
        assert_eq!(reason(&StepError::Cancelled), StepError::Cancelled.to_string());
    }
}
