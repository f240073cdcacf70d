//! The taints of the nodes, read only when a pod is not scheduled because of them: a watch of a thousand nodes would
//! cost too much.

use std::collections::BTreeSet;

use kube::api::ListParams;

use crate::cluster::diagnose::needs_taints;
use crate::cluster::views::{Node, Pod};
use crate::cluster::watch::cache::{Nodes, ObjectCache};
use crate::cluster::{Cluster, ClusterError};

/// Whether a rule needs the taints of the nodes.
pub(super) fn asks_for_nodes(cache: &ObjectCache) -> bool {
    cache.everywhere::<Pod>().any(needs_taints)
}

impl Cluster {
    /// Number of nodes by taint.
    pub(super) async fn nodes(&self) -> Result<Nodes, ClusterError> {
        let mut nodes = Nodes::default();
        for node in self.views::<Node>("v1", "Node", None, &ListParams::default()).await? {
            nodes.total += 1;
            // With PreferNoSchedule a node still accepts the pod.
            let hard = node.spec.taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
            let keys: BTreeSet<&str> = hard.map(|taint| taint.key.as_str()).collect();
            for key in keys {
                *nodes.taints.entry(key.to_owned()).or_default() += 1;
            }
        }
        Ok(nodes)
    }
}
