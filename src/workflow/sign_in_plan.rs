//! Who may sign in, and for how long, as the plan and the end of a run show it.

use std::time::Duration;

use serde::Serialize;

use crate::config::Settings;
use crate::report::{self, wrap};

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

    /// Below the steps of the plan.
    pub(crate) fn planned(&self, width: usize) -> String {
        let SignIn { address, groups, session_lifetime } = self;
        let text = format!("  {address} for {}; a session lasts {session_lifetime}", groups.join(", "));
        wrap(&text, "  ", width) + "\n\n"
    }

    /// The end of a run that changed the stack.
    pub(crate) fn reached(&self, took: Duration, width: usize) -> String {
        let SignIn { address, groups, .. } = self;
        let lines = [
            format!("Done in {}. {address} is open to {}.", report::took(took.as_secs_f64()), groups.join(", ")),
            "Next: `tailwatch status` shows the stack, `tailwatch verify` tests it again, `tailwatch upgrade` looks for newer \
             charts."
                .to_owned(),
        ];
        format!("\n{}", lines.map(|line| wrap(&line, "  ", width) + "\n").concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings_for_tests;

    #[test]
    fn the_address_and_the_next_commands_fit_the_terminal() {
        let sign_in = SignIn::of(&settings_for_tests());
        for text in [sign_in.planned(60), sign_in.reached(Duration::from_secs(32), 60)] {
            assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        }
        insta::assert_snapshot!(sign_in.reached(Duration::from_secs(32), 80));
    }
}
