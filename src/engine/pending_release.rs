//! Releases that an interrupted run of ours left in a state which helm itself refuses to touch.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{ObjectRef, RevisionRecord, namespace_of};
use crate::engine::StepError;
use crate::engine::helm_call::Mutation;
use crate::engine::step::StepRun;
use crate::helm::{HelmError, ReleaseStatus};
use crate::plan::RenderedRelease;

impl StepRun<'_> {
    /// Takes a release out of a pending state: helm's record of what never ended goes, so that helm sees the revision
    /// before it, or none, and takes up what stands. A rollback or a removal first would replace pods for nothing, and
    /// `helm uninstall` would delete what an interrupted install had taken over from others, too.
    pub(super) async fn settle(
        &self,
        standing: Option<ReleaseStatus>,
        rendered: &RenderedRelease,
    ) -> Result<(), StepError> {
        match standing {
            Some(ReleaseStatus::Uninstalling) => self.uninstall("finish the interrupted removal").await,
            Some(standing) if standing.is_under_way() => self.forget_pending(rendered).await,
            _ => Ok(()),
        }
    }

    async fn forget_pending(&self, rendered: &RenderedRelease) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        let cluster = &self.context.cluster;
        let records = self
            .retry_unreachable(|| cluster.revision_records(namespace, self.context.helm.driver()))
            .await
            .map_err(StepError::Watch)?;
        let is_pending = |record: &RevisionRecord| record.release == name && record.status.starts_with("pending-");
        let pending: Vec<RevisionRecord> = records.into_iter().filter(is_pending).collect();
        for record in &pending {
            self.delete_strays(record, rendered).await?;
            let (kept, uid) = record.object();
            let forgotten = self.retry_unreachable(|| cluster.delete(kept, uid)).await;
            let object = format!("a new record of release {name}");
            forgotten.map_err(|source| StepError::Replacement { object, source })?;
        }
        Ok(())
    }

    /// Objects that the interrupted operation made and this run does not render any more; older ones are not its own.
    async fn delete_strays(&self, record: &RevisionRecord, rendered: &RenderedRelease) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        let read = || self.context.helm.manifest_of(name, namespace, record.revision);
        let left = self.outage().read_by_helm(read).await?;
        let left = left.map_err(|source| self.helm_failed("read what was interrupted", source))?;
        let place = |object: &Value| {
            let ObjectRef { kind, name, .. } = ObjectRef::of(object);
            (kind, namespace_of(object, namespace).to_owned(), name)
        };
        let wanted: BTreeSet<_> = rendered.manifest.iter().map(place).collect();
        for stray in left.iter().filter(|object| !wanted.contains(&place(object))) {
            let stray = ObjectRef { namespace: Some(place(stray).1), ..ObjectRef::of(stray) };
            let gone = self.retry_unreachable(|| self.context.cluster.delete_if_since(&stray, record.created)).await;
            gone.map_err(|source| StepError::Replacement { object: format!("{} {}", stray.kind, stray.name), source })?;
        }
        Ok(())
    }

    async fn uninstall(&self, what: &'static str) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        self.outage().ready_for_helm().await?;
        let mutation = Mutation::new(self.context, self.time_left());
        let removed = mutation.watch(self.context.helm.uninstall(name, namespace, mutation.limits())).await;
        removed.map_err(|source| self.ended_by(&mutation, what, source))
    }

    /// Why helm failed: a signal and the lock come before what helm says of its end.
    fn ended_by(&self, mutation: &Mutation<'_>, what: &'static str, source: HelmError) -> StepError {
        match source {
            _ if self.context.cancel.is_cancelled() => StepError::Cancelled,
            _ if mutation.was_fenced() => StepError::Unrenewed(self.context.unrenewed()),
            source => self.helm_failed(what, source),
        }
    }
}
