//! Clears the pending operation that an interrupted run left: helm rejects every operation on such a release.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{ObjectRef, RevisionRecord, namespace_of};
use crate::engine::StepError;
use crate::engine::helm_call::Mutation;
use crate::engine::step::StepRun;
use crate::helm::{HelmError, ReleaseStatus};
use crate::plan::RenderedRelease;

impl StepRun<'_> {
    /// Deletes helm's record of the pending revision: helm then continues from the previous revision, or installs. A
    /// rollback would replace pods without need, and `helm uninstall` would also delete the objects that an interrupted
    /// install had adopted.
    pub(super) async fn clear_pending(
        &self,
        status: Option<ReleaseStatus>,
        rendered: &RenderedRelease,
    ) -> Result<(), StepError> {
        match status {
            Some(ReleaseStatus::Uninstalling) => self.uninstall("finish the interrupted removal").await,
            Some(status) if status.is_under_way() => self.delete_pending_records(rendered).await,
            _ => Ok(()),
        }
    }

    async fn delete_pending_records(&self, rendered: &RenderedRelease) -> Result<(), StepError> {
        let (name, cluster) = (self.step.release.component.as_str(), &self.context.cluster);
        let records = self.records().await?;
        let is_pending = |record: &RevisionRecord| record.release == name && record.status.starts_with("pending-");
        let pending: Vec<RevisionRecord> = records.into_iter().filter(is_pending).collect();
        for record in &pending {
            self.delete_strays(record, rendered).await?;
            let (kept, uid) = record.object();
            let deleted = self.retry_unreachable(|| cluster.delete(kept, uid)).await;
            let object = format!("a new record of release {name}");
            deleted.map_err(|source| StepError::Replacement { object, source })?;
        }
        Ok(())
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
