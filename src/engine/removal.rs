//! Removal of a release: objects to delete before it, `helm uninstall`, the wait until every object is deleted, and
//! objects that no controller deletes. An install with a component left out and an uninstall use the same steps.

use std::time::{Duration, Instant as Start};

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{sleep, sleep_until};

use crate::cluster::{ClusterError, DeletionReason, ObjectRef, PartialObject, deletion_reason};
use crate::engine::deletion::PendingDeletion;
use crate::engine::helm_call::Mutation;
use crate::engine::progress_deadline::ProgressDeadline;
use crate::engine::recheck;
use crate::engine::retry::UnreachableRetry;
use crate::engine::run_result::RunResult;
use crate::engine::slow_step_timer::SlowStepTimer;
use crate::engine::step_result::{self, FinishedStep};
use crate::engine::{EngineContext, EngineError, StepError};
use crate::event::{ActionKind, Event, Phase, StepResult};
use crate::helm::HelmError;
use crate::plan::{Removal, describe, kubelet_objects, kubelet_service, operator_users};
use crate::stack::{CatalogueEntry, ComponentRules, MANAGED_BY, TAILWATCH};

/// Pauses between two reads of the remaining objects.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Pause between two calls of helm.
const AGAIN: Duration = Duration::from_secs(1);

