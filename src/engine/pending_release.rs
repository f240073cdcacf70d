//! Clears the pending operation that an interrupted run left: helm rejects every operation on such a release.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{HostLiveness as _, ObjectRef, RevisionRecord, namespace_of};
use crate::engine::StepError;
use crate::engine::helm_call::Mutation;
use crate::engine::step::StepRun;
use crate::event::Event;
use crate::helm::{HelmError, ReleaseStatus};
use crate::plan::RenderedRelease;

/// Pause between two reads of the records.
const POLL: Duration = Duration::from_secs(2);

impl StepRun<'_> {
    /// Deletes helm's record of the pending revision: helm then continues from the previous revision, or installs. A
    /// rollback would replace pods without need, and `helm uninstall` would also delete the objects that an interrupted
    /// install had adopted.
    pub(super) async fn clear_pending(
        &mut self,
        status: Option<ReleaseStatus>,
        rendered: &RenderedRelease,
    ) -> Result<(), StepError> {
        match status {
            Some(ReleaseStatus::Uninstalling) => self.uninstall("finish the interrupted removal").await,
            Some(status) if status.is_under_way() => self.delete_pending_records(rendered).await,
            _ => Ok(()),
        }
    }

    async fn delete_pending_records(&mut self, rendered: &RenderedRelease) -> Result<(), StepError> {
        let pending = self.pending_records().await?;
        let (name, cluster) = (self.step.release.component.as_str(), &self.context.cluster);
        for record in &pending {
            self.delete_strays(record, rendered).await?;
            let (kept, uid) = record.object();
            let deleted = self.retry_unreachable(|| cluster.delete(kept, uid)).await;
            let object = format!("a new record of release {name}");
            deleted.map_err(|source| StepError::Replacement { object, source })?;
        }
        Ok(())
    }

    /// The pending revisions, once their helm has ended: that of another machine may still be at work until its limit, and
    /// records its end before.
    async fn pending_records(&mut self) -> Result<Vec<RevisionRecord>, StepError> {
        let began = Instant::now();
        loop {
            let name = self.step.release.component.as_str();
            let mut records = self.records().await?;
            records.retain(|record| record.release == name && record.status.starts_with("pending-"));
            let machine = self.context.machine.identity();
            let (now, waited) = (jiff::Timestamp::now(), began.elapsed());
            let left = records.iter().filter_map(|record| record.may_be_at_work(machine, now, waited)).max();
            let Some(left) = left else { return Ok(records) };
            self.deadline.extend();
            if waited < POLL {
                let message = format!(
                    "helm of an interrupted run on another machine may still be changing release {name}; waiting up to \
                     {} s for its end",
                    left.as_secs()
                );
                self.context.events.send(Event::Notice { message, hint: None });
            }
            tokio::select! {
                () = tokio::time::sleep(POLL.min(left)) => {}
                () = self.context.cancel.cancelled() => return Err(StepError::Cancelled),
            }
        }
    }

    /// Deletes objects that the interrupted operation created and this run does not render; older objects are not its
    /// own.
    async fn delete_strays(&self, record: &RevisionRecord, rendered: &RenderedRelease) -> Result<(), StepError> {
        let namespace = self.step.release.namespace.as_str();
        let left = self.recorded(record).await?.map(|recorded| recorded.manifest).unwrap_or_default();
        let place = |object: &Value| {
            let ObjectRef { kind, name, .. } = ObjectRef::of(object);
            (kind, namespace_of(object, namespace).to_owned(), name)
        };
        let desired: BTreeSet<_> = rendered.manifest.iter().map(place).collect();
        for stray in left.iter().filter(|object| !desired.contains(&place(object))) {
            let stray = ObjectRef { namespace: Some(place(stray).1), ..ObjectRef::of(stray) };
            let deleted = self.retry_unreachable(|| self.context.cluster.delete_if_since(&stray, record.created)).await;
            deleted.map_err(|source| StepError::Replacement {
                object: format!("{} {}", stray.kind, stray.name),
                source,
            })?;
        }
        Ok(())
    }

    async fn uninstall(&self, what: &'static str) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        self.retry().ready_for_helm().await?;
        let mutation = Mutation::new(self.context, self.time_left());
        let removed = mutation.watch(self.context.helm.uninstall(name, namespace, mutation.limits())).await;
        removed.map_err(|source| self.ended_by(&mutation, what, source))
    }

    /// Why helm failed: a signal or the lock, else helm's own error.
    pub(super) fn ended_by(&self, mutation: &Mutation<'_>, what: &'static str, source: HelmError) -> StepError {
        match source {
            _ if self.context.cancel.is_cancelled() => StepError::Cancelled,
            _ if mutation.was_fenced() => StepError::Unrenewed(self.context.unrenewed()),
            source => self.helm_failed(what, source),
        }
    }
}
