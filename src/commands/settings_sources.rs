//! The sources of the answers that the command line and the environment name.

use crate::cli::SettingsArgs;
use crate::config::Sources;
use crate::session::Session;

/// Of a command.
pub(super) fn settings_sources(session: &Session, arguments: &SettingsArgs) -> Sources {
    Sources {
        answers: arguments.answers.clone(),
        set: arguments.set.clone(),
        namespace_flag: session.global.namespace.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    }
}
