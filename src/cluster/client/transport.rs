//! The HTTP service for requests: proxy, TLS, credentials, retries. kube's own stack is not used: it sends no password
//! to a socks5 proxy, does not accept a certificate that is its own root, reads a client certificate of an exec plugin
//! only once, and always starts plugins with the terminal's stdin.

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder};
use tower_http::decompression::{DecompressionBody, DecompressionLayer};

use crate::cluster::client::access::Access;
use crate::cluster::client::client_certificate::Identity;
use crate::cluster::client::credentials::Credentials;
use crate::cluster::client::plain_proxy::PlainProxy;
use crate::cluster::client::proxy_route::Route;
use crate::trust::{AnyCertificate, Roots, Verifications, Verifier};

/// Connections to the API server: sends one request.
type Pool = Arc<dyn Fn(Request<Body>) -> ResponseFuture + Send + Sync>;
/// The service of a client.
pub(in crate::cluster) type Carrier =
    BoxCloneSyncService<Request<Body>, Response<DecompressionBody<Incoming>>, BoxError>;

/// The service, and the certificate errors of its connections.
pub(super) struct Transport {
    pub(super) carrier: Carrier,
    pub(super) verifications: Verifications,
}

/// The error is a fragment about the kubeconfig.
pub(super) fn transport(access: &Access, credentials: &Credentials, agent: &'static str) -> Result<Transport, String> {
    let (tls, verifications) = tls(access, &credentials.identity)?;
    let uri: Uri = access.server.as_str().parse().map_err(|error| format!("the server is no address: {error}"))?;
    let open = opener(access, tls)?;
    let exchange = Exchange { credentials: credentials.clone(), pool: Arc::new(RwLock::new((0, open()))), open };
    let config = headers(access, uri, agent);
    let provider = config.auth_layer().map_err(|error| error.to_string())?;
    let carrier = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new().no_br().no_deflate().no_zstd().gzip(!access.cluster.disable_compression))
        .layer(RetryLayer::new(RetryPolicy::server_retry()))
        .option_layer(provider)
        .layer(config.extra_headers_layer().map_err(|error| error.to_string())?)
        .service(exchange);
    let carrier = ServiceBuilder::new().map_err(BoxError::from).service(carrier);
    Ok(Transport { carrier: BoxCloneSyncService::new(carrier), verifications })
}

/// The parts of kube's configuration that set headers: impersonation, the legacy OIDC provider.
fn headers(access: &Access, uri: Uri, agent: &'static str) -> Config {
    let mut config = Config::new(uri);
    // For the audit log.
    config.headers.push((http::header::USER_AGENT, HeaderValue::from_static(agent)));
    let user = &access.user;
    if !user.impersonate.is_empty() {
        let uid = Some(user.impersonate_uid.clone()).filter(|uid| !uid.is_empty());
        config.auth_info.impersonate = Some(user.impersonate.clone());
        config.auth_info.impersonate_uid = uid;
        config.auth_info.impersonate_groups = Some(user.impersonate_groups.clone());
        config.auth_info.impersonate_user_extra =
            Some(user.impersonate_extra.iter().map(|(key, values)| (key.clone(), values.clone())).collect());
    }
    if access.server.scheme() == "https" {
        config.auth_info.auth_provider = user.auth_provider.as_ref().map(|provider| kube::config::AuthProviderConfig {
            name: provider.name.clone(),
            config: provider.config.clone().into_iter().collect(),
            ..Default::default()
        });
    }
    config
}

fn tls(access: &Access, identity: &Identity) -> Result<(ClientConfig, Verifications), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous();
    let cluster = &access.cluster;
    let source = match (&cluster.certificate_authority, &cluster.certificate_authority_data) {
        (file, _) if !file.is_empty() => Roots::File(file.into()),
        (_, data) if !data.is_empty() => Roots::Bundle(data.clone()),
        _ => Roots::System,
    };
    let (builder, verifications) = match cluster.insecure_skip_tls_verify {
        true => {
            (builder.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))), Verifications::default())
        }
        false => {
            let verifier = Verifier::new(source, provider)?;
            let verifications = verifier.verifications();
            (builder.with_custom_certificate_verifier(Arc::new(verifier)), verifications)
        }
    };
    Ok((builder.with_client_cert_resolver(Arc::new(identity.clone())), verifications))
}

/// Opens a new pool of connections.
type Open = Arc<dyn Fn() -> Pool + Send + Sync>;

