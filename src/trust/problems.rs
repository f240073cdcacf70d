//! Problems of a server's certificate, with the next step.

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// Why a server's certificate was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A fragment: `its certificate has expired …`
    pub what: String,
    /// The next step.
    pub next: String,
}

impl Fault {
    /// The problem of a certificate that a server presented under a name, for these trusted roots.
    pub(super) fn of(
        rejection: &rustls::Error,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        roots: &[CertificateDer<'_>],
    ) -> Fault {
        let fault = |what: String, next: &str| Fault { what, next: next.to_owned() };
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return fault(format!("its certificate cannot be read: {rejection}"), "issue another one");
        };
        let rustls::Error::InvalidCertificate(reason) = rejection else {
            return fault(format!("its certificate is rejected: {rejection}"), "issue another one");
        };
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => fault(
                format!("its certificate has expired at {}", time(parsed.validity().not_after)),
                "renew the server's certificate, or correct the clock of this machine",
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => fault(
                format!("its certificate is not valid before {}", time(parsed.validity().not_before)),
                "compare the clocks of this machine and of the server",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                of_name(&parsed, &name.to_str())
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => of_issuer(&parsed, roots),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => fault(
                "its certificate is not meant for servers (extended key usage)".into(),
                "issue one with the extended key usage serverAuth",
            ),
            CertificateError::Revoked => fault("its certificate is revoked".into(), "issue another one"),
            other => fault(
                format!("its certificate is rejected: {other}"),
                "issue one of X.509 version 3 with an ECDSA P-256 key, or an RSA key of 2048 bits or more, and SHA-256",
            ),
        }
    }
}

fn of_name(parsed: &X509Certificate<'_>, requested: &str) -> Fault {
    let names = names(parsed);
    match names.first() {
        None => Fault {
            what: format!(
                "its certificate has no subjectAltName, only the subject {}, which Kubernetes clients ignore",
                parsed.subject()
            ),
            next: format!("issue one with a subjectAltName for {requested}"),
        },
        Some(first) => Fault {
            what: format!("its certificate is for {}, not for {requested}", names.join(", ")),
            next: format!("use one of its names as the server, or set `tls-server-name: {first}` in the kubeconfig"),
        },
    }
}

fn of_issuer(parsed: &X509Certificate<'_>, roots: &[CertificateDer<'_>]) -> Fault {
    let issuer = parsed.issuer();
    let known = roots.iter().filter_map(|root| X509Certificate::from_der(root).ok().map(|(_, root)| root));
    let same = known.into_iter().find(|root| root.subject().as_raw() == issuer.as_raw());
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    match same {
        Some(root) if root.validity().not_after.timestamp() < now => Fault {
            what: format!("its authority {issuer} has expired at {}", time(root.validity().not_after)),
            next: "renew the certificate authority, then add its certificate to the kubeconfig".into(),
        },
        Some(_) => Fault {
            what: format!("its certificate was not signed by the key of the known authority {issuer}"),
            next: "get the kubeconfig again: a cluster that was re-created has a new authority".into(),
        },
        None => Fault {
            what: format!("its certificate was issued by {issuer}, which is not trusted on this machine"),
            next: "put that authority's certificate into certificate-authority-data (the kubeconfig) or SSL_CERT_FILE"
                .into(),
        },
    }
}

/// DNS names and addresses of the subjectAltName.
fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(bytes), _) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
                (_, Ok(bytes)) => Some(std::net::Ipv6Addr::from(bytes).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn time(at: x509_parser::time::ASN1Time) -> String {
    jiff::Timestamp::from_second(at.timestamp()).map_or_else(|_| at.to_string(), |at| at.to_string())
}
