//! The two OAuth clients of the stack with their secrets. Both types have private fields and one constructor: code can
//! read a secret only together with the issuer and client id that it may be sent to.

use crate::config::{Auth0, ClientId, IssuerUrl, Secret, Tailscale};
use crate::stack::{OAUTH2_PROXY_SECRET, SecretData, StackError, TAILSCALE_SECRET};

/// Keys of [`OAUTH2_PROXY_SECRET`]; oauth2-proxy's chart reads the first two and ignores the third.
const ID: &str = "client-id";
const SECRET: &str = "client-secret";
const ISSUER: &str = "issuer";
/// Keys of [`TAILSCALE_SECRET`]; the operator's chart fixes them.
const OPERATOR_ID: &str = "client_id";
const OPERATOR_SECRET: &str = "client_secret";

/// The client of the OIDC provider. A secret from the answers belongs to the issuer and client id of the same answers;
/// a stored secret only to those in the same Secret, compared byte by byte.
#[derive(Clone, Debug)]
pub struct OidcClient {
    issuer: IssuerUrl,
    id: ClientId,
    secret: Secret<String>,
}

impl OidcClient {
    /// The client of the answers; `stored` is the data of [`OAUTH2_PROXY_SECRET`]. The error says why the stored secret
    /// is not used.
    pub fn resolve(auth0: &Auth0, stored: Option<&SecretData>) -> Result<OidcClient, StackError> {
        let secret = match &auth0.client_secret {
            Some(secret) => secret.clone(),
            None => stored_secret(auth0, stored).map_err(|reason| StackError::ClientSecretMissing { reason })?,
        };
        Ok(OidcClient { issuer: auth0.issuer.clone(), id: auth0.client_id.clone(), secret })
    }

    /// The only issuer that the secret may be sent to.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// The client id that the secret belongs to.
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// The secret.
    pub fn secret(&self) -> &Secret<String> {
        &self.secret
    }

    /// Its data in [`OAUTH2_PROXY_SECRET`].
    pub(super) fn data(&self) -> SecretData {
        data([(ID, self.id.as_str()), (SECRET, self.secret.expose()), (ISSUER, self.issuer.as_str())])
    }
}

/// The issuer and client id that a stored secret belongs to; `None` without one.
pub fn stored_oidc_client(stored: &SecretData) -> Option<(String, String)> {
    text(stored, SECRET)?;
    Some((text(stored, ISSUER).unwrap_or_default(), text(stored, ID).unwrap_or_default()))
}

/// The client id that a stored secret of the Tailscale operator belongs to; `None` without one.
pub fn stored_operator_client(stored: &SecretData) -> Option<String> {
    text(stored, OPERATOR_SECRET)?;
    text(stored, OPERATOR_ID)
}

fn stored_secret(auth0: &Auth0, stored: Option<&SecretData>) -> Result<Secret<String>, String> {
    let stored = stored.ok_or_else(|| format!("the cluster has no Secret {OAUTH2_PROXY_SECRET}"))?;
    let secret = text(stored, SECRET).ok_or_else(|| format!("Secret {OAUTH2_PROXY_SECRET} has no {SECRET}"))?;
    let (issuer, id) = (text(stored, ISSUER), text(stored, ID));
    let Some(issuer) = issuer else {
        return Err(format!("Secret {OAUTH2_PROXY_SECRET} has no issuer for its {SECRET}"));
    };
    let id = id.unwrap_or_default();
    if issuer != auth0.issuer.as_str() {
        let configured = auth0.issuer.as_str();
        let slash = if issuer.trim_end_matches('/') == configured.trim_end_matches('/') {
            "; they differ in the trailing slash"
        } else {
            ""
        };
        return Err(format!(
            "the one in Secret {OAUTH2_PROXY_SECRET} belongs to the issuer {issuer:?}, not {configured:?}{slash}"
        ));
    }
    if id != auth0.client_id.as_str() {
        let configured = auth0.client_id.as_str();
        return Err(format!(
            "the one in Secret {OAUTH2_PROXY_SECRET} belongs to the client id {id:?}, not {configured:?}"
        ));
    }
    Ok(Secret::new(secret))
}

/// The OAuth client of the Tailscale operator.
#[derive(Clone, Debug)]
pub struct OperatorClient {
    id: String,
    secret: Secret<String>,
}

impl OperatorClient {
    /// The client of the answers; `stored` is the data of [`TAILSCALE_SECRET`]. A stored secret is used only for the
    /// client id in the same Secret.
    pub fn resolve(tailscale: &Tailscale, stored: Option<&SecretData>) -> Result<OperatorClient, StackError> {
        let missing = |reason: String| StackError::OperatorCredentialsMissing { reason };
        let stored_id = stored.and_then(|stored| text(stored, OPERATOR_ID));
        let configured = tailscale.oauth_client_id.clone();
        if let Some(secret) = &tailscale.oauth_client_secret {
            let id =
                configured.or(stored_id).ok_or_else(|| missing("tailscale.oauth.clientId is not answered".into()))?;
            return Ok(OperatorClient { id, secret: secret.clone() });
        }
        let secret = stored.and_then(|stored| text(stored, OPERATOR_SECRET));
        let (Some(id), Some(secret)) = (stored_id, secret) else {
            let unanswered = if configured.is_some() { "tailscale.oauth.clientSecret" } else { "tailscale.oauth" };
            return Err(missing(format!("{unanswered} is not answered")));
        };
        match configured {
            Some(configured) if configured != id => Err(missing(format!(
                "tailscale.oauth.clientSecret is not answered: the one in Secret {TAILSCALE_SECRET} belongs to the \
                 client id {id:?}, not {configured:?}"
            ))),
            _ => Ok(OperatorClient { id, secret: Secret::new(secret) }),
        }
    }

