//! The authorization code flow with PKCE, in the browser of this machine (RFC 8252).

use openidconnect::core::{CoreAuthenticationFlow, CoreTokenResponse};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
};
use tokio::time::timeout;

use crate::check::https_client::with_causes;
use crate::check::login::callback_server::{Caller, Loopback};
use crate::check::login::claims::Claims;
use crate::check::login::oidc_client::{self, Client, Expected, Provider, SCOPES};
use crate::check::login::{LoginError, TIMEOUT};
use crate::event::SignIn;

/// The claims, or why there are none; and the browser, once it came back, which waits for its page.
pub(super) async fn walk(
    client: &Client<'_>,
    loopback: Loopback,
    invite: impl FnOnce(&SignIn),
) -> (Result<Claims, LoginError>, Option<Caller>) {
    let begun = match AuthorizationRequest::new(client, &loopback).await {
        Ok(begun) => begun,
        Err(error) => return (Err(error), None),
    };
    invite(&SignIn::Browser { address: begun.address.clone(), callback: loopback.callback() });
    let Ok(caller) = timeout(TIMEOUT, loopback.called(begun.state.secret())).await else {
        return (Err(LoginError::Nobody { callback: Some(loopback.callback()) }), None);
    };
    let claims = begun.end(client, &caller).await;
    (claims, Some(caller))
}

/// A sign-in that waits for the browser.
struct AuthorizationRequest {
    provider: Provider,
    redirect: RedirectUrl,
    address: String,
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

impl AuthorizationRequest {
    async fn new(client: &Client<'_>, loopback: &Loopback) -> Result<AuthorizationRequest, LoginError> {
        let provider = client.discover().await?;
        let what = "begin the sign-in";
        let redirect = RedirectUrl::new(loopback.callback())
            .map_err(|error| LoginError::Provider { what, why: error.to_string() })?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let asked = provider.client(openidconnect::AuthType::BasicAuth).set_redirect_uri(redirect.clone());
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (address, state, nonce) = asked
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.into())))
            .set_pkce_challenge(challenge)
            .url();
        if !matches!(address.scheme(), "https" | "http") {
            return Err(LoginError::Provider {
                what,
                why: format!("{} is no address for a browser", address.scheme()),
            });
        }
        Ok(AuthorizationRequest { provider, redirect, address: address.into(), state, nonce, verifier })
    }

    async fn end(self, client: &Client<'_>, caller: &Caller) -> Result<Claims, LoginError> {
        if let Some(error) = caller.get("error") {
            let reported = oidc_client::reported(error, caller.get("error_description"));
            return Err(if error == "access_denied" {
                LoginError::Denied(reported)
            } else {
                LoginError::Refused(reported)
            });
        }
        let missing = || LoginError::Refused("the browser came back without a code".into());
        let code = caller.get("code").ok_or_else(missing)?.to_owned();
        let answer = self.exchange(&code).await?;
        let claim = client.settings.auth0.groups_claim.as_str();
        self.provider.claims(&answer, Expected::Nonce(&self.nonce), claim).await
    }

    /// As golang.org/x/oauth2 in oauth2-proxy: an issuer that does not take the secret in the header may take it in the
    /// body.
    async fn exchange(&self, code: &str) -> Result<CoreTokenResponse, LoginError> {
        let mut refused = None;
        for auth in self.provider.auth_types() {
            let client = self.provider.client(auth).set_redirect_uri(self.redirect.clone());
            let what = "exchange the code";
            let request = client
                .exchange_code(AuthorizationCode::new(code.to_owned()))
                .map_err(|error| LoginError::Provider { what, why: with_causes(&error) })?
                .set_pkce_verifier(PkceCodeVerifier::new(self.verifier.secret().clone()));
            match request.request_async(&|request| self.provider.send(request)).await {
                Ok(answer) => return Ok(answer),
                Err(RequestTokenError::ServerResponse(answer)) => {
                    // A code that the first try used up says nothing about the secret.
                    let refusal = oidc_client::refusal(&answer);
                    if !matches!(refusal, LoginError::Secret(_)) {
                        return Err(refused.unwrap_or(refusal));
                    }
                    refused.get_or_insert(refusal);
                }
                Err(error) => return Err(LoginError::Provider { what, why: with_causes(&error) }),
            }
        }
        Err(refused.unwrap_or_else(|| LoginError::Refused("it takes no client secret".into())))
    }
}
