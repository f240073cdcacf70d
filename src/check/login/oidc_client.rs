//! Requests to the issuer with the crate openidconnect: discovery, code and token exchange, verification, userinfo.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreGrantType, CoreIdToken, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AccessToken, AdditionalClaims, AdditionalProviderMetadata, AuthType, ClientId, ClientSecret,
    DeviceAuthorizationUrl, DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IssuerUrl, Nonce, OAuth2TokenResponse as _, ProviderMetadata, StandardErrorResponse, SubjectIdentifier,
    TokenResponse as _, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::https_client::{self, RequestError, with_causes};
use crate::check::login::LoginError;
use crate::check::login::claims::Claims;
use crate::config::Settings;
use crate::stack;

/// The scopes in the configuration of oauth2-proxy; the groups need no scope.
pub(super) const SCOPES: [&str; 2] = ["profile", "email"];
/// How long one answer of the issuer may take.
const EXCHANGE: Duration = Duration::from_secs(20);

/// The OIDC client, and the answers.
pub(super) struct Client<'a> {
    pub(super) settings: &'a Settings,
    /// The client, bound to its issuer.
    pub(super) oidc: &'a stack::OidcClient,
}

/// A field of the discovery document that the crate does not have.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct DeviceEndpoint {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

pub(super) type Metadata = ProviderMetadata<
    DeviceEndpoint,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

pub(super) type OidcClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The claims that the crate has no field for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Others(Map<String, Value>);

impl AdditionalClaims for Others {}

/// The issuer's metadata, and the client.
pub(super) struct Provider {
    metadata: Metadata,
    client_id: ClientId,
    secret: ClientSecret,
    http: reqwest::Client,
}

impl Client<'_> {
    /// Reads the discovery document, which must have the configured issuer and https endpoints, and its keys.
    pub(super) async fn discover(&self) -> Result<Provider, LoginError> {
        let what = "read the discovery document";
        let http = https_client::client(EXCHANGE).map_err(|why| LoginError::Provider { what, why })?;
        let issuer = IssuerUrl::new(self.oidc.issuer().to_string())
            .map_err(|error| LoginError::Provider { what, why: with_causes(&error) })?;
        let discovered = Metadata::discover_async(issuer, &|request| send(&http, request)).await;
        let metadata = discovered.map_err(|error| match error {
            DiscoveryError::Validation(why) => LoginError::Issuer(why),
            other => LoginError::Provider { what, why: with_causes(&other) },
        })?;
        let metadata = with_tls(metadata)?;
        let client_id = ClientId::new(self.oidc.id().to_string());
        Ok(Provider { metadata, client_id, secret: ClientSecret::new(self.oidc.secret().expose().clone()), http })
    }
}

/// The secret, the code and the tokens are sent to no endpoint without TLS.
fn with_tls(metadata: Metadata) -> Result<Metadata, LoginError> {
    let device = metadata.additional_metadata().device_authorization_endpoint.as_ref();
    let endpoints = [
        ("authorization_endpoint", Some(metadata.authorization_endpoint().url())),
        ("token_endpoint", metadata.token_endpoint().map(|endpoint| endpoint.url())),
        ("userinfo_endpoint", metadata.userinfo_endpoint().map(|endpoint| endpoint.url())),
        ("jwks_uri", Some(metadata.jwks_uri().url())),
        ("device_authorization_endpoint", device.map(|endpoint| endpoint.url())),
    ];
    for (name, url) in endpoints.into_iter().filter_map(|(name, url)| Some((name, url?))) {
        https_client::endpoint(name, url.as_str()).map_err(LoginError::Endpoint)?;
    }
    Ok(metadata)
}

/// The expected nonce of an id token.
pub(super) enum Expected<'a> {
    /// The nonce of the authorization request.
    Nonce(&'a Nonce),
    /// The device flow has no nonce; the device code binds the token to this sign-in.
    AnyNonce,
}

impl Provider {
    /// A client with this authentication method.
    pub(super) fn client(&self, auth: AuthType) -> OidcClient {
        let secret = Some(self.secret.clone());
        CoreClient::from_provider_metadata(self.metadata.clone(), self.client_id.clone(), secret).set_auth_type(auth)
    }

