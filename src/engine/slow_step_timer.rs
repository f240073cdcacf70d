//! When a step evaluates its release again, and whether it takes longer than usual.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::{ReleaseReadiness, Tracker};
use crate::event::Phase;

/// Interval of evaluations without a change: some causes count only after a time.
const REEVALUATE: Duration = Duration::from_secs(2);
/// Faster changes are evaluated together.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// Usual seconds without an earlier run.
const USUAL: u64 = 60;

/// Progress that a step has already reported.
pub(super) struct SlowStepTimer {
    pub(super) started: Instant,
    pub(super) usual_seconds: Option<u64>,
    pub(super) last_evaluation: Instant,
    pub(super) shown: Option<(Phase, ReleaseReadiness)>,
    reported: BTreeSet<String>,
}

impl SlowStepTimer {
    /// Starts now.
    pub(super) fn new(usual_seconds: Option<u64>) -> SlowStepTimer {
        let now = Instant::now();
        SlowStepTimer { started: now, usual_seconds, last_evaluation: now, shown: None, reported: BTreeSet::new() }
    }

    /// Resolves when the next evaluation is due.
    pub(super) async fn next_evaluation(&self, tracker: &mut Tracker) {
        tokio::select! {
            () = tracker.changed() => sleep_until(self.last_evaluation + DEBOUNCE).await,
            () = sleep(REEVALUATE) => {}
        }
    }

    /// Seconds so far and the usual ones, once, when the step begins to take longer than usual.
    pub(super) fn longer_than_usual(&mut self) -> Option<(f64, Option<u64>)> {
        let is_new = self.is_long() && self.first_time("long");
        is_new.then(|| (self.started.elapsed().as_secs_f64(), self.usual_seconds))
    }

    pub(super) fn is_long(&self) -> bool {
        let usual = self.usual_seconds.map_or(USUAL, |seconds| seconds.saturating_add(seconds / 2).max(15));
        self.started.elapsed() > Duration::from_secs(usual)
    }

    /// Whether this is reported for the first time.
    pub(super) fn first_time(&mut self, what: &str) -> bool {
        self.reported.insert(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_of_a_journal_is_accepted() {
        for usual in [0, 10, u64::MAX / 2, u64::MAX] {
            assert!(!SlowStepTimer::new(Some(usual)).is_long(), "{usual}");
        }
    }
}
