//! The authorization code flow with PKCE, in the browser of this machine (RFC 8252).

use openidconnect::core::{CoreAuthenticationFlow, CoreTokenResponse};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
};
use tokio::time::timeout;

use crate::check::https_client::with_causes;
use crate::check::login::callback_server::{Callback, Loopback};
use crate::check::login::claims::Claims;
use crate::check::login::error::{LoginError, TIMEOUT};
use crate::check::login::oidc_client::{self, Client, Expected, Provider, SCOPES};
use crate::event::SignIn;

/// The claims or an error, and the browser's callback request, which waits for its page.
pub(super) async fn sign_in(
    client: &Client<'_>,
    loopback: Loopback,
    prompt: impl FnOnce(&SignIn),
) -> (Result<Claims, LoginError>, Option<Callback>) {
    let request = match AuthorizationRequest::new(client, &loopback).await {
        Ok(request) => request,
        Err(error) => return (Err(error), None),
    };
    prompt(&SignIn::Browser { address: request.address.clone(), callback: loopback.callback() });
    let Ok(callback) = timeout(TIMEOUT, loopback.callback_request(request.state.secret())).await else {
        return (Err(LoginError::Timeout { callback: Some(loopback.callback()) }), None);
    };
    let claims = request.finish(client, &callback).await;
    (claims, Some(callback))
}

/// A sign-in that waits for the browser's callback.
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
        let what = "start the sign-in";
        let redirect = RedirectUrl::new(loopback.callback())
            .map_err(|error| LoginError::Provider { what, why: error.to_string() })?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let builder = provider.client(openidconnect::AuthType::BasicAuth).set_redirect_uri(redirect.clone());
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = builder
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.into())))
            .set_pkce_challenge(challenge);
        if let Some(organization) = &client.settings.auth0.organization {
            request = request.add_extra_param("organization", organization.as_str());
        }
        let (address, state, nonce) = request.url();
        Ok(AuthorizationRequest { provider, redirect, address: address.into(), state, nonce, verifier })
    }

    async fn finish(self, client: &Client<'_>, callback: &Callback) -> Result<Claims, LoginError> {
        if let Some(error) = callback.get("error") {
            let reported = oidc_client::reported(error, callback.get("error_description"));
            return Err(if error == "access_denied" {
                LoginError::Denied(reported)
            } else {
                LoginError::Rejected(reported)
            });
        }
        let missing = || LoginError::Rejected("the callback has no code".into());
        let code = callback.get("code").ok_or_else(missing)?.to_owned();
        let answer = self.exchange(&code).await?;
        let claim = client.settings.auth0.groups_claim.as_str();
        self.provider.claims(&answer, Expected::Nonce(&self.nonce), claim).await
    }

    /// As golang.org/x/oauth2 in oauth2-proxy: sends the secret in the header, then in the body if the issuer rejects
    /// that.
    async fn exchange(&self, code: &str) -> Result<CoreTokenResponse, LoginError> {
        let mut rejected = None;
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
                    // The first try may have used up the code: only its error is about the secret.
                    let token_error = oidc_client::token_error(&answer);
                    if !matches!(token_error, LoginError::Secret(_)) {
                        return Err(rejected.unwrap_or(token_error));
                    }
                    rejected.get_or_insert(token_error);
                }
                Err(error) => return Err(LoginError::Provider { what, why: with_causes(&error) }),
            }
        }
        Err(rejected.unwrap_or_else(|| LoginError::Rejected("it accepts no client authentication".into())))
    }
}
