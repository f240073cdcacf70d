//! The device authorization flow (RFC 8628): the person signs in anywhere and types a code.

use openidconnect::core::{CoreDeviceAuthorizationResponse, CoreErrorResponseType, CoreTokenResponse};
use openidconnect::{AuthType, DeviceCodeErrorResponse, DeviceCodeErrorResponseType, RequestTokenError, Scope};
use tokio::time::{sleep, timeout};

use crate::check::https_client::with_causes;
use crate::check::login::claims::Claims;
use crate::check::login::oidc_client::{self, Client, Expected, SCOPES};
use crate::check::login::{LoginError, TIMEOUT};
use crate::event::SignIn;

const WHAT: &str = "begin the device flow";

/// The claims, or why there are none.
pub(super) async fn walk(client: &Client<'_>, invite: impl FnOnce(&SignIn)) -> Result<Claims, LoginError> {
    let provider = client.discover().await?;
    let endpoint = provider.device_endpoint().ok_or(LoginError::NoDeviceFlow)?;
    // The endpoint asks for the client's id in the body, where the secret then stands as well.
    let body = provider.auth_types().pop().unwrap_or(AuthType::RequestBody);
    let asked = provider.client(body).set_device_authorization_url(endpoint);
    let scopes = SCOPES.map(|scope| Scope::new(scope.into()));
    let request = asked.exchange_device_code().add_scopes(scopes);
    let begun: CoreDeviceAuthorizationResponse = match request.request_async(&|it| provider.send(it)).await {
        Ok(begun) => begun,
        Err(RequestTokenError::ServerResponse(answer)) => return Err(oidc_client::refusal(&answer)),
        Err(error) => return Err(LoginError::Provider { what: WHAT, why: with_causes(&error) }),
    };
    invite(&SignIn::Device { address: begun.verification_uri().to_string(), code: begun.user_code().secret().clone() });
    let request = asked
        .exchange_device_access_token(&begun)
        .map_err(|error| LoginError::Provider { what: WHAT, why: with_causes(&error) })?;
    let send = |it| provider.send(it);
    let no_one = || LoginError::Nobody { callback: None };
    // An issuer may let the code live for longer than somebody waits here, or for less.
    let answer = timeout(TIMEOUT, request.request_async(&send, sleep, None)).await.map_err(|_| no_one())?;
    let answer: CoreTokenResponse = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(answer) => refusal(&answer),
        error => LoginError::Provider { what: "wait for the device flow", why: with_causes(&error) },
    })?;
    let claim = client.settings.auth0.groups_claim.as_str();
    provider.claims(&answer, Expected::AnyNonce, claim).await
}

fn refusal(answer: &DeviceCodeErrorResponse) -> LoginError {
    let reported = oidc_client::reported(answer.error().as_ref(), answer.error_description().map(String::as_str));
    match answer.error() {
        DeviceCodeErrorResponseType::AccessDenied => LoginError::Denied(reported),
        DeviceCodeErrorResponseType::ExpiredToken => LoginError::Nobody { callback: None },
        DeviceCodeErrorResponseType::Basic(CoreErrorResponseType::InvalidClient) => LoginError::Secret(reported),
        _ => LoginError::Refused(reported),
    }
}
