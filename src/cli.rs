//! clap types of the command line. No logic beyond value parsing.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// Guided installer for the observability stack of a Kubernetes cluster on a tailnet.
#[derive(Debug, Parser)]
#[command(name = "tailwatch", version, about, max_term_width = 100)]
pub struct Cli {
    /// Flags of every subcommand.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The subcommand; without one: the guided installation.
    #[command(subcommand)]
    pub command: Option<Command>,
}

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

/// The command of an invalid command line, if its output is one JSON event per line: clap stops at the first error.
pub fn streaming_command(line: impl IntoIterator<Item = OsString>) -> Option<&'static str> {
    let line: Vec<OsString> = line.into_iter().skip(1).collect();
    let root = Cli::command();
    let named = line.iter().find_map(|word| root.find_subcommand(word)).map(clap::Command::get_name);
    let command = match named? {
        "install" => "install",
        "upgrade" => "upgrade",
        "uninstall" => "uninstall",
        _ => return None,
    };
    let is_flag = |word: &OsString| word == "--output" || word.to_string_lossy().starts_with("--output=");
    let is_named = line.contains(&"--output=json".into()) || line.windows(2).any(|pair| pair == ["--output", "json"]);
    let by_environment = || std::env::var_os("TAILWATCH_OUTPUT").is_some_and(|format| format == "json");
    (is_named || (!line.iter().any(is_flag) && by_environment())).then_some(command)
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

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install or update the stack, wave by wave, and verify it
    Install {
        /// Options of the run.
        #[command(flatten)]
        run: InstallArgs,
        /// Execute exactly the plan of `tailwatch plan --out FILE`, without a prompt, with the same answers; fail if
        /// the plan is stale
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
    /// Show newer chart versions and what they change, and upgrade to the chosen ones
    Upgrade(UpgradeArgs),
    /// Remove the stack, last wave first; retain data and CRDs by default
    Uninstall(UninstallArgs),
    /// Show what install would do and why, without changing anything
    Plan(PlanArgs),
    /// Run the checks that precede an installation; change nothing
    Preflight {
        /// Settings.
        #[command(flatten)]
        settings: SettingsArgs,
        /// Check as `install --adopt` does
        #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
        adopt: bool,
    },
    /// Run every check of the installed stack
    Verify(VerifyArgs),
    /// Print the roles with exactly the permissions that a command needs; change nothing
    Rbac(RbacArgs),
    /// Show installed releases, versions, readiness and address
    Status,
    /// Diagnose the installed stack: report causes and next steps
    Diagnose,
    /// Explain a check, a diagnosis or an exit code, with the next step
    Explain {
        /// The id from a report, e.g. image-not-found, or an exit code, e.g. 4.
        id: String,
    },
    /// Show a recorded run again, from --output json or a log file
    Replay {
        /// The file.
        file: PathBuf,
        /// How many times as fast, on live bars
        #[arg(long, default_value_t = 1, value_name = "FACTOR", value_parser = clap::value_parser!(u16).range(1..=1000))]
        speed: u16,
    },
    /// Work with the answers file
    Answers {
        /// The subcommand.
        #[command(subcommand)]
        command: AnswersCommand,
    },
    /// Print a completion script
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Subcommands of `answers`.
#[derive(Debug, Subcommand)]
pub enum AnswersCommand {
    /// Print a commented template
    Init,
    /// Check an answers file without a cluster
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Show the effective answers and the source of each; secrets are redacted
    Show {
        /// Settings.
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print the JSON Schema of the answers file
    Schema,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_line_has_its_streaming_command() {
        for (line, expected) in [
            ("install --output json --nonsense", Some("install")),
            ("install --nonsense --output=json", Some("install")),
            ("--output json uninstall --lock-timeout", Some("uninstall")),
            ("uninstall --lock-timeout --output json", Some("uninstall")),
            ("upgrade --output json --to", Some("upgrade")),
            ("install --nonsense", None),
            ("install --output yaml", None),
            ("verify --output json --nonsense", None),
            ("--nonsense uninstall --output json", Some("uninstall")),
            ("--nonsense --output json", None),
        ] {
            let words = std::iter::once("tailwatch").chain(line.split(' ')).map(OsString::from);
            assert_eq!(streaming_command(words), expected, "{line}");
        }
    }
}
