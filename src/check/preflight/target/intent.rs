//! The changes that are compared with the target cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::preflight::target::tailnet_status::TailnetStatus;
use crate::cluster::Resource;
use crate::config::Settings;
use crate::plan::PlannedRelease;
use crate::stack::HelmDriver;

/// What is about to be done.
pub struct Intent<'a> {
    /// The answers.
    pub settings: &'a Settings,
    /// The releases that helm is about to install or change.
    pub incoming: Vec<PlannedRelease<'a>>,
    /// The releases that go.
    pub removed: Vec<PlannedRemoval<'a>>,
    /// Claims that grow: namespace of each.
    pub growing: Vec<&'a str>,
    /// Where helm keeps its records.
    pub driver: HelmDriver,
    /// Whether the stack is verified afterwards.
    pub proof: Proof,
    /// What this machine knows of its own tailnet.
    pub machine: Option<&'a TailnetStatus>,
}

/// A release that is about to go.
pub struct PlannedRemoval<'a> {
    /// Namespace of the release.
    pub namespace: &'a str,
    /// Objects of the manifest that stands.
    pub objects: &'a [Value],
    /// (apiVersion, kind) of what else in the namespace is looked at until all of it has gone.
    pub dependents: &'a [(&'a str, &'a str)],
}

/// What comes after the waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Every check of the stack.
    Checks,
    /// Nothing.
    None,
}

/// How kinds are called, by (apiVersion, kind); those that only the releases' CRDs bring are among them.
pub(super) type Kinds = BTreeMap<(String, String), Resource>;

/// apiVersion and kind of an object.
pub(super) fn kind_of(object: &Value) -> (String, String) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}
