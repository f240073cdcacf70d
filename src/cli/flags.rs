//! The flags of the subcommands.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

/// Flags of every subcommand.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// kubeconfig context to use instead of the current one
    #[arg(long, global = true, env = "TAILWATCH_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, env = "TAILWATCH_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the stack [default: monitoring]
    #[arg(long, global = true, env = "TAILWATCH_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// helm program to use instead of the one on PATH
    #[arg(long, global = true, env = "TAILWATCH_HELM", value_name = "PATH")]
    pub helm: Option<PathBuf>,
    /// Read the catalogue and the values files from this folder instead of the built-in ones
    #[arg(long, global = true, env = "TAILWATCH_VALUES_DIR", value_name = "DIR")]
    pub values_dir: Option<PathBuf>,
    /// Format of stdout: text or JSON
    #[arg(long, global = true, env = "TAILWATCH_OUTPUT", value_enum, default_value_t = Output::Human, value_name = "FORMAT")]
    pub output: Output,
    /// When to use colours
    #[arg(long, global = true, env = "TAILWATCH_COLOR", value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// At the end of a run, list every check, and report duration, memory and requests to the API server
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Write only errors to stderr and do not prompt; changes to the cluster then need --yes
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Append every event and every helm call, redacted, to this file
    #[arg(long, global = true, env = "TAILWATCH_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Write the waves and checks of verify, preflight, install, upgrade or the guided installation as JUnit XML to
    /// this file, also after a failure
    #[arg(long, global = true, env = "TAILWATCH_JUNIT", value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write an HTML page with data path, checks, versions and timeline to this file, for the same commands
    #[arg(long, global = true, env = "TAILWATCH_HTML", value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Format of stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text.
    Human,
    /// JSON: one event per line for runs, one document otherwise.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Sources of settings besides environment and prompts.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// Answers file (see `tailwatch answers init`)
    #[arg(long, short = 'f', env = "TAILWATCH_ANSWERS", value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Set one answer, e.g. --set retention.logs=14d; overrides the file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read the charts from a bundle instead of their repositories; sets charts.repository
    #[arg(long, env = "TAILWATCH_BUNDLE", value_name = "PATH")]
    pub bundle: Option<PathBuf>,
    /// Accept security-bearing saved answers that changed in the cluster since the last run; --yes does not
    #[arg(long, env = "TAILWATCH_ACCEPT_SAVED", value_parser = FalseyValueParser::new())]
    pub accept_saved: bool,
}

/// Flags of `install`.
#[derive(Clone, Debug, Default, Args)]
pub struct InstallArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Skip the confirmation prompt
    #[arg(long, short = 'y', env = "TAILWATCH_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
    /// Skip the verification
    #[arg(long, env = "TAILWATCH_SKIP_VERIFY", value_parser = FalseyValueParser::new())]
    pub skip_verify: bool,
    /// Adopt existing objects of other owners that have the stack's names
    #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
    pub adopt: bool,
    /// Accept chart versions with a major that was not tested with this tailwatch
    #[arg(long, env = "TAILWATCH_ALLOW_UNVERIFIED", value_parser = FalseyValueParser::new())]
    pub allow_unverified: bool,
    /// How long a step may be without progress, e.g. 10m; a rollout that advances may take longer
    #[arg(long, env = "TAILWATCH_TIMEOUT", default_value = "10m", value_name = "DURATION")]
    pub timeout: String,
    /// End the installation after this time even if a rollout advances, e.g. 1h; then nothing is rolled back
    #[arg(long, env = "TAILWATCH_DEADLINE", value_name = "DURATION")]
    pub deadline: Option<String>,
    /// How long to wait for a lock that another run holds, e.g. 15m
    #[arg(long, env = "TAILWATCH_LOCK_TIMEOUT", default_value = "0s", value_name = "DURATION")]
    pub lock_timeout: String,
    /// Prompt for the client secret even if the cluster stores one
    #[arg(long, env = "TAILWATCH_ASK_SECRETS", value_parser = FalseyValueParser::new())]
    pub ask_secrets: bool,
}

/// Flags of `uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Also delete the volumes with metrics, logs and dashboards, the Secrets and the saved answers
    #[arg(long, env = "TAILWATCH_DELETE_DATA", value_parser = FalseyValueParser::new())]
    pub delete_data: bool,
    /// Also delete the CRDs of monitoring.coreos.com, except those that others use
    #[arg(long, env = "TAILWATCH_DELETE_CRDS", value_parser = FalseyValueParser::new())]
    pub delete_crds: bool,
    /// Skip the confirmation prompt
    #[arg(long, short = 'y', env = "TAILWATCH_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
    /// How long a step may be without progress, e.g. 10m
    #[arg(long, env = "TAILWATCH_TIMEOUT", default_value = "10m", value_name = "DURATION")]
    pub timeout: String,
    /// How long to wait for a lock that another run holds, e.g. 15m
    #[arg(long, env = "TAILWATCH_LOCK_TIMEOUT", default_value = "0s", value_name = "DURATION")]
    pub lock_timeout: String,
}

/// The flags of the guided mode: only their environment variables.
pub fn from_environment<T: Args>() -> Result<T, clap::Error> {
    let matches = T::augment_args(clap::Command::new("tailwatch")).try_get_matches_from(["tailwatch"])?;
    T::from_arg_matches(&matches)
}

