//! The remaining time of a rollout, from the rate of its first pods.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Progress;

/// Fewer pods have no rate.
const PODS: u32 = 10;
/// Share of the pods that must be updated: pods of a DaemonSet are replaced in groups.
const SHARE: u32 = 5;
/// Least time of a measurement.
const MEASURED: Duration = Duration::from_secs(10);

/// When and at how many updated pods the measurement began, and the last that was updated.
#[derive(Debug, Default)]
pub(super) struct RolloutRate {
    began: Option<(Instant, u32)>,
    last: Option<(Instant, u32)>,
}

impl RolloutRate {
    /// Adds the current counts; a new revision begins again.
    pub(super) fn note(&mut self, progress: &Progress) {
        let now = (Instant::now(), progress.updated_pods);
        match self.last {
            Some((_, updated)) if updated == now.1 => {}
            Some((_, updated)) if updated < now.1 => self.last = Some(now),
            _ => (self.began, self.last) = (Some(now), Some(now)),
        }
    }

    /// The remaining time at the rate so far; `None` with too few pods, or later than expected.
    pub(super) fn remaining(&self, progress: &Progress) -> Option<Duration> {
        let ((began, first), (at, updated)) = (self.began?, self.last?);
        let (rolled, desired) = (updated - first, progress.desired_pods);
        let (measured, left) = (at - began, desired.checked_sub(updated)?);
        if rolled < PODS.max(desired / SHARE) || measured < MEASURED || left == 0 {
            return None;
        }
        let expected = measured.mul_f64(f64::from(left) / f64::from(rolled));
        expected.checked_sub(at.elapsed()).filter(|remaining| !remaining.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn rolled(updated_pods: u32, desired_pods: u32) -> Progress {
        let mut progress = Progress::default();
        (progress.updated_pods, progress.desired_pods) = (updated_pods, desired_pods);
        progress
    }

    /// Seconds that remain after each count, which is noted 10 s after the one before.
    async fn remaining(counts: &[u32]) -> Vec<Option<u64>> {
        let mut rate = RolloutRate::default();
        let mut all = Vec::new();
        for updated in counts {
            rate.note(&rolled(*updated, 100));
            all.push(rate.remaining(&rolled(*updated, 100)).map(|remaining| remaining.as_secs()));
            advance(Duration::from_secs(10)).await;
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_pods_give_the_rate() {
        assert_eq!(remaining(&[0, 10, 20, 30, 100]).await, [None, None, Some(80), Some(70), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn groups_count_at_their_last_pod_and_a_late_one_has_no_estimate() {
        assert_eq!(remaining(&[0, 25, 25, 25, 25, 25]).await, [None, Some(30), Some(20), Some(10), None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_revision_begins_again_and_few_pods_have_no_rate() {
        assert_eq!(remaining(&[0, 50, 0, 10, 20]).await, [None, Some(10), None, None, Some(80)]);
        let mut rate = RolloutRate::default();
        rate.note(&rolled(0, 3));
        advance(Duration::from_secs(30)).await;
        rate.note(&rolled(2, 3));
        assert_eq!(rate.remaining(&rolled(2, 3)), None);
    }
}
