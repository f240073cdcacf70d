//! A timeout for every request to the API server (kube-client has none).
//!
//! It covers the connection, the TLS handshake, an exec plugin, retries and the response headers. The body has one
//! timeout between two chunks and one in total. A watch, a followed log and an upgraded connection have the timeout for
//! their headers only; a watch also ends soon after its `timeoutSeconds`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::{BoxError, Layer, Service};

use crate::cluster::unresponsive::Answers;
use crate::cluster::write_fence::Fence;

/// Timeout of a read, and between two chunks of a body.
const READ: Duration = Duration::from_secs(20);
/// Timeout of a write. The API server ends one after 34 s, which includes 30 s for admission webhooks
/// (`requestTimeoutUpperBound` of k8s.io/apiserver, pkg/endpoints/handlers/rest.go).
const CHANGE: Duration = Duration::from_secs(40);
/// Timeout of a whole body.
pub(super) const WHOLE: Duration = Duration::from_secs(120);
/// The `timeoutSeconds` of a watch without one: kube-core's default.
const WATCH: u64 = 290;

/// The API server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", after.as_secs())]
pub(super) struct NoAnswer {
    /// URL of the API server.
    pub(super) server: Arc<str>,
    /// The timeout.
    pub(super) after: Duration,
}

/// A write was not sent: the lock could not be renewed.
#[derive(Debug, thiserror::Error)]
#[error("the lock could not be renewed for {} s", since.as_secs())]
pub(super) struct Fenced {
    /// Since the last renewal.
    pub(super) since: Duration,
}

/// The layer around the client's service.
#[derive(Clone, Debug)]
pub(super) struct TimeLimits {
    server: Arc<str>,
    fence: Fence,
    answers: Answers,
}

impl TimeLimits {
    /// For requests to the API server at this URL; the fence blocks writes.
    pub(super) fn new(server: &str, fence: &Fence, answers: &Answers) -> TimeLimits {
        TimeLimits { server: server.into(), fence: fence.clone(), answers: answers.clone() }
    }
}

impl<S> Layer<S> for TimeLimits {
    type Service = Limiting<S>;

    fn layer(&self, inner: S) -> Limiting<S> {
        Limiting { inner, limits: self.clone() }
    }
}

/// The service around kube's own.
#[derive(Clone, Debug)]
pub(super) struct Limiting<S> {
    inner: S,
    limits: TimeLimits,
}

impl<S, B, R> Service<Request<B>> for Limiting<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<TimedBody<R>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let exchange = Exchange::of(&request);
        if exchange.is_fenced
            && let Some(since) = self.limits.fence.closed_for()
        {
            return Box::pin(std::future::ready(Err(Fenced { since }.into())));
        }
        let pending = self.limits.answers.begin(exchange.headers == READ);
        let answer = self.inner.call(request);
        let server = self.limits.server.clone();
        Box::pin(async move {
            match timeout(exchange.headers, answer).await {
                Ok(Ok(answer)) => {
                    pending.answered();
                    Ok(answer.map(|body| TimedBody::new(body, exchange.pause, exchange.body, server)))
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(NoAnswer { server, after: exchange.headers }.into()),
            }
        })
    }
}

/// Timeouts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    headers: Duration,
    /// Between two chunks of the body.
    pause: Option<Duration>,
    /// The whole body.
    body: Option<Duration>,
    /// Whether it must not be sent while the fence is closed. Requests for the Lease open it.
    is_fenced: bool,
}

