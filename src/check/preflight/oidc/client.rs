//! The application at the identity provider: tests its client id, callback URL and secret without a sign-in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use crate::check::preflight::oidc::discovery::{DISCOVERY, untested};
use crate::check::preflight::oidc::identity::{GROUP, HttpReply, Identity, Reaction, Unreachable, endpoint};
use crate::check::row::{Finding, Row, once};
use crate::stack::OidcClient;

const KNOWN: &str = "client-id";

pub(super) const ROWS: &[Row<Identity>] = &[
    Row::new(KNOWN, GROUP, "the identity provider knows the client id", |identity| once(known(identity)))
        .needs(&[DISCOVERY, "issuer-authorization-code"])
        .hint("copy the Client ID of the application (in Auth0: Applications → the application → Settings) to auth0.clientId"),
    Row::new("callback-allowed", GROUP, "the identity provider accepts Grafana's callback URL", |identity| {
        once(allowed(identity))
    })
    .needs(&[DISCOVERY, "issuer-authorization-code"])
    .hint("compare grafana.hostname, tailnet and auth0.clientId with the application at the identity provider"),
    Row::new("client-secret", GROUP, "the identity provider accepts the client secret", |identity| once(secret(identity)))
        .needs(&["issuer-match", KNOWN])
        .hint("copy the Client Secret of the application again to the source of auth0.clientSecret"),
];

/// Errors that say: you may go on, only not in silence (OpenID Connect Core 1.0, section 3.1.2.6).
const INTERACTION_REQUIRED: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];
/// Errors that every sign-in gets, since the request is the same (RFC 6749, section 4.1.2.1).
const CLIENT_ERRORS: [&str; 5] =
    ["unauthorized_client", "invalid_client", "unsupported_response_type", "invalid_request", "invalid_scope"];
/// How pages say it, in lower case.
const NO_CLIENT: [&str; 6] =
    ["unknown client", "unknown_client", "invalid client", "invalid_client", "client not found", "unauthorized_client"];
const NO_CALLBACK: [&str; 4] = ["callback url", "redirect_uri", "redirect uri", "redirect url"];

impl Reaction {
    pub(super) fn of(callback: &str, reply: &HttpReply) -> Reaction {
        let redirect = reply.location.as_ref().filter(|_| (300..400).contains(&reply.status));
        if let Some(url) = redirect.filter(|url| is_at(url, callback)) {
            return Reaction::of_callback(url);
        }
        let text = format!("{} {}", redirect.map(error_texts).unwrap_or_default(), reply.body).to_lowercase();
        let has_any = |texts: &[&str]| texts.iter().any(|one| text.contains(one));
        if has_any(&NO_CLIENT) {
            Reaction::UnknownClient
        } else if reply.status >= 400 && reply.status < 500 && !has_any(&NO_CALLBACK) {
            Reaction::Ambiguous(reply.summary())
        } else if reply.status != 200 && has_any(&NO_CALLBACK) {
            Reaction::CallbackRejected
        } else {
            Reaction::Unclear(reply.summary())
        }
    }

    fn of_callback(url: &Url) -> Reaction {
        let value = |name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (error, description) = (value("error"), value("error_description"));
        if error.is_empty() || INTERACTION_REQUIRED.contains(&error.as_str()) {
            return Reaction::Callback;
        }
        let text = if description.is_empty() { error.clone() } else { format!("{error}, {description}") };
        if CLIENT_ERRORS.contains(&error.as_str()) {
            Reaction::ClientRejected(text)
        } else {
            Reaction::OtherError(text)
        }
    }
}

/// Whether it is the callback URL, with parameters.
fn is_at(url: &Url, callback: &str) -> bool {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare.as_str() == callback
}

/// The values of a URL's error parameters.
fn error_texts(url: &Url) -> String {
    let reported = url.query_pairs().filter(|(key, _)| key.starts_with("error"));
    reported.map(|(_, value)| value.into_owned()).collect::<Vec<_>>().join(" ")
}

impl Identity {
    /// The provider's reaction; requested once.
    async fn reaction(&self) -> &Result<Reaction, Unreachable> {
        self.reaction.get_or_init(|| self.request_silently()).await
    }

    async fn request_silently(&self) -> Result<Reaction, Unreachable> {
        let callback = self.settings.callback_url();
        let request = self.authorization(&callback).await?;
        let reply = self.send(|client| client.get(request)).await?;
        let reaction = Reaction::of(&callback, &reply);
        let Some(page) = reply.location.filter(|page| page.scheme() == "https" && !is_at(page, &callback)) else {
            return Ok(reaction);
        };
        // A redirect to the provider's own error page: read that.
        if !matches!(reaction, Reaction::Unclear(_)) {
            return Ok(reaction);
        }
        Ok(Reaction::of(&callback, &self.get(page).await?))
    }

