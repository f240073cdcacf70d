//! The parsers of this module for fuzzing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreDeviceAuthorizationResponse, CoreGenderClaim, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet,
    CoreTokenResponse,
};
use openidconnect::{Nonce, UserInfoClaims};

use crate::check::login::claims::Claims;
use crate::check::login::oidc_client::{Metadata, Others, payload, token_error};
use crate::check::login::rules::{admitted, email, groups};
use crate::config::fuzzing::SETTINGS;

/// The claims of a token.
pub(in crate::check) fn id_token(claims: &[u8]) {
    let parts = [&b"{\"alg\":\"RS256\"}"[..], claims, b"signature"].map(|part| URL_SAFE_NO_PAD.encode(part));
    let Ok(token) = parts.join(".").parse::<CoreIdToken>() else { return };
    let verifier = CoreIdTokenVerifier::new_insecure_without_verification();
    drop(token.claims(&verifier, |_: Option<&Nonce>| Ok(())));
    let Ok(token) = payload(&token) else { return };
    let claims = Claims { token, userinfo: None };
    drop((email(&claims, &SETTINGS), groups(&claims, &SETTINGS), admitted(&claims, &SETTINGS)));
}

/// What the endpoints of the issuer answer.
pub(in crate::check) fn answer(bytes: &[u8]) {
    drop(serde_json::from_slice::<Metadata>(bytes));
    drop(serde_json::from_slice::<CoreJsonWebKeySet>(bytes));
    drop(serde_json::from_slice::<CoreTokenResponse>(bytes));
    drop(serde_json::from_slice::<CoreDeviceAuthorizationResponse>(bytes));
    drop(UserInfoClaims::<Others, CoreGenderClaim>::from_json::<std::io::Error>(bytes, None));
    drop(serde_json::from_slice(bytes).map(|answer| token_error(&answer)));
}
