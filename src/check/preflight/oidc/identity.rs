//! The identity provider: requests to it, and the answers that several rows read.

use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::check::https_client;
use crate::check::row::Finding;
use crate::check::runner::{Selection, Subject};
use crate::config::Settings;
use crate::stack::OidcClient;

/// Group of its rows.
pub const GROUP: &str = "identity provider";
/// Redirects that are followed, as oauth2-proxy follows them.
const HOPS: usize = 5;

/// What the rows look at.
pub(in crate::check) struct Identity {
    pub(super) settings: Settings,
    /// `None` where it is given nowhere, or may not be sent to this issuer.
    pub(super) client: Option<OidcClient>,
    pub(super) web: Result<Client, String>,
    pub(super) selection: Selection,
    pub(super) document: OnceCell<Result<Document, Unreachable>>,
    pub(super) reaction: OnceCell<Result<Reaction, Unreachable>>,
}

/// The discovery document (OpenID Connect Discovery 1.0, section 3), as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    #[serde(rename = "response_types_supported")]
    pub(super) response_types: Option<Vec<String>>,
    #[serde(rename = "code_challenge_methods_supported")]
    pub(super) challenges: Option<Vec<String>>,
    #[serde(rename = "id_token_signing_alg_values_supported")]
    pub(super) signatures: Option<Vec<String>>,
}

/// What a silent request for a code leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Back to the callback URL, because nobody is signed in: id and callback URL are right.
    Back,
    /// Back to the callback URL, with an error that is about the client.
    Refused(String),
    /// Back to the callback URL, with an error that may pass or be about the silence.
    Doubtful(String),
    /// The provider's own page: the id is unknown.
    UnknownClient,
    /// The provider's own page: the callback URL is not allowed.
    CallbackRefused,
    /// The provider's own page, and nobody can tell which of the two it means.
    KnownError(String),
    /// Anything else.
    Unclear(String),
}

impl Subject for Identity {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }

    fn has(&self, _component: &str) -> bool {
        true
    }

    fn selection(&self) -> &Selection {
        &self.selection
    }
}

/// Why there is nothing to judge.
#[derive(Clone, Debug)]
pub(super) enum Unreachable {
    /// This machine did not get through.
    Away(String),
    /// Whoever answered is not who was meant, or answered something else.
    Wrong(String),
}

impl Unreachable {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Unreachable::Away(why) => Finding::warn(format!(
                "it could not be asked from this machine: {why}; nothing about the identity provider was proven"
            ))
            .hinting(
                "a host that does not exist is most often a wrong tenant or region in auth0.issuer; behind a proxy set \
                 HTTPS_PROXY; where only the cluster reaches the identity provider, go on",
            ),
            Unreachable::Wrong(what) => Finding::fail(what),
        }
    }
}

/// An answer, whatever it says.
#[derive(Clone, Debug)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) location: Option<Url>,
    pub(super) body: String,
}

impl HttpReply {
    /// `404: Not Found`
    pub(super) fn in_words(&self) -> String {
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
    /// One request, built with the client that the environment allows for.
    pub(super) async fn ask(&self, build: impl FnOnce(&Client) -> RequestBuilder) -> Result<HttpReply, Unreachable> {
        let client = self.web.as_ref().map_err(|why| Unreachable::Away(why.clone()))?;
        let response = build(client).send().await.map_err(in_words)?;
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.and_then(|text| response.url().join(text).ok());
        Ok(HttpReply { status, location, body: response.text().await.map_err(in_words)? })
    }

    /// The answer to a GET at the end of its redirects.
    pub(super) async fn get(&self, mut url: Url) -> Result<HttpReply, Unreachable> {
        for _ in 0..HOPS {
            let said = self.ask(|client| client.get(url.clone())).await?;
            match said.location.clone().filter(|_| (300..400).contains(&said.status)) {
                Some(next) if next.scheme() == "https" => url = next,
                _ => return Ok(said),
            }
        }
        Err(Unreachable::Wrong(format!("{url} leads from one address to the next without an end")))
    }
}

fn in_words(error: reqwest::Error) -> Unreachable {
    if let Some(trouble) = https_client::certificate_trouble(&error) {
        return Unreachable::Wrong(trouble);
    }
    if error.is_timeout() {
        return Unreachable::Away(format!("it does not answer within {} s", https_client::TIMEOUT.as_secs()));
    }
    Unreachable::Away(https_client::with_causes(&error.without_url()))
}

/// An address of the document, which must not be asked in the open.
pub(super) fn endpoint(name: &str, text: &str) -> Result<Url, Unreachable> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    url.ok_or_else(|| Unreachable::Wrong(format!("the {name} of its document is {text:?}, expected an https URL")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn who_does_not_get_through_has_proven_nothing() {
        assert_eq!(Unreachable::Away("no route".into()).finding().state, State::Warn);
        assert_eq!(Unreachable::Wrong("404".into()).finding().state, State::Fail);
        assert!(endpoint("token_endpoint", "http://acme.example/token").is_err());
        assert!(endpoint("token_endpoint", "").is_err());
        assert!(endpoint("token_endpoint", "https://acme.example/token").is_ok());
    }

    #[test]
    fn a_page_is_reported_by_its_text() {
        let page = "<html><title>Oops</title>\n<p class=\"a\">Unknown\n client</p></html>";
        let said = HttpReply { status: 403, location: None, body: page.into() };
        assert_eq!(said.in_words(), "403: Oops Unknown client");
    }
}
