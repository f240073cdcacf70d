//! What is wrong and where, as plain facts.

use serde::{Deserialize, Serialize};

use crate::event::Explanation;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It stays until somebody acts: a step that meets it fails now.
    Fatal,
    /// It may recover: a step that meets it fails when its time is over.
    Deadline,
    /// Nothing waits for it, but somebody should know.
    Notice,
}

/// Where something is wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosedObject {
    /// Release that suffers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub component: Option<String>,
    /// Namespace, `None` for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Kind and name of the workload that waits, e.g. `StatefulSet loki`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workload: Option<String>,
    /// Kind and name of the object that blocked, e.g. `Pod loki-0`.
    pub object: String,
    /// Container of that pod.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<String>,
}

/// Why something does not go on, as a rule found it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Id of the rule, e.g. `image-not-found`.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong in plain words, one sentence with the object's name.
    pub cause: String,
    /// Where.
    pub place: DiagnosedObject,
    /// The cluster's own words, one line; empty when there are none.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub evidence: String,
    /// Since when it has been seen.
    pub since: jiff::Timestamp,
    /// Last lines of the container's log, where they tell more; secrets are redacted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub log: Vec<String>,
    /// The next step: the exact command, or the answer to change.
    pub hint: String,
    /// The command that tells more.
    pub docs: String,
}

impl Diagnosis {
    /// The command that explains a rule.
    pub fn docs_of(rule: &str) -> String {
        Explanation::command(rule)
    }
}
