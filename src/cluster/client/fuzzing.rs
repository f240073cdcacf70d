//! The parsers of this module for fuzzing.

use std::path::Path;

use crate::cluster::client::access::Access;
use crate::cluster::client::exec_plugin::Plugin;
use crate::cluster::client::kubeconfig::parse;
use crate::cluster::client::kubeconfig_schema::{Cluster, Exec};
use crate::process::Environment;

/// A kubeconfig, and the access of each of its contexts.
pub(in crate::cluster) fn kubeconfig(bytes: &[u8]) {
    let Ok(kubeconfig) = parse(Path::new("/kubeconfig"), bytes) else { return };
    kubeconfig.context_names().iter().for_each(|name| drop(Access::of_context(&kubeconfig, name)));
}

/// The output of an exec plugin.
pub(in crate::cluster) fn exec_credential(bytes: &[u8]) {
    let exec = Exec { api_version: "client.authentication.k8s.io/v1".into(), ..Exec::default() };
    drop(Plugin::new(&exec, &Cluster::default(), Environment::default()).read(bytes));
}
