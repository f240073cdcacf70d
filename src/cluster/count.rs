//! Counts requests to the API server by verb.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Method, Request};
use tower::{Layer, Service};

/// Shared counters.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestCounts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl RequestCounts {
    /// Requests so far.
    pub(super) fn by_verb(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.iter().map(|(verb, count)| ((*verb).to_owned(), *count)).collect()
    }

    fn count(&self, verb: &'static str) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(verb).or_default() += 1;
    }
}

impl<S> Layer<S> for RequestCounts {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, counts: self.clone() }
    }
}

/// The service around kube's own.
#[derive(Clone)]
pub(super) struct Counting<S> {
    inner: S,
    counts: RequestCounts,
}

impl<S, B> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.counts.count(verb(request.method(), request.uri()));
        self.inner.call(request)
    }
}

fn verb(method: &Method, uri: &http::Uri) -> &'static str {
    let query = uri.query().unwrap_or_default();
    let path = uri.path();
    match *method {
        _ if path.ends_with("/portforward") => "connect",
        Method::GET if query.split('&').any(|pair| pair == "watch=true") => "watch",
        Method::GET if is_collection(path) => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// `/api/v1/pods`, `/apis/apps/v1/namespaces/x/deployments`: an even number of parts after the version; discovery
/// and `/version` are gets.
fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return false,
    };
    match rest {
        [] => false,
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest.len() == 1,
        rest => rest.len() == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_verbs_of_the_audit_log() {
        for (method, uri, expected) in [
            (Method::GET, "/version", "get"),
            (Method::GET, "/apis/apps/v1", "get"),
            (Method::GET, "/api/v1/namespaces/m/secrets/x", "get"),
            (Method::GET, "/api/v1/namespaces/m/secrets", "list"),
            (Method::GET, "/api/v1/namespaces", "list"),
            (Method::GET, "/api/v1/namespaces/m", "get"),
            (Method::GET, "/apis/apps/v1/namespaces/m/deployments?limit=5&watch=true", "watch"),
            (Method::PATCH, "/api/v1/namespaces/m/secrets/x?fieldManager=t", "patch"),
            (Method::GET, "/api/v1/namespaces/m/pods/p/portforward?ports=1", "connect"),
        ] {
            assert_eq!(verb(&method, &uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