    async fn authorization(&self, callback: &str) -> Result<Url, Unreachable> {
        let document = self.document().await.as_ref().map_err(Clone::clone)?;
        let mut url = endpoint("authorization_endpoint", &document.authorization_endpoint)?;
        let challenge = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        url.query_pairs_mut().extend_pairs([
            ("client_id", self.settings.auth0.client_id.as_str()),
            ("redirect_uri", callback),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("prompt", "none"),
            ("state", PROBE),
            ("nonce", PROBE),
            ("code_challenge_method", "S256"),
            ("code_challenge", &challenge),
        ]);
        if let Some(organization) = &self.settings.auth0.organization {
            url.query_pairs_mut().append_pair("organization", organization.as_str());
        }
        Ok(url)
    }

    /// An exchange of an invalid code, as oauth2-proxy would send it.
    async fn exchange(&self, client: &OidcClient, method: Method) -> Result<HttpReply, Unreachable> {
        let document = self.document().await.as_ref().map_err(Clone::clone)?;
        let url = endpoint("token_endpoint", &document.token_endpoint)?;
        let callback = self.settings.callback_url();
        let proof = (client.id().as_str(), client.secret().expose().as_str());
        self.send(|web| method.authenticate(web.post(url), &[("redirect_uri", &callback)], proof)).await
    }
}

/// A code that no provider has issued.
const PROBE: &str = "tailwatch-probe";
/// The scope in the configuration of oauth2-proxy.
const SCOPE: &str = "openid profile email";

async fn known(identity: &Identity) -> Finding {
    if identity.document().await.is_err() {
        return untested();
    }
    match identity.reaction().await {
        Err(error) => error.finding(),
        Ok(reaction) => judge_client(reaction, identity.settings.auth0.client_id.as_str()),
    }
}

fn judge_client(reaction: &Reaction, id: &str) -> Finding {
    match reaction {
        Reaction::Callback | Reaction::CallbackRejected => Finding::pass(id),
        Reaction::UnknownClient => Finding::fail(format!("it does not know the client id {id}")),
        Reaction::ClientRejected(error) => {
            Finding::fail(format!("it rejects the sign-in with {id}: {error}")).hinting(client_hint(error))
        }
        Reaction::OtherError(error) => Finding::warn(format!("it knows {id} and answers with an error: {error}"))
            .hinting("sign in once after the installation, and see the log of the identity provider"),
        Reaction::Ambiguous(_) => {
            Finding::skip("the identity provider's answer does not distinguish it from the callback URL")
        }
        Reaction::Unclear(text) => Finding::skip(format!("its answer is inconclusive: {text}")),
    }
}

fn client_hint(error: &str) -> &'static str {
    if error.contains("organization") {
        // auth0.com/docs/manage-users/organizations/organizations-overview
        "the application decides whether a sign-in names an Auth0 organization: set auth0.organization to one that it \
         accepts, or change it in Auth0 (the application → Organizations → Individuals or Both)"
    } else if error.starts_with("invalid_scope") {
        "oauth2-proxy requests the scopes openid, profile and email: allow them for the application"
    } else if error.starts_with("invalid_request") {
        "every sign-in would get this error: correct the application at the identity provider"
    } else {
        "the application must be allowed the authorization code flow (in Auth0: a Regular Web Application)"
    }
}

async fn allowed(identity: &Identity) -> Finding {
    if identity.document().await.is_err() {
        return untested();
    }
    match identity.reaction().await {
        Err(_) => untested(),
        Ok(reaction) => judge_callback(reaction, &identity.settings.callback_url()),
    }
}

fn judge_callback(reaction: &Reaction, callback: &str) -> Finding {
    let register =
        format!("add {callback} to the callback URLs of the application (in Auth0: Settings → Allowed Callback URLs)");
    match reaction {
        Reaction::Callback | Reaction::ClientRejected(_) | Reaction::OtherError(_) => Finding::pass(callback),
        Reaction::CallbackRejected => Finding::fail(format!("it rejects {callback}")).hinting(register),
        Reaction::UnknownClient => Finding::skip(format!("not tested, since {KNOWN} did not pass")),
        Reaction::Ambiguous(text) => Finding::fail(format!("it rejects the client id or {callback}: {text}"))
            .hinting(format!("compare auth0.clientId with the application, and {register}")),
        Reaction::Unclear(text) => {
            Finding::warn(format!("it answers {text} and does not redirect to {callback}")).hinting(register)
        }
    }
}

/// Client authentication (RFC 6749, section 2.3.1). oauth2-proxy tries the header, then the form.
#[derive(Clone, Copy)]
enum Method {
    Header,
    Form,
}

impl Method {
    fn authenticate(
        self,
        request: RequestBuilder,
        more: &[(&str, &str)],
        (id, secret): (&str, &str),
    ) -> RequestBuilder {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("grant_type", "authorization_code"), ("code", PROBE), ("code_verifier", VERIFIER)]);
        form.extend_pairs(more);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        match self {
            Method::Header => request.basic_auth(encoded(id), Some(encoded(secret))).body(form.finish()),
            Method::Form => {
                form.extend_pairs([("client_id", id), ("client_secret", secret)]);
                request.body(form.finish())
            }
        }
    }
}

