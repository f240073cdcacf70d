//! A diagnosis: why something is not ready.

use serde::{Deserialize, Serialize};

use crate::event::Explanation;

/// Severity of a diagnosis.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It does not recover without the user's action: the step fails now.
    Fatal,
    /// It may recover: the step fails at its deadline.
    Deadline,
    /// No step waits for it.
    Notice,
}

/// The objects of a diagnosis.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiagnosedObject {
    /// The affected release.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub component: Option<String>,
    /// Namespace, `None` for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Kind and name of the workload that is not ready, e.g. `StatefulSet loki`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workload: Option<String>,
    /// Kind and name of the object that causes it, e.g. `Pod loki-0`.
    pub object: String,
    /// Container of that pod.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<String>,
}

/// Why something is not ready, as found by a rule.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Id of the rule, e.g. `image-not-found`.
    pub rule: String,
    /// Severity.
    pub severity: Severity,
    /// The cause, one sentence with the object's name.
    pub cause: String,
    /// The objects.
    pub place: DiagnosedObject,
    /// Message of the cluster, one line; may be empty.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub evidence: String,
    /// Time of the first observation.
    pub since: jiff::Timestamp,
    /// Last lines of the container's log, if useful; secrets are redacted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub log: Vec<String>,
    /// The next step: the exact command, or the answer to change.
    pub hint: String,
    /// A command with more information.
    pub docs: String,
}

impl Diagnosis {
    /// The command that explains a rule.
    pub fn docs_of(rule: &str) -> String {
        Explanation::command(rule)
    }
}
