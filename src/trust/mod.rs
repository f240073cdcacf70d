//! Verification of server certificates, and the problem of a rejected one. A server certificate may also be a trusted
//! root, or a CA certificate signed by one, as in Go's crypto/x509 and OpenSSL; rustls-webpki alone rejects both with
//! CaUsedAsEndEntity.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

pub use problems::Fault;

mod problems;

/// The source of trusted roots.
#[derive(Clone, Debug)]
pub enum Roots {
    /// This machine's trust store, or SSL_CERT_FILE.
    System,
    /// Certificates in PEM.
    Bundle(Vec<u8>),
    /// A PEM file, read again when it changes.
    File(PathBuf),
}

/// The certificates that a [`Verifier`] saw last.
#[derive(Clone, Debug, Default)]
pub struct Verifications(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    accepted: Option<CertificateDer<'static>>,
    fault: Option<Fault>,
}

impl Verifications {
    /// The last accepted certificate, in DER. With an https proxy, the proxy's own comes first.
    pub fn accepted(&self) -> Option<CertificateDer<'static>> {
        self.last().accepted.clone()
    }

    /// The problem of the last rejected certificate.
    pub fn fault(&self) -> Option<Fault> {
        self.last().fault.clone()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies server certificates.
#[derive(Debug)]
pub struct Verifier {
    source: Roots,
    provider: Arc<CryptoProvider>,
    known: RwLock<Arc<Known>>,
    verifications: Verifications,
}

/// Parsed roots.
#[derive(Debug)]
struct Known {
    text: Vec<u8>,
    /// `None`: no CA root.
    webpki: Option<Arc<dyn ServerCertVerifier>>,
    roots: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// The error is a fragment: the problem of the roots.
    pub fn new(source: Roots, provider: Arc<CryptoProvider>) -> Result<Verifier, String> {
        let known = Known::read(&source, &provider)?;
        Ok(Verifier { source, provider, known: RwLock::new(Arc::new(known)), verifications: Verifications::default() })
    }

    /// The record of its verifications.
    pub fn verifications(&self) -> Verifications {
        self.verifications.clone()
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The new roots, if their file has changed.
    fn changed(&self, before: &Known) -> Option<Arc<Known>> {
        let Roots::File(_) = &self.source else { return None };
        let fresh = Arc::new(Known::read(&self.source, &self.provider).ok().filter(|fresh| fresh.text != before.text)?);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Some(fresh)
    }
}

impl Known {
    fn read(source: &Roots, provider: &Arc<CryptoProvider>) -> Result<Known, String> {
        let text = match source {
            Roots::System => {
                let webpki = rustls_platform_verifier::Verifier::new(provider.clone());
                let webpki = webpki.map_err(|error| format!("this machine's trust store cannot be used: {error}"))?;
                return Ok(Known { text: Vec::new(), webpki: Some(Arc::new(webpki)), roots: Vec::new() });
            }
            Roots::Bundle(text) => text.clone(),
            Roots::File(path) => {
                std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?
            }
        };
        // Other PEM blocks are skipped (AppendCertsFromPEM of crypto/x509).
        let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .filter_map(Result::ok)
            .filter(|root| X509Certificate::from_der(root).is_ok())
            .collect();
        if roots.is_empty() {
            return Err("the certificate authority has no certificate in PEM".into());
        }
        // Go rejects a chain with an expired root; webpki does not check.
        let mut store = RootCertStore::empty();
        let now = UnixTime::now();
        store.add_parsable_certificates(roots.iter().filter(|root| in_time(root, now).is_ok()).cloned());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build().ok();
        Ok(Known { text, webpki: webpki.map(|webpki| webpki as Arc<dyn ServerCertVerifier>), roots })
    }

    fn verify(&self, server: &Presented<'_>, now: UnixTime) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let webpki = self
            .webpki
            .as_ref()
            .map(|webpki| webpki.verify_server_cert(server.certificate, server.intermediates, server.name, &[], now));
        let rejection = match webpki.unwrap_or_else(|| Err(unknown())) {
            Ok(verified) => return Ok(verified),
            Err(rejection) => rejection,
        };
        let of_system = match self.text.is_empty() {
            true => rustls_native_certs::load_native_certs().certs,
            false => Vec::new(),
        };
        let mut roots = self.roots.iter().chain(&of_system);
        let is_ca = rejection.to_string().contains("CaUsedAsEndEntity");
        let is_trusted =
            roots.any(|root| root == server.certificate || is_ca && is_signed(server.certificate, root, now));
        if !is_trusted {
            return Err(rejection);
        }
        in_time(server.certificate, now)?;
        for_servers(server.certificate)?;
        verify_server_name(&ParsedCertificate::try_from(server.certificate)?, server.name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// The certificates of a server, and its name.
struct Presented<'a> {
    certificate: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
}

/// Whether a valid CA root signed this certificate.
fn is_signed(certificate: &CertificateDer<'_>, root: &CertificateDer<'_>, now: UnixTime) -> bool {
    let (Ok((_, signed)), Ok((_, authority))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(root))
    else {
        return false;
    };
    signed.issuer().as_raw() == authority.subject().as_raw()
        && authority.is_ca()
        && in_time(root, now).is_ok()
        && signed.verify_signature(Some(authority.public_key())).is_ok()
}

fn in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let time = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if time < parsed.validity().not_before.timestamp() {
        return Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    match time > parsed.validity().not_after.timestamp() {
        true => Err(rustls::Error::InvalidCertificate(CertificateError::Expired)),
        false => Ok(()),
    }
}

/// The extended key usage, if present, must include servers.
fn for_servers(certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    let parsed = X509Certificate::from_der(certificate).ok();
    let usage = parsed.as_ref().and_then(|(_, parsed)| parsed.extended_key_usage().ok().flatten());
    match usage.is_none_or(|usage| usage.value.server_auth || usage.value.any) {
        true => Ok(()),
        false => Err(rustls::Error::InvalidCertificate(CertificateError::InvalidPurpose)),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let server = Presented { certificate: end_entity, intermediates, name: server_name };
        let known = self.known();
        let verified = known.verify(&server, now).or_else(|rejection| match self.changed(&known) {
            Some(fresh) => fresh.verify(&server, now),
            None => Err(rejection),
        });
        match &verified {
            Ok(_) => self.verifications.last().accepted = Some(end_entity.clone().into_owned()),
            Err(rejection) => {
                let roots = self.known();
                let fault = Fault::of(rejection, end_entity, server_name, &roots.roots);
                self.verifications.last().fault = Some(fault);
            }
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `insecure-skip-tls-verify`: accepts any certificate, but the server must have its key, as in Go's crypto/tls.
#[derive(Debug)]
pub struct AnyCertificate(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    /// Uses only the key: webpki cannot read some certificates, such as X.509 version 1.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
