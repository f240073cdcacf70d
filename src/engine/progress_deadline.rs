//! When a step fails: after the timeout without progress, or at the deadline of the run.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{HighestCounts, Progress};

/// The end of a run that `--deadline` sets.
#[derive(Clone, Copy, Debug)]
pub struct RunDeadline {
    /// Time since the start of the run.
    pub after: Duration,
    /// The start of the run, plus that time.
    pub at: Instant,
}

impl RunDeadline {
    /// Of a run that starts now.
    pub fn starting_now(after: Duration) -> RunDeadline {
        RunDeadline { after, at: Instant::now() + after }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }
}

/// The timeout of a step, which begins again with each progress.
#[derive(Debug)]
pub(super) struct ProgressDeadline {
    pub(super) timeout: Duration,
    last_progress: Instant,
    run: Option<RunDeadline>,
    highest: HighestCounts,
}

impl ProgressDeadline {
    /// Starts now.
    pub(super) fn new(timeout: Duration, run: Option<RunDeadline>) -> ProgressDeadline {
        ProgressDeadline { timeout, last_progress: Instant::now(), run, highest: HighestCounts::default() }
    }

    /// When the step fails without further progress.
    pub(super) fn at(&self) -> Instant {
        let at = self.last_progress + self.timeout;
        self.run.map_or(at, |run| run.at.min(at))
    }

    /// A part of the step is done.
    pub(super) fn extend(&mut self) {
        self.last_progress = Instant::now();
    }

    /// Begins again if the rollout has come further than ever before.
    pub(super) fn note(&mut self, progress: &Progress) {
        if self.highest.advance(progress) {
            self.extend();
        }
    }

    /// The deadline of the run, if it has passed.
    pub(super) fn passed_run(&self) -> Option<RunDeadline> {
        self.run.filter(RunDeadline::has_passed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A DaemonSet of 100 pods.
    fn rolled(updated: i64, available: i64) -> Progress {
        let manifest: Vec<Value> = vec![json!({"kind": "DaemonSet", "metadata": {"name": "x"}})];
        let live = json!({"kind": "DaemonSet", "metadata": {"name": "x", "namespace": "m", "generation": 1},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 100, "currentNumberScheduled": 100,
                "updatedNumberScheduled": updated, "numberAvailable": available}});
        Progress::for_tests(&manifest, &[live])
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_that_advances_never_times_out() {
        let mut deadline = ProgressDeadline::new(600 * SECOND, None);
        for updated in 1..=100 {
            advance(20 * SECOND).await;
            deadline.note(&rolled(updated, 99));
            assert_eq!(deadline.at() - Instant::now(), 600 * SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_that_flaps_times_out() {
        let mut deadline = ProgressDeadline::new(600 * SECOND, None);
        deadline.note(&rolled(25, 100));
        let ends = deadline.at();
        for available in [75, 100].repeat(14) {
            advance(20 * SECOND).await;
            deadline.note(&rolled(25, available));
        }
        assert_eq!(deadline.at(), ends);
        advance(40 * SECOND).await;
        assert!(Instant::now() >= deadline.at() && deadline.passed_run().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_the_run_is_not_extended() {
        let mut deadline = ProgressDeadline::new(600 * SECOND, Some(RunDeadline::starting_now(900 * SECOND)));
        for updated in 1..=9 {
            advance(100 * SECOND).await;
            assert!(deadline.passed_run().is_some() == (updated == 9));
            deadline.note(&rolled(updated, 99));
        }
        assert_eq!(deadline.at(), Instant::now());
    }
}
