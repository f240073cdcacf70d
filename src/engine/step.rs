//! One step: own objects, CRDs, helm, then the wait for readiness. Requests are repeated while the API server is
//! unreachable.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{ClusterError, ObjectRef, RecordedRelease, RevisionRecord, Tracker, current};
use crate::engine::helm_call::Mutation;
use crate::engine::progress_deadline::{ProgressDeadline, RunDeadline};
use crate::engine::recheck;
use crate::engine::retry::UnreachableRetry;
use crate::engine::rollout_rate::RolloutRate;
use crate::engine::slow_step_timer::SlowStepTimer;
use crate::engine::stage::Stages;
use crate::engine::{EngineContext, StepError};
use crate::event::{ActionKind, Diagnosis, Event, Phase};
use crate::helm::{HelmError, Ownership, ReleaseRequest, ReleaseStatus};
use crate::known_errors::KnownError;
use crate::plan::{Drifted, Healthy, Plan, RenderedRelease, Replacement, Step, Work};
use crate::stack::OwnObject;

/// The note on a release without a healthy revision.
const NEVER: &str = "0";
/// From this major on helm applies server-side and reports field conflicts with other managers.
const SERVER_SIDE: u64 = 4;
/// Own objects that are applied in parallel.
const OBJECTS_AT_ONCE: usize = 4;

/// State of one step.
pub(super) struct StepRun<'a> {
    pub(super) context: &'a EngineContext,
    pub(super) plan: &'a Plan,
    pub(super) step: &'a Step,
    pub(super) stages: &'a Stages,
    pub(super) tracker: Tracker,
    pub(super) timer: SlowStepTimer,
    pub(super) deadline: ProgressDeadline,
    pub(super) rate: RolloutRate,
}

/// Applies the planned state, waits until the release is ready and notes the healthy revision.
pub(super) async fn execute(run: &mut StepRun<'_>) -> Result<(), StepError> {
    match (&run.step.work, &run.step.rendered) {
        (Work::Helm, Some(rendered)) => {
            run.phase(Phase::Applying);
            recheck::release(&run.retry(), run.context.helm.driver(), run.step.planned_state()).await?;
            if run.step.action == ActionKind::Install && run.step.last_healthy.is_some() {
                // The note is of an uninstalled release; the revisions of the new one start again at 1.
                run.note(NEVER).await;
            }
            futures::try_join!(run.apply_objects(), run.apply_crds(rendered))?;
            run.stages.applied(&run.step.release.component);
            if run.context.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if let Some(RunDeadline { after, .. }) = run.deadline.passed_run() {
                return Err(StepError::Deadline { why: "helm has not started".into(), after });
            }
            run.phase(Phase::Helm);
            if run.context.helm.version().major >= SERVER_SIDE {
                run.repair(&run.step.conflicting_drift).await?;
            }
            run.delete_replaced().await?;
            run.release(rendered).await?;
        }
        (Work::Objects { release }, _) => {
            run.phase(Phase::Applying);
            run.apply_objects().await?;
            run.stages.applied(&run.step.release.component);
            run.repair(release).await?;
        }
        _ => run.stages.applied(&run.step.release.component),
    }
    run.phase(Phase::Waiting);
    run.wait().await?;
    if run.step.action != ActionKind::Unchanged {
        run.note_healthy(&run.step.release.chart.version).await;
    }
    run.wait_for_upstream().await
}

