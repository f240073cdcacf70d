//! The meaning of an id, for `explain`.

use serde::{Deserialize, Serialize};

/// What an id names.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A check of `verify`, `preflight` or an install.
    Check,
    /// A diagnosis, or a known error of the API server or helm.
    Diagnosis,
    /// An exit code.
    ExitCode,
}

/// An id and one of its meanings.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The id.
    pub id: String,
    /// What it names.
    pub topic: Topic,
    /// The meaning, a sentence fragment; `<pod>` and the like are placeholders.
    pub meaning: String,
    /// More facts, whole sentences.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub facts: Vec<String>,
    /// The next step.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub next: String,
}

impl Explanation {
    /// The command that explains an id.
    pub fn command(id: &str) -> String {
        format!("tailwatch explain {id}")
    }
}
