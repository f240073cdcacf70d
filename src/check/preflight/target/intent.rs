//! The changes that are compared with the target cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::preflight::target::tailnet_status::TailnetStatus;
use crate::cluster::{Cluster, ClusterError, ObjectRef, Resource};
use crate::config::Settings;
use crate::plan::PlannedRelease;
use crate::stack::{HelmDriver, NodeStates, Release};

/// The planned changes.
pub struct Intent<'a> {
    /// The answers.
    pub settings: &'a Settings,
    /// The releases that helm will install or change.
    pub incoming: Vec<PlannedRelease<'a>>,
    /// Every release of the stack with its objects after the run.
    pub stack: Vec<(&'a Release, &'a [Value])>,
    /// The releases that will be uninstalled.
    pub removed: Vec<PlannedRemoval<'a>>,
    /// The namespace of each volume claim to expand.
    pub growing: Vec<&'a str>,
    /// Objects that are deleted and created anew.
    pub recreated: Vec<&'a ObjectRef>,
    /// Whether helm creates objects client-side, as helm 3 does.
    pub is_client_side: bool,
    /// Every node.
    pub nodes: &'a NodeStates,
    /// helm's storage driver.
    pub driver: HelmDriver,
    /// Whether the stack is verified afterwards.
    pub proof: Proof,
    /// The status of this machine's tailscale.
    pub machine: Option<&'a TailnetStatus>,
}

/// A release that will be uninstalled.
pub struct PlannedRemoval<'a> {
    /// Namespace of the release.
    pub namespace: &'a str,
    /// Objects of the installed manifest.
    pub objects: &'a [Value],
    /// (apiVersion, kind) of the dependents to list until they are deleted.
    pub dependents: &'a [(&'a str, &'a str)],
}

/// The verification after the waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Every check of the stack.
    Checks,
    /// Nothing.
    None,
}

/// API resources by (apiVersion, kind), with those of the releases' CRDs.
pub(super) type Kinds = BTreeMap<(String, String), Resource>;

/// apiVersion and kind of an object.
pub(super) fn kind_of(object: &Value) -> (String, String) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

/// The served resources, and those of the CRDs that the plan applies.
pub(super) async fn kinds(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Kinds, ClusterError> {
    let mut known = cluster.resources().await?;
    let rendered = incoming.iter().flat_map(|incoming| incoming.crds.iter().chain(incoming.rendered));
    for crd in rendered.filter(|object| object["kind"] == "CustomResourceDefinition") {
        for (kind, resource) in Resource::of_crd(crd) {
            known.entry(kind).or_insert(resource);
        }
    }
    Ok(known)
}
