//! An http proxy for a server of plain http: Go sends such requests to the proxy in absolute form (RFC 9112, section
//! 3.2.2), and uses CONNECT only for an https server. Source: net/http transport.go, persistConn and connectMethod.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// Connects to the proxy for every server.
#[derive(Clone)]
pub(super) struct PlainProxy<C> {
    pub(super) proxy: Uri,
    pub(super) connector: C,
}

/// A connection to the proxy; hyper writes requests in absolute form to it.
pub(super) struct ProxyConnection<T>(T);

impl<C> Service<Uri> for PlainProxy<C>
where
    C: Service<Uri>,
    C::Response: 'static,
    C::Error: 'static,
    C::Future: Send + 'static,
{
    type Response = ProxyConnection<C::Response>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, C::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.connector.call(self.proxy.clone()).map_ok(ProxyConnection).boxed()
    }
}

impl<T: Connection> Connection for ProxyConnection<T> {
    fn connected(&self) -> Connected {
        self.0.connected().proxy(true)
    }
}

impl<T: Read + Unpin> Read for ProxyConnection<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<T: Write + Unpin> Write for ProxyConnection<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
