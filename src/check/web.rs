//! Requests to the world outside the cluster, from this machine: through the proxy that its environment names
//! (HTTPS_PROXY, NO_PROXY), trusting what the system or SSL_CERT_FILE trusts.

use std::error::Error;
use std::time::Duration;

/// How long one exchange may take, unless somebody is known to need longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A client that gives one exchange so long, follows no redirect and keeps the certificates that it was shown.
pub(super) fn client(patience: Duration) -> Result<reqwest::Client, String> {
    // The crate leaves the choice to the program. An error says that it was made before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(patience)
        .redirect(reqwest::redirect::Policy::none())
        .tls_info(true)
        .user_agent(concat!("tailwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| words(&error))
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
pub(super) fn words(error: &(dyn Error + 'static)) -> String {
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
