//! One step: objects of ours, CRDs, helm, then the wait for readiness.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{ReleaseReadiness, Tracker};
use crate::engine::prepare::request;
use crate::engine::{EngineContext, PreparedRelease, StepError};
use crate::event::{Event, Phase};
use crate::helm::ReleaseStatus;
use crate::plan::Step;

/// How long a cause may last before it is judged again.
const REJUDGE: Duration = Duration::from_secs(5);

/// What one step works with.
pub(super) struct StepRun<'a> {
    pub(super) context: &'a EngineContext,
    pub(super) step: &'a Step,
    /// What helm needs; `None` for an unchanged step, which is only waited for.
    pub(super) prepared: Option<&'a PreparedRelease>,
    /// Objects of the release.
    pub(super) manifest: &'a [Value],
    pub(super) tracker: Tracker,
    /// When the wave's time is over.
    pub(super) deadline: Instant,
}

/// Brings the release to what the plan says and waits until it is ready.
pub(super) async fn execute(mut run: StepRun<'_>) -> Result<(), StepError> {
    if let Some(prepared) = run.prepared {
        run.phase(Phase::Applying);
        run.apply_objects().await?;
        run.apply_crds(prepared).await?;
        if run.context.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        run.phase(Phase::Helm);
        run.settle().await?;
        run.helm(prepared).await?;
    }
    run.phase(Phase::Waiting);
    run.wait().await
}

impl StepRun<'_> {
    fn phase(&self, phase: Phase) {
        self.progress(phase, &ReleaseReadiness::default());
    }

    fn progress(&self, phase: Phase, readiness: &ReleaseReadiness) {
        self.context.events.send(Event::StepProgress {
            component: self.step.release.component.to_string(),
            wave: self.step.release.wave,
            phase,
            ready: readiness.ready,
            desired: readiness.desired,
            waiting: readiness.waiting.clone(),
            diagnosis: None,
        });
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// In order, since the namespace comes before what lives in it.
    async fn apply_objects(&self) -> Result<(), StepError> {
        for object in &self.step.release.objects {
            self.context.cluster.apply(object).await.map_err(|source| StepError::Object {
                object: format!("{} {}", text(&object.manifest["kind"]), text(&object.manifest["metadata"]["name"])),
                source,
            })?;
        }
        Ok(())
    }

    async fn apply_crds(&self, prepared: &PreparedRelease) -> Result<(), StepError> {
        if prepared.crds.is_empty() {
            return Ok(());
        }
        self.context.cluster.apply_crds(&prepared.crds, self.time_left()).await.map_err(StepError::Crds)?;
        Ok(())
    }

    /// Takes a release out of a pending state, which helm itself refuses to touch. A first install that never ended
    /// is removed (volumes stay, by the values' retention policy); anything later goes back to its last deployed
    /// revision, from which the upgrade then starts.
    async fn settle(&self) -> Result<(), StepError> {
        let release = &self.step.release;
        let (name, namespace) = (release.component.as_str(), release.namespace.as_str());
        let Some(standing) = &self.step.from else { return Ok(()) };
        let helm = &self.context.helm;
        let failed = |what| move |source| StepError::Helm { what, source };
        match standing.status {
            ReleaseStatus::Deployed | ReleaseStatus::Failed | ReleaseStatus::Other => Ok(()),
            ReleaseStatus::Uninstalling => {
                helm.uninstall(name, namespace).await.map_err(failed("finish the interrupted removal"))
            }
            ReleaseStatus::PendingInstall | ReleaseStatus::PendingUpgrade | ReleaseStatus::PendingRollback => {
                let history = helm.history(name, namespace).await.map_err(failed("read the release's history"))?;
                let deployed = history.iter().rev().find(|(_, status)| *status == ReleaseStatus::Deployed);
                match deployed {
                    Some((revision, _)) => helm
                        .rollback(name, namespace, *revision)
                        .await
                        .map_err(failed("roll the interrupted revision back")),
                    None => {
                        helm.uninstall(name, namespace).await.map_err(failed("remove the interrupted first revision"))
                    }
                }
            }
        }
    }

    /// helm applies while the watches already show what comes up.
    async fn helm(&mut self, prepared: &PreparedRelease) -> Result<(), StepError> {
        let context = self.context;
        let request = request(&self.step.release, &prepared.chart);
        let timeout = self.time_left();
        let apply = context.helm.upgrade_install(&request, timeout, &context.cancel);
        tokio::pin!(apply);
        let applied = loop {
            tokio::select! {
                applied = &mut apply => break applied,
                () = self.tracker.changed() => {
                    let readiness = self.readiness();
                    self.progress(Phase::Helm, &readiness);
                }
            }
        };
        match applied {
            Ok(()) => Ok(()),
            Err(_) if context.cancel.is_cancelled() => Err(StepError::Cancelled),
            Err(source) => Err(StepError::Helm { what: "apply the release", source }),
        }
    }

    fn readiness(&self) -> ReleaseReadiness {
        let release = &self.step.release;
        self.tracker.readiness(self.manifest, &release.wait_for, &release.namespace)
    }

    async fn wait(&mut self) -> Result<(), StepError> {
        let release = &self.step.release;
        self.tracker.catch_up(self.manifest, &release.wait_for, &release.namespace).await.map_err(StepError::Watch)?;
        let mut shown = ReleaseReadiness::default();
        loop {
            let readiness = self.readiness();
            if readiness != shown {
                self.progress(Phase::Waiting, &readiness);
                shown = readiness;
            }
            if let Some((why, hint)) = &shown.failed {
                return Err(StepError::NotReady { why: why.clone(), hint: hint.clone(), diagnosis: None });
            }
            if shown.is_ready() {
                return Ok(());
            }
            tokio::select! {
                () = self.tracker.changed() => {}
                // Some causes become failures by lasting, without any object changing.
                () = tokio::time::sleep(REJUDGE) => {}
                () = self.context.cancel.cancelled() => return Err(StepError::Cancelled),
                () = tokio::time::sleep_until(self.deadline) => {
                    let why = shown.waiting.unwrap_or_else(|| "nothing said why".into());
                    return Err(StepError::Timeout { why, after: self.context.wave_timeout, diagnosis: None });
                }
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
