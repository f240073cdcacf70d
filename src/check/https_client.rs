//! Requests to the world outside the cluster, from this machine: through the proxy that its environment names, by the
//! rules of [`crate::proxy`], trusting what the system or SSL_CERT_FILE trusts, by those of [`crate::trust`].

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::proxy::ProxyRules;
use crate::trust::{Roots, Verifier};

/// How long one exchange may take, unless somebody is known to need longer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that gives one exchange so long, and follows no redirect.
pub(super) fn client(wait_limit: Duration) -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(Roots::System, provider.clone())?);
    built(wait_limit, provider, verifier)
}

fn built(
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
    // The crate reads NO_PROXY by rules of its own.
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

/// The certificate that the last server showed and that was believed. A proxy that is itself spoken to by TLS shows its
/// own before it joins with the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Shown {
    /// The certificate, in DER.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Such a client that tells which certificate it was shown: reqwest's own TlsInfo knows none that came through the
/// tunnel of a proxy.
pub(super) fn attentive_client(wait_limit: Duration) -> Result<(reqwest::Client, Shown), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let shown = Shown::default();
    let usual = Verifier::new(Roots::System, provider.clone())?;
    let verifier = Arc::new(Attentive { usual, shown: shown.clone() });
    Ok((built(wait_limit, provider, verifier)?, shown))
}

/// The usual verifier, which decides alone, and a note of what it believed.
#[derive(Debug)]
struct Attentive {
    usual: Verifier,
    shown: Shown,
}

impl ServerCertVerifier for Attentive {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Why a certificate was not believed, where that is what went wrong.
pub(super) fn certificate_trouble(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(current) = cause {
        let inner = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = current.downcast_ref::<rustls::Error>();
        if let Some(found) = tls.or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>())) {
            return Some(in_words(found));
        }
        cause = current.source();
    }
    None
}

fn in_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "its certificate is by an authority that this machine does not trust".into()
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

/// An error and what lies below it, in one line.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(current) = cause {
        let text = current.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        cause = current.source();
    }
    said.join(": ")
}
