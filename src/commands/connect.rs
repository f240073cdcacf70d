//! Reaches the cluster and helm side by side; nothing is changed.

use std::path::PathBuf;

use crate::cli::{self, GlobalArgs, SettingsArgs};
use crate::cluster::{Cluster, ClusterTarget, KubeconfigOnce, KubeconfigSnapshot};
use crate::commands::{saved, settings_sources};
use crate::config::{self, Draft};
use crate::engine;
use crate::error::Error;
use crate::helm::{self, Helm, HelmOptions, HelmProgram};
use crate::process::{ClusterAccess, Environment};
use crate::writes::Writes;

/// Which cluster the flags name, and which variables no child gets that is started on the way to it.
pub(super) fn target(global: &GlobalArgs, environment: &Environment) -> ClusterTarget {
    let (kubeconfig, context) = (global.kubeconfig.clone(), global.context.clone());
    ClusterTarget { kubeconfig, context, withheld: environment.withheld(), ..ClusterTarget::default() }
}

/// What every child gets of our environment, as far as the answers of this machine tell. A command that takes no
/// answers file still keeps back what the file that `TAILWATCH_ANSWERS` names has as secrets.
pub(super) fn environment(global: &GlobalArgs, draft: &Draft) -> Environment {
    let twin: SettingsArgs = cli::from_environment().unwrap_or_default();
    let environment = Environment::without(draft.secret_variables());
    // A pipe can be read only once, by the command that it answers.
    match twin.answers.as_ref().is_some_and(|path| path.is_file()) {
        true => environment.and_without(config::secret_variables(&settings_sources(global, &twin))),
        false => environment,
    }
}

/// A reachable cluster and a usable helm on the very same one, which both record what they write.
pub(super) async fn connect(global: &GlobalArgs, draft: &Draft, writes: &Writes) -> Result<(Cluster, Helm), Error> {
    connect_by(global, draft, writes, KubeconfigOnce::default()).await
}

/// The same by a kubeconfig that may have been read already.
pub(super) async fn connect_by(
    global: &GlobalArgs,
    draft: &Draft,
    writes: &Writes,
    once: KubeconfigOnce,
) -> Result<(Cluster, Helm), Error> {
    let driver = helm::driver()?;
    let environment = environment(global, draft);
    let target = ClusterTarget { writes: writes.clone(), once, ..target(global, &environment) };
    let options = HelmOptions {
        program: global.helm.clone(),
        driver,
        cache: None,
        log_file: global.log_file.clone(),
        writes: writes.clone(),
        environment,
    };
    let (cluster, program) = tokio::join!(Cluster::connect(&target), HelmProgram::discover(options));
    let (cluster, program) = (cluster?, program?);
    let access = access(&cluster)?;
    Ok((cluster, program.on(access)))
}

/// What was read of the cluster, or failed there, counts only while it is the cluster of the beginning.
pub(super) async fn of_one_cluster<T>(
    cluster: &Cluster,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ended = work.await;
    if !matches!(ended, Err(Error::Interrupted | Error::Declined)) {
        cluster.compare_identity().await?;
    }
    ended
}

/// The same helm without the variables that the answers kept in the cluster name as sources of secrets. Whether these
/// answers can be used is told by what uses them.
pub(super) async fn without_saved(helm: Helm, draft: &Draft, cluster: &Cluster) -> Helm {
    let known = saved::add(draft.clone(), cluster).await;
    helm.without(known.map(|draft| draft.secret_variables()).unwrap_or_default())
}

/// What every helm of this run gets, written once.
fn access(cluster: &Cluster) -> Result<ClusterAccess, Error> {
    let failed = |source| Error::Local { what: "write the kubeconfig that helm gets".into(), source };
    let KubeconfigSnapshot { context, document } = cluster.kubeconfig();
    ClusterAccess::write(document.expose(), context, &run_folders()).map_err(failed)
}

/// Where a run may keep what only it needs: in memory first, where the system has such a place.
fn run_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("tailwatch"));
    let state = engine::state_folder().map(|folder| folder.join("runs"));
    runtime.into_iter().chain(state).chain([std::env::temp_dir()]).collect()
}
