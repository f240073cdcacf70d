//! Counts requests to the API server by verb, and records writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::future::{InspectOk, TryFutureExt as _};
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service};

use crate::write_record::Writes;

/// Shared counters.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestCounts {
    by_verb: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    writes: Writes,
}

impl RequestCounts {
    /// Counters that record writes in `writes`.
    pub(super) fn recording(writes: Writes) -> RequestCounts {
        RequestCounts { writes, ..RequestCounts::default() }
    }

    /// The record of writes.
    pub(super) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Requests so far.
    pub(super) fn by_verb(&self) -> BTreeMap<String, u64> {
        let counts = self.by_verb.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.iter().map(|(verb, count)| ((*verb).to_owned(), *count)).collect()
    }

    /// Number of requests so far.
    pub(super) fn total(&self) -> u64 {
        self.by_verb.lock().unwrap_or_else(std::sync::PoisonError::into_inner).values().sum()
    }

    fn count(&self, verb: &'static str) {
        *self.by_verb.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(verb).or_default() += 1;
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

/// Inspects a response.
type Seen<R> = Box<dyn FnOnce(&Response<R>) + Send>;

impl<S, B, R> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InspectOk<S::Future, Seen<R>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.counts.count(verb(request.method(), request.uri()));
        let seen: Seen<R> = if is_write(request.method(), request.uri()) {
            let writes = self.counts.writes.clone();
            writes.begin();
            Box::new(move |response| {
                if is_rejection(response.status()) {
                    writes.rejected();
                }
            })
        } else {
            Box::new(|_| {})
        };
        self.inner.call(request).inspect_ok(seen)
    }
}

/// Whether a request stores an object. A dry run (`dryRun=All`) and the review kinds of `authorization.k8s.io` and
/// `authentication.k8s.io` are POSTs that do not (Kubernetes API concepts, "Dry-run"; API reference, "Authorization
/// Resources").
pub(super) fn is_write(method: &Method, uri: &http::Uri) -> bool {
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return false;
    }
    let is_dry_run = uri.query().unwrap_or_default().split('&').any(|pair| pair == "dryRun=All");
    let reviews = ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"];
    let is_review = reviews.iter().any(|group| uri.path().contains(group)) && uri.path().ends_with("reviews");
    !is_dry_run && !is_review
}

/// Whether the API server rejected a request before it stored an object. Not 408: the request can continue without its
/// client.
fn is_rejection(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
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
    use crate::write_record::ClusterState;

    /// What is known after a request that is answered with this status; `None`: it is not answered.
    async fn state_after((method, uri): (Method, &str), status: Option<u16>) -> ClusterState {
        let writes = Writes::default();
        let answer = tower::service_fn(move |_: Request<()>| async move {
            let status = status.ok_or("the connection was reset")?;
            Ok::<_, &str>(Response::builder().status(status).body(()).unwrap())
        });
        let mut service = RequestCounts::recording(writes.clone()).layer(answer);
        let _ = service.call(Request::builder().method(method).uri(uri).body(()).unwrap()).await;
        writes.state()
    }

    #[tokio::test]
    async fn a_write_is_recorded_unless_it_was_rejected() {
        use ClusterState::{Changed, Unchanged};
        const SECRET: &str = "/api/v1/namespaces/m/secrets/x";
        const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        const TOKEN: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
        const DRY_RUN: &str = "/api/v1/namespaces/m/secrets?fieldManager=t&dryRun=All";
        for (request, status, expected) in [
            ((Method::GET, SECRET), Some(200), Unchanged),
            ((Method::GET, SECRET), None, Unchanged),
            ((Method::PATCH, SECRET), Some(200), Changed),
            ((Method::POST, SECRET), Some(201), Changed),
            ((Method::PUT, SECRET), Some(200), Changed),
            ((Method::DELETE, SECRET), Some(202), Changed),
            ((Method::POST, REVIEW), Some(201), Unchanged),
            ((Method::POST, TOKEN), Some(201), Unchanged),
            ((Method::POST, DRY_RUN), Some(201), Unchanged),
            ((Method::POST, "/api/v1/namespaces/m/secrets?dryRun="), Some(201), Changed),
            ((Method::POST, "/apis/example.com/v1/namespaces/m/reviews"), Some(201), Changed),
            ((Method::PATCH, SECRET), Some(403), Unchanged),
            ((Method::PATCH, SECRET), Some(409), Unchanged),
            ((Method::PATCH, SECRET), Some(408), Changed),
            ((Method::PATCH, SECRET), Some(504), Changed),
            ((Method::PATCH, SECRET), None, Changed),
        ] {
            let name = format!("{request:?} {status:?}");
            assert_eq!(state_after(request, status).await, expected, "{name}");
        }
    }

    #[test]
    fn a_write_without_an_answer_yet_counts() {
        let writes = Writes::default();
        let never = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, ()>>());
        let mut service = RequestCounts::recording(writes.clone()).layer(never);
        drop(service.call(Request::builder().method(Method::PATCH).uri("/api/v1/namespaces/m").body(()).unwrap()));
        assert_eq!(writes.state(), ClusterState::Changed);
    }

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
