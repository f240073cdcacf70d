//! Which cluster a run uses.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cluster::client::kubeconfig::KubeconfigOnce;
use crate::write_record::Writes;

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterTarget {
    /// `--kubeconfig`; `None`: `$KUBECONFIG`, then `~/.kube/config`, then in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`; `None`: the current one.
    pub context: Option<String>,
    /// What the kubeconfig held, once it was read; the targets of one run share it.
    pub once: KubeconfigOnce,
    /// Where the client records what it writes.
    pub writes: Writes,
    /// Variables of our environment that no exec plugin may get.
    pub withheld: BTreeSet<String>,
}
