//! The taints of the nodes, read only when a pod is refused for them: nobody watches a thousand nodes for that.

use std::collections::BTreeSet;

use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::diagnose::asks_for_taints;
use crate::cluster::watch::cache::{Nodes, ObjectCache, text};
use crate::cluster::{Cluster, ClusterError};

/// Whether a pod waits for nodes whose taints have to be known.
pub(super) fn asks_for_nodes(cache: &ObjectCache) -> bool {
    cache.everywhere("Pod").any(asks_for_taints)
}

impl Cluster {
    /// How many nodes have which taint.
    pub(super) async fn nodes(&self) -> Result<Nodes, ClusterError> {
        let mut nodes = Nodes::default();
        for node in self.list_slim("v1", "Node", None, &ListParams::default()).await? {
            nodes.total += 1;
            let taints = node.pointer("/spec/taints").and_then(Value::as_array).into_iter().flatten();
            // The milder effect keeps no pod away.
            let hard = taints.filter(|taint| text(taint, "/effect") != "PreferNoSchedule");
            let keys: BTreeSet<&str> = hard.map(|taint| text(taint, "/key")).collect();
            for key in keys {
                *nodes.taints.entry(key.to_owned()).or_default() += 1;
            }
        }
        Ok(nodes)
    }
}
