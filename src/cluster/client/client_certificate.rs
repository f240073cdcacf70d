//! The client certificate of a kubeconfig or of an exec plugin; files are read again. Source: client-go
//! transport/cert_rotation.go and transport.go, cachingCertificateLoader (v0.36).

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::cluster::client::kubeconfig_schema::User;
use crate::input_file;

/// Interval of reading the files for open connections: client-go's CertCallbackRefreshDuration
/// (transport/cert_rotation.go). A new connection reads the files.
const ROTATION: Duration = Duration::from_secs(5 * 60);
/// Size limit of a certificate or key file.
pub(super) const LARGEST: u64 = 4 << 20;

/// The client certificate that the next connection presents.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity(Arc<RwLock<Presented>>);

#[derive(Debug, Default)]
struct Presented {
    pair: Option<Arc<CertifiedKey>>,
    /// `client-certificate` and `client-key`, if both are files.
    files: Option<Files>,
    /// Number of certificates so far.
    number: u64,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// Digest of their content.
    digest: [u8; 32],
    compared: Instant,
}

impl Identity {
    /// Sets a chain and its key in PEM.
    pub(super) fn set(&self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate).filter_map(Result::ok).collect();
        if chain.is_empty() {
            return Err("the client certificate holds no certificate in PEM".into());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("the client key holds no key in PEM that is not encrypted ({error})"))?;
        let provider: CryptoProvider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| format!("the client certificate and its key cannot be used: {error}"))?;
        let mut presented = self.0.write().unwrap_or_else(PoisonError::into_inner);
        presented.pair = Some(Arc::new(pair));
        presented.number += 1;
        Ok(())
    }

    /// Reads the files again from now on, if both are files.
    pub(super) fn follow(&self, user: &User, (certificate, key): (&[u8], &[u8])) {
        let digest = digest(certificate, key);
        if !user.client_certificate.is_empty() && !user.client_key.is_empty() {
            let (certificate, key) = (PathBuf::from(&user.client_certificate), PathBuf::from(&user.client_key));
            let files = Files { certificate, key, digest, compared: Instant::now() };
            self.0.write().unwrap_or_else(PoisonError::into_inner).files = Some(files);
        }
    }

    /// The number of the certificate for a request.
    pub(super) fn after_rotation(&self) -> u64 {
        self.current(ROTATION)
    }

    /// The same; always reads the files.
    pub(super) fn now(&self) -> u64 {
        self.current(Duration::ZERO)
    }

    /// The number of the current certificate; reads the files again after this time. A certificate and a key that do
    /// not match, as during a rotation, are ignored.
    fn current(&self, after: Duration) -> u64 {
        let (certificate, key) = {
            let mut presented = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let number = presented.number;
            let Some(files) = &mut presented.files else { return number };
            if files.compared.elapsed() < after {
                return number;
            }
            files.compared = Instant::now();
            let (Ok(certificate), Ok(key)) =
                (input_file::read(&files.certificate, LARGEST), input_file::read(&files.key, LARGEST))
            else {
                return number;
            };
            let found = digest(&certificate, &key);
            if found == files.digest {
                return number;
            }
            files.digest = found;
            (certificate, key)
        };
        let _ = self.set(&certificate, &key);
        self.0.read().unwrap_or_else(PoisonError::into_inner).number
    }
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(certificate).chain_update([0]).chain_update(key).finalize().into()
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.now();
        self.0.read().unwrap_or_else(PoisonError::into_inner).pair.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pair.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::client::credentials::Credentials;

    /// A certificate with its key, in PEM.
    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[tokio::test(start_paused = true)]
    async fn files_of_a_client_certificate_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
        let write = |text: &str, of_key: &str| {
            std::fs::write(&certificate, text).unwrap();
            std::fs::write(&key, of_key).unwrap();
        };
        let (first, second, third) = (pair(), pair(), pair());
        write(&first.0, &first.1);
        let path = |path: &Path| path.display().to_string();
        let user = User { client_certificate: path(&certificate), client_key: path(&key), ..User::default() };
        let credentials = Credentials::of(&user, None).unwrap();
        let presented = || {
            let pair = credentials.identity.resolve(&[], &[]).unwrap();
            let pair = pair.cert[0].clone();
            [&first, &second, &third]
                .into_iter()
                .position(|(pem, _)| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap() == pair)
        };
        assert_eq!(presented(), Some(0));
        let before = credentials.give().await.unwrap();
        assert!(credentials.renewed(&before).await.is_none(), "no newer certificate");
        // In the middle of a rotation the two do not belong together.
        write(&second.0, &first.1);
        assert_eq!(presented(), Some(0));
        write(&second.0, &second.1);
        assert_eq!(presented(), Some(1), "a new connection presents what the files hold");
        let after = credentials.give().await.unwrap();
        assert!(after.number > before.number, "the next request opens one");
        // Without a new connection they are compared after a while, and after a refusal.
        write(&third.0, &third.1);
        assert_eq!(credentials.give().await.unwrap().number, after.number);
        let renewed = credentials.renewed(&after).await.unwrap().unwrap();
        assert!(renewed.number > after.number);
        write(&first.0, &first.1);
        tokio::time::advance(ROTATION).await;
        assert!(credentials.give().await.unwrap().number > renewed.number);
        std::fs::remove_file(&certificate).unwrap();
        assert_eq!(presented(), Some(0), "deleted files are ignored");
    }
}
