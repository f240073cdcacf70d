//! Connects to the cluster and starts helm in parallel; nothing is changed.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{self, GlobalArgs, SettingsArgs};
use crate::cluster::{Cluster, ClusterTarget, KubeconfigOnce, KubeconfigSnapshot};
use crate::commands::settings_sources::settings_sources;
use crate::commands::{saved_answers, secrets};
use crate::config::{self, Draft};
use crate::engine;
use crate::error::Error;
use crate::helm::{self, Helm, HelmOptions, HelmProgram};
use crate::process::{ClusterAccess, Environment};
use crate::stack::Catalogue;
use crate::write_record::Writes;

/// How long the API server may answer nothing while a command reads: beyond the restart of one, and beyond what the
/// checks of the stack wait for.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Which cluster the flags name, and which variables no child gets that is started on the way to it.
pub(super) fn target(global: &GlobalArgs, environment: &Environment) -> ClusterTarget {
    let (kubeconfig, context) = (global.kubeconfig.clone(), global.context.clone());
    ClusterTarget { kubeconfig, context, withheld: environment.withheld(), ..ClusterTarget::default() }
}

/// The answers file that `TAILWATCH_ANSWERS` names, for a command that takes none: what it has as secrets is kept back,
/// too.
fn answers_of_the_environment(global: &GlobalArgs) -> Draft {
    let twin: SettingsArgs = cli::from_environment().unwrap_or_default();
    // A pipe can be read only once, by the command that it answers.
    match twin.answers.as_ref().is_some_and(|path| path.is_file()) {
        true => config::load_beside_mistakes(&settings_sources(global, &twin)),
        false => Draft::default(),
    }
}

/// What a command works with.
pub(super) struct Target {
    pub(super) cluster: Cluster,
    pub(super) helm: Helm,
    pub(super) catalogue: Catalogue,
}

/// The target, and the answers for it.
pub(super) struct Connected {
    pub(super) target: Target,
    /// The answers with those that the cluster keeps; an error where these are needed and cannot be used.
    pub(super) draft: Result<Draft, Error>,
    /// The answers that the cluster keeps, by themselves.
    pub(super) kept: Option<Draft>,
}

/// A reachable cluster and a usable helm on the very same one, which both record what they write.
///
/// No child gets a variable that the answers name as the source of a secret, and nothing shows such a secret. helm
/// starts once the answers that the cluster keeps are known, too. An exec plugin of the kubeconfig starts before: these
/// answers can be read with its credentials only, so that the variables that they alone name are in its environment.
pub(super) async fn connect(global: &GlobalArgs, draft: &Draft, writes: &Writes) -> Result<Connected, Error> {
    connect_by(global, draft, writes, KubeconfigOnce::default()).await
}

/// The same by a kubeconfig that may have been read already.
pub(super) async fn connect_by(
    global: &GlobalArgs,
    draft: &Draft,
    writes: &Writes,
    once: KubeconfigOnce,
) -> Result<Connected, Error> {
    let driver = helm::driver()?;
    let beside = answers_of_the_environment(global);
    let environment = Environment::without(draft.secret_variables()).and_without(beside.secret_variables());
    [draft, &beside].into_iter().for_each(secrets::hide_answers);
    let target = ClusterTarget { writes: writes.clone(), once, ..target(global, &environment) };
    let cluster = Cluster::connect(&target).await?;
    let state = saved_answers::state(draft, &cluster).await;
    let kept = state.as_ref().ok().and_then(Option::as_ref).map(|state| config::kept_alone(draft, &state.text));
    let merged = match state {
        Ok(Some(state)) => config::add_state(draft.clone(), &state).map_err(Error::from),
        Ok(None) => Ok(draft.clone()),
        Err(error) => Err(error),
    };
    let options = HelmOptions {
        program: global.helm.clone(),
        driver,
        cache: None,
        log_file: global.log_file.clone(),
        writes: writes.clone(),
        environment: environment.and_without(kept.iter().flat_map(Draft::secret_variables)),
    };
    let program = HelmProgram::discover(options).await?;
    let helm = program.on(access(&cluster)?);
    let catalogue = catalogue(global)?;
    secrets::hide_known((&cluster, &helm), (draft, kept.as_ref()), &catalogue).await;
    Ok(Connected { target: Target { cluster, helm, catalogue }, draft: merged, kept })
}

/// The catalogue of `--values-dir`, or the built-in one.
fn catalogue(global: &GlobalArgs) -> Result<Catalogue, Error> {
    Ok(match &global.values_dir {
        Some(folder) => Catalogue::from_dir(folder)?,
        None => Catalogue::embedded()?,
    })
}

/// A result or error of the cluster counts only while it is still the cluster of the run's start. The future ends when
/// the API server does not answer: helm would wait much longer.
pub(super) async fn of_one_cluster<T>(
    cluster: &Cluster,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ended = tokio::select! {
        ended = work => ended,
        silent = cluster.unanswered_for(SILENCE_LIMIT) => return Err(silent.into()),
    };
    if !matches!(ended, Err(Error::Interrupted | Error::Declined)) {
        cluster.compare_identity().await?;
    }
    ended
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

/// The context with a blank behind it; empty without a context.
pub(super) fn cluster_name(cluster: &Cluster) -> String {
    cluster.context().map(|context| format!("{context} ")).unwrap_or_default()
}
