//! Errors of the catalogue and of values files.

use std::path::PathBuf;

/// Invalid catalogue or values, or a missing secret; exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file of `--values-dir` cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file has the wrong syntax or schema.
    #[error("{file} is not valid")]
    Malformed {
        /// The file.
        file: String,
        /// Line, key and reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value of the catalogue is wrong.
    #[error("{file}: component {component}: {reason}")]
    Component {
        /// The file.
        file: String,
        /// Component.
        component: String,
        /// What is wrong.
        reason: String,
    },
    /// An unknown placeholder.
    #[error("{file}: {key}: unknown placeholder ${{{name}}}")]
    UnknownPlaceholder {
        /// The file.
        file: String,
        /// Key path.
        key: String,
        /// Its name.
        name: String,
        /// The nearest known one.
        suggestion: Option<String>,
    },
    /// A list, or an absent value, inside a longer text.
    #[error("{file}: {key}: ${{{name}}} is not a text and cannot be part of a longer one")]
    NotText {
        /// The file.
        file: String,
        /// Key path.
        key: String,
        /// Placeholder.
        name: String,
    },
    /// Neither the answers nor the cluster have the OAuth client secret of this issuer and client id.
    #[error("auth0.clientSecret has no source: {reason}")]
    ClientSecretMissing {
        /// Why the stored one is not used; never a secret.
        reason: String,
    },
    /// Neither the answers nor the cluster have the URL or key of the receiver of alerts.
    #[error("alerts.secret has no source, and the cluster has none for the receiver {receiver}")]
    AlertSecretMissing {
        /// The answer `alerts.receiver`.
        receiver: &'static str,
    },
    /// The operator must be installed, and its OAuth client is missing.
    #[error("the Tailscale operator must be installed, but {reason}")]
    OperatorCredentialsMissing {
        /// What is missing; never a secret.
        reason: String,
    },
    /// The chart left that repository before this version.
    #[error("{component} {version} of {repository} is another product under the same name")]
    OtherProduct {
        /// Component.
        component: String,
        /// Version.
        version: semver::Version,
        /// The answer `charts.repository`.
        repository: String,
        /// The repository of this version.
        moved_to: String,
    },
    /// The webhook certificate could not be generated.
    #[error("cannot generate the webhook certificate")]
    Certificate(#[from] rcgen::Error),
}

impl StackError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            StackError::Unreadable { .. } => "--values-dir needs a folder with stack.yaml and its values files".into(),
            StackError::Malformed { .. } | StackError::Component { .. } => {
                "compare the file with tailwatch's own one".into()
            }
            StackError::UnknownPlaceholder { suggestion: Some(name), .. } => format!("did you mean ${{{name}}}?"),
            StackError::UnknownPlaceholder { .. } | StackError::NotText { .. } => {
                "write $${…} for a literal ${…}".into()
            }
            StackError::ClientSecretMissing { .. } => {
                "export AUTH0_CLIENT_SECRET, write `clientSecret: { file: PATH }` \
                below `auth0:` in the answers, or add --ask-secrets on a terminal; a stored secret is only used for \
                its own issuer and client id"
                    .into()
            }
            StackError::AlertSecretMissing { .. } => {
                "write `secret: { env: NAME }` or `{ file: PATH }` below `alerts:` in \
                the answers: the URL of the incoming webhook, or the integration's key"
                    .into()
            }
            StackError::OperatorCredentialsMissing { .. } => "set tailscale.oauth.clientId and \
                tailscale.oauth.clientSecret, or install the operator yourself and set `tailscale.operator: present`"
                .into(),
            StackError::OtherProduct { component, moved_to, .. } => {
                format!("leave charts.repository out, or set a mirror that has {component} of {moved_to}")
            }
            StackError::Certificate(_) => return None,
        })
    }
}
