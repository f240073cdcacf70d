//! Executes an uninstall: the releases, then the own objects, the lease last.

use std::time::Instant as Start;

use serde_json::Value;

use crate::cluster::{ClusterError, Lease, ObjectRef, PartialObject};
use crate::engine::deletion::PendingDeletion;
use crate::engine::removal::{Removing, removal_step, run_removals};
use crate::engine::run_result::RunResult;
use crate::engine::step_result::FinishedStep;
use crate::engine::{EngineContext, EngineError, StepError};
use crate::event::Event;
use crate::plan::{NamespaceOutcome, OWN_OBJECTS, OWN_WAVE, OwnedObjects, Uninstall, owned_objects};

/// Executes an uninstall with its lock held. The caller has sent `run-started` and sends `run-finished`. A successful
/// uninstall deletes the lease, a failed one releases it.
pub async fn uninstall(context: &EngineContext, plan: &Uninstall, mut lease: Option<Lease>) -> RunResult {
    let mut result = RunResult { steps: Vec::new(), failure: None };
    let stack = Some(plan.scope.namespace.as_str());
    run_removals(context, (&plan.removals, stack), &mut result).await;
    if plan.owned_objects.has_work() {
        run_own_step(context, plan, &mut lease, &mut result).await;
    }
    result.note_other_cluster(&context.cluster).await;
    if let Some(lease) = lease {
        result.note_lost_lock(lease.release().await.as_deref());
    }
    result
}

async fn run_own_step(context: &EngineContext, plan: &Uninstall, lease: &mut Option<Lease>, result: &mut RunResult) {
    if result.failure.is_none() && context.cancel.is_cancelled() {
        result.failure = Some(EngineError::RemovalCancelled { component: OWN_OBJECTS.into() });
    }
    if result.failure.is_some() {
        result.steps.push(FinishedStep::skipped(OWN_OBJECTS, OWN_WAVE).emit(context, None));
        return;
    }
    let started = Start::now();
    context.events.send(Event::WaveStarted { wave: OWN_WAVE });
    let work = async |run: &mut Removing<'_>| delete_own_objects(run, plan, lease).await;
    let (step, failure) = removal_step(context, (OWN_OBJECTS, OWN_WAVE), work).await;
    result.steps.push(step);
    if failure.is_none() {
        context.events.send(Event::WaveFinished { wave: OWN_WAVE, seconds: started.elapsed().as_secs_f64() });
    }
    result.failure = failure;
}

/// Deletes the objects that exist now: an interrupted run may have deleted some of the plan. Claims and Secrets that
/// the plan did not show are retained.
async fn delete_own_objects(
    run: &mut Removing<'_>,
    plan: &Uninstall,
    lease: &mut Option<Lease>,
) -> Result<(), StepError> {
    let OwnedObjects { mut deletions, .. } = read(run, plan).await?;
    deletions.retain(|found| found.kind != "Lease");
    let volumes = volumes_of(run, &deletions).await?;
    run.delete_all(&deletions).await?;
    run.until_deleted(PendingDeletion::of(&volumes)).await?;
    // An object that another client created in a namespace meanwhile retains it.
    for end in read(run, plan).await?.namespaces {
        match end {
            NamespaceOutcome::Delete(namespace) => {
                if namespace.name == plan.scope.namespace {
                    delete_lease(run, lease).await?;
                }
                delete_namespace(run, &namespace).await?;
            }
            NamespaceOutcome::RemoveLabels(namespace) => {
                run.check_cancelled()?;
                let cluster = &run.context.cluster;
                let remove_labels = async || {
                    cluster.remove_labels(&namespace).await?;
                    // The record is removed with the saved answers.
                    if plan.scope.options.data { cluster.remove_records(&namespace.name).await } else { Ok(()) }
                };
                let removed = run.retry().retry_unreachable(remove_labels).await;
                removed.map_err(|source| StepError::Object {
                    object: format!("Namespace {} without our labels", namespace.name),
                    diagnosis: None,
                    source,
                })?;
            }
        }
    }
    delete_lease(run, lease).await
}

async fn read(run: &Removing<'_>, plan: &Uninstall) -> Result<OwnedObjects, StepError> {
    let read = || owned_objects(&run.context.cluster, &plan.scope);
    run.retry().retry_unreachable(read).await.map_err(StepError::Read)
}

/// Deletes the lease.
async fn delete_lease(run: &Removing<'_>, lease: &mut Option<Lease>) -> Result<(), StepError> {
    let Some(lease) = lease.take() else { return Ok(()) };
    let deleted = run.retry().interruptible(lease.delete()).await?;
    let deleted = deleted.unwrap_or_else(|| Err(run.retry().too_late(run.context.timeout)));
    deleted.map_err(|source| StepError::Delete { object: "the lock".into(), source })
}

async fn delete_namespace(run: &mut Removing<'_>, namespace: &ObjectRef) -> Result<(), StepError> {
    let read = async || {
        let live = run.context.cluster.get(namespace).await?;
        Ok::<_, ClusterError>(live.as_ref().map(PartialObject::of))
    };
    let live = run.retry().retry_unreachable(read).await.map_err(StepError::Read)?;
    run.delete_all(live.as_slice()).await
}

/// Volumes with reclaim policy `Delete`: the provisioner deletes them after their claims.
async fn volumes_of(run: &Removing<'_>, deletions: &[PartialObject]) -> Result<Vec<PartialObject>, StepError> {
    let mut volumes = Vec::new();
    for claim in deletions.iter().filter(|found| found.kind == "PersistentVolumeClaim") {
        let read = async || {
            let claim = run.context.cluster.get(&claim.reference()).await?.unwrap_or_default();
            let Some(name) = claim.pointer("/spec/volumeName").and_then(Value::as_str) else { return Ok(None) };
            let volume = ObjectRef {
                api_version: "v1".into(),
                kind: "PersistentVolume".into(),
                namespace: None,
                name: name.to_owned(),
            };
            run.context.cluster.get(&volume).await
        };
        let volume = run.retry().retry_unreachable(read).await.map_err(StepError::Read)?.unwrap_or_default();
        if volume.pointer("/spec/persistentVolumeReclaimPolicy") == Some(&"Delete".into()) {
            volumes.push(PartialObject::of(&volume));
        }
    }
    Ok(volumes)
}