fn opener(access: &Access, tls: ClientConfig) -> Result<Open, String> {
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    direct.set_nodelay(true);
    let name = match access.cluster.tls_server_name.as_str() {
        "" => None,
        name => {
            Some(ServerName::try_from(name.to_owned()).map_err(|error| format!("tls-server-name {name:?}: {error}"))?)
        }
    };
    let Route::Proxy { url, .. } = &access.route else { return Ok(pool((tls, name), direct)) };
    let uri: Uri = url.as_str().parse().map_err(|error| format!("the proxy is no address: {error}"))?;
    let part = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (part(url.username()), part(url.password().unwrap_or_default()));
    let has_user = !user.is_empty() || url.password().is_some();
    if url.scheme().starts_with("socks5") {
        // The connector has no default port.
        let address = with_port(&uri, 1080)?;
        let socks = SocksV5::new(address, direct);
        return Ok(match has_user {
            true => pool((tls, name), socks.with_auth(user, password)),
            false => pool((tls, name), socks),
        });
    }
    let mut basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        .map_err(|error| error.to_string())?;
    basic.set_sensitive(true);
    if access.server.scheme() == "http" {
        let open = match url.scheme() {
            "https" => {
                let connector = https((tls.clone(), name.clone()), direct);
                pool((tls, name), PlainProxy { proxy: uri, connector })
            }
            _ => pool((tls, name), PlainProxy { proxy: uri, connector: direct }),
        };
        return Ok(if has_user { authorized(open, basic) } else { open });
    }
    if url.scheme() == "https" {
        // Go uses the trust, the server name and the client certificate of the connection for the proxy, too.
        let tunnel = Tunnel::new(uri, https((tls.clone(), name.clone()), direct));
        return Ok(pool((tls, name), if has_user { tunnel.with_auth(basic) } else { tunnel }));
    }
    let tunnel = Tunnel::new(uri, direct);
    Ok(pool((tls, name), if has_user { tunnel.with_auth(basic) } else { tunnel }))
}

/// Sets the proxy's credentials in every request.
fn authorized(open: Open, basic: HeaderValue) -> Open {
    Arc::new(move || {
        let (pool, basic) = (open(), basic.clone());
        Arc::new(move |mut request| {
            request.headers_mut().insert(PROXY_AUTHORIZATION, basic.clone());
            pool(request)
        })
    })
}

fn with_port(uri: &Uri, port: u16) -> Result<Uri, String> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(port);
    format!("socks5://{host}:{port}").parse().map_err(|error| format!("the proxy is no address: {error}"))
}

type Tls = (ClientConfig, Option<ServerName<'static>>);

fn https<C>((tls, name): Tls, connector: C) -> hyper_rustls::HttpsConnector<C> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let builder = match name {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => builder,
    };
    builder.enable_http1().wrap_connector(connector)
}

fn pool<C>(tls: Tls, connector: C) -> Open
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + Send + 'static,
{
    let connector = https(tls, connector);
    Arc::new(move || {
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector.clone());
        Arc::new(move |request| client.request(request))
    })
}

/// Adds the credentials to a request and sends it; again after a 401 with renewed credentials.
#[derive(Clone)]
struct Exchange {
    credentials: Credentials,
    /// The number of the credentials that its connections present.
    pool: Arc<RwLock<(u64, Pool)>>,
    open: Open,
}

impl Exchange {
    /// The connection pool; a new one for a new client certificate.
    fn pool(&self, number: u64) -> Pool {
        let current = self.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.0 >= number {
            return current.1;
        }
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if pool.0 < number {
            *pool = (number, (self.open)());
        }
        pool.1.clone()
    }
}

impl Service<Request<Body>> for Exchange {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let exchange = self.clone();
        Box::pin(async move {
            let given = exchange.credentials.give().await?;
            let again = copy(&request);
            let response = exchange.pool(given.number)(with(request, given.header.as_ref())).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            let (Some(again), Some(renewed)) = (again, exchange.credentials.renewed(&given).await) else {
                return Ok(response);
            };
            let renewed = renewed?;
            Ok(exchange.pool(renewed.number)(with(again, renewed.header.as_ref())).await?)
        })
    }
}

/// A copy of the request, unless its body is a stream.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

fn with(mut request: Request<Body>, header: Option<&HeaderValue>) -> Request<Body> {
    if let Some(header) = header {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
    }
    request
}
