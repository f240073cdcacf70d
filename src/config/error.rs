//! Errors of the answers.

use std::fmt;
use std::path::PathBuf;

use crate::config::saved_secret::{MAX_SAVED, SAVED_ANSWERS, SAVED_FILE};

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
    /// The answers file is not a text of at most 1 MiB.
    #[error("{}: found {found}, expected a YAML text of at most 1 MiB", path.display())]
    NotAnswers {
        /// The file.
        path: PathBuf,
        /// The actual content.
        found: String,
    },
    /// One or more answers are invalid.
    #[error("{}", list(problems))]
    Invalid {
        /// All problems, in the order of the sources; never empty.
        problems: Vec<Problem>,
    },
    /// The saved answers are from a newer tailwatch, or were edited.
    #[error("the answers in Secret {SAVED_ANSWERS} of namespace {namespace} cannot be used: {reason}")]
    SavedUnusable {
        /// Namespace of the stack.
        namespace: String,
        /// The reason.
        reason: String,
    },
    /// The answers do not fit into a Secret.
    #[error("the answers have {bytes} bytes as stored in Secret {SAVED_ANSWERS}, at most {MAX_SAVED} are possible")]
    TooLargeToSave {
        /// Size as stored.
        bytes: usize,
    },
    /// Required answers are missing.
    #[error("no answer for {}", missing.join(", "))]
    Missing {
        /// Key paths; never empty.
        missing: Vec<String>,
    },
}

/// One invalid answer.
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
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", shortened(&escaped(&self.key))) };
        write!(formatter, "{}: {key}found {}; {}", self.place, self.found, self.expected)
    }
}

/// The maximum number of problems in the message.
const SHOWN: usize = 6;

fn list(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        lines.push(format!("and {} more", problems.len() - SHOWN));
    }
    lines.join("\n")
}

/// A text in quotes, shortened, without control characters and without the password of an address.
pub(super) fn quoted(text: &str) -> String {
    let public = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    };
    shortened(&format!("{public:?}"))
}

fn escaped(text: &str) -> String {
    let shown = format!("{text:?}");
    if shown.len() == text.len() + 2 { text.to_owned() } else { shown }
}

fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 80;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl ConfigError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ConfigError::Unreadable { .. } => "`tailwatch answers init > answers.yaml` writes a template".into(),
            ConfigError::NotAnswers { .. } => "`tailwatch answers init` shows the format".into(),
            ConfigError::Invalid { problems } if problems.len() == 1 => {
                "correct it and run `tailwatch answers check FILE`".into()
            }
            ConfigError::Invalid { .. } => "correct them and run `tailwatch answers check FILE`".into(),
            ConfigError::SavedUnusable { namespace, .. } => format!(
                "`kubectl -n {namespace} edit secret {SAVED_ANSWERS}` corrects them ({SAVED_FILE} there is base64), \
                 `kubectl -n {namespace} delete secret {SAVED_ANSWERS}` removes them; a run with all required \
                 answers in its file or flags does not read them"
            ),
            ConfigError::TooLargeToSave { .. } => "shorten what is below `values:`; a Secret has at most 1 MiB".into(),
            ConfigError::Missing { missing } => {
                let key = &missing[0];
                let variable = crate::config::environment_name(key);
                format!("add it to the answers file (`tailwatch answers init`), or set --set {key}=… or {variable}")
            }
        })
    }
}
