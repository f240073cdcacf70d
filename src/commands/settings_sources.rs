//! The sources of the answers that the command line and the environment name.

use crate::cli::{GlobalArgs, SettingsArgs};
use crate::config::Sources;

/// Of a command.
pub(super) fn settings_sources(global: &GlobalArgs, arguments: &SettingsArgs) -> Sources {
    Sources {
        answers: arguments.answers.clone(),
        set: arguments.set.clone(),
        namespace_flag: global.namespace.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    }
}
