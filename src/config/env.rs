//! The environment variables of answers and flags.

use crate::config::answers::{ROWS, Row, environment_name};

/// Variables of command line flags.
pub(super) const FLAG_VARIABLES: [&str; 31] = [
    "TAILWATCH_ANSWERS",
    "TAILWATCH_CONTEXT",
    "TAILWATCH_KUBECONFIG",
    "TAILWATCH_HELM",
    "TAILWATCH_VALUES_DIR",
    "TAILWATCH_OUTPUT",
    "TAILWATCH_COLOR",
    "TAILWATCH_LOG_FILE",
    "TAILWATCH_JUNIT",
    "TAILWATCH_HTML",
    "TAILWATCH_YES",
    "TAILWATCH_SKIP_VERIFY",
    "TAILWATCH_ACCEPT_SAVED",
    "TAILWATCH_BUNDLE",
    "TAILWATCH_ADOPT",
    "TAILWATCH_DELETE_DATA",
    "TAILWATCH_DELETE_CRDS",
    "TAILWATCH_ALLOW_UNVERIFIED",
    "TAILWATCH_TO",
    "TAILWATCH_LATEST",
    "TAILWATCH_TIMEOUT",
    "TAILWATCH_DEADLINE",
    "TAILWATCH_LOCK_TIMEOUT",
    "TAILWATCH_ASK_SECRETS",
    "TAILWATCH_WITHIN",
    "TAILWATCH_WITHOUT_DIGESTS",
    "TAILWATCH_PROBE_NODES",
    "TAILWATCH_LOGIN",
    "TAILWATCH_LOGIN_PORT",
    "TAILWATCH_CACHE",
    "TAILWATCH_STATE",
];

/// Whether it is a variable of an answer or a flag.
pub fn is_known_variable(name: &str) -> bool {
    FLAG_VARIABLES.contains(&name) || environment_names().any(|(_, known)| known == name)
}

/// The variables of all answers.
pub(super) fn environment_names() -> impl Iterator<Item = (&'static Row, String)> {
    ROWS.iter().map(|row| (row, environment_name(row.key)))
}
