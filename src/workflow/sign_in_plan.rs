//! Who may sign in, and for how long, as the plan shows it.

use serde::Serialize;

use crate::config::Settings;

/// The answers about the sign-in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignIn {
    address: String,
    groups: Vec<String>,
    /// A duration of Go.
    session_lifetime: String,
}

impl SignIn {
    pub(crate) fn of(settings: &Settings) -> SignIn {
        SignIn {
            address: format!("https://{}/", settings.grafana_fqdn()),
            groups: settings.auth0.allowed_groups.iter().map(ToString::to_string).collect(),
            session_lifetime: settings.auth0.session_lifetime.to_string(),
        }
    }

    /// One line below the steps.
    pub(crate) fn line(&self) -> String {
        let SignIn { address, groups, session_lifetime } = self;
        format!("  {address} for {}; a session lasts {session_lifetime}\n\n", groups.join(", "))
    }
}
