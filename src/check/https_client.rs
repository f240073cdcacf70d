//! HTTPS requests from this machine to hosts outside the cluster: through the environment's proxy ([`crate::proxy`]), with
//! the roots of the system or SSL_CERT_FILE ([`crate::trust`]).

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::proxy::ProxyRules;
use crate::trust::{Roots, Verifier};

/// The verifier timeout of one exchange.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A client with this timeout for each exchange that follows no redirects.
pub(super) fn client(wait_limit: Duration) -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(Roots::System, provider.clone())?);
    build(wait_limit, provider, verifier)
}

fn build(
    wait_limit: Duration,
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<reqwest::Client, String> {
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| with_causes(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let rules = ProxyRules::from_environment();
    // The crate has other rules for NO_PROXY.
    let proxy = reqwest::Proxy::custom(move |address| rules.proxy_of(address).ok().flatten().cloned());
    reqwest::Client::builder()
        .timeout(wait_limit)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tailwatch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .proxy(proxy)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| with_causes(&error))
}

/// The last verified server certificate. With an https proxy, the proxy's own certificate comes first.
#[derive(Clone, Debug, Default)]
pub(super) struct LastCertificate(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl LastCertificate {
    /// The certificate, in DER.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client that records the server's certificate: reqwest's TlsInfo has none behind a proxy's tunnel.
pub(super) fn recording_client(wait_limit: Duration) -> Result<(reqwest::Client, LastCertificate), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let last = LastCertificate::default();
    let verifier = Verifier::new(Roots::System, provider.clone())?;
    let verifier = Arc::new(RecordingVerifier { verifier, last: last.clone() });
    Ok((build(wait_limit, provider, verifier)?, last))
}

/// Records the certificate that the verifier accepted.
#[derive(Debug)]
struct RecordingVerifier {
    verifier: Verifier,
    last: LastCertificate,
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
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
