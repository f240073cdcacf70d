//! The ground that a plan stands on: whether this context may do what the plan does, whether the ports of the nodes are
//! free, whether the quotas leave room, and what is known of the tailnet. Everything is read first, then judged.

mod host_ports;
mod permissions;
mod quotas;
mod tailnet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::precomputed::{GROUP, Precomputed};
use crate::check::row::Row;
use crate::cluster::{Cluster, ClusterError, Resource};
use crate::config::Settings;
use crate::event::CheckResult;
use crate::plan::PlannedRelease;
use crate::stack::HelmDriver;

pub use tailnet::TailnetStatus;

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

pub(in crate::check) const ROWS: &[Row<Precomputed>] = &[
    Row::new("permissions", GROUP, "the current context has all required permissions", |known: &Precomputed| {
        known.finding("permissions")
    })
    .within(0)
    .hint("use a context with cluster-admin rights, or have somebody who has them grant what is named above"),
    Row::new("host-ports", GROUP, "the host ports that the stack needs are free", |known: &Precomputed| {
        known.finding("host-ports")
    })
    .within(0)
    .hint("take the other pod away, or give this one another port under `values:`"),
    Row::new("quotas", GROUP, "the ResourceQuotas leave room for the stack", |known: &Precomputed| {
        known.finding("quotas")
    })
    .within(0)
    .hint("raise the quota (`kubectl -n NAMESPACE describe quota`), or lower replicas and requests under `values:`"),
    Row::new("tailnet", GROUP, "the tailnet has the configured name, and gives certificates", |known: &Precomputed| {
        known.finding("tailnet")
    })
    .within(0)
    .hint("compare the answer tailnet with the DNS page of the Tailscale admin console"),
];

/// Looks at the ground of a plan; reads and dry runs only.
pub async fn run(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<CheckResult>, ClusterError> {
    let kinds = kinds(cluster, &intent.incoming).await?;
    let (rights, ports, quotas, tailnet) = futures::try_join!(
        permissions::read(cluster, intent, &kinds),
        host_ports::read(cluster, &intent.incoming),
        quotas::read(cluster, &intent.incoming, &kinds),
        tailnet::read(cluster, intent),
    )?;
    let findings = [
        ("permissions", permissions::judge(&rights)),
        ("host-ports", host_ports::judge(&ports)),
        ("quotas", quotas::judge(&quotas)),
        ("tailnet", tailnet::judge(&tailnet)),
    ];
    Ok(Precomputed::new(intent.settings.namespace.as_str(), findings).run(ROWS).await)
}

/// How kinds are called, by (apiVersion, kind); those that only the releases' CRDs bring are among them.
type Kinds = BTreeMap<(String, String), Resource>;

async fn kinds(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Kinds, ClusterError> {
    let mut known = cluster.resources().await?;
    let brought = incoming.iter().flat_map(|incoming| incoming.crds.iter().chain(incoming.rendered));
    for crd in brought.filter(|object| object["kind"] == "CustomResourceDefinition") {
        for (kind, resource) in Resource::of_crd(crd) {
            known.entry(kind).or_insert(resource);
        }
    }
    Ok(known)
}

fn kind_of(object: &Value) -> (String, String) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}
