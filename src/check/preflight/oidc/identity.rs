//! The identity provider: requests to it, and the answers that several rows read.

use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::check::https_client::{self, RequestError};
use crate::check::row::Finding;
use crate::check::runner::Subject;
use crate::config::Settings;
use crate::stack::OidcClient;

/// Group of its rows.
pub const GROUP: &str = "identity provider";
/// Redirects to follow, as oauth2-proxy does.
const HOPS: usize = 5;

/// The settings, the client, and the answers so far.
pub(in crate::check) struct Identity {
    pub(super) settings: Settings,
    /// `None` without a client secret, or if it must not be sent to this issuer.
    pub(super) client: Option<OidcClient>,
    pub(super) web: Result<Client, String>,
    pub(super) document: OnceCell<Result<Document, Unreachable>>,
    pub(super) reaction: OnceCell<Result<Reaction, Unreachable>>,
}

/// The discovery document (OpenID Connect Discovery 1.0, section 3), the fields that the checks use.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    /// Auth0 alone has it.
    #[serde(default)]
    pub(super) mfa_challenge_endpoint: Option<String>,
    #[serde(rename = "response_types_supported")]
    pub(super) response_types: Option<Vec<String>>,
    #[serde(rename = "code_challenge_methods_supported")]
    pub(super) challenges: Option<Vec<String>>,
    #[serde(rename = "id_token_signing_alg_values_supported")]
    pub(super) signatures: Option<Vec<String>>,
}

/// The provider's reaction to an authorization request with `prompt=none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Redirect to the callback URL: client id and callback URL are right.
    Callback,
    /// Redirect to the callback URL with an error about the client.
    ClientRejected(String),
    /// Redirect to the callback URL with an error that may be temporary or due to `prompt=none`.
    OtherError(String),
    /// The provider's own page: the id is unknown.
    UnknownClient,
    /// The provider's own page: the callback URL is not allowed.
    CallbackRejected,
    /// The provider's own page with an error about one of the two.
    Ambiguous(String),
    /// Any other answer.
    Unclear(String),
}

impl Subject for Identity {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }
}

/// Why there is no usable answer.
#[derive(Clone, Debug)]
pub(super) enum Unreachable {
    /// This machine got no answer.
    NoAnswer(String),
    /// The answer is invalid, or the certificate is.
    Invalid(String),
}

impl Unreachable {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Unreachable::NoAnswer(why) => Finding::warn(format!(
                "it is not reachable from this machine: {why}; the identity provider was not tested"
            ))
            .hinting(
                "for an unknown host check the tenant and region in auth0.issuer; behind a proxy set HTTPS_PROXY; if only \
                 the cluster reaches the identity provider, continue",
            ),
            Unreachable::Invalid(what) => Finding::fail(what),
        }
    }
}

/// An answer with any status.
#[derive(Clone, Debug)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) location: Option<Url>,
    pub(super) body: String,
}

impl HttpReply {
    /// `404: Not Found`
    pub(super) fn summary(&self) -> String {
        const SHOWN: usize = 120;
        let text = without_markup(&self.body);
        let text: String = text.chars().take(SHOWN).collect();
        if text.is_empty() { self.status.to_string() } else { format!("{}: {text}", self.status) }
    }
}

/// The text of a page, in one line.
fn without_markup(page: &str) -> String {
    let mut text = String::new();
    for (at, part) in page.split('<').enumerate() {
        let shown = if at == 0 { part } else { part.split_once('>').map_or("", |(_, shown)| shown) };
        text.push_str(shown);
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Identity {
    /// One request with the client of this environment.
    pub(super) async fn send(&self, build: impl FnOnce(&Client) -> RequestBuilder) -> Result<HttpReply, Unreachable> {
        let client = self.web.as_ref().map_err(|why| Unreachable::NoAnswer(why.clone()))?;
        let response = build(client).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.and_then(|text| response.url().join(text).ok());
        let body = https_client::body(response).await.map_err(|error| match error {
            RequestError::Failed(error) => unreachable(error),
            RequestError::TooLarge => Unreachable::Invalid(error.to_string()),
        })?;
        Ok(HttpReply { status, location, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The answer to a GET at the end of its redirects.
    pub(super) async fn get(&self, mut url: Url) -> Result<HttpReply, Unreachable> {
        for _ in 0..HOPS {
            let reply = self.send(|client| client.get(url.clone())).await?;
            match reply.location.clone().filter(|_| (300..400).contains(&reply.status)) {
                Some(next) if next.scheme() == "https" => url = next,
                _ => return Ok(reply),
            }
        }
        Err(Unreachable::Invalid(format!("{url} redirects more than {HOPS} times")))
    }
}

fn unreachable(error: reqwest::Error) -> Unreachable {
    if let Some(reason) = https_client::certificate_error(&error) {
        return Unreachable::Invalid(reason);
    }
    if error.is_timeout() {
        return Unreachable::NoAnswer(format!("it does not answer within {} s", https_client::TIMEOUT.as_secs()));
    }
    Unreachable::NoAnswer(https_client::with_causes(&error.without_url()))
}

/// An address of the document, which must be https.
pub(super) fn endpoint(name: &str, text: &str) -> Result<Url, Unreachable> {
    https_client::endpoint(name, text).map_err(Unreachable::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn an_unreachable_provider_is_a_warning() {
        assert_eq!(Unreachable::NoAnswer("no route".into()).finding().state, State::Warn);
        assert_eq!(Unreachable::Invalid("404".into()).finding().state, State::Fail);
        assert!(endpoint("token_endpoint", "http://acme.example/token").is_err());
        assert!(endpoint("token_endpoint", "").is_err());
        assert!(endpoint("token_endpoint", "https://acme.example/token").is_ok());
    }

    #[test]
    fn a_page_is_reported_by_its_text() {
        let page = "<html><title>Oops</title>\n<p class=\"a\">Unknown\n client</p></html>";
        let reply = HttpReply { status: 403, location: None, body: page.into() };
        assert_eq!(reply.summary(), "403: Oops Unknown client");
    }
}
