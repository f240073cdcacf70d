//! What `explain` tells of an id, as plain facts.

use serde::{Deserialize, Serialize};

/// What an id stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A check of `verify`, `preflight` or an install.
    Check,
    /// A cause that a rule finds, or what a refusal of the API server or helm means.
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
    /// What it stands for.
    pub topic: Topic,
    /// What it means, a fragment; names in braces stand for what was found.
    pub meaning: String,
    /// More of it, whole sentences.
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
