//! What the answers say of the identity provider, proven by asking it before anything is installed. This machine asks,
//! while it is the cluster that needs the answers: that it does not get through proves nothing and is only a warning.

mod client;
mod discovery;

use reqwest::{Client, RequestBuilder, Url};
use tokio::sync::OnceCell;

use crate::check::https_client;
use crate::check::row::{Finding, Row};
use crate::check::runner::{self, Selection, Subject};
use crate::cluster::{Cluster, ClusterError};
use crate::config::Settings;
use crate::event::CheckResult;
use crate::stack::{OAUTH2_PROXY_SECRET, OidcClient, StackError};

use client::Reaction;
use discovery::Document;

/// Group of its rows.
pub const GROUP: &str = "identity provider";
/// Redirects that are followed, as oauth2-proxy follows them.
const HOPS: usize = 5;

/// What the rows look at.
pub(in crate::check) struct Identity {
    settings: Settings,
    /// `None` where it is given nowhere, or may not be sent to this issuer.
    client: Option<OidcClient>,
    web: Result<Client, String>,
    selection: Selection,
    document: OnceCell<Result<Document, Unreachable>>,
    reaction: OnceCell<Result<Reaction, Unreachable>>,
}

/// Asks the identity provider. Without a client nothing that needs its secret is asked.
pub async fn run(settings: &Settings, client: Option<OidcClient>) -> Vec<CheckResult> {
    let identity = Identity {
        settings: settings.clone(),
        client,
        web: https_client::client(https_client::TIMEOUT),
        selection: Selection::default(),
        document: OnceCell::new(),
        reaction: OnceCell::new(),
    };
    runner::run(&rows(), &identity, None).await
}

/// The client of the answers with its secret: the answers', else the one that the cluster keeps for this issuer and
/// client id.
pub async fn client(cluster: &Cluster, settings: &Settings) -> Result<Result<OidcClient, StackError>, ClusterError> {
    let kept = cluster.secret(settings.namespace.as_str(), OAUTH2_PROXY_SECRET).await?;
    Ok(OidcClient::resolve(&settings.auth0, kept.as_ref()))
}

pub(in crate::check) fn rows() -> Vec<&'static Row<Identity>> {
    discovery::ROWS.iter().chain(client::ROWS).collect()
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
enum Unreachable {
    /// This machine did not get through.
    Away(String),
    /// Whoever answered is not who was meant, or answered something else.
    Wrong(String),
}

impl Unreachable {
    fn finding(&self) -> Finding {
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
struct HttpReply {
    status: u16,
    location: Option<Url>,
    body: String,
}

impl HttpReply {
    /// `404: Not Found`
    fn in_words(&self) -> String {
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
    async fn ask(&self, build: impl FnOnce(&Client) -> RequestBuilder) -> Result<HttpReply, Unreachable> {
        let client = self.web.as_ref().map_err(|why| Unreachable::Away(why.clone()))?;
        let response = build(client).send().await.map_err(in_words)?;
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.and_then(|text| response.url().join(text).ok());
        Ok(HttpReply { status, location, body: response.text().await.map_err(in_words)? })
    }

    /// The answer to a GET at the end of its redirects.
    async fn get(&self, mut url: Url) -> Result<HttpReply, Unreachable> {
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
fn endpoint(name: &str, text: &str) -> Result<Url, Unreachable> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    url.ok_or_else(|| Unreachable::Wrong(format!("the {name} of its document is {text:?}, expected an https URL")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn ids_are_unique_and_needs_stand_before() {
        let rows = rows();
        for (at, row) in rows.iter().enumerate() {
            let before: Vec<_> = rows[..at].iter().map(|row| row.id).collect();
            assert!(!before.contains(&row.id), "{} twice", row.id);
            assert!(row.needs.iter().all(|need| before.contains(need)), "{}", row.id);
            assert!(!row.hint.is_empty(), "{} has no hint", row.id);
        }
    }

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
