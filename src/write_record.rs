//! Whether this run has written to the cluster. Owns the one record of that fact: it is kept where a write is sent, by
//! the client of the API server and by every call of helm that changes the cluster, and is never derived from an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The writes of a run that took effect, or may have. Cheap to clone; every clone counts into the same record.
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
    /// It wrote something, or sent a write that has no answer.
    Changed,
}

impl Writes {
    /// A write is about to be sent. It counts until it is known to be rejected, since a write without a response may
    /// have taken effect.
    pub fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// A write that was counted took no effect.
    pub fn refused(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether anything was written so far.
    pub fn state(&self) -> ClusterState {
        if self.0.load(Ordering::SeqCst) == 0 { ClusterState::Unchanged } else { ClusterState::Changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_counts_from_its_start_until_it_is_refused() {
        let writes = Writes::default();
        assert_eq!(writes.state(), ClusterState::Unchanged);
        writes.clone().begin();
        assert_eq!(writes.state(), ClusterState::Changed);
        writes.refused();
        assert_eq!(writes.state(), ClusterState::Unchanged);
    }
}
