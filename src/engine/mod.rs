//! Executes a plan wave by wave: helm applies, tailwatch waits until it is ready. Sends the events of the steps; must
//! not print, prompt or decide the desired state.
//!
//! Guarantees: no wave starts before every step of the wave below it is ready; within a wave a step that is `after`
//! another one starts once that has applied its own objects and CRDs; every started step sends exactly one
//! `step-finished`; after a cancel or a failure no further step starts, and a running helm is waited for.

mod deletion;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod helm_call;
mod host_lock;
mod journal;
mod pending_release;
mod progress_deadline;
mod recheck;
mod removal;
mod retry;
mod rollback;
mod rollout_rate;
mod run;
mod run_result;
mod slow_step_timer;
mod stage;
mod step;
mod step_result;
mod uninstall;
mod wait;

pub use deletion::DEPENDENTS;
pub use error::{EngineError, StepError};
pub use host_lock::HostLock;
pub use journal::{Journal, state_folder};
pub use progress_deadline::RunDeadline;
pub use retry::pauses;
pub use run::{run, tracked};
pub use run_result::RunResult;
pub use uninstall::uninstall;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::event::Events;
use crate::helm::Helm;

/// Dependencies of a run. Cheap to clone.
#[derive(Clone)]
pub struct EngineContext {
    /// The cluster.
    pub cluster: Cluster,
    /// helm.
    pub helm: Helm,
    /// Receives the events of the run.
    pub events: Events,
    /// Cancelled by the first signal.
    pub cancel: CancellationToken,
    /// Time without progress after which a step fails.
    pub timeout: Duration,
    /// When the run ends even if it progresses.
    pub deadline: Option<RunDeadline>,
    /// Usual durations of steps.
    pub journal: Arc<Journal>,
    /// Host lock; held as long as this context or a helm process of it exists.
    pub machine: Arc<HostLock>,
}

impl EngineContext {
    /// The error while the lease is not renewed.
    fn unrenewed(&self) -> ClusterError {
        let since = self.cluster.fence().closed_for().unwrap_or_default();
        ClusterError::Unrenewed { seconds: since.as_secs() }
    }
}
