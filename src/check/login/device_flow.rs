//! The device authorization flow (RFC 8628): the user signs in on any device and types a code.

use openidconnect::core::{CoreDeviceAuthorizationResponse, CoreErrorResponseType, CoreTokenResponse};
use openidconnect::{AuthType, DeviceCodeErrorResponse, DeviceCodeErrorResponseType, RequestTokenError, Scope};
use tokio::time::{sleep, timeout};

use crate::check::https_client::with_causes;
use crate::check::login::claims::Claims;
use crate::check::login::error::{LoginError, TIMEOUT};
use crate::check::login::oidc_client::{self, Client, Expected, SCOPES};
use crate::event::SignIn;

const WHAT: &str = "start the device flow";

/// The claims of the user who signs in.
pub(super) async fn sign_in(client: &Client<'_>, prompt: impl FnOnce(&SignIn)) -> Result<Claims, LoginError> {
    let provider = client.discover().await?;
    let endpoint = provider.device_endpoint().ok_or(LoginError::NoDeviceFlow)?;
    // The endpoint requires the client id in the body, so the secret is sent there as well.
    let body = provider.auth_types().pop().unwrap_or(AuthType::RequestBody);
    let builder = provider.client(body).set_device_authorization_url(endpoint);
    let scopes = SCOPES.map(|scope| Scope::new(scope.into()));
    let mut request = builder.exchange_device_code().add_scopes(scopes);
    if let Some(organization) = &client.settings.auth0.organization {
        request = request.add_extra_param("organization", organization.as_str());
    }
    let device: CoreDeviceAuthorizationResponse = match request.request_async(&|it| provider.send(it)).await {
        Ok(device) => device,
        Err(RequestTokenError::ServerResponse(answer)) => return Err(oidc_client::token_error(&answer)),
        Err(error) => return Err(LoginError::Provider { what: WHAT, why: with_causes(&error) }),
    };
    prompt(&SignIn::Device {
        address: device.verification_uri().to_string(),
        code: device.user_code().secret().clone(),
    });
    let request = builder
        .exchange_device_access_token(&device)
        .map_err(|error| LoginError::Provider { what: WHAT, why: with_causes(&error) })?;
    let send = |it| provider.send(it);
    let no_sign_in = || LoginError::Timeout { callback: None };
    // The code's lifetime may be longer or shorter than this timeout.
    let answer = timeout(TIMEOUT, request.request_async(&send, sleep, None)).await.map_err(|_| no_sign_in())?;
    let answer: CoreTokenResponse = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(answer) => device_error(&answer),
        error => LoginError::Provider { what: "wait for the device flow", why: with_causes(&error) },
    })?;
    let claim = client.settings.auth0.groups_claim.as_str();
    provider.claims(&answer, Expected::AnyNonce, claim).await
}

fn device_error(answer: &DeviceCodeErrorResponse) -> LoginError {
    let reported = oidc_client::reported(answer.error().as_ref(), answer.error_description().map(String::as_str));
    match answer.error() {
        DeviceCodeErrorResponseType::AccessDenied => LoginError::Denied(reported),
        DeviceCodeErrorResponseType::ExpiredToken => LoginError::Timeout { callback: None },
        DeviceCodeErrorResponseType::Basic(CoreErrorResponseType::InvalidClient) => LoginError::Secret(reported),
        _ => LoginError::Rejected(reported),
    }
}
