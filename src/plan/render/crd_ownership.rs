//! Notices of CRD fields that change their owner. Reads only.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, ClusterError};
use crate::list::first_of;
use crate::plan::PlannedRelease;

/// Number of CRDs that a notice lists.
const NAMED: usize = 2;

/// One notice for each field manager.
pub(in crate::plan) async fn notices(
    cluster: &Cluster,
    incoming: &[PlannedRelease<'_>],
) -> Result<Vec<String>, ClusterError> {
    let mut reported = Vec::new();
    for release in incoming.iter().filter(|release| !release.crds.is_empty()) {
        let owners = cluster.crd_conflicts(release.crds).await?;
        reported.extend(owners.iter().map(|(manager, crds)| notice(manager, crds)));
    }
    Ok(reported)
}

fn notice(manager: &str, crds: &BTreeSet<String>) -> String {
    let named = first_of(crds, NAMED);
    let kind = if crds.len() == 1 { "CRD" } else { "CRDs" };
    format!("{kind} {named}: field ownership moves from {manager} to tailwatch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_the_manager_and_some_of_its_crds() {
        let crds = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(notice("kubectl", &crds(&["a.x"])), "CRD a.x: field ownership moves from kubectl to tailwatch");
        assert_eq!(
            notice("argocd", &crds(&["a.x", "b.x", "c.x", "d.x"])),
            "CRDs a.x, b.x and 2 more: field ownership moves from argocd to tailwatch"
        );
    }
}
