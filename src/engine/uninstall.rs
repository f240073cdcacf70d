//! The whole of an uninstall: the releases, then what is ours beside them, the lock last.

use std::time::Instant as Start;

use serde_json::Value;

use crate::cluster::{ClusterError, Found, Lease, ObjectRef};
use crate::engine::deletion::PendingDeletion;
use crate::engine::removal::{Removing, removal_step, run_removals};
use crate::engine::run::RunResult;
use crate::engine::step_result::FinishedStep;
use crate::engine::{EngineContext, EngineError, StepError};
use crate::event::Event;
use crate::plan::{NamespaceOutcome, OWN_OBJECTS, OWN_WAVE, OwnedObjects, Uninstall, owned_objects};

/// Executes an uninstall under its lock. The caller has sent `run-started` and sends `run-finished`. The lock is let go
/// in any case, and goes itself when all went well.
pub async fn uninstall(context: &EngineContext, plan: &Uninstall, mut lease: Option<Lease>) -> RunResult {
    let mut result = RunResult { steps: Vec::new(), failure: None };
    let place = Some(plan.scope.namespace.as_str());
    run_removals(context, (&plan.removals, place), &mut result).await;
    if plan.owned_objects.has_work() {
        run_own_step(context, plan, &mut lease, &mut result).await;
    }
    result.note_other_cluster(&context.cluster).await;
    if let Some(lease) = lease {
        result.note_lost(lease.release().await.as_deref());
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
    let work = async |run: &mut Removing<'_>| clear(run, plan, lease).await;
    let (step, failure) = removal_step(context, (OWN_OBJECTS, OWN_WAVE), work).await;
    result.steps.push(step);
    if failure.is_none() {
        context.events.send(Event::WaveFinished { wave: OWN_WAVE, seconds: started.elapsed().as_secs_f64() });
    }
    result.failure = failure;
}

/// Deletes what is found now: an interrupted run may have deleted some of the plan. Claims and Secrets that the plan did
/// not show are retained.
async fn clear(run: &mut Removing<'_>, plan: &Uninstall, lease: &mut Option<Lease>) -> Result<(), StepError> {
    let OwnedObjects { mut deletions, .. } = look(run, plan).await?;
    deletions.retain(|found| found.kind != "Lease");
    let volumes = volumes_of(run, &deletions).await?;
    run.delete_all(&deletions).await?;
    run.until_gone(PendingDeletion::of(&volumes)).await?;
    // Whatever somebody put into a namespace meanwhile keeps it.
    for end in look(run, plan).await?.namespaces {
        match end {
            NamespaceOutcome::Delete(namespace) => {
                if namespace.name == plan.scope.namespace {
                    give_up(run, lease).await?;
                }
                delete_namespace(run, &namespace).await?;
            }
            NamespaceOutcome::RemoveLabels(namespace) => {
                run.go_on()?;
                let cluster = &run.context.cluster;
                let withdraw = async || {
                    cluster.withdraw(&namespace).await?;
                    // The record goes with the answers that it is of.
                    if plan.scope.options.data { cluster.forget_answers(&namespace.name).await } else { Ok(()) }
                };
                let withdrawn = run.outage().retry_unreachable(withdraw).await;
                withdrawn.map_err(|source| StepError::Object {
                    object: format!("Namespace {} without our labels", namespace.name),
                    diagnosis: None,
                    source,
                })?;
            }
        }
    }
    give_up(run, lease).await
}

async fn look(run: &Removing<'_>, plan: &Uninstall) -> Result<OwnedObjects, StepError> {
    let judged = || owned_objects(&run.context.cluster, &plan.scope);
    run.outage().retry_unreachable(judged).await.map_err(StepError::Look)
}

/// The lock goes with what it guards.
async fn give_up(run: &Removing<'_>, lease: &mut Option<Lease>) -> Result<(), StepError> {
    let Some(lease) = lease.take() else { return Ok(()) };
    let deleted = run.outage().attentively(lease.delete()).await?;
    let deleted = deleted.unwrap_or_else(|| Err(run.outage().too_late(run.context.wave_timeout)));
    deleted.map_err(|source| StepError::Delete { object: "the lock".into(), source })
}

async fn delete_namespace(run: &mut Removing<'_>, namespace: &ObjectRef) -> Result<(), StepError> {
    let read = async || {
        let standing = run.context.cluster.get(namespace).await?;
        Ok::<_, ClusterError>(standing.as_ref().map(Found::of))
    };
    let standing = run.outage().retry_unreachable(read).await.map_err(StepError::Look)?;
    run.delete_all(standing.as_slice()).await
}

/// Volumes that their provisioner deletes after their claims; the others stay with the data.
async fn volumes_of(run: &Removing<'_>, going: &[Found]) -> Result<Vec<Found>, StepError> {
    let mut volumes = Vec::new();
    for claim in going.iter().filter(|found| found.kind == "PersistentVolumeClaim") {
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
        let volume = run.outage().retry_unreachable(read).await.map_err(StepError::Look)?.unwrap_or_default();
        if volume.pointer("/spec/persistentVolumeReclaimPolicy") == Some(&"Delete".into()) {
            volumes.push(Found::of(&volume));
        }
    }
    Ok(volumes)
}