    /// Its data in [`TAILSCALE_SECRET`].
    pub(super) fn data(&self) -> SecretData {
        data([(OPERATOR_ID, self.id.as_str()), (OPERATOR_SECRET, self.secret.expose())])
    }
}

/// The text of a key, unless empty.
fn text(data: &SecretData, key: &str) -> Option<String> {
    let bytes = data.get(key)?.expose();
    String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
}

fn data<const N: usize>(entries: [(&str, &str); N]) -> SecretData {
    entries.map(|(key, text)| (key.to_owned(), Secret::new(text.as_bytes().to_vec()))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings_for_tests;

    const ISSUED_BY: &str = "https://acme.eu.auth0.com/";

    fn auth0(issuer: &str, id: &str, secret: Option<&str>) -> Auth0 {
        Auth0 {
            issuer: issuer.parse().unwrap(),
            client_id: id.parse().unwrap(),
            client_secret: secret.map(|secret| Secret::new(secret.to_owned())),
            ..settings_for_tests().auth0
        }
    }

    fn stored(entries: &[(&str, &str)]) -> SecretData {
        entries.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(text.as_bytes().to_vec()))).collect()
    }

    fn reason(error: StackError) -> String {
        let (StackError::ClientSecretMissing { reason } | StackError::OperatorCredentialsMissing { reason }) = error
        else {
            panic!("{error}")
        };
        assert!(!reason.contains("s3cret"), "{reason}");
        reason
    }

    #[test]
    fn a_stored_secret_is_used_for_its_own_issuer_and_client_only() {
        let bound = stored(&[(ID, "client-1"), (SECRET, "s3cret"), (ISSUER, ISSUED_BY)]);
        let client = OidcClient::resolve(&auth0(ISSUED_BY, "client-1", None), Some(&bound)).unwrap();
        assert_eq!((client.issuer().as_str(), client.id().as_str()), (ISSUED_BY, "client-1"));
        assert_eq!(client.secret().expose(), "s3cret");
        assert_eq!(client.data(), bound);
        let unbound = stored(&[(ID, "client-1"), (SECRET, "s3cret")]);
        let empty = stored(&[(ID, "client-1"), (SECRET, ""), (ISSUER, ISSUED_BY)]);
        for (issuer, id, data, named) in [
            ("https://evil.example/", "client-1", Some(&bound), "https://evil.example/"),
            ("https://acme.eu.auth0.com.evil.example/", "client-1", Some(&bound), "evil.example"),
            ("https://acme.eu.auth0.com/x", "client-1", Some(&bound), "auth0.com/x"),
            (ISSUED_BY, "client-2", Some(&bound), "client-2"),
            (ISSUED_BY, "Client-1", Some(&bound), "Client-1"),
            (ISSUED_BY, "client-1", Some(&unbound), "has no issuer"),
            (ISSUED_BY, "client-1", Some(&empty), "has no client-secret"),
            (ISSUED_BY, "client-1", None, "has no Secret"),
        ] {
            let reported = reason(OidcClient::resolve(&auth0(issuer, id, None), data).unwrap_err());
            assert!(reported.contains(named), "{reported}");
            let given = OidcClient::resolve(&auth0(issuer, id, Some("again")), data).unwrap();
            assert_eq!((given.issuer().as_str(), given.secret().expose().as_str()), (issuer, "again"));
        }
    }

    #[test]
    fn a_trailing_slash_makes_another_issuer() {
        let bound = stored(&[(ID, "c"), (SECRET, "s3cret"), (ISSUER, "https://id.acme.example/realm/")]);
        let configured = auth0("https://id.acme.example/realm", "c", None);
        let reported = reason(OidcClient::resolve(&configured, Some(&bound)).unwrap_err());
        assert!(reported.contains("trailing slash"), "{reported}");
    }

    #[test]
    fn the_operators_secret_is_used_for_its_own_client_only() {
        let bound = stored(&[(OPERATOR_ID, "k1"), (OPERATOR_SECRET, "s3cret")]);
        let resolved = |id: Option<&str>, secret: Option<&str>, data: Option<&SecretData>| {
            let secret = secret.map(|text| Secret::new(text.to_owned()));
            let answers = settings_for_tests().tailscale;
            let oauth_client_id = id.map(str::to_owned);
            let answers = Tailscale { oauth_client_id, oauth_client_secret: secret, ..answers };
            OperatorClient::resolve(&answers, data).map(|client| (client.id.clone(), client.secret.expose().clone()))
        };
        let pair = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        assert_eq!(resolved(None, None, Some(&bound)).unwrap(), pair("k1", "s3cret"));
        assert_eq!(resolved(Some("k1"), None, Some(&bound)).unwrap(), pair("k1", "s3cret"));
        assert_eq!(resolved(None, Some("new"), Some(&bound)).unwrap(), pair("k1", "new"));
        assert_eq!(resolved(Some("k2"), Some("new"), Some(&bound)).unwrap(), pair("k2", "new"));
        assert!(reason(resolved(Some("k2"), None, Some(&bound)).unwrap_err()).contains("k2"));
        assert!(reason(resolved(Some("k1"), None, None).unwrap_err()).contains("clientSecret"));
        assert!(reason(resolved(None, Some("new"), None).unwrap_err()).contains("clientId"));
        assert!(resolved(None, None, None).is_err());
    }
}
