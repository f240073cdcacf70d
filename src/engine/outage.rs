//! An API server that is away for a while is waited for, as long as the wave has time.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterError;

/// How long a step may wait for the API server.
pub(super) struct Outage<'a> {
    pub(super) cancel: &'a CancellationToken,
    pub(super) deadline: Instant,
}

impl Outage<'_> {
    /// Pauses between tries.
    pub(super) fn pauses(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(2))
            .without_max_times()
            .with_total_delay(Some(self.deadline.saturating_duration_since(Instant::now())))
    }

    /// Does something again for as long as nobody answers.
    pub(super) async fn patiently<T, F>(&self, work: impl Fn() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        let again = |error: &ClusterError| error.is_unreachable() && !self.cancel.is_cancelled();
        work.retry(self.pauses()).when(again).await
    }
}
