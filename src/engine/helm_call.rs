//! One helm call that writes to the cluster. A signal or a lease that cannot be renewed ends it; helm is killed only if
//! the API server does not answer.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::EngineContext;
use crate::helm::{HelmError, Limits};

/// Interval of the checks of the write fence while helm runs.
const POLL: Duration = Duration::from_millis(500);
/// Timeout of the API server to show that helm can still record its end.
const ANSWER: Duration = Duration::from_secs(1);

/// A helm call that writes.
pub(super) struct Mutation<'a> {
    context: &'a EngineContext,
    limits: Limits,
    was_fenced: Cell<bool>,
}

impl<'a> Mutation<'a> {
    /// With this timeout.
    pub(super) fn new(context: &'a EngineContext, timeout: Duration) -> Mutation<'a> {
        let limits = Limits { timeout, cancel: context.cancel.child_token(), kill: CancellationToken::new() };
        Mutation { context, limits, was_fenced: Cell::new(false) }
    }

    /// Limits for helm.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the write fence ended it; it may be repeated once the lease is renewed.
    pub(super) fn was_fenced(&self) -> bool {
        self.was_fenced.get() && !self.context.cancel.is_cancelled()
    }

    /// Waits until helm ends.
    pub(super) async fn watch<T>(&self, call: impl Future<Output = Result<T, HelmError>>) -> Result<T, HelmError> {
        let (cluster, cancel) = (&self.context.cluster, &self.context.cancel);
        tokio::select! {
            ended = cluster.cancelled_on_switch(cancel, call) => ended,
            never = self.end_when_due() => match never {},
        }
    }

    /// Interrupts helm when due, and kills it if it cannot record its end: the API server does not answer, or the
    /// address is another cluster, to which it must not write.
    async fn end_when_due(&self) -> std::convert::Infallible {
        let (cluster, cancel) = (&self.context.cluster, &self.limits.cancel);
        while !cancel.is_cancelled() {
            tokio::select! {
                () = sleep(POLL) => {}
                () = cancel.cancelled() => {}
            }
            if cluster.fence().closed_for().is_some() {
                self.was_fenced.set(true);
                cancel.cancel();
            }
        }
        while cluster.other_cluster().is_none()
            && cluster.unresponsive_since().is_none()
            && cluster.answers_within(ANSWER).await
        {
            sleep(POLL).await;
        }
        self.limits.kill.cancel();
        std::future::pending().await
    }
}