/// Flags of `upgrade`.
#[derive(Clone, Debug, Default, Args)]
pub struct UpgradeArgs {
    /// Options of the run.
    #[command(flatten)]
    pub run: InstallArgs,
    /// Upgrade a component to this version, e.g. --to loki=6.55.0 (repeatable)
    #[arg(long, env = "TAILWATCH_TO", value_delimiter = ',', value_name = "COMPONENT=VERSION")]
    pub to: Vec<String>,
    /// Upgrade every other component to its newest version; untested majors only with --allow-unverified
    #[arg(long, env = "TAILWATCH_LATEST", value_parser = FalseyValueParser::new())]
    pub latest: bool,
}

/// Flags of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Show the values and objects that would change
    #[arg(long)]
    pub diff: bool,
    /// Exit with 8 if something would change
    #[arg(long)]
    pub exit_code: bool,
    /// Plan as `install --adopt` does
    #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
    pub adopt: bool,
    /// Write the plan to a file for `tailwatch install --plan FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Flags of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Run only this check and the checks it requires (repeatable)
    #[arg(long = "check", value_name = "ID")]
    pub checks: Vec<String>,
    /// Options of the sign-in.
    #[command(flatten)]
    pub login: LoginArgs,
    /// Skip this check and the checks that require it (repeatable)
    #[arg(long = "skip-check", value_name = "ID")]
    pub skipped: Vec<String>,
    /// Maximum wait of each check, e.g. 10s; without it each check has its own
    #[arg(long, env = "TAILWATCH_WITHIN", value_name = "DURATION")]
    pub within: Option<String>,
    /// Number of nodes on which a pod writes a test line that must reach Loki
    #[arg(long, env = "TAILWATCH_PROBE_NODES", default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub probe_nodes: u16,
}

/// Options of the sign-in.
#[derive(Clone, Copy, Debug, Args)]
pub struct LoginArgs {
    /// Also sign in and check whether oauth2-proxy admits you; the token is not stored
    #[arg(
        long = "login",
        env = "TAILWATCH_LOGIN",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "browser",
        value_name = "METHOD"
    )]
    pub method: Option<LoginMethod>,
    /// Port for --login; http://127.0.0.1:PORT/callback must be among the application's Allowed Callback URLs
    #[arg(long = "login-port", env = "TAILWATCH_LOGIN_PORT", default_value_t = 4181, value_name = "PORT")]
    pub port: u16,
}

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoginMethod {
    /// A browser on this machine.
    Browser,
    /// Any device, with a code; the issuer must support the device flow.
    Device,
}

/// Flags of `rbac`.
#[derive(Clone, Debug, Args)]
pub struct RbacArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// The command that is to be run with the permissions; install and upgrade include verify, upgrade also changes of
    /// the answers
    #[arg(long = "for", value_enum, default_value_t = RbacCommand::Install, value_name = "COMMAND")]
    pub command: RbacCommand,
    /// The ServiceAccount that gets them [default: tailwatch in the namespace of the stack]
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "group")]
    pub service_account: Option<String>,
    /// The group that gets them, instead of a ServiceAccount
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// With --for uninstall: permissions for `uninstall --delete-data`, too
    #[arg(long)]
    pub delete_data: bool,
    /// With --for uninstall: permissions for `uninstall --delete-crds`, too
    #[arg(long)]
    pub delete_crds: bool,
}

/// Flags of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The tool that is to install the stack
    #[arg(value_enum, value_name = "TOOL")]
    pub tool: ExportTool,
    /// A new or empty folder for the files
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Kind of the templates for Secrets, which the files leave to you
    #[arg(long, value_enum, default_value_t = SecretTemplate::Kubernetes, value_name = "KIND")]
    pub secrets: SecretTemplate,
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Ask the chart repositories for newer versions, too
    #[arg(long)]
    pub check_updates: bool,
}

/// Flags of `bundle`.
#[derive(Clone, Debug, Args)]
pub struct BundleArgs {
    /// A new or empty folder, or a new archive that ends in .tar.gz or .tgz
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// List the images without digests; no registry of images is read
    #[arg(long, env = "TAILWATCH_WITHOUT_DIGESTS", value_parser = FalseyValueParser::new())]
    pub without_digests: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// A tool that installs the exported files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportTool {
    /// Argo CD: an Application for each release, with sync waves.
    Argocd,
    /// Flux: a HelmRelease for each release, with dependsOn.
    Flux,
    /// helmfile: a helmfile.yaml with the values of each release.
    Helmfile,
    /// kubectl: the rendered objects.
    Manifests,
}

/// Kind of the template for a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecretTemplate {
    /// A Secret.
    Kubernetes,
    /// An ExternalSecret of the External Secrets Operator.
    ExternalSecrets,
    /// A SealedSecret of Sealed Secrets.
    SealedSecrets,
}

/// A command with permissions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RbacCommand {
    /// The first installation, and its repetition.
    Install,
    /// Other versions and answers, too.
    Upgrade,
    /// The checks of the installed stack.
    Verify,
    /// The removal.
    Uninstall,
}
