//! Watches: the releases that they follow, the watchers, and the cache that readiness and diagnosis read.

pub(super) mod cache;
pub(super) mod release;
pub(super) mod store;
pub(super) mod watcher;
