//! The rows of `upgrade`, for its table and its JSON document.

use serde::{Deserialize, Serialize};

/// Available versions of one installed component.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRow {
    /// Component name = release name.
    pub component: String,
    /// Installed chart version.
    pub installed: String,
    /// The newest available version, without pre-releases; `None`: none is available.
    pub newest: Option<String>,
    /// Number of available versions newer than the installed one.
    pub newer: usize,
    /// The proposed or chosen version; `None`: no upgrade.
    pub target: Option<String>,
    /// The newest version of an untried major, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unverified: Option<String>,
    /// The upgrade path to the target, in order.
    pub path: Vec<PathRow>,
}

/// A step of the upgrade path.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PathRow {
    /// The first version after the step.
    pub to: String,
    /// What changes, one sentence.
    pub what: String,
    /// Whether CRDs change; they are applied before the release.
    pub crds: bool,
    /// Changes of values, one sentence fragment each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub values: Vec<String>,
    /// Repository of the chart from this version on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<String>,
    /// Why a rollback past this step is not safe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollback: Option<String>,
    /// A page with more information.
    pub docs: String,
}