    /// The issuer's client authentication methods, the header first; it is the default (OpenID Connect Discovery,
    /// section 3).
    pub(super) fn auth_types(&self) -> Vec<AuthType> {
        let offered = self.metadata.token_endpoint_auth_methods_supported();
        let offers = |method: CoreClientAuthMethod| offered.is_none_or(|methods| methods.contains(&method));
        let mut types = Vec::new();
        if offers(CoreClientAuthMethod::ClientSecretBasic) {
            types.push(AuthType::BasicAuth);
        }
        if offers(CoreClientAuthMethod::ClientSecretPost) || types.is_empty() {
            types.push(AuthType::RequestBody);
        }
        types
    }

    pub(super) fn device_endpoint(&self) -> Option<DeviceAuthorizationUrl> {
        self.metadata.additional_metadata().device_authorization_endpoint.clone()
    }

    /// Sends one request of the crate.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, RequestError> {
        send(&self.http, request).await
    }

    /// Verifies signature, issuer, audience, expiry and nonce, and requests the userinfo if oauth2-proxy would. The
    /// result contains no token.
    pub(super) async fn claims(
        &self,
        answer: &CoreTokenResponse,
        expected: Expected<'_>,
        groups_claim: &str,
    ) -> Result<Claims, LoginError> {
        let client = self.client(AuthType::BasicAuth);
        let missing = || LoginError::Token("the issuer sent no id token".into());
        let token = answer.id_token().ok_or_else(missing)?;
        // oauth2-proxy accepts other audiences beside the client's.
        let verifier = client.id_token_verifier().set_other_audience_verifier_fn(|_| true);
        let verified = match expected {
            Expected::Nonce(nonce) => token.claims(&verifier, nonce),
            Expected::AnyNonce => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
        };
        let verified = verified.map_err(|error| LoginError::Token(with_causes(&error)))?;
        let mut claims = Claims { token: payload(token)?, userinfo: None };
        if !claims.token_suffices(groups_claim) && self.metadata.userinfo_endpoint().is_some() {
            claims.userinfo = Some(self.userinfo(&client, answer.access_token(), verified.subject()).await);
        }
        Ok(claims)
    }

    async fn userinfo(
        &self,
        client: &OidcClient,
        token: &AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Map<String, Value>, String> {
        let request = client.user_info(token.clone(), Some(subject.clone())).map_err(|error| with_causes(&error))?;
        let answer: UserInfoClaims<Others, CoreGenderClaim> =
            request.request_async(&|request| self.send(request)).await.map_err(|error| with_causes(&error))?;
        match serde_json::to_value(&answer) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err("it is no JSON object".into()),
        }
    }
}

/// All claims of a verified token.
pub(super) fn payload(token: &CoreIdToken) -> Result<Map<String, Value>, LoginError> {
    let unreadable = || LoginError::Token("its claims are no JSON object".into());
    let text = token.to_string();
    let part = text.split('.').nth(1).ok_or_else(unreadable)?;
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

/// An error answer of the token endpoint. For a wrong secret, Auth0 returns `access_denied: Unauthorized`; only at the
/// authorization endpoint does this code mean that the user denied.
pub(super) fn token_error(answer: &StandardErrorResponse<CoreErrorResponseType>) -> LoginError {
    let reported = reported(answer.error().as_ref(), answer.error_description().map(String::as_str));
    match answer.error().as_ref() {
        "invalid_client" | "access_denied" => LoginError::Secret(reported),
        _ => LoginError::Rejected(reported),
    }
}

/// `access_denied (User did not authorize the request)`
pub(super) fn reported(error: &str, description: Option<&str>) -> String {
    match description.filter(|text| !text.is_empty()) {
        Some(description) => format!("{error} ({description})"),
        None => error.to_owned(),
    }
}

async fn send(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, RequestError> {
    let answer = http.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(https_client::body(answer).await?);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_endpoint_without_tls_is_used() {
        let mut document = json!({"issuer": "https://acme.example/", "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]});
        let names = [
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "jwks_uri",
            "device_authorization_endpoint",
        ];
        for name in names {
            document[name] = json!(format!("https://acme.example/{name}"));
        }
        let checked = |document: &Value| with_tls(serde_json::from_value(document.clone()).unwrap());
        assert!(checked(&document).is_ok());
        for name in names {
            for scheme in ["http", "ftp"] {
                let mut changed = document.clone();
                changed[name] = json!(format!("{scheme}://acme.example/{name}"));
                let error = checked(&changed).map(drop).unwrap_err().to_string();
                let expected = format!("the {name} of its document is \"{scheme}://acme.example/{name}\"");
                assert!(error.contains(&expected), "{error}");
            }
        }
    }
}
