//! The interface of a reporter.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::TimedEvent;

/// Interval at which elapsed times, held lines and the terminal's size are updated.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Shows events in one way.
pub(super) trait Reporter: Send {
    fn event(&mut self, timed: &TimedEvent);

    /// Called every [`TICK`].
    fn tick(&mut self, _now: Timestamp) {}

    /// The last call: releases the terminal.
    fn end(&mut self) {}
}
