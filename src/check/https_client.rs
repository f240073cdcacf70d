//! HTTPS requests from this machine to hosts outside the cluster: through the environment's proxy ([`crate::proxy`]), with
//! the roots of the system or SSL_CERT_FILE ([`crate::trust`]).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::proxy::ProxyRules;
use crate::trust::{Roots, Verifications, Verifier};

/// The timeout of one exchange.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a body; a page of an identity provider has a hundred kilobytes.
const LARGEST: usize = 4 << 20;

/// A client with this timeout for each exchange that follows no redirects.
pub(super) fn client(wait_limit: Duration) -> Result<reqwest::Client, String> {
    recording_client(wait_limit).map(|(client, _)| client)
}

/// With the record of its servers' certificates: reqwest's TlsInfo has none behind a proxy's tunnel.
pub(super) fn recording_client(wait_limit: Duration) -> Result<(reqwest::Client, Verifications), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(Roots::System, provider.clone())?;
    let verifications = verifier.verifications();
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| with_causes(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let rules = ProxyRules::from_environment();
    // The crate has other rules for NO_PROXY.
    let proxy = reqwest::Proxy::custom(move |address| rules.proxy_of(address).ok().flatten().cloned());
    let client = reqwest::Client::builder()
        .timeout(wait_limit)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tailwatch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .proxy(proxy)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| with_causes(&error))?;
    Ok((client, verifications))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
    #[error("its answer has more than {} MiB", LARGEST >> 20)]
    TooLarge,
}

/// The body of a response.
pub(super) async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Err(RequestError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why the certificate was rejected; `None`: another error.
pub(super) fn certificate_error(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(current) = cause {
        let inner = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = current.downcast_ref::<rustls::Error>();
        if let Some(found) = tls.or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>())) {
            return Some(describe(found));
        }
        cause = current.source();
    }
    None
}

fn describe(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "its certificate is from an authority that this machine does not trust".into()
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name".into(),
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: compare the clocks".into()
        }
        other => other.to_string(),
    }
}

/// An address of the discovery document, which must be https.
pub(super) fn endpoint(name: &str, text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).ok().filter(|url| url.scheme() == "https");
    url.ok_or_else(|| format!("the {name} of its document is {text:?}, expected an https URL"))
}

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(current) = cause {
        let text = current.to_string();
        if !parts.iter().any(|before| before.contains(&text)) {
            parts.push(text);
        }
        cause = current.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that answers one request with this many bytes.
    async fn answer_of(bytes: usize) -> Result<usize, String> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            // The client may close the connection before the end.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b'x'; bytes]).await;
        });
        let found = body(client(TIMEOUT).unwrap().get(address).send().await.unwrap()).await;
        served.abort();
        found.map(|body| body.len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_body_has_a_limit() {
        assert_eq!(answer_of(1000).await, Ok(1000));
        assert_eq!(answer_of(LARGEST + 1).await, Err("its answer has more than 4 MiB".into()));
    }
}
