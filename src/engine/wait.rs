//! Waits until a release is ready: evaluates it after each change, sends progress events, and reports a wait that is
//! longer than usual.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::{Cause, ObjectRef, Readiness, ReleaseReadiness};
use crate::engine::StepError;
use crate::engine::step::StepRun;
use crate::event::{Diagnosis, Event, Phase};

/// Without a change for this long the workloads are listed again: a watch may have ended without an error.
const RELIST_AFTER: Duration = Duration::from_secs(60);
/// Latest arrival of a failed hook's events after helm has ended.
const HOOK_GRACE: Duration = Duration::from_millis(700);

impl StepRun<'_> {
    /// Evaluates the release and sends an event for each change.
    pub(super) fn evaluate(&mut self, phase: Phase) -> ReleaseReadiness {
        let readiness = self.tracker.readiness(self.step.release.component.as_str());
        let progress = self.tracker.progress(self.step.release.component.as_str());
        self.deadline.note(&progress);
        self.rate.note(&progress);
        self.timer.last_evaluation = Instant::now();
        let seen = (phase, readiness.clone());
        if self.timer.shown.as_ref() != Some(&seen) {
            self.timer.shown = Some(seen);
            self.context.events.send(Event::StepProgress {
                component: self.step.release.component.to_string(),
                wave: self.step.release.wave,
                phase,
                ready: readiness.ready,
                desired: readiness.desired,
                waiting: readiness.waiting.clone(),
                remaining_seconds: self.rate.remaining(&progress).map(|remaining| remaining.as_secs()),
                diagnosis: readiness.cause.as_ref().map(|cause| Box::new(cause.diagnosis.clone())),
            });
        }
        self.emit_delay(&readiness);
        readiness
    }

    /// Sends one event for each cause that counts, and one for a step that takes longer than usual.
    fn emit_delay(&mut self, readiness: &ReleaseReadiness) {
        let Some(waiting) = readiness.waiting.clone().filter(|_| readiness.ready < readiness.desired) else { return };
        let counted = readiness.cause.as_ref().filter(|cause| cause.counts);
        let is_new = match counted {
            Some(Cause { diagnosis, .. }) => {
                let place = &diagnosis.place;
                let workload = place.workload.as_ref().unwrap_or(&place.object);
                self.timer.first_time(&format!("{} {workload}", diagnosis.rule))
            }
            None => self.timer.is_long() && self.timer.first_time("long"),
        };
        if is_new {
            self.context.events.send(Event::StepDelayed {
                component: self.step.release.component.to_string(),
                wave: self.step.release.wave,
                seconds: self.timer.started.elapsed().as_secs_f64(),
                usual_seconds: self.timer.usual_seconds,
                waiting,
                diagnosis: readiness.cause.as_ref().map(|cause| Box::new(cause.diagnosis.clone())),
            });
        }
    }

    /// The failure of a hook: helm deletes it at once, the watches receive it a moment later.
    pub(super) async fn late_hook(&mut self) -> Option<Cause> {
        let tracker = &mut self.tracker;
        let component = self.step.release.component.as_str();
        let seen = async {
            loop {
                let hook = tracker.readiness(component).hook;
                if let Some(hook) = hook {
                    return hook;
                }
                tracker.changed().await;
            }
        };
        timeout(HOOK_GRACE, seen).await.ok()
    }

    /// Waits until the release is ready.
    pub(super) async fn wait(&mut self) -> Result<(), StepError> {
        self.catch_up().await?;
        let mut quiet_since = Instant::now();
        let mut shown = None;
        loop {
            let readiness = self.evaluate(Phase::Waiting);
            match readiness.verdict() {
                Readiness::Ready => return Ok(()),
                Readiness::Failed { diagnosis } => {
                    return Err(StepError::NotReady { diagnosis: Box::new(diagnosis.clone()) });
                }
                Readiness::Waiting { .. } => {}
            }
            if shown.as_ref() != Some(&readiness) {
                (shown, quiet_since) = (Some(readiness.clone()), Instant::now());
            } else if quiet_since.elapsed() > RELIST_AFTER {
                self.catch_up().await?;
                quiet_since = Instant::now();
            }
            tokio::select! {
                () = self.timer.next_evaluation(&mut self.tracker) => {}
                () = self.context.cancel.cancelled() => return Err(StepError::Cancelled),
                () = sleep_until(self.deadline.at()) => return Err(self.too_late(&readiness)),
            }
        }
    }

    /// An Ingress leads through this release to that of the step that this one is `after`: it is ready with both. The
    /// end of that step decides about that release.
    pub(super) async fn wait_for_upstream(&self) -> Result<(), StepError> {
        let release = &self.step.release;
        let mut own = release.objects.iter().map(|object| ObjectRef::of(&object.manifest));
        let (Some(upstream), Some(ingress)) = (&release.after, own.find(|object| object.kind == "Ingress")) else {
            return Ok(());
        };
        let mut ended = std::pin::pin!(self.stages.until_ended(upstream));
        if ended.as_mut().now_or_never().is_some() {
            return Ok(());
        }
        let ready = self.timer.shown.as_ref().map_or(0, |(_, readiness)| readiness.ready);
        self.context.events.send(Event::StepProgress {
            component: release.component.to_string(),
            wave: release.wave,
            phase: Phase::Waiting,
            ready,
            desired: ready + 1,
            waiting: Some(format!("Ingress {} leads to {upstream}, which is not ready", ingress.name)),
            remaining_seconds: None,
            diagnosis: None,
        });
        tokio::select! {
            () = ended => Ok(()),
            () = self.context.cancel.cancelled() => Err(StepError::Cancelled),
        }
    }

    async fn catch_up(&self) -> Result<(), StepError> {
        let component = self.step.release.component.as_str();
        self.retry_unreachable(|| self.tracker.catch_up(component)).await.map_err(StepError::Watch)
    }

    fn too_late(&self, readiness: &ReleaseReadiness) -> StepError {
        let why = readiness.waiting.clone().unwrap_or_else(|| "no reason reported".into());
        if let Some(run) = self.deadline.passed_run() {
            return StepError::Deadline { why, after: run.after };
        }
        let diagnosis: Option<&Diagnosis> = readiness.cause.as_ref().map(|cause| &cause.diagnosis);
        StepError::Timeout { why, after: self.deadline.timeout, diagnosis: diagnosis.cloned().map(Box::new) }
    }
}
