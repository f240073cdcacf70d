//! The sign-in walk: signs a person in as oauth2-proxy would and judges the token. Tokens live in memory only, and only
//! until they are judged; nothing here is stored, printed or sent to anybody but the issuer.

mod browser;
mod claims;
mod device;
mod error;
mod judge;
mod loopback;
mod page;
mod provider;

use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::event::{CheckResult, SignIn};
use crate::stack::OidcClient;

pub use error::{LoginError, port_taken_hint};
pub use judge::{ids, statements};
pub use loopback::Loopback;

/// How long somebody may take to sign in.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How somebody signs in.
#[derive(Debug)]
pub enum Way {
    /// In the browser of this machine, which then calls the loopback address.
    Browser(Loopback),
    /// Anywhere, with a code to type.
    Device,
}

/// Lets somebody sign in (`invite` is called once with where) and tells by a verdict for each row whether oauth2-proxy
/// would let that person in. Ends within [`PATIENCE`] and a few requests.
pub async fn walk(settings: &Settings, oidc: &OidcClient, way: Way, invite: impl FnOnce(&SignIn)) -> Vec<CheckResult> {
    let started = Instant::now();
    let client = provider::Client { settings, oidc };
    match way {
        Way::Device => match device::walk(&client, invite).await {
            Ok(claims) => judge::judged(&claims, settings, started.elapsed()),
            Err(error) => judge::failed(&error, settings, started.elapsed()),
        },
        Way::Browser(loopback) => {
            let (walked, caller) = browser::walk(&client, loopback, invite).await;
            let checks = match walked {
                Ok(claims) => judge::judged(&claims, settings, started.elapsed()),
                Err(error) => judge::failed(&error, settings, started.elapsed()),
            };
            if let Some(caller) = caller {
                caller.answer(&page::of(&checks)).await;
            }
            checks
        }
    }
}
