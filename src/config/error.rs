//! What can be wrong with answers.

use std::fmt;
use std::path::PathBuf;

/// Invalid or incomplete answers; exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The answers file cannot be read.
    #[error("cannot read the answers file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The answers file is no text of a sensible size.
    #[error("{}: found {found}, expected a YAML text of at most 1 MiB", path.display())]
    NotAnswers {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// One or more answers are wrong.
    #[error("{}", list(problems))]
    Invalid {
        /// Each of them, in the order of the sources; never empty.
        problems: Vec<Problem>,
    },
    /// Required answers are missing.
    #[error("no answer for {}", missing.join(", "))]
    Missing {
        /// Key paths; never empty.
        missing: Vec<String>,
    },
}

/// One wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE:COLUMN`, `--set`, or the variable's name.
    pub place: String,
    /// Key path, e.g. `retention.logs`; may be empty.
    pub key: String,
    /// What was found; never a secret.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        write!(formatter, "{}: {key}found {}; {}", self.place, self.found, self.expected)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       ")
}

impl ConfigError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ConfigError::Unreadable { .. } => "`tailwatch answers init > answers.yaml` writes a template".into(),
            ConfigError::NotAnswers { .. } => "`tailwatch answers init` shows what the file looks like".into(),
            ConfigError::Invalid { problems } if problems.len() == 1 => {
                "correct it, then `tailwatch answers check FILE` tells whether the file is valid".into()
            }
            ConfigError::Invalid { .. } => {
                "correct them, then `tailwatch answers check FILE` tells whether the file is valid".into()
            }
            ConfigError::Missing { missing } => {
                let key = &missing[0];
                let variable = crate::config::environment_name(key);
                format!(
                    "write it into the answers file (`tailwatch answers init`), or give --set {key}=… or {variable}"
                )
            }
        })
    }
}
