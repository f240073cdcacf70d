//! What may be between a client and the API server, each on 127.0.0.1 and counting its connections: a CONNECT proxy, a
//! socks5 proxy, a server that ends TLS with a certificate of its own, a gateway that rewrites requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tailwatch::trust::AnyCertificate;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a gateway does with a connection.
#[derive(Clone)]
pub enum Kind {
    /// CONNECT, with this `user:password` or none.
    Http(Option<&'static str>),
    /// The same, spoken to by TLS.
    Https(Arc<ServerConfig>),
    /// Requests in absolute form for servers of plain http on 127.0.0.1, with this `user:password` or none; no CONNECT.
    Absolute(Option<&'static str>),
    /// RFC 1928, with this `user:password` (RFC 1929) or none.
    Socks(Option<&'static str>),
    /// Ends TLS and speaks TLS to the API server.
    Tls(Arc<ServerConfig>),
    /// Plain http below `/k8s/cluster`; gives every request this token and knows no aggregated discovery.
    Old { token: String },
}

/// A listening gateway.
pub struct Gateway {
    pub name: &'static str,
    pub port: u16,
    count: Arc<AtomicUsize>,
}

impl Gateway {
    /// Whatever is asked for, the API server on `upstream` of 127.0.0.1 answers.
    pub fn start(runtime: &Runtime, name: &'static str, kind: Kind, upstream: u16) -> Gateway {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let kind = kind.clone();
                // A client that goes away, or one that is refused, ends its own connection only.
                tokio::spawn(async move { serve(client, kind, upstream).await.unwrap_or_default() });
            }
        });
        Gateway { name, port, count }
    }

    /// Connections since the last call.
    pub fn take(&self) -> usize {
        self.count.swap(0, Ordering::SeqCst)
    }
}

async fn serve(mut client: TcpStream, kind: Kind, upstream: u16) -> std::io::Result<()> {
    let server = ("127.0.0.1", upstream);
    match kind {
        Kind::Http(wanted) => connect(&mut client, wanted, upstream).await,
        Kind::Https(tls) => connect(&mut TlsAcceptor::from(tls).accept(client).await?, None, upstream).await,
        Kind::Absolute(wanted) => {
            let head = head(&mut client).await?;
            let target = head.split_once(" http://127.0.0.1:").and_then(|(_, rest)| rest.split_once('/'));
            let (Some((port, _)), true) = (target, names(&head, wanted)) else {
                let refusal = if target.is_some() { REFUSED } else { "HTTP/1.1 405 Method Not Allowed\r\n\r\n" };
                return client.write_all(refusal.as_bytes()).await;
            };
            let mut server = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await?;
            server.write_all(head.replacen(&format!("http://127.0.0.1:{port}"), "", 1).as_bytes()).await?;
            copy_bidirectional(&mut client, &mut server).await.map(|_| ())
        }
        Kind::Socks(wanted) => {
            if !handshake(&mut client, wanted).await? {
                return Ok(());
            }
            copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await.map(|_| ())
        }
        Kind::Tls(tls) => {
            let mut client = TlsAcceptor::from(tls).accept(client).await?;
            copy_bidirectional(&mut client, &mut api_server(upstream).await?).await.map(|_| ())
        }
        Kind::Old { token } => {
            let request = rewritten(&head(&mut client).await?, &token);
            let mut server = api_server(upstream).await?;
            server.write_all(request.as_bytes()).await?;
            server.flush().await?;
            copy_bidirectional(&mut client, &mut server).await.map(|_| ())
        }
    }
}

async fn api_server(port: u16) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("kubernetes").unwrap(), stream).await
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    wanted: Option<&str>,
    upstream: u16,
) -> std::io::Result<()> {
    if !names(&head(client).await?, wanted) {
        return client.write_all(REFUSED.as_bytes()).await;
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(client, &mut TcpStream::connect(("127.0.0.1", upstream)).await?).await.map(|_| ())
}

const REFUSED: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";

/// Whether a request has the `user:password` that a proxy wants.
fn names(head: &str, wanted: Option<&str>) -> bool {
    use base64::Engine as _;
    let basic = wanted.map(|pair| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
    basic.is_none_or(|basic| head.contains(&basic))
}

/// Everything up to the empty line.
async fn head<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
        if !head[0].is_ascii_alphabetic() {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            return Err(std::io::Error::other("this is no HTTP"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// `false`: the client was refused.
async fn handshake(client: &mut TcpStream, wanted: Option<&str>) -> std::io::Result<bool> {
    let mut start = [0; 2];
    client.read_exact(&mut start).await?;
    let mut methods = vec![0; start[1].into()];
    client.read_exact(&mut methods).await?;
    let method = if wanted.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        client.write_all(&[5, 0xff]).await?;
        return Ok(false);
    }
    client.write_all(&[5, method]).await?;
    if let Some(wanted) = wanted {
        let _version = client.read_u8().await?;
        let (user, password) = (text(client).await?, text(client).await?);
        let is_right = wanted == format!("{user}:{password}");
        client.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(false);
        }
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    match request[3] {
        1 => drop(client.read_u32().await?),
        4 => drop(client.read_u128().await?),
        _ => drop(text(client).await?),
    }
    client.read_u16().await?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    Ok(true)
}

async fn text(client: &mut TcpStream) -> std::io::Result<String> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn rewritten(head: &str, token: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in head.trim_end().split("\r\n") {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        match name.as_str() {
            "accept" if line.contains("apidiscovery") => lines.push("Accept: application/json".into()),
            "connection" if !head.to_lowercase().contains("upgrade:") => {}
            _ => lines.push(line.replace("/k8s/cluster", "")),
        }
    }
    lines.push(format!("Authorization: Bearer {token}"));
    if !head.to_lowercase().contains("upgrade:") {
        lines.push("Connection: close".into());
    }
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

/// A server's side of TLS with one certificate and its issuers.
pub fn server_tls(chain: &[&rcgen::Certificate], key: &rcgen::KeyPair) -> Arc<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|certificate| certificate.der().clone()).collect();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(tls)
}
