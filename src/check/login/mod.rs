//! The sign-in of `verify --login`: signs a user in as oauth2-proxy would and evaluates the token. Tokens are kept in
//! memory until then; they are not stored, printed or sent to anyone but the issuer.

mod browser_flow;
mod callback_server;
mod claims;
mod device_flow;
mod error;
#[cfg(any(test, fuzzing))]
pub(in crate::check) mod fuzzing;
mod oidc_client;
mod result_page;
mod rules;

use std::time::Instant;

use crate::config::Settings;
use crate::event::{CheckResult, SignIn};
use crate::stack::OidcClient;

pub use callback_server::Loopback;
pub use error::{LoginError, port_in_use_hint};
pub(in crate::check) use rules::ROWS;
use rules::SignedIn;
pub use rules::ids;

/// How the user signs in.
#[derive(Debug)]
pub enum LoginFlow {
    /// In a browser on this machine, which then requests the loopback address.
    Browser(Loopback),
    /// On any device, with a code to type.
    Device,
}

/// Signs a user in (`prompt` gets the address once) and returns a verdict for each row: whether oauth2-proxy would admit
/// this user. Ends within [`error::TIMEOUT`] and a few requests.
pub async fn sign_in(
    settings: &Settings,
    oidc: &OidcClient,
    flow: LoginFlow,
    prompt: impl FnOnce(&SignIn),
) -> Vec<CheckResult> {
    let started = Instant::now();
    let client = oidc_client::Client { settings, oidc };
    let (claims, callback) = match flow {
        LoginFlow::Device => (device_flow::sign_in(&client, prompt).await, None),
        LoginFlow::Browser(loopback) => browser_flow::sign_in(&client, loopback, prompt).await,
    };
    let checks = SignedIn { claims, settings: settings.clone() }.verdicts(started.elapsed()).await;
    if let Some(callback) = callback {
        callback.answer(&result_page::of(&checks)).await;
    }
    checks
}