/// Has the minimum length (RFC 7636, section 4.1).
const VERIFIER: &str = "tailwatch-probe-tailwatch-probe-tailwatch-probe";

/// The token endpoint's verdict on the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Wrong,
    /// The client may not exchange codes at all.
    NotAllowed,
    Unknown,
}

async fn secret(identity: &Identity) -> Finding {
    if identity.document().await.is_err() {
        return untested();
    }
    let Some(client) = &identity.client else {
        return Finding::skip("not tested, since there is no client secret that may be sent to this issuer");
    };
    let mut reply = identity.exchange(client, Method::Header).await;
    if reply.as_ref().is_ok_and(|reply| judge_exchange(reply) == Verdict::Wrong) {
        reply = identity.exchange(client, Method::Form).await;
    }
    match reply.as_ref().map(|reply| (reply.status, judge_exchange(reply))) {
        Err(error) => error.finding(),
        Ok((_, Verdict::Accepted)) => Finding::pass("it was accepted; only the made-up code was rejected"),
        Ok((status, Verdict::Wrong)) => Finding::fail(format!("it is rejected: the token endpoint answers {status}")),
        Ok((_, Verdict::NotAllowed)) => Finding::fail("the application may not exchange codes for tokens")
            .hinting("enable the grant type authorization_code (in Auth0: Advanced → Grant Types)"),
        Ok((status, Verdict::Unknown)) => {
            Finding::skip(format!("the token endpoint answers {status}, which is inconclusive"))
        }
    }
}

/// Auth0 answers `access_denied` instead of `invalid_client` (RFC 6749).
pub(super) fn judge_exchange(reply: &HttpReply) -> Verdict {
    let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    match (reply.status, answer["error"].as_str().unwrap_or_default()) {
        (_, "invalid_grant") => Verdict::Accepted,
        (_, "unauthorized_client") => Verdict::NotAllowed,
        (401, _) | (_, "invalid_client" | "access_denied") => Verdict::Wrong,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    const CALLBACK: &str = "https://grafana.t.ts.net/oauth2/callback";

    fn reply(status: u16, location: &str, body: &str) -> HttpReply {
        HttpReply { status, location: Url::parse(location).ok(), body: body.into() }
    }

    #[test]
    fn client_and_callback_are_distinguished() {
        use State::{Fail, Pass, Skip, Warn};
        let back = |query: &str| reply(302, &format!("{CALLBACK}?state=s&{query}"), "");
        for (answer, client, callback) in [
            (back("error=login_required"), Pass, Pass),
            (back("code=x"), Pass, Pass),
            (back("error=unauthorized_client"), Fail, Pass),
            (
                back("error=invalid_request&error_description=parameter+organization+is+required+for+this+client"),
                Fail,
                Pass,
            ),
            (back("error=invalid_scope"), Fail, Pass),
            (back("error=temporarily_unavailable"), Warn, Pass),
            (back("error=server_error&error_description=later"), Warn, Pass),
            (reply(403, "", "<p>Unknown client: c</p>"), Fail, Skip),
            (reply(403, "", "<p>Callback URL mismatch.</p>"), Pass, Fail),
            (reply(302, "https://t.example/error?error_description=Callback%20URL%20mismatch", ""), Pass, Fail),
            (
                reply(302, "https://t.example/error?error=invalid_request&error_description=Unknown+client", ""),
                Fail,
                Skip,
            ),
            (reply(302, "https://t.example/login?redirect_uri=x", ""), Skip, Warn),
            (reply(400, "", "Bad Request"), Skip, Fail),
            (reply(200, "", "<form>redirect_uri</form>"), Skip, Warn),
            (reply(503, "", "later"), Skip, Warn),
            (reply(302, &format!("{CALLBACK}/?error=login_required"), ""), Skip, Warn),
        ] {
            let reaction = Reaction::of(CALLBACK, &answer);
            assert_eq!(judge_client(&reaction, "c").state, client, "{answer:?}: {reaction:?}");
            assert_eq!(judge_callback(&reaction, CALLBACK).state, callback, "{answer:?}: {reaction:?}");
        }
    }

    #[test]
    fn the_token_endpoint_tests_the_secret() {
        for (status, body, verdict) in [
            (400, r#"{"error":"invalid_grant"}"#, Verdict::Accepted),
            (403, r#"{"error":"invalid_grant"}"#, Verdict::Accepted),
            (401, r#"{"error":"access_denied"}"#, Verdict::Wrong),
            (400, r#"{"error":"invalid_client"}"#, Verdict::Wrong),
            (401, "", Verdict::Wrong),
            (403, r#"{"error":"unauthorized_client"}"#, Verdict::NotAllowed),
            (429, r#"{"error":"too_many_requests"}"#, Verdict::Unknown),
        ] {
            assert_eq!(judge_exchange(&reply(status, "", body)), verdict, "{status} {body}");
        }
    }
}
