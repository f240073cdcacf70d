//! Connects to the cluster and starts helm in parallel; nothing is changed.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{self, GlobalArgs, SettingsArgs};
use crate::cluster::{Cluster, ClusterTarget, KubeconfigOnce, KubeconfigSnapshot};
use crate::config::{self, Draft};
use crate::engine;
use crate::error::Error;
use crate::helm::{self, Helm, HelmOptions, HelmProgram};
use crate::process::{ClusterAccess, Environment};
use crate::session::Session;
use crate::stack::{Catalogue, CatalogueEntry, HelmDriver};
use crate::workflow::{saved_answers, secrets};

/// How long a reading command waits for a silent API server: longer than its restart and than any check of the stack.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// The cluster that the flags select, and the variables that its child processes must not get.
pub(crate) fn target(global: &GlobalArgs, environment: &Environment) -> ClusterTarget {
    let (kubeconfig, context) = (global.kubeconfig.clone(), global.context.clone());
    ClusterTarget { kubeconfig, context, withheld: environment.withheld(), ..ClusterTarget::default() }
}

/// The answers file of `TAILWATCH_ANSWERS`, for commands without `--answers`: children do not get its secrets either.
fn environment_answers(session: &Session) -> Draft {
    let twin: SettingsArgs = cli::from_environment().unwrap_or_default();
    // A pipe can be read only once, by a command that uses the answers.
    match twin.answers.as_ref().is_some_and(|path| path.is_file()) {
        true => config::load_despite_problems(&session.sources(&twin)),
        false => Draft::default(),
    }
}

/// Connections of a command.
pub(crate) struct Target {
    pub(crate) cluster: Cluster,
    pub(crate) helm: Helm,
    pub(crate) catalogue: Catalogue,
}

/// The target, and the answers for it.
pub(crate) struct Connected {
    pub(crate) target: Target,
    /// The answers merged with the saved answers; an error if these are needed and invalid.
    pub(crate) draft: Result<Draft, Error>,
    /// The saved answers alone.
    pub(crate) kept: Option<Draft>,
}

/// A reachable cluster, and a usable helm for the same cluster; both record their writes.
///
/// No child gets a variable that the answers use as the source of a secret, and no output shows such a secret. helm
/// starts after the saved answers are read. An exec plugin of the kubeconfig starts before, since reading them needs
/// its credentials: variables that only the saved answers use are in its environment.
pub(crate) async fn connect(session: &Session, draft: &Draft) -> Result<Connected, Error> {
    connect_by(session, draft, KubeconfigOnce::default()).await
}

/// The installed stack of a namespace, for commands that only read it: helm does not start.
pub(crate) struct Stack {
    pub(crate) cluster: Cluster,
    pub(crate) driver: HelmDriver,
    pub(crate) namespace: String,
    pub(crate) rows: Vec<CatalogueEntry>,
}

/// Connects to the stack in the namespace of the flags, the environment or the default.
pub(crate) async fn connect_to_stack(session: &Session) -> Result<Stack, Error> {
    let draft = config::load(&session.sources(&SettingsArgs::default()))?;
    let namespace = draft.namespace();
    let Reached { cluster, options, catalogue, kept, .. } = reach(session, &draft, KubeconfigOnce::default()).await?;
    session.record.place(cluster.context(), &namespace);
    let rows = catalogue.overview(&namespace);
    secrets::hide_saved((&cluster, options.driver), kept.as_ref(), &rows).await;
    Ok(Stack { cluster, driver: options.driver, namespace, rows })
}

/// As [`connect`], with a kubeconfig that may have been read already.
pub(crate) async fn connect_by(session: &Session, draft: &Draft, once: KubeconfigOnce) -> Result<Connected, Error> {
    let Reached { cluster, options, catalogue, merged, kept } = reach(session, draft, once).await?;
    let access = access(&cluster)?;
    let rows = catalogue.overview(&draft.namespace());
    let hiding = secrets::hide_saved((&cluster, options.driver), kept.as_ref(), &rows);
    let (program, ()) = futures::join!(HelmProgram::discover(options.clone()), hiding);
    let helm = program?.on(access);
    Ok(Connected { target: Target { cluster, helm, catalogue }, draft: merged, kept })
}

/// A reachable cluster and its saved answers.
struct Reached {
    cluster: Cluster,
    options: HelmOptions,
    catalogue: Catalogue,
    merged: Result<Draft, Error>,
    kept: Option<Draft>,
}

async fn reach(session: &Session, draft: &Draft, once: KubeconfigOnce) -> Result<Reached, Error> {
    let Session { global, writes, .. } = session;
    let driver = helm::driver()?;
    let beside = environment_answers(session);
    let environment = Environment::without(draft.secret_variables()).and_without(beside.secret_variables());
    [draft, &beside].into_iter().for_each(secrets::hide_answers);
    let target = ClusterTarget { writes: writes.clone(), once, ..target(global, &environment) };
    let cluster = Cluster::connect(&target).await?;
    let namespace = draft.namespace();
    let (state, ()) = futures::join!(saved_answers::state(draft, &cluster), secrets::hide_stored(&cluster, &namespace));
    let kept = state.as_ref().ok().and_then(Option::as_ref).map(|state| config::load_saved_only(draft, &state.text));
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
    Ok(Reached { cluster, options, catalogue: catalogue(global)?, merged, kept })
}

/// The catalogue of `--values-dir`, or the built-in one.
pub(crate) fn catalogue(global: &GlobalArgs) -> Result<Catalogue, Error> {
    Ok(match &global.values_dir {
        Some(folder) => Catalogue::from_dir(folder)?,
        None => Catalogue::embedded()?,
    })
}

/// Rejects a result or error if the cluster's identity changed since the start. Ends the future when the API server
/// does not answer: helm would wait much longer.
pub(crate) async fn of_one_cluster<T>(
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

/// helm for a command without a cluster, with the variables of the answers removed from its environment.
pub(crate) async fn helm_without_cluster(session: &Session, draft: &Draft) -> Result<Helm, Error> {
    let failed = |source| Error::Local { what: "write the empty kubeconfig that helm gets".into(), source };
    secrets::hide_answers(draft);
    let options = HelmOptions {
        program: session.global.helm.clone(),
        log_file: session.global.log_file.clone(),
        environment: Environment::without(draft.secret_variables()),
        ..HelmOptions::default()
    };
    let access = ClusterAccess::write("", "", &run_folders()).map_err(failed)?;
    Ok(HelmProgram::discover(options).await?.on(access))
}

/// Writes the kubeconfig for every helm process of this run.
fn access(cluster: &Cluster) -> Result<ClusterAccess, Error> {
    let failed = |source| Error::Local { what: "write the kubeconfig that helm gets".into(), source };
    let KubeconfigSnapshot { context, document } = cluster.kubeconfig();
    ClusterAccess::write(document.expose(), context, &run_folders()).map_err(failed)
}

/// Folders for temporary files of a run: first one in memory, if the system has one.
fn run_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("tailwatch"));
    let state = engine::state_folder().map(|folder| folder.join("runs"));
    runtime.into_iter().chain(state).chain([std::env::temp_dir()]).collect()
}

/// The context with a blank behind it; empty without a context.
pub(crate) fn cluster_name(cluster: &Cluster) -> String {
    cluster.context().map(|context| format!("{context} ")).unwrap_or_default()
}
