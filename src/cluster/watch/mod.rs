//! Watches: the watchers, the partial objects that they keep, and the cache that readiness and diagnosis read.

pub(super) mod cache;
pub(super) mod partial;
pub(super) mod store;
pub(super) mod watcher;