/// Removes releases wave by wave, until a failure or a signal. `stack` is the namespace of the stack if all of it is
/// uninstalled.
pub(super) async fn run_removals(
    context: &EngineContext,
    (removals, stack): (&[Removal], Option<&str>),
    result: &mut RunResult,
) {
    for wave in removals.chunk_by(|one, other| one.wave == other.wave) {
        let number = wave[0].wave;
        if result.failure.is_none() && context.cancel.is_cancelled() {
            result.failure = Some(EngineError::RemovalCancelled { component: wave[0].component.clone() });
        }
        if result.failure.is_some() {
            let skipped =
                wave.iter().map(|removal| FinishedStep::skipped(&removal.component, number).emit(context, None));
            result.steps.extend(skipped);
            continue;
        }
        let started = Start::now();
        context.events.send(Event::WaveStarted { wave: number });
        let steps = wave.iter().map(|removal| {
            let what = (removal.component.as_str(), number);
            removal_step(context, what, async |run: &mut Removing<'_>| run.release(removal, stack).await)
        });
        for (step, failure) in join_all(steps).await {
            result.steps.push(step);
            result.failure = result.failure.take().or(failure);
        }
        if result.failure.is_none() {
            context.events.send(Event::WaveFinished { wave: number, seconds: started.elapsed().as_secs_f64() });
        }
    }
}

/// One step with its events; (component, wave).
pub(super) async fn removal_step(
    context: &EngineContext,
    (component, wave): (&str, u8),
    work: impl AsyncFnOnce(&mut Removing<'_>) -> Result<(), StepError>,
) -> (StepResult, Option<EngineError>) {
    let started = Start::now();
    context.events.send(Event::StepStarted { component: component.to_owned(), wave, action: ActionKind::Remove });
    let mut run = Removing {
        context,
        component,
        wave,
        deadline: ProgressDeadline::new(context.timeout, None),
        slow: SlowStepTimer::new(context.journal.usual_seconds(component, ActionKind::Remove)),
        shown: None,
    };
    run.show(None);
    let worked = work(&mut run).await.map_err(StepError::or_cancelled);
    let outcome = step_result::outcome(&worked, ActionKind::Remove);
    let ended = FinishedStep {
        component: component.to_owned(),
        wave,
        outcome,
        seconds: started.elapsed().as_secs_f64(),
        rollback: None,
    };
    let error = worked.err();
    let step = ended.emit(context, error.as_ref());
    let failure = error.map(|source| match source {
        StepError::Cancelled => EngineError::RemovalCancelled { component: component.to_owned() },
        source => EngineError::Removal { component: component.to_owned(), wave, source },
    });
    (step, failure)
}

/// State of one removal step.
pub(super) struct Removing<'a> {
    pub(super) context: &'a EngineContext,
    component: &'a str,
    wave: u8,
    deadline: ProgressDeadline,
    slow: SlowStepTimer,
    shown: Option<Option<String>>,
}

impl Removing<'_> {
    /// Removes the release with its own objects. Each part reads the cluster again: an interrupted removal continues.
    async fn release(&mut self, removal: &Removal, stack: Option<&str>) -> Result<(), StepError> {
        recheck::release(&self.retry(), self.context.helm.driver(), removal.planned_state()).await?;
        let rules = ComponentRules::of(&removal.component);
        if rules.serves_ingresses {
            self.fail_if_in_use(removal, stack.unwrap_or_default()).await?;
            // oauth2-proxy can be removed already while its Ingress still has the operator's finalizer.
            if let Some(stack) = stack {
                self.ingress(stack).await?;
                self.show(None);
            }
        }
        if rules.signs_users_in {
            self.ingress(&removal.namespace).await?;
        }
        let manifest = self.manifest(removal).await?;
        let cluster = &self.context.cluster;
        let pending = || PendingDeletion::of_manifest(cluster, &manifest, &removal.namespace);
        let pending = self.retry().retry_unreachable(pending).await.map_err(StepError::Read)?;
        self.check_cancelled()?;
        // The Ingress is deleted.
        self.show(None);
        self.uninstall(removal).await?;
        self.until_deleted(pending).await?;
        if rules.leaves_kubelet_service {
            self.kubelet_service(&manifest).await?;
        }
        Ok(())
    }

    /// `helm uninstall`, repeated when the API server was unreachable.
    async fn uninstall(&self, removal: &Removal) -> Result<(), StepError> {
        let retry = self.retry();
        loop {
            retry.ready_for_helm().await?;
            let mutation = Mutation::new(self.context, retry.time_left());
            let removed = self.context.helm.uninstall(&removal.component, &removal.namespace, mutation.limits());
            let Err(source) = mutation.watch(removed).await else { return Ok(()) };
            self.check_cancelled()?;
            if !(mutation.was_fenced() || source.is_unreachable()) || retry.time_left().is_zero() {
                return Err(helm_failed("remove the release", removal, source));
            }
            retry.interruptible(sleep(AGAIN)).await?;
        }
    }

    /// Without the operator its users lose their addresses, or their finalizer is never removed. The stack's own
    /// objects are deleted, too, and do not count.
    async fn fail_if_in_use(&self, removal: &Removal, stack: &str) -> Result<(), StepError> {
        let row = CatalogueEntry {
            name: removal.component.clone(),
            wave: removal.wave,
            namespace: removal.namespace.clone(),
            chart: removal.chart.clone(),
            optional: true,
            wait_for: Vec::new(),
        };
        let row = std::slice::from_ref(&row);
        let users = || operator_users(&self.context.cluster, stack, row);
        let users = self.retry().retry_unreachable(users).await.map_err(StepError::Read)?;
        match users.first() {
            Some(user) => Err(StepError::InUse { users: format!("{}, {} in all", describe(user), users.len()) }),
            None => Ok(()),
        }
    }

    /// The Ingress is deleted before oauth2-proxy, while the operator runs that removes its tailnet device.
    async fn ingress(&mut self, namespace: &str) -> Result<(), StepError> {
        let cluster = &self.context.cluster;
        let list = || cluster.partial_objects("networking.k8s.io/v1", "Ingress", Some(namespace));
        let mut ours = self.retry().retry_unreachable(list).await.map_err(StepError::Read)?;
        ours.retain(|found| found.label(MANAGED_BY) == TAILWATCH);
        self.delete_all(&ours).await
    }

    /// prometheus-operator never deletes its Service for the kubelets.
    async fn kubelet_service(&mut self, manifest: &[Value]) -> Result<(), StepError> {
        let service = kubelet_service(manifest);
        let left = || kubelet_objects(&self.context.cluster, &service, &[]);
        let left = self.retry().retry_unreachable(left).await.map_err(StepError::Read)?;
        match left.other_manager {
            Some(_) => Ok(()),
            None => self.delete_all(&left.objects).await,
        }
    }

    /// Empty for a release that was uninstalled in the meantime.
    async fn manifest(&self, removal: &Removal) -> Result<Vec<Value>, StepError> {
        let EngineContext { cluster, helm, .. } = self.context;
        let read = || cluster.current_release((&removal.component, &removal.namespace), helm.driver());
        let recorded = self.retry().retry_unreachable(read).await;
        let recorded = recorded.map_err(|source| StepError::Read(source).or_cancelled())?;
        Ok(recorded.map(|recorded| recorded.manifest).unwrap_or_default())
    }

    /// Deletes objects and waits until they no longer exist.
    pub(super) async fn delete_all(&mut self, objects: &[PartialObject]) -> Result<(), StepError> {
        for found in objects {
            self.delete(found).await?;
        }
        self.until_deleted(PendingDeletion::of(objects)).await
    }

    /// Deletes one object by its UID; an object that no longer exists is no error.
    pub(super) async fn delete(&self, found: &PartialObject) -> Result<(), StepError> {
        self.check_cancelled()?;
        let object = found.reference();
        let deleted = self.retry().retry_unreachable(|| self.context.cluster.delete(&object, found.uid())).await;
        deleted.map(drop).map_err(|source| self.cannot_delete(&object, source))
    }

    pub(super) fn cannot_delete(&self, object: &ObjectRef, source: ClusterError) -> StepError {
        StepError::Delete { object: describe(object), source }
    }

    /// A signal ends the step before its next change.
    pub(super) fn check_cancelled(&self) -> Result<(), StepError> {
        if self.context.cancel.is_cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn retry(&self) -> UnreachableRetry<'_> {
        UnreachableRetry { cluster: &self.context.cluster, cancel: &self.context.cancel, deadline: self.deadline.at() }
    }

    /// Waits until none of them exists, and reports the one that it waits for.
    pub(super) async fn until_deleted(&mut self, mut pending: PendingDeletion) -> Result<(), StepError> {
        let mut pause = FIRST_PAUSE;
        let mut fewest = usize::MAX;
        loop {
            let remaining = self.retry().interruptible(pending.remaining(&self.context.cluster)).await?;
            let remaining = match remaining.unwrap_or_else(|| Err(self.retry().too_late(self.context.timeout))) {
                Ok(remaining) => remaining,
                Err(error) if error.is_unreachable() => {
                    let why = "the API server does not answer".to_owned();
                    self.pause(&DeletionReason { why, hint: None }, pause).await?;
                    continue;
                }
                Err(error) => return Err(StepError::Read(error)),
            };
            if remaining.len() < fewest {
                fewest = remaining.len();
                self.deadline.extend();
            }
            let Some(mut reason) = deletion_reason(&remaining) else { return Ok(()) };
            if let Some(namespace) = remaining.iter().find(|found| found.kind == "Namespace") {
                let blocked = self.context.cluster.namespace_deletion(namespace.name());
                let blocked = self.retry().interruptible(blocked).await?;
                if let Some(Ok(Some(of_namespace))) = blocked {
                    reason = of_namespace;
                }
            }
            self.pause(&reason, pause).await?;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    async fn pause(&mut self, reason: &DeletionReason, pause: Duration) -> Result<(), StepError> {
        self.show(Some(&reason.why));
        tokio::select! {
            () = sleep(pause) => Ok(()),
            () = self.context.cancel.cancelled() => Err(StepError::Cancelled),
            () = sleep_until(self.deadline.at()) => Err(StepError::NotDeleted {
                why: reason.why.clone(),
                after: self.context.timeout,
                hint: reason.hint.clone(),
            }),
        }
    }

    /// Sends an event for each change.
    fn show(&mut self, waiting: Option<&str>) {
        let waiting = waiting.map(str::to_owned);
        if self.shown.as_ref() != Some(&waiting) {
            self.shown = Some(waiting.clone());
            self.context.events.send(Event::StepProgress {
                component: self.component.to_owned(),
                wave: self.wave,
                phase: Phase::Removing,
                ready: 0,
                desired: 0,
                waiting: waiting.clone(),
                remaining_seconds: None,
                diagnosis: None,
            });
        }
        let Some(waiting) = waiting else { return };
        if let Some((seconds, usual_seconds)) = self.slow.longer_than_usual() {
            self.context.events.send(Event::StepDelayed {
                component: self.component.to_owned(),
                wave: self.wave,
                seconds,
                usual_seconds,
                waiting,
                diagnosis: None,
            });
        }
    }
}

/// With the diagnosis of a known error.
fn helm_failed(what: &'static str, removal: &Removal, source: HelmError) -> StepError {
    let known = source.known_error().map(|(row, words)| row.of_release(&removal.component, &removal.namespace, words));
    StepError::Helm { what, diagnosis: known.map(Box::new), source }
}
