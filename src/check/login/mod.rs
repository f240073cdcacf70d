//! The sign-in walk: signs a person in as oauth2-proxy would and judges the token. Tokens live in memory only, and only
//! until they are judged; nothing here is stored, printed or sent to anybody but the issuer.

mod browser_flow;
mod callback_server;
mod claims;
mod device_flow;
mod error;
mod oidc_client;
mod result_page;
mod rules;

use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::event::{CheckResult, SignIn};
use crate::stack::OidcClient;

pub use callback_server::Loopback;
pub use error::{LoginError, port_taken_hint};
pub use rules::{ids, statements};

/// How long somebody may take to sign in.
pub const TIMEOUT: Duration = Duration::from_secs(300);

/// How somebody signs in.
#[derive(Debug)]
pub enum LoginFlow {
    /// In the browser of this machine, which then calls the loopback address.
    Browser(Loopback),
    /// Anywhere, with a code to type.
    Device,
}

/// Lets somebody sign in (`invite` is called once with where) and tells by a verdict for each row whether oauth2-proxy
/// would let that person in. Ends within [`TIMEOUT`] and a few requests.
pub async fn walk(
    settings: &Settings,
    oidc: &OidcClient,
    way: LoginFlow,
    invite: impl FnOnce(&SignIn),
) -> Vec<CheckResult> {
    let started = Instant::now();
    let client = oidc_client::Client { settings, oidc };
    match way {
        LoginFlow::Device => match device_flow::walk(&client, invite).await {
            Ok(claims) => rules::judged(&claims, settings, started.elapsed()),
            Err(error) => rules::failed(&error, settings, started.elapsed()),
        },
        LoginFlow::Browser(loopback) => {
            let (walked, caller) = browser_flow::walk(&client, loopback, invite).await;
            let checks = match walked {
                Ok(claims) => rules::judged(&claims, settings, started.elapsed()),
                Err(error) => rules::failed(&error, settings, started.elapsed()),
            };
            if let Some(caller) = caller {
                caller.answer(&result_page::of(&checks)).await;
            }
            checks
        }
    }
}
