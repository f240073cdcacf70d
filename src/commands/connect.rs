//! Reaches the cluster and helm side by side; nothing is changed.

use crate::cli::GlobalArgs;
use crate::cluster::{Cluster, ClusterTarget};
use crate::error::Error;
use crate::helm::{Helm, HelmOptions};
use crate::writes::Writes;

/// Which cluster the flags name.
pub(super) fn target(global: &GlobalArgs) -> ClusterTarget {
    ClusterTarget { kubeconfig: global.kubeconfig.clone(), context: global.context.clone(), ..ClusterTarget::default() }
}

/// A reachable cluster and a usable helm, which both record what they write.
pub(super) async fn connect(global: &GlobalArgs, writes: &Writes) -> Result<(Cluster, Helm), Error> {
    let target = ClusterTarget { writes: writes.clone(), ..target(global) };
    let options = HelmOptions {
        program: global.helm.clone(),
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        cache: None,
        log_file: global.log_file.clone(),
        writes: writes.clone(),
    };
    let (cluster, helm) = tokio::join!(Cluster::connect(&target), Helm::discover(options));
    Ok((cluster?, helm?))
}
