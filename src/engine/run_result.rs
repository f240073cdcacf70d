//! The result of a run's steps.

use crate::cluster::Cluster;
use crate::engine::EngineError;
use crate::event::StepResult;

/// Result of a run's steps.
#[derive(Debug)]
pub struct RunResult {
    /// Result of each step, in plan order; steps that did not start are `skipped`.
    pub steps: Vec<StepResult>,
    /// The error, if the run failed.
    pub failure: Option<EngineError>,
}

impl RunResult {
    /// A switch of the API server's address to another cluster takes precedence over every other error. To be called
    /// before the lock is released.
    pub async fn note_other_cluster(&mut self, cluster: &Cluster) {
        if let Err(source) = cluster.compare_identity().await {
            self.failure = Some(EngineError::OtherCluster { source });
        }
    }

    /// Sets the error of a lost lock, unless a step failed for another reason. `lost`: the state of the lock, if this
    /// run no longer held it at its release.
    pub fn note_lost_lock(&mut self, lost: Option<&str>) {
        let Some(how) = lost else { return };
        if self.failure.as_ref().is_none_or(EngineError::is_cancelled) {
            self.failure = Some(EngineError::LockLost { how: how.to_owned() });
        }
    }
}
