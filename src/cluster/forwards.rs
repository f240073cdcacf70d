//! The latest pods of Services: checks that run at once share the requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A pod and its container port.
pub(super) type PodPort = (String, u16);
/// Namespace, name and port of a Service.
type ServicePort = (String, String, u16);
/// The latest pod of a Service, and when it was resolved.
type LatestPod = Arc<tokio::sync::Mutex<Option<(Instant, PodPort)>>>;

/// By Service.
#[derive(Clone, Default)]
pub(super) struct Forwards(Arc<Mutex<HashMap<ServicePort, LatestPod>>>);

impl Forwards {
    /// The entry of a Service; its lock is held while the Service is resolved.
    pub(super) fn of(&self, namespace: &str, name: &str, port: u16) -> LatestPod {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.entry((namespace.to_owned(), name.to_owned(), port)).or_default().clone()
    }
}
