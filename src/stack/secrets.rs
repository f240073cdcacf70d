//! Data of the own Secrets: generated once, reused by later runs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::config::{Secret, Settings};
use crate::stack::{ClusterFacts, OidcClient, SecretData, StackError};

/// The OIDC client, and `cookie-secret`: the existing one if oauth2-proxy accepts it.
pub(super) fn oauth2_proxy(settings: &Settings, facts: &ClusterFacts) -> Result<SecretData, StackError> {
    let mut data = OidcClient::resolve(&settings.auth0, facts.oauth2_proxy.as_ref())?.data();
    let existing = facts.oauth2_proxy.as_ref().and_then(|data| data.get("cookie-secret")).cloned();
    let cookie_secret = existing.filter(|secret| is_cookie_secret(secret.expose())).unwrap_or_else(|| random_text(32));
    data.insert("cookie-secret".to_owned(), cookie_secret);
    Ok(data)
}

/// `admin-user` and `admin-password`, the password random and generated once.
pub(super) fn grafana_admin(facts: &ClusterFacts) -> SecretData {
    let existing = facts.grafana.as_ref().and_then(|data| data.get("admin-password"));
    let password = existing.filter(|password| !password.expose().is_empty()).cloned();
    SecretData::from([
        ("admin-user".to_owned(), Secret::new(b"admin".to_vec())),
        ("admin-password".to_owned(), password.unwrap_or_else(|| random_text(24))),
    ])
}

/// A hash of the values.
pub(super) fn checksum(data: &SecretData) -> String {
    let mut hash = Sha256::new();
    for (key, value) in data {
        hash.update(key.as_bytes());
        hash.update([0]);
        hash.update(Sha256::digest(value.expose()));
    }
    format!("{:x}", hash.finalize())
}

/// oauth2-proxy's rule (pkg/encryption/utils.go): 16, 24 or 32 bytes, plain or as URL-safe base64.
fn is_cookie_secret(bytes: &[u8]) -> bool {
    let fits = |length: usize| matches!(length, 16 | 24 | 32);
    let text = String::from_utf8_lossy(bytes);
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    decoded.map_or_else(|_| fits(bytes.len()), |decoded| fits(decoded.len()) || fits(bytes.len()))
}

/// Random bytes as URL-safe base64.
fn random_text(bytes: usize) -> Secret<Vec<u8>> {
    let mut buffer = vec![0_u8; bytes];
    rand::fill(&mut buffer[..]);
    Secret::new(URL_SAFE_NO_PAD.encode(buffer).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_secrets_follow_the_proxys_rule() {
        assert!(is_cookie_secret(random_text(32).expose()));
        assert!(is_cookie_secret(b"0123456789abcdef"));
        // Standard base64 of 32 bytes with + or / is taken literally: 44 bytes.
        assert!(!is_cookie_secret(b"ab+/ab+/ab+/ab+/ab+/ab+/ab+/ab+/ab+/ab+/ab+="));
        assert!(!is_cookie_secret(b"short"));
    }

    #[test]
    fn the_checksum_follows_the_values() {
        let data = |value: &str| SecretData::from([("a".to_owned(), Secret::new(value.as_bytes().to_vec()))]);
        assert_eq!(checksum(&data("x")), checksum(&data("x")));
        assert_ne!(checksum(&data("x")), checksum(&data("y")));
    }
}