impl Exchange {
    fn of<B>(request: &Request<B>) -> Exchange {
        let (method, uri) = (request.method(), request.uri());
        let parameter = |name: &str| {
            let pairs = uri.query().unwrap_or_default().split('&');
            pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let is_set = |name| matches!(parameter(name), Some("true" | "1"));
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let headers = if is_read { READ } else { CHANGE };
        let is_fenced = !is_read && !uri.path().contains("/apis/coordination.k8s.io/");
        let (pause, body) = if request.headers().contains_key(http::header::UPGRADE) || is_set("follow") {
            (None, None)
        } else if is_set("watch") {
            let requested = parameter("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(WATCH);
            (None, Some(Duration::from_secs(requested).saturating_add(READ)))
        } else {
            (Some(READ), Some(WHOLE))
        };
        Exchange { headers, pause, body, is_fenced }
    }
}

/// A body that ends with an error at its timeout.
pub(super) struct TimedBody<R> {
    inner: Pin<Box<R>>,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
    whole: Option<(Duration, Pin<Box<Sleep>>)>,
    server: Arc<str>,
}

impl<R> TimedBody<R> {
    /// With the timeouts between two chunks and of the whole body.
    pub(super) fn new(inner: R, pause: Option<Duration>, whole: Option<Duration>, server: Arc<str>) -> TimedBody<R> {
        let timer = |after: Duration| (after, Box::pin(sleep(after)));
        TimedBody { inner: Box::pin(inner), pause: pause.map(timer), whole: whole.map(timer), server }
    }
}

impl<R> Body for TimedBody<R>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    type Data = R::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, BoxError>>> {
        if let Poll::Ready(frame) = self.inner.as_mut().poll_frame(context) {
            if let Some((pause, timer)) = &mut self.pause {
                timer.as_mut().reset(Instant::now() + *pause);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let TimedBody { pause, whole, server, .. } = &mut *self;
        for (after, timer) in [pause, whole].into_iter().flatten() {
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Some(Err(NoAnswer { server: server.clone(), after: *after }.into())));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use hyper::body::Bytes;

    use crate::cluster::ClusterError;

    fn request(method: Method, uri: &str) -> Request<()> {
        Request::builder().method(method).uri(uri).body(()).unwrap()
    }

    fn limits(fence: &Fence) -> TimeLimits {
        TimeLimits::new("https://test", fence, &Answers::default())
    }

    /// How long a request waits that is never answered.
    async fn time_to_failure(method: Method, uri: &str) -> (u64, ClusterError) {
        let never = |_: Request<()>| std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>();
        let limits = limits(&Fence::default());
        let began = Instant::now();
        let Err(error) = limits.layer(tower::service_fn(never)).call(request(method, uri)).await else { panic!() };
        (began.elapsed().as_secs(), ClusterError::from_kube("cannot do it", kube::Error::Service(error)))
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_ends_with_an_error_at_its_timeout() {
        for (method, uri, seconds) in [
            (Method::GET, "/version", 20),
            (Method::GET, "/api/v1/pods?limit=500", 20),
            (Method::GET, "/api/v1/pods?watch=true&timeoutSeconds=290", 20),
            (Method::GET, "/api/v1/namespaces/m/pods/p/portforward?ports=1", 20),
            (Method::PATCH, "/api/v1/namespaces/m", 40),
            (Method::DELETE, "/api/v1/namespaces/m", 40),
        ] {
            let (waited, error) = time_to_failure(method, uri).await;
            assert_eq!(waited, seconds, "{uri}");
            assert!(error.is_unreachable(), "{error}");
            let expected = format!("the API server https://test did not answer within {seconds} s");
            assert_eq!(error.to_string(), expected, "{uri}");
        }
    }

    /// How long a body is read that brings one byte each so many seconds; `None`: until its end.
    async fn reading(uri: &str, every: u64, parts: u64) -> Option<u64> {
        let service = tower::service_fn(move |_: Request<()>| {
            let parts = futures::stream::unfold(0, move |number| async move {
                tokio::time::sleep(Duration::from_secs(every)).await;
                (number < parts).then(|| (Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x"))), number + 1))
            });
            std::future::ready(Ok::<_, BoxError>(Response::new(StreamBody::new(Box::pin(parts)))))
        });
        let mut service = limits(&Fence::default()).layer(service);
        let answer = service.call(request(Method::GET, uri)).await.unwrap();
        let began = Instant::now();
        answer.into_body().collect().await.err().map(|_| began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_or_endless_body_is_an_error_but_a_watch_may_be_quiet() {
        const LIST: &str = "/api/v1/pods";
        assert_eq!(reading(LIST, 15, 5).await, None);
        assert_eq!(reading(LIST, 25, 5).await, Some(20));
        assert_eq!(reading(LIST, 15, 1000).await, Some(120));
        assert_eq!(reading("/api/v1/pods?watch=true&timeoutSeconds=100", 1000, 1).await, Some(120));
        assert_eq!(reading("/api/v1/pods?watch=true", 1000, 1).await, Some(310));
        assert_eq!(reading("/api/v1/namespaces/m/pods/p/log?follow=true", 1000, 1).await, None);
        assert_eq!(reading("/api/v1/namespaces/m/pods/p/log?tailLines=5", 1000, 1).await, Some(20));
    }

    #[tokio::test]
    async fn a_closed_fence_blocks_every_write_except_for_the_lease() {
        fn clock() -> Duration {
            Duration::from_secs(1000)
        }
        let fence = Fence::with_clock(clock);
        let answered = |_: Request<()>| std::future::ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())));
        let mut service = limits(&fence).layer(tower::service_fn(answered));
        fence.hold("m/tailwatch", Duration::from_secs(20), Duration::from_secs(980));
        for (method, uri, is_sent) in [
            (Method::GET, "/api/v1/namespaces/m/secrets/x", true),
            (Method::PATCH, "/api/v1/namespaces/m/secrets/x", false),
            (Method::DELETE, "/apis/apps/v1/namespaces/m/deployments/x", false),
            (Method::POST, "/api/v1/namespaces/m/pods", false),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/m/leases/tailwatch", true),
        ] {
            let answer = service.call(request(method, uri)).await;
            assert_eq!(answer.is_ok(), is_sent, "{uri}");
            let Err(error) = answer else { continue };
            let error = ClusterError::from_kube("cannot do it", kube::Error::Service(error));
            assert!(matches!(error, ClusterError::Unrenewed { seconds: 20 }) && error.is_unreachable(), "{error}");
        }
    }
}