impl StepRun<'_> {
    /// A phase begins, with the whole timeout.
    pub(super) fn phase(&mut self, phase: Phase) {
        self.deadline.extend();
        self.context.events.send(Event::StepProgress {
            component: self.step.release.component.to_string(),
            wave: self.step.release.wave,
            phase,
            ready: 0,
            desired: 0,
            waiting: None,
            remaining_seconds: None,
            diagnosis: None,
        });
    }

    pub(super) fn time_left(&self) -> Duration {
        self.deadline.at().saturating_duration_since(Instant::now())
    }

    pub(super) fn retry(&self) -> UnreachableRetry<'_> {
        UnreachableRetry { cluster: &self.context.cluster, cancel: &self.context.cancel, deadline: self.deadline.at() }
    }

    /// Repeats a request while the API server is unreachable.
    pub(super) async fn retry_unreachable<T, F>(&self, work: impl Fn() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        self.retry().retry_unreachable(work).await
    }

    /// The namespaces before their objects, and a role before its binding: the API server reads it to judge whether this
    /// user may grant its permissions (kubernetes, pkg/registry/rbac/rolebinding/policybased/storage.go).
    async fn apply_objects(&self) -> Result<(), StepError> {
        let adopted = self.plan.adopted();
        let apply = async |object: &OwnObject| {
            let applied = self.retry_unreachable(|| self.context.cluster.apply(object, &adopted)).await;
            applied.map_err(|source| StepError::Object {
                object: words(&object.manifest),
                diagnosis: self.known_error(source.known_error()),
                source,
            })
        };
        let is_namespace = |object: &&OwnObject| object.manifest["kind"] == "Namespace";
        let is_binding = |object: &&OwnObject| object.manifest["roleRef"].is_object();
        let (namespaces, others): (Vec<_>, Vec<_>) = self.step.release.objects.iter().partition(is_namespace);
        let (bindings, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_binding);
        for objects in [namespaces, others, bindings] {
            futures::stream::iter(objects).map(&apply).buffered(OBJECTS_AT_ONCE).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn repair(&self, objects: &[Drifted]) -> Result<(), StepError> {
        let release = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        for object in objects {
            let applied = self.retry_unreachable(|| self.context.cluster.repair(&object.desired, release)).await;
            applied.map_err(|source| StepError::Object {
                object: words(&object.desired),
                diagnosis: self.known_error(source.known_error()),
                source,
            })?;
        }
        Ok(())
    }

    /// Deletes objects with a changed immutable field, which helm then re-creates, and expands claims.
    async fn delete_replaced(&self) -> Result<(), StepError> {
        let cluster = &self.context.cluster;
        for replacements in &self.step.replacements {
            let (object, uid, done) = match replacements {
                Replacement::Orphan(object) | Replacement::Cascade(object) => {
                    // An object that was created after the plan is not deleted.
                    let Some(uid) = self.step.uids.get(object) else { continue };
                    let deleted = match replacements {
                        Replacement::Orphan(_) => {
                            self.retry_unreachable(|| cluster.delete_orphaning(object, uid)).await
                        }
                        _ => self.retry_unreachable(|| cluster.delete(object, uid)).await,
                    };
                    (object, uid, deleted.map(drop))
                }
                Replacement::ExpandClaim { namespace, name, size } => {
                    let grown = self.retry_unreachable(|| cluster.expand_claim(namespace, name, size)).await;
                    let object = format!("PersistentVolumeClaim {name} with the larger size");
                    grown.map_err(|source| StepError::Replacement { object, source })?;
                    continue;
                }
            };
            let deleted = match done {
                Ok(()) => self.retry_unreachable(|| cluster.until_deleted(object, uid, self.time_left())).await,
                failed => failed,
            };
            let object = format!("a new {} {}", object.kind, object.name);
            deleted.map_err(|source| StepError::Replacement { object, source })?;
        }
        Ok(())
    }

    /// A note that cannot be written makes the next run wait for the release again, and nothing else.
    pub(super) async fn note_healthy(&self, chart_version: &semver::Version) {
        if let Ok(records) = self.records().await
            && let Some(current) = current(&records, self.step.release.component.as_str())
        {
            self.note(&Healthy::write(current.revision, chart_version)).await;
        }
    }

    /// helm's records in the namespace of the release.
    pub(super) async fn records(&self) -> Result<Vec<RevisionRecord>, StepError> {
        let (namespace, driver) = (self.step.release.namespace.as_str(), self.context.helm.driver());
        let records = self.retry_unreachable(|| self.context.cluster.revision_records(namespace, driver)).await;
        records.map_err(|source| StepError::Read(source).or_cancelled())
    }

    /// The contents of a record; `None`: it was deleted meanwhile.
    pub(super) async fn recorded(&self, record: &RevisionRecord) -> Result<Option<RecordedRelease>, StepError> {
        let recorded = self.retry_unreachable(|| self.context.cluster.recorded(record)).await;
        recorded.map_err(|source| StepError::Read(source).or_cancelled())
    }

    async fn note(&self, text: &str) {
        let release = &self.step.release;
        let note = || self.context.cluster.note(&release.namespace, release.component.as_str(), text);
        let _ = self.retry_unreachable(note).await;
    }

    async fn apply_crds(&self, rendered: &RenderedRelease) -> Result<(), StepError> {
        if rendered.crds.is_empty() {
            return Ok(());
        }
        let applied =
            self.retry_unreachable(|| self.context.cluster.apply_crds(&rendered.crds, self.time_left())).await;
        let failed =
            |source: ClusterError| StepError::Crds { diagnosis: self.known_error(source.known_error()), source };
        applied.map(drop).map_err(failed)
    }

    /// Runs helm, repeated when the API server was unreachable; reads the status of the release before each attempt.
    async fn release(&mut self, rendered: &RenderedRelease) -> Result<(), StepError> {
        let mut status = self.step.from.as_ref().map(|from| from.status);
        loop {
            let tried = match self.clear_pending(status, rendered).await {
                Ok(()) => self.helm(rendered).await,
                Err(error) => Err(error),
            };
            match tried {
                Err(error) if self.is_retryable(&error) => {
                    self.retry().ready_for_helm().await?;
                    status = self.current_status().await?;
                }
                ended => return ended,
            }
        }
    }

    /// Whether helm failed since the API server was unreachable or the lock was not renewed, and there is time for
    /// another try.
    pub(super) fn is_retryable(&self, error: &StepError) -> bool {
        let is_temporary = match error {
            StepError::Helm { source, .. } => source.is_unreachable(),
            error => matches!(error, StepError::Unrenewed(_)),
        };
        is_temporary && !self.time_left().is_zero()
    }

    /// Status of the release, once the API server answers.
    async fn current_status(&self) -> Result<Option<ReleaseStatus>, StepError> {
        let records = self.records().await?;
        let current = current(&records, self.step.release.component.as_str());
        Ok(current.map(|record| ReleaseStatus::of(&record.status)))
    }

    /// The diagnosis of a known error.
    fn known_error(&self, known: Option<(&'static KnownError, &str)>) -> Option<Box<Diagnosis>> {
        let release = &self.step.release;
        let reported =
            |(row, words): (&KnownError, &str)| row.of_release(release.component.as_str(), &release.namespace, words);
        known.map(reported).map(Box::new)
    }

    pub(super) fn helm_failed(&self, what: &'static str, source: HelmError) -> StepError {
        StepError::Helm { what, diagnosis: self.known_error(source.known_error()), source }
    }

    /// Runs helm and reports the readiness that the watches show meanwhile. helm would wait for a failed hook until its
    /// timeout, so it is ended.
    async fn helm(&mut self, rendered: &RenderedRelease) -> Result<(), StepError> {
        let context = self.context;
        let mut request = ReleaseRequest::new(&self.step.release, &rendered.chart);
        let agreed = self.plan.taken_by(self.step.release.component.as_str());
        if !agreed.is_empty() {
            request.ownership = Ownership::Take;
            recheck::takeovers(&self.retry(), (&context.cluster, self.step), &agreed).await?;
        }
        self.retry().ready_for_helm().await?;
        let mutation = Mutation::new(context, self.time_left());
        let apply = mutation.watch(context.helm.upgrade_install(&request, mutation.limits()));
        tokio::pin!(apply);
        let mut hook = None;
        let applied = loop {
            tokio::select! {
                applied = &mut apply => break applied,
                () = self.timer.next_evaluation(&mut self.tracker) => {
                    let readiness = self.evaluate(Phase::Helm);
                    hook = readiness.hook.filter(|cause| cause.is_final()).or(hook);
                    if hook.is_some() {
                        mutation.limits().cancel.cancel();
                    }
                }
            }
        };
        match applied {
            Ok(()) => Ok(()),
            Err(source) => match self.ended_by(&mutation, "apply the release", source) {
                StepError::Helm { what, diagnosis, source } => {
                    let hook = match hook {
                        None => self.late_hook().await,
                        known => known,
                    };
                    Err(match hook {
                        Some(cause) => StepError::Helm {
                            what: "get past a hook of the chart",
                            diagnosis: Some(Box::new(cause.diagnosis)),
                            source,
                        },
                        None => StepError::Helm { what, diagnosis, source },
                    })
                }
                ended => Err(ended),
            },
        }
    }
}

/// `Ingress grafana`
fn words(object: &Value) -> String {
    let object = ObjectRef::of(object);
    format!("{} {}", object.kind, object.name)
}
