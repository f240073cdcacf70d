//! Retries while the API server is unreachable, until the timeout of the step; a signal ends every wait at once.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::engine::StepError;

/// Time beyond the deadline in which a wait returns its own error.
const GRACE: Duration = Duration::from_secs(1);
/// Pause between two checks of the write fence.
const FENCE_POLL: Duration = Duration::from_millis(250);

/// Pauses between attempts for this time.
pub fn pauses(time: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(time))
}

/// Retries of a step until its deadline.
pub(super) struct UnreachableRetry<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) cancel: &'a CancellationToken,
    pub(super) deadline: Instant,
}

impl UnreachableRetry<'_> {
    fn pauses(&self) -> ExponentialBuilder {
        pauses(self.time_left())
    }

    /// Repeats a request while the API server is unreachable. A signal and the deadline also end a running request: it
    /// may have been executed, and must be safe to repeat.
    pub(super) async fn retry_unreachable<T, F>(&self, work: impl Fn() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        let began = Instant::now();
        let again = |error: &ClusterError| error.is_unreachable() && !self.cancel.is_cancelled();
        tokio::select! {
            biased;
            done = work.retry(self.pauses()).when(again) => done,
            () = self.cancel.cancelled() => Err(ClusterError::Interrupted),
            () = sleep_until(self.deadline + GRACE) => Err(self.too_late(began.elapsed())),
        }
    }

    /// The error that the API server did not answer for this time.
    pub(super) fn too_late(&self, after: Duration) -> ClusterError {
        self.cluster.no_answer(after)
    }

    /// Time until the deadline.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Awaits once, until a signal; `None`: the deadline passed.
    pub(super) async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Result<Option<T>, StepError> {
        tokio::select! {
            biased;
            done = work => Ok(Some(done)),
            () = self.cancel.cancelled() => Err(StepError::Cancelled),
            () = sleep_until(self.deadline + GRACE) => Ok(None),
        }
    }

    /// Before helm writes: waits until the lease is renewed and the API server has confirmed the identity of the
    /// cluster.
    pub(super) async fn ready_for_helm(&self) -> Result<(), StepError> {
        while let Some(since) = self.cluster.fence().closed_for() {
            if self.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if Instant::now() >= self.deadline {
                return Err(StepError::Unrenewed(ClusterError::Unrenewed { seconds: since.as_secs() }));
            }
            tokio::select! {
                () = sleep(FENCE_POLL) => {}
                () = self.cancel.cancelled() => {}
            }
        }
        let confirmed = self.retry_unreachable(|| self.cluster.confirm_identity()).await;
        confirmed.map_err(|source| StepError::Read(source).or_cancelled())
    }
}
