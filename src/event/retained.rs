//! What an uninstall leaves behind.

use serde::{Deserialize, Serialize};

/// Something that stays, why, and how it would go.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Kind, e.g. `PersistentVolumeClaim`; `Directory` for a folder on the nodes, `Release` for one of helm's.
    pub kind: String,
    /// Namespace, `None` for what is in none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Why it stays, one sentence fragment.
    pub reason: String,
    /// What removes it: a flag of `uninstall` or a command; `None`: it is not ours to remove.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removal: Option<String>,
}
