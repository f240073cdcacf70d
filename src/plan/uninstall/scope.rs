//! Scope and options of an uninstall.

use std::collections::BTreeSet;

use crate::cluster::{ObjectRef, PartialObject};
use crate::stack::CatalogueEntry;

/// What an uninstall deletes besides the releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UninstallOptions {
    /// Volumes, Secrets and saved answers (`--delete-data`).
    pub data: bool,
    /// The CRDs (`--delete-crds`).
    pub crds: bool,
}

/// The scope of an uninstall.
#[derive(Clone, Debug)]
pub struct UninstallScope {
    /// Namespace of the stack.
    pub namespace: String,
    /// Releases of the catalogue that tailwatch installed.
    pub rows: Vec<CatalogueEntry>,
    /// Options.
    pub options: UninstallOptions,
    /// Whether an own Tailscale operator is retained because other objects use it.
    pub retains_operator: bool,
    /// UIDs of the objects outside of the releases with a confirmed deletion; `None` during planning.
    pub confirmed: Option<BTreeSet<String>>,
}

impl UninstallScope {
    /// Whether an object with data was not in the confirmed plan. An object with an owner is deleted with it.
    pub(in crate::plan) fn is_unconfirmed(&self, found: &PartialObject) -> bool {
        let has_data = ["PersistentVolumeClaim", "Secret"].contains(&found.kind.as_str());
        let is_missing = |confirmed: &BTreeSet<String>| !confirmed.contains(found.uid());
        has_data && found.owners().next().is_none() && self.confirmed.as_ref().is_some_and(is_missing)
    }
}

/// Change of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceOutcome {
    /// tailwatch created it and nothing in it is retained.
    Delete(ObjectRef),
    /// It existed before: only tailwatch's labels are removed.
    RemoveLabels(ObjectRef),
}
