//! The write fence: no write is sent after a lock was not renewed for two thirds of its duration, because another run
//! can acquire it soon. It opens again with the next renewal, which succeeds only while this run holds the lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Shared by the client, the heartbeats of the locks and the engine. Cheap to clone; open until a lock is held.
#[derive(Clone, Debug)]
pub struct Fence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By their keys.
    held: Mutex<BTreeMap<String, HeldLock>>,
    /// Monotonic time that includes sleep of the machine.
    clock: fn() -> Duration,
    renew: Notify,
}

/// A held lock.
#[derive(Clone, Copy, Debug)]
struct HeldLock {
    renewed: Duration,
    limit: Duration,
}

impl Default for Fence {
    fn default() -> Fence {
        Fence::with_clock(clock)
    }
}

impl Fence {
    /// A fence with another clock.
    pub(super) fn with_clock(clock: fn() -> Duration) -> Fence {
        Fence { inner: Arc::new(Inner { held: Mutex::default(), clock, renew: Notify::new() }) }
    }

    /// The clock's time, for [`Fence::renewed`].
    pub(super) fn now(&self) -> Duration {
        (self.inner.clock)()
    }

    /// A lock with this duration was acquired by a request sent at `sent`.
    pub(super) fn hold(&self, lock: &str, duration: Duration, sent: Duration) {
        self.held().insert(lock.to_owned(), HeldLock { renewed: sent, limit: duration * 2 / 3 });
    }

    /// The lock was renewed by a request sent at `sent`: its duration starts then at the earliest.
    pub(super) fn renewed(&self, lock: &str, sent: Duration) {
        if let Some(held) = self.held().get_mut(lock) {
            held.renewed = sent;
        }
    }

    /// The lock is no longer held.
    pub(super) fn leave(&self, lock: &str) {
        self.held().remove(lock);
    }

    /// The longest time since the last renewal of a lock, if the fence is closed.
    pub fn closed_for(&self) -> Option<Duration> {
        let now = self.now();
        let ages = self.held().values().map(|held| (now.saturating_sub(held.renewed), held.limit)).collect::<Vec<_>>();
        let closed = ages.into_iter().filter(|(age, limit)| age >= limit).map(|(age, _)| age).max();
        if closed.is_some() {
            // After a sleep of the machine the timer of the next heartbeat is late.
            self.inner.renew.notify_waiters();
        }
        closed
    }

    /// Resolves when the locks must be renewed before the next heartbeat.
    pub(super) async fn renewal_requested(&self) {
        self.inner.renew.notified().await;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, HeldLock>> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// clock_gettime(2): CLOCK_BOOTTIME includes sleep on Linux; on other systems CLOCK_MONOTONIC, which includes it on
/// macOS.
fn clock() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_closes_after_two_thirds_of_the_duration_and_opens_with_a_renewal() {
        static NOW: Mutex<Duration> = Mutex::new(Duration::ZERO);
        let fence = Fence::with_clock(|| *NOW.lock().unwrap());
        let at = |seconds: u64| *NOW.lock().unwrap() = Duration::from_secs(seconds);
        assert_eq!(fence.closed_for(), None, "no lock is held");
        at(100);
        fence.hold("a", Duration::from_secs(30), fence.now());
        at(119);
        assert_eq!(fence.closed_for(), None);
        // As after the sleep of a laptop: no timer has fired meanwhile.
        at(4000);
        assert_eq!(fence.closed_for(), Some(Duration::from_secs(3900)));
        fence.renewed("a", fence.now());
        assert_eq!(fence.closed_for(), None);
        fence.hold("b", Duration::from_secs(30), fence.now());
        at(4021);
        fence.renewed("a", fence.now());
        assert_eq!(fence.closed_for(), Some(Duration::from_secs(21)), "the other lock was not renewed");
        fence.leave("b");
        assert_eq!(fence.closed_for(), None);
        at(4051);
        assert!(fence.closed_for().is_some());
        fence.leave("a");
        assert_eq!(fence.closed_for(), None);
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = clock();
        assert!(before > Duration::ZERO && clock() >= before);
    }
}
