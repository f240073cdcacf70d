//! The operator's webhook certificate: a CA and one leaf for the Service. tailwatch generates it instead of a hook Job.

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Secret;
use crate::stack::{SecretData, StackError};

/// How long a new certificate is valid.
const VALID_DAYS: i64 = 3650;
/// A certificate with fewer days left is re-created.
const RENEW_DAYS: i64 = 30;
const DAY: i64 = 86_400;

/// Keys `ca`, `cert` and `key` (PEM): the existing ones if they are valid for the names and not about to expire, else
/// new ones. `host` is the webhook's Service, `NAME.NAMESPACE.svc`.
pub(super) fn webhook_certificate(
    host: &str,
    existing: Option<&SecretData>,
    now: Timestamp,
) -> Result<SecretData, StackError> {
    let names = dns_names(host);
    if let Some(existing) = existing.filter(|data| is_usable(data, &names, now)) {
        return Ok(existing.clone());
    }
    let (before, after) = (moment(now, -1), moment(now, VALID_DAYS));
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "tailwatch webhook CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (authority.not_before, authority.not_after) = (before, after);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = CertificateParams::new(names.clone())?;
    leaf.distinguished_name.push(DnType::CommonName, names[0].clone());
    (leaf.not_before, leaf.not_after) = (before, after);
    let leaf_key = KeyPair::generate()?;
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;
    let entry = |name: &str, pem: String| (name.to_owned(), Secret::new(pem.into_bytes()));
    Ok(SecretData::from([
        entry("ca", authority_certificate.pem()),
        entry("cert", leaf_certificate.pem()),
        entry("key", leaf_key.serialize_pem()),
    ]))
}

/// The names by which the API server calls the webhook's Service.
fn dns_names(host: &str) -> Vec<String> {
    vec![host.to_owned(), format!("{host}.cluster.local")]
}

fn moment(now: Timestamp, days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(now.as_second() + days * DAY).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn is_usable(data: &SecretData, names: &[String], now: Timestamp) -> bool {
    let complete = ["ca", "cert", "key"].iter().all(|key| data.contains_key(*key));
    let Some(pem) = data.get("cert") else { return false };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(pem.expose()) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&pem.contents) else { return false };
    let lasts = certificate.validity().not_after.timestamp() > now.as_second() + RENEW_DAYS * DAY;
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    let fits = names.iter().all(|name| {
        alternatives
            .value
            .general_names
            .iter()
            .any(|general| matches!(general, x509_parser::extensions::GeneralName::DNSName(found) if found == name))
    });
    complete && lasts && fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitting_certificate_is_kept_and_others_are_made_again() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let first = webhook_certificate("operator.monitoring.svc", None, now).unwrap();
        assert!(first == webhook_certificate("operator.monitoring.svc", Some(&first), now).unwrap());
        assert!(first != webhook_certificate("operator.other.svc", Some(&first), now).unwrap());
        let late = Timestamp::from_second(1_800_000_000 + (VALID_DAYS - 10) * DAY).unwrap();
        assert!(first != webhook_certificate("operator.monitoring.svc", Some(&first), late).unwrap());
        let broken = SecretData::from([("cert".to_owned(), Secret::new(b"nonsense".to_vec()))]);
        assert_eq!(webhook_certificate("operator.monitoring.svc", Some(&broken), now).unwrap().len(), 3);
    }
}
