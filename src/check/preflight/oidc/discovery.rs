//! The issuer's discovery document and its keys: what oauth2-proxy reads when it starts and cannot do without.

use serde_json::Value;

use crate::check::preflight::oidc::identity::{Document, GROUP, HttpReply, Identity, Unreachable, endpoint};
use crate::check::row::{Finding, Row};

pub(super) const DISCOVERY: &str = "issuer-discovery";

pub(super) const ROWS: &[Row<Identity>] = &[
    Row::new(DISCOVERY, GROUP, "the issuer publishes its discovery document", |identity| {
        Box::pin(published(identity))
    })
    .hint("compare auth0.issuer with the domain of the tenant or its custom domain; SSL_CERT_FILE names authorities to trust"),
    Row::new("issuer-match", GROUP, "the document names the issuer exactly as it was answered", |identity| {
        Box::pin(of_document(identity, |document| identical(identity.settings.auth0.issuer.as_str(), &document.issuer)))
    })
    .needs(&[DISCOVERY])
    .hint("tokens of another issuer are refused: answer auth0.issuer as the document has it"),
    Row::new("issuer-authorization-code", GROUP, "the issuer offers the authorization code flow", |identity| {
        Box::pin(of_document(identity, |document| {
            offers(("response_types_supported", document.response_types.as_deref()), "code")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("oauth2-proxy signs people in by code: allow it at the identity provider, or answer another auth0.issuer"),
    Row::new("issuer-pkce", GROUP, "the issuer offers PKCE with S256", |identity| {
        Box::pin(of_document(identity, |document| {
            offers(("code_challenge_methods_supported", document.challenges.as_deref()), "S256")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("oauth2-proxy asks with a challenge: switch PKCE on at the identity provider, or answer another auth0.issuer"),
    Row::new("issuer-rs256", GROUP, "the issuer signs ID tokens with RS256", |identity| {
        Box::pin(of_document(identity, |document| {
            offers(("id_token_signing_alg_values_supported", document.signatures.as_deref()), "RS256")
        }))
    })
    .needs(&[DISCOVERY])
    .hint("in Auth0: Applications → the application → Advanced → OAuth → JSON Web Token signature algorithm: RS256"),
    Row::new("issuer-keys", GROUP, "the issuer publishes the keys that its signatures are judged by", |identity| {
        Box::pin(keys(identity))
    })
    .needs(&[DISCOVERY])
    .hint("every token is rejected without them: check the signing keys of the identity provider"),
];

impl Identity {
    /// The document, asked for once.
    pub(super) async fn document(&self) -> &Result<Document, Unreachable> {
        self.document.get_or_init(|| self.discover()).await
    }

    async fn discover(&self) -> Result<Document, Unreachable> {
        read(&self.get(self.address()?).await?)
    }

    /// Where oauth2-proxy looks for it (go-oidc, NewProvider).
    fn address(&self) -> Result<reqwest::Url, Unreachable> {
        let issuer = self.settings.auth0.issuer.as_str();
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        endpoint("issuer", &format!("{issuer}/.well-known/openid-configuration"))
    }
}

fn read(said: &HttpReply) -> Result<Document, Unreachable> {
    let wrong = |what: String| Err(Unreachable::Wrong(what));
    match said.status {
        200 => {}
        404 => return wrong("it answers 404: there is no issuer at this address".into()),
        _ => return wrong(format!("it answers {}", said.in_words())),
    }
    if said.body.trim_start().starts_with('<') {
        return wrong(format!("it answers with a page and not with JSON ({})", said.in_words()));
    }
    serde_json::from_str(&said.body)
        .or_else(|error| wrong(format!("it answers with something that is no discovery document: {error}")))
}

async fn published(identity: &Identity) -> Finding {
    match identity.document().await {
        Ok(_) => Finding::pass(identity.settings.auth0.issuer.as_str()),
        Err(unanswered) => unanswered.finding(),
    }
}

/// What a row says that depends on the document while there is none.
pub(super) fn unproven() -> Finding {
    Finding::skip("not tested, since the identity provider could not be asked")
}

async fn of_document(identity: &Identity, judge: impl FnOnce(&Document) -> Finding) -> Finding {
    identity.document().await.as_ref().map_or_else(|_| unproven(), judge)
}

/// Byte for byte, as oauth2-proxy and the token's check compare it.
fn identical(asked: &str, found: &str) -> Finding {
    if asked == found {
        return Finding::pass(found);
    }
    let write = format!("answer auth0.issuer with {found}");
    if found.strip_suffix('/') == Some(asked) {
        Finding::fail(format!("the slash at the end of {found} is missing in the answer {asked}")).hinting(write)
    } else if asked.strip_suffix('/') == Some(found) {
        Finding::fail(format!("the issuer is {found}, without the slash at the end of the answer {asked}"))
            .hinting(write)
    } else {
        Finding::fail(format!("the issuer is {found}, answered was {asked}")).hinting(write)
    }
}

fn offers((list, offered): (&str, Option<&[String]>), wanted: &str) -> Finding {
    let offered = offered.unwrap_or_default();
    if offered.iter().any(|entry| entry == wanted) {
        return Finding::pass(wanted);
    }
    let all = if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") };
    Finding::fail(format!("{list} has {all}, expected {wanted}"))
}

async fn keys(identity: &Identity) -> Finding {
    let Ok(document) = identity.document().await else { return unproven() };
    let asked = match endpoint("jwks_uri", &document.jwks_uri) {
        Ok(url) => identity.get(url).await,
        Err(unanswered) => Err(unanswered),
    };
    asked.map_or_else(|unanswered| unanswered.finding(), |said| judge_keys(&document.jwks_uri, &said))
}

fn judge_keys(address: &str, said: &HttpReply) -> Finding {
    if said.status != 200 {
        return Finding::fail(format!("{address} answers {}", said.in_words()));
    }
    let Ok(set) = serde_json::from_str::<Value>(&said.body) else {
        return Finding::fail(format!("{address} does not answer with JSON"));
    };
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let signs = |key: &&Value| key["kty"] == "RSA" && (key["use"].is_null() || key["use"] == "sig");
    match keys.iter().filter(signs).count() {
        0 => Finding::fail(format!("{address} has no RSA key to sign with, of {} keys", keys.len())),
        count => Finding::pass(format!("RSA keys to sign with: {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    fn said(status: u16, body: &str) -> HttpReply {
        HttpReply { status, location: None, body: body.into() }
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        let (with, without) = ("https://acme.example/", "https://acme.example");
        assert_eq!(identical(with, with).state, State::Pass);
        for (asked, found, part) in [
            (without, with, "the slash at the end of https://acme.example/ is missing"),
            (with, without, "without the slash at the end"),
            (with, "https://login.acme.example/", "the issuer is https://login.acme.example/"),
            ("https://Acme.example/", with, "answered was https://Acme.example/"),
        ] {
            let finding = identical(asked, found);
            assert!(finding.state == State::Fail && finding.detail.contains(part), "{finding:?}");
            assert_eq!(finding.hint, Some(format!("answer auth0.issuer with {found}")));
        }
    }

    #[test]
    fn whatever_is_no_document_is_reported_in_words() {
        let whole = r#"{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","jwks_uri":"j"}"#;
        assert!(read(&said(200, whole)).is_ok());
        for (answer, part) in [
            (said(404, "gone"), "there is no issuer"),
            (said(503, "<p>Maintenance</p>"), "503: Maintenance"),
            (said(200, "\n<!doctype html><p>Portal</p>"), "a page and not with JSON"),
            (said(200, r#"{"issuer":"i"}"#), "missing field `authorization_endpoint`"),
        ] {
            let Err(Unreachable::Wrong(what)) = read(&answer) else { panic!("{answer:?}") };
            assert!(what.contains(part), "{what}");
        }
    }

    #[test]
    fn what_is_offered_is_one_of_the_list() {
        let list = ["code id_token".to_owned(), "code".to_owned()];
        assert_eq!(offers(("l", Some(&list)), "code").state, State::Pass);
        assert_eq!(offers(("l", Some(&list[..1])), "code").detail, "l has code id_token, expected code");
        assert_eq!(offers(("l", None), "code").detail, "l has nothing, expected code");
    }

    #[test]
    fn a_key_set_needs_a_key_that_signs() {
        for (status, body, state) in [
            (200, r#"{"keys":[{"kty":"EC"},{"kty":"RSA","use":"sig"}]}"#, State::Pass),
            (200, r#"{"keys":[{"kty":"RSA"}]}"#, State::Pass),
            (200, r#"{"keys":[{"kty":"RSA","use":"enc"},{"kty":"EC"}]}"#, State::Fail),
            (200, r#"{"keys":[]}"#, State::Fail),
            (200, "<html>", State::Fail),
            (404, "", State::Fail),
        ] {
            assert_eq!(judge_keys("https://acme.example/keys", &said(status, body)).state, state, "{body}");
        }
    }
}
