//! The record of whether this run has written to the cluster. Updated by the API client and by every changing helm
//! call, never derived from an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the writes of a run that took effect or may have. Cheap to clone; every clone counts into the same record.
///
/// Guarantee: while [`Writes::state`] is [`ClusterState::Unchanged`], the run has sent no write that the API server
/// did not reject.
#[derive(Clone, Debug, Default)]
pub struct Writes(Arc<AtomicUsize>);

/// Effect of a run on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// It wrote nothing.
    Unchanged,
    /// It wrote something, or sent a write without an answer.
    Changed,
}

impl Writes {
    /// Counts a write before it is sent: a write without a response may have taken effect.
    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Uncounts a write that the API server rejected.
    pub fn rejected(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// The effect of the writes so far.
    pub fn state(&self) -> ClusterState {
        if self.0.load(Ordering::SeqCst) == 0 { ClusterState::Unchanged } else { ClusterState::Changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_counts_unless_it_is_rejected() {
        let writes = Writes::default();
        assert_eq!(writes.state(), ClusterState::Unchanged);
        writes.clone().begin();
        assert_eq!(writes.state(), ClusterState::Changed);
        writes.rejected();
        assert_eq!(writes.state(), ClusterState::Unchanged);
    }
}
