//! The issuer's discovery document and its keys, which oauth2-proxy requires at its start.

use serde_json::Value;

use crate::check::preflight::oidc::identity::{Document, GROUP, HttpReply, Identity, Unreachable, endpoint};
use crate::check::row::{Finding, Row, once};
use crate::config::{Auth0, GroupsClaim};
use crate::stack::Auth0Endpoints;

pub(super) const DISCOVERY: &str = "issuer-discovery";

pub(super) const ROWS: &[Row<Identity>] = &[
    Row::new(DISCOVERY, GROUP, "the issuer publishes its discovery document", |identity| {
        once(published(identity))
    })
    .hint("compare auth0.issuer with the domain of the tenant or its custom domain; SSL_CERT_FILE sets the trusted authorities"),
    Row::new("issuer-match", GROUP, "the document has exactly the configured issuer", |identity| {
        once(of_document(identity, |document| identical(identity.settings.auth0.issuer.as_str(), &document.issuer)))
    })
    .needs(&[DISCOVERY])
    .hint("tokens of another issuer are rejected: set auth0.issuer to the document's issuer"),
    Row::new("groups-claim", GROUP, "the identity provider can add the groups claim to its tokens", |identity| {
        once(of_document(identity, |document| groups_claim(document, &identity.settings.auth0.groups_claim)))
    })
    .needs(&[DISCOVERY])
    .hint("set auth0.groupsClaim to the name of a claim that the identity provider adds to ID tokens"),
    Row::new("issuer-organization", GROUP, "the identity provider has the endpoints of auth0.organization", |identity| {
        once(of_document(identity, |document| organization(document, &identity.settings.auth0)))
    })
    .needs(&[DISCOVERY])
    .hint("remove auth0.organization from the answers: with it, oauth2-proxy uses the endpoints of Auth0"),
    Row::new("issuer-authorization-code", GROUP, "the issuer offers the authorization code flow", |identity| {
        once(of_document(identity, |document| {
            offers(("response_types_supported", document.response_types.as_deref()), "code")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("oauth2-proxy needs this flow: enable it at the identity provider, or set another auth0.issuer"),
    Row::new("issuer-pkce", GROUP, "the issuer offers PKCE with S256", |identity| {
        once(of_document(identity, |document| {
            offers(("code_challenge_methods_supported", document.challenges.as_deref()), "S256")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("oauth2-proxy needs PKCE: enable it at the identity provider, or set another auth0.issuer"),
    Row::new("issuer-rs256", GROUP, "the issuer signs ID tokens with RS256", |identity| {
        once(of_document(identity, |document| {
            offers(("id_token_signing_alg_values_supported", document.signatures.as_deref()), "RS256")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("in Auth0: Applications → the application → Advanced → OAuth → JSON Web Token signature algorithm: RS256"),
    Row::new("issuer-keys", GROUP, "the issuer publishes the keys of its signatures", |identity| {
        once(keys(identity))
    })
    .needs(&[DISCOVERY])
    .hint("every token is rejected without them: check the signing keys of the identity provider"),
];

impl Identity {
    /// The document; requested once.
    pub(super) async fn document(&self) -> &Result<Document, Unreachable> {
        self.document.get_or_init(|| self.discover()).await
    }

    async fn discover(&self) -> Result<Document, Unreachable> {
        read(&self.get(self.address()?).await?)
    }

    /// The address that oauth2-proxy reads (go-oidc, NewProvider).
    fn address(&self) -> Result<reqwest::Url, Unreachable> {
        let issuer = self.settings.auth0.issuer.as_str();
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        endpoint("issuer", &format!("{issuer}/.well-known/openid-configuration"))
    }
}

pub(super) fn read(reply: &HttpReply) -> Result<Document, Unreachable> {
    let wrong = |what: String| Err(Unreachable::Invalid(what));
    match reply.status {
        200 => {}
        404 => return wrong("it answers 404: there is no issuer at this address".into()),
        _ => return wrong(format!("it answers {}", reply.summary())),
    }
    if reply.body.trim_start().starts_with('<') {
        return wrong(format!("it answers with a page, expected JSON ({})", reply.summary()));
    }
    serde_json::from_str(&reply.body)
        .or_else(|error| wrong(format!("it answers with an invalid discovery document: {error}")))
}

async fn published(identity: &Identity) -> Finding {
    match identity.document().await {
        Ok(_) => Finding::pass(identity.settings.auth0.issuer.as_str()),
        Err(error) => error.finding(),
    }
}

/// The finding of a row without the document.
pub(super) fn untested() -> Finding {
    Finding::skip("not tested, since the identity provider did not answer")
}

async fn of_document(identity: &Identity, judge: impl FnOnce(&Document) -> Finding) -> Finding {
    identity.document().await.as_ref().map_or_else(|_| untested(), judge)
}

/// Byte for byte, as oauth2-proxy and the token verification compare it.
fn identical(configured: &str, found: &str) -> Finding {
    if configured == found {
        return Finding::pass(found);
    }
    let hint = format!("set auth0.issuer to {found}");
    if found.strip_suffix('/') == Some(configured) {
        Finding::fail(format!("the slash at the end of {found} is missing in {configured}")).hinting(hint)
    } else if configured.strip_suffix('/') == Some(found) {
        Finding::fail(format!("the issuer is {found}, without the slash at the end of {configured}")).hinting(hint)
    } else {
        Finding::fail(format!("the issuer is {found}, configured is {configured}")).hinting(hint)
    }
}

/// Auth0 serves custom domains, too, so the document decides whether its rules hold.
pub(super) fn groups_claim(document: &Document, claim: &GroupsClaim) -> Finding {
    let is_auth0 = document.mfa_challenge_endpoint.is_some();
    match claim.reason_dropped_by_auth0().filter(|_| is_auth0) {
        Some(reason) => Finding::fail(format!("{claim}: {reason}")),
        None => Finding::pass(claim.as_str()),
    }
}

/// With an organization, oauth2-proxy uses the addresses of Auth0 instead of the document's.
pub(super) fn organization(document: &Document, auth0: &Auth0) -> Finding {
    let Some(organization) = &auth0.organization else { return Finding::pass("auth0.organization is not set") };
    let expected = Auth0Endpoints::of(auth0);
    let compared = [
        ("authorization_endpoint", &document.authorization_endpoint, expected.authorization),
        ("token_endpoint", &document.token_endpoint, expected.token),
        ("jwks_uri", &document.jwks_uri, expected.keys),
    ];
    match compared.into_iter().find(|(_, found, expected)| *found != expected) {
        Some((name, found, expected)) => Finding::fail(format!("{name} is {found}, Auth0 has {expected}")),
        None => Finding::pass(organization.to_string()),
    }
}

fn offers((list, offered): (&str, Option<&[String]>), expected: &str) -> Finding {
    let offered = offered.unwrap_or_default();
    if offered.iter().any(|entry| entry == expected) {
        return Finding::pass(expected);
    }
    let all = if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") };
    Finding::fail(format!("{list} has {all}, expected {expected}"))
}

async fn keys(identity: &Identity) -> Finding {
    let Ok(document) = identity.document().await else { return untested() };
    let answer = match endpoint("jwks_uri", &document.jwks_uri) {
        Ok(url) => identity.get(url).await,
        Err(error) => Err(error),
    };
    answer.map_or_else(|error| error.finding(), |reply| judge_keys(&document.jwks_uri, &reply))
}

pub(super) fn judge_keys(address: &str, reply: &HttpReply) -> Finding {
    if reply.status != 200 {
        return Finding::fail(format!("{address} answers {}", reply.summary()));
    }
    let Ok(set) = serde_json::from_str::<Value>(&reply.body) else {
        return Finding::fail(format!("{address} does not answer with JSON"));
    };
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let signs = |key: &&Value| key["kty"] == "RSA" && (key["use"].is_null() || key["use"] == "sig");
    match keys.iter().filter(signs).count() {
        0 => Finding::fail(format!("{address} has no RSA signing key, of {} keys", keys.len())),
        count => Finding::pass(format!("RSA signing keys: {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    fn reply(status: u16, body: &str) -> HttpReply {
        HttpReply { status, location: None, body: body.into() }
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        let (with, without) = ("https://acme.example/", "https://acme.example");
        assert_eq!(identical(with, with).state, State::Pass);
        for (configured, found, part) in [
            (without, with, "the slash at the end of https://acme.example/ is missing"),
            (with, without, "without the slash at the end"),
            (with, "https://login.acme.example/", "the issuer is https://login.acme.example/"),
            ("https://Acme.example/", with, "configured is https://Acme.example/"),
        ] {
            let finding = identical(configured, found);
            assert!(finding.state == State::Fail && finding.detail.contains(part), "{finding:?}");
            assert_eq!(finding.hint, Some(format!("set auth0.issuer to {found}")));
        }
    }

    #[test]
    fn an_invalid_document_is_reported_with_its_reason() {
        let whole = r#"{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","jwks_uri":"j"}"#;
        assert!(read(&reply(200, whole)).is_ok());
        for (answer, part) in [
            (reply(404, "gone"), "there is no issuer"),
            (reply(503, "<p>Maintenance</p>"), "503: Maintenance"),
            (reply(200, "\n<!doctype html><p>Portal</p>"), "a page, expected JSON"),
            (reply(200, r#"{"issuer":"i"}"#), "missing field `authorization_endpoint`"),
        ] {
            let Err(Unreachable::Invalid(what)) = read(&answer) else { panic!("{answer:?}") };
            assert!(what.contains(part), "{what}");
        }
    }

    #[test]
    fn only_auth0_restricts_the_name_of_the_groups_claim() {
        let whole = r#"{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","jwks_uri":"j"}"#;
        let keycloak = read(&reply(200, whole)).unwrap();
        let auth0 = Document {
            mfa_challenge_endpoint: Some("https://login.acme.example/mfa/challenge".into()),
            ..keycloak.clone()
        };
        for (claim, state) in [("groups", State::Fail), ("https://acme.example/groups", State::Pass)] {
            let claim = claim.parse().unwrap();
            assert_eq!(groups_claim(&keycloak, &claim).state, State::Pass, "{claim}");
            assert_eq!(groups_claim(&auth0, &claim).state, state, "{claim}");
        }
    }

    #[test]
    fn an_organization_needs_the_endpoints_of_auth0_at_the_issuers_own_domain() {
        let mut auth0 = crate::config::settings_for_tests().auth0;
        auth0.issuer = "https://login.acme.example/".parse().unwrap();
        let document = |host: &str, token: &str| -> Document {
            let document = serde_json::json!({"issuer": format!("https://{host}/"), "token_endpoint": format!("https://{host}/{token}"),
                "authorization_endpoint": format!("https://{host}/authorize"),
                "jwks_uri": format!("https://{host}/.well-known/jwks.json")});
            serde_json::from_value(document).unwrap()
        };
        let keycloak = document("login.acme.example", "token");
        assert_eq!(organization(&keycloak, &auth0).state, State::Pass, "no organization is set");
        auth0.organization = Some("org_a1".parse().unwrap());
        assert_eq!(organization(&document("login.acme.example", "oauth/token"), &auth0).state, State::Pass);
        assert_eq!(organization(&keycloak, &auth0).state, State::Fail);
        assert_eq!(organization(&document("acme.eu.auth0.com", "oauth/token"), &auth0).state, State::Fail);
    }

    #[test]
    fn an_offer_is_an_entry_of_the_list() {
        let list = ["code id_token".to_owned(), "code".to_owned()];
        assert_eq!(offers(("l", Some(&list)), "code").state, State::Pass);
        assert_eq!(offers(("l", Some(&list[..1])), "code").detail, "l has code id_token, expected code");
        assert_eq!(offers(("l", None), "code").detail, "l has nothing, expected code");
    }

    #[test]
    fn a_key_set_needs_a_signing_key() {
        for (status, body, state) in [
            (200, r#"{"keys":[{"kty":"EC"},{"kty":"RSA","use":"sig"}]}"#, State::Pass),
            (200, r#"{"keys":[{"kty":"RSA"}]}"#, State::Pass),
            (200, r#"{"keys":[{"kty":"RSA","use":"enc"},{"kty":"EC"}]}"#, State::Fail),
            (200, r#"{"keys":[]}"#, State::Fail),
            (200, "<html>", State::Fail),
            (404, "", State::Fail),
        ] {
            assert_eq!(judge_keys("https://acme.example/keys", &reply(status, body)).state, state, "{body}");
        }
    }
}
