//! The cluster of a run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cluster::client::kubeconfig::KubeconfigOnce;
use crate::write_record::Writes;

/// Selects a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterTarget {
    /// `--kubeconfig`; `None`: `$KUBECONFIG`, then `~/.kube/config`, then in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`; `None`: the current one.
    pub context: Option<String>,
    /// The kubeconfig, once it was read; the targets of one run share it.
    pub once: KubeconfigOnce,
    /// Records the writes of the client.
    pub writes: Writes,
    /// Environment variables that exec plugins must not get.
    pub withheld: BTreeSet<String>,
}
