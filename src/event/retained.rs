//! What an uninstall retains.

use serde::{Deserialize, Serialize};

/// A retained object, the reason, and what removes it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RetainedObject {
    /// Kind, e.g. `PersistentVolumeClaim`; `Directory` for a folder on the nodes, `Release` for a helm release.
    pub kind: String,
    /// Namespace, `None` for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// The reason, one sentence fragment.
    pub reason: String,
    /// What removes it: a flag of `uninstall` or a command; `None`: tailwatch does not remove it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
}
