//! The kubeconfig for the child processes of a run.

use crate::config::Secret;

/// A kubeconfig with one context, cluster and user: the server, proxy, trust and credentials that the client uses.
/// Paths are absolute; files and exec plugins stay references: credentials can rotate.
#[derive(Clone, Debug)]
pub struct KubeconfigSnapshot {
    /// The name of its context.
    pub context: String,
    /// The kubeconfig in JSON, which is YAML.
    pub document: Secret<String>,
}

#[cfg(test)]
impl KubeconfigSnapshot {
    pub(in crate::cluster) fn none() -> KubeconfigSnapshot {
        KubeconfigSnapshot { context: String::new(), document: Secret::new(String::new()) }
    }
}
