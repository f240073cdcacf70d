//! Namespaces and CRDs of the stack that are being deleted: the API server creates no object in such a namespace, and none
//! of such a kind.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, DeletionReason, TerminatingCrd};
use crate::plan::PlannedRelease;

/// The pending deletions.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    pub(super) namespaces: Vec<DeletionReason>,
    pub(super) crds: Vec<TerminatingCrd>,
}

pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Deletions, ClusterError> {
    let namespaces: BTreeSet<&str> = incoming.iter().map(|incoming| incoming.release.namespace.as_str()).collect();
    let mut found = Deletions::default();
    for namespace in namespaces {
        found.namespaces.extend(cluster.namespace_deletion(namespace).await?);
    }
    let crds: Vec<Value> = incoming.iter().flat_map(|incoming| incoming.crds).cloned().collect();
    if !crds.is_empty() {
        found.crds = cluster.terminating_crds(&crds).await?;
    }
    Ok(found)
}

pub(super) fn judge(found: &Deletions) -> Finding {
    let namespaces = found.namespaces.iter().map(|reason| reason.why.clone());
    let crds = found.crds.iter().map(|crd| {
        let since = crd.since.map(|since| format!(" since {since}")).unwrap_or_default();
        format!("CRD {} is being deleted{since}: {}", crd.name, crd.reason.why)
    });
    let all: Vec<String> = namespaces.chain(crds).collect();
    if all.is_empty() {
        return Finding::pass("");
    }
    let reasons = found.namespaces.iter().chain(found.crds.iter().map(|crd| &crd.reason));
    let hints: BTreeSet<&str> = reasons.filter_map(|reason| reason.hint.as_deref()).collect();
    let finding = Finding::fail(all.join("; "));
    match hints.is_empty() {
        true => finding,
        false => finding.hinting(hints.into_iter().collect::<Vec<_>>().join("; ")),
    }
}
