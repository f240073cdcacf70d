//! Releases that an interrupted run of ours left in a state which helm itself refuses to touch.

use std::collections::BTreeSet;

use crate::cluster::{ObjectRef, RevisionRecord};
use crate::engine::step::StepRun;
use crate::engine::{PreparedRelease, StepError};
use crate::helm::ReleaseStatus;

impl StepRun<'_> {
    /// Takes a release out of a pending state. A later revision goes back to the last deployed one, from which the
    /// upgrade then starts; of a first one only helm's record goes, so that helm takes up what it left.
    pub(super) async fn settle(
        &self,
        standing: Option<ReleaseStatus>,
        prepared: &PreparedRelease,
    ) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        let Some(standing) = standing else { return Ok(()) };
        let helm = &self.context.helm;
        let failed = |what| move |source| self.helm_failed(what, source);
        match standing {
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
                    None => self.forget_first(prepared).await,
                }
            }
        }
    }

    /// Objects that the interrupted install made stand with helm's marks of this release, so that the next install
    /// takes them up; `helm uninstall` would delete what it had taken over from others, too. What this run does not
    /// render any more goes with the record.
    async fn forget_first(&self, prepared: &PreparedRelease) -> Result<(), StepError> {
        let (name, namespace) = (self.step.release.component.as_str(), self.step.release.namespace.as_str());
        let (cluster, helm) = (&self.context.cluster, &self.context.helm);
        let records = self.patiently(|| cluster.revision_records(namespace)).await.map_err(StepError::Watch)?;
        let records: Vec<RevisionRecord> = records.into_iter().filter(|record| record.release == name).collect();
        let Some(first) = records.iter().min_by_key(|record| record.revision) else {
            // helm keeps its records elsewhere.
            let removed = helm.uninstall(name, namespace).await;
            return removed.map_err(|source| self.helm_failed("remove the interrupted first revision", source));
        };
        let left = helm.manifest(name, namespace).await;
        let left = left.map_err(|source| self.helm_failed("read what was interrupted", source))?;
        let place = |object: &serde_json::Value| {
            let ObjectRef { kind, namespace: own, name, .. } = ObjectRef::of(object);
            (kind, own.unwrap_or_else(|| namespace.to_owned()), name)
        };
        let wanted: BTreeSet<_> = prepared.manifest.iter().map(place).collect();
        for stray in left.iter().filter(|object| !wanted.contains(&place(object))) {
            let stray = ObjectRef { namespace: Some(place(stray).1), ..ObjectRef::of(stray) };
            let gone = self.patiently(|| cluster.delete_if_since(&stray, first.created)).await;
            gone.map_err(|source| StepError::Anew { object: format!("{} {}", stray.kind, stray.name), source })?;
        }
        for record in &records {
            let secret = record.secret();
            let forgotten = self.patiently(|| cluster.delete(&secret)).await;
            let object = format!("a new record of release {name}");
            forgotten.map_err(|source| StepError::Anew { object, source })?;
        }
        Ok(())
    }
}
