//! An API server that is away for a while is waited for, as long as the wave has time; a signal ends every wait at once.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::engine::StepError;
use crate::helm::HelmError;

/// What a wait with a reason of its own has beyond the deadline to tell it.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Pause between two looks at the fence.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Pauses between tries that end after so long.
pub fn pauses(time: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(time))
}

/// How long a step may wait for the API server.
pub(super) struct UnreachableRetry<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) cancel: &'a CancellationToken,
    pub(super) deadline: Instant,
}

impl UnreachableRetry<'_> {
    fn pauses(&self) -> ExponentialBuilder {
        pauses(self.time_left())
    }

    /// Does something again for as long as nobody answers. A signal and the deadline end a try, too: what it asked for
    /// may have been done, and is safe to ask for again.
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
            () = sleep_until(self.deadline + LAST_WORD) => Err(self.too_late(began.elapsed())),
        }
    }

    /// The API server did not answer for so long.
    pub(super) fn too_late(&self, after: Duration) -> ClusterError {
        self.cluster.silent(after)
    }

    /// What is left of the wave's time.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Reads by helm, again for as long as nobody answers it.
    pub(super) async fn read_by_helm<T, F>(&self, read: impl Fn() -> F) -> Result<Result<T, HelmError>, StepError>
    where
        F: Future<Output = Result<T, HelmError>>,
    {
        let began = Instant::now();
        let again = |error: &HelmError| error.is_unreachable() && !self.time_left().is_zero();
        let reading = read.retry(self.pauses()).when(again);
        match self.attentively(reading).await? {
            Some(read) => Ok(read),
            None => Err(StepError::Look(self.too_late(began.elapsed()))),
        }
    }

    /// Does something once; a signal ends it, and `None` is the deadline.
    pub(super) async fn attentively<T>(&self, work: impl Future<Output = T>) -> Result<Option<T>, StepError> {
        tokio::select! {
            biased;
            done = work => Ok(Some(done)),
            () = self.cancel.cancelled() => Err(StepError::Cancelled),
            () = sleep_until(self.deadline + LAST_WORD) => Ok(None),
        }
    }

    /// Before helm changes anything: waits until the lock is renewed, where it was not for too long, and until the API
    /// server has shown that it is still the one of the beginning.
    pub(super) async fn ready_for_helm(&self) -> Result<(), StepError> {
        while let Some(since) = self.cluster.fence().closed_for() {
            if self.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if Instant::now() >= self.deadline {
                return Err(StepError::Unrenewed(ClusterError::Unrenewed { seconds: since.as_secs() }));
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = self.cancel.cancelled() => {}
            }
        }
        let confirmed = self.retry_unreachable(|| self.cluster.confirm_identity()).await;
        confirmed.map_err(|source| StepError::Look(source).or_cancelled())
    }
}
