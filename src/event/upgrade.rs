//! What `upgrade` offers, as its table and its JSON document show it.

use serde::{Deserialize, Serialize};

/// What the repositories offer of one installed component.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRow {
    /// Component name = release name.
    pub component: String,
    /// Chart version that stands.
    pub installed: String,
    /// The newest version that is offered, pre-releases aside; `None`: none is.
    pub newest: Option<String>,
    /// How many of the offered versions are newer than the installed one.
    pub newer: usize,
    /// The version that is proposed, or was chosen; `None`: the installed one stays.
    pub target: Option<String>,
    /// The newest version of a major that was never tried with this tailwatch, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unverified: Option<String>,
    /// What is known of the way to the target, in order.
    pub path: Vec<PathRow>,
}

/// A step on the way to another version.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PathRow {
    /// The first version on the other side.
    pub to: String,
    /// What changes, one sentence.
    pub what: String,
    /// Whether CRDs change; they are applied before the release.
    pub crds: bool,
    /// What becomes of keys of the values, one sentence fragment each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub values: Vec<String>,
    /// Where the chart is taken from, from this version on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<String>,
    /// Why a rollback past this step is not safe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollback: Option<String>,
    /// A page to read more.
    pub docs: String,
}
