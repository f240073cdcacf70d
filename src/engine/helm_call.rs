//! One call of helm that changes the cluster, held to the rules of the run: a signal and a lock that cannot be renewed
//! end it, and helm is killed only where the API server does not answer it either.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::EngineContext;
use crate::helm::{HelmError, Limits};

/// How often the lock is looked at while helm works.
const LOOK: Duration = Duration::from_millis(500);
/// How long the API server may take to show that helm can still write down how it ended.
const ANSWER: Duration = Duration::from_secs(1);

/// A call that is about to run.
pub(super) struct Mutation<'a> {
    context: &'a EngineContext,
    limits: Limits,
    was_fenced: Cell<bool>,
}

impl<'a> Mutation<'a> {
    /// With this much time.
    pub(super) fn new(context: &'a EngineContext, timeout: Duration) -> Mutation<'a> {
        let limits = Limits { timeout, cancel: context.cancel.child_token(), kill: CancellationToken::new() };
        Mutation { context, limits, was_fenced: Cell::new(false) }
    }

    /// What helm is given.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether it was ended since the lock could not be renewed: it may be tried again once it is.
    pub(super) fn was_fenced(&self) -> bool {
        self.was_fenced.get() && !self.context.cancel.is_cancelled()
    }

    /// Waits for helm's end.
    pub(super) async fn watch<T>(&self, call: impl Future<Output = Result<T, HelmError>>) -> Result<T, HelmError> {
        let (cluster, cancel) = (&self.context.cluster, &self.context.cancel);
        tokio::select! {
            ended = cluster.cancelling_elsewhere(cancel, call) => ended,
            never = self.end_when_due() => match never {},
        }
    }

    /// Asks helm to end when that is due, and kills it when it cannot record its end: the API server does not answer,
    /// or the address leads to another cluster, which must get no more of its writes.
    async fn end_when_due(&self) -> std::convert::Infallible {
        let (cluster, cancel) = (&self.context.cluster, &self.limits.cancel);
        while !cancel.is_cancelled() {
            tokio::select! {
                () = sleep(LOOK) => {}
                () = cancel.cancelled() => {}
            }
            if cluster.fence().closed_for().is_some() {
                self.was_fenced.set(true);
                cancel.cancel();
            }
        }
        while cluster.elsewhere().is_none() && cluster.silent_since().is_none() && cluster.answers_within(ANSWER).await
        {
            sleep(LOOK).await;
        }
        self.limits.kill.cancel();
        std::future::pending().await
    }
}
