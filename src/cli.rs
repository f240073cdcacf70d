//! clap types only: the command line as design'd contract. No logic beyond value parsing.

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
    /// What to do; without a subcommand: the guided installation.
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
    /// What stdout carries: text for people, or JSON
    #[arg(long, global = true, env = "TAILWATCH_OUTPUT", value_enum, default_value_t = Output::Human, value_name = "FORMAT")]
    pub output: Output,
    /// When to colour
    #[arg(long, global = true, env = "TAILWATCH_COLOR", value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Say at the end of a run what it took: seconds, memory, requests to the API server
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing on stderr but errors, and ask nothing: what changes the cluster then needs --yes
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Write every event and every helm call (redacted) to this file
    #[arg(long, global = true, env = "TAILWATCH_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Write every check and every wave as JUnit XML to this file at the end of verify, preflight, install, upgrade or
    /// the guided installation, however it ends
    #[arg(long, global = true, env = "TAILWATCH_JUNIT", value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Likewise one page for a browser, with the data path as a picture, the verdicts, the versions and the timeline
    #[arg(long, global = true, env = "TAILWATCH_HTML", value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Human,
    /// JSON: one event a line for runs, one document otherwise.
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where settings come from besides environment and prompts.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// Answers file (see `tailwatch answers init`)
    #[arg(long, short = 'f', env = "TAILWATCH_ANSWERS", value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Set one answer, e.g. --set retention.logs=14d; wins over the file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take security-bearing answers that were changed in the cluster since the last run; --yes alone does not
    #[arg(long, env = "TAILWATCH_ACCEPT_SAVED", value_parser = FalseyValueParser::new())]
    pub accept_saved: bool,
}

/// Flags of `install`.
#[derive(Clone, Debug, Default, Args)]
pub struct InstallArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Do not ask for confirmation
    #[arg(long, short = 'y', env = "TAILWATCH_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
    /// Do not run the checks afterwards
    #[arg(long, env = "TAILWATCH_SKIP_VERIFY", value_parser = FalseyValueParser::new())]
    pub skip_verify: bool,
    /// Take over objects of the stack's names that stand already and are another owner's
    #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
    pub adopt: bool,
    /// Agree to chart versions of a major that was never tried with this tailwatch
    #[arg(long, env = "TAILWATCH_ALLOW_UNVERIFIED", value_parser = FalseyValueParser::new())]
    pub allow_unverified: bool,
    /// How long one wave may take, e.g. 10m
    #[arg(long, env = "TAILWATCH_TIMEOUT", default_value = "10m", value_name = "DURATION")]
    pub timeout: String,
    /// How long to wait where another run holds the lock, e.g. 15m; otherwise it ends at once
    #[arg(long, env = "TAILWATCH_LOCK_TIMEOUT", default_value = "0s", value_name = "DURATION")]
    pub lock_timeout: String,
    /// Ask for the client secret again, though the cluster keeps one
    #[arg(long, env = "TAILWATCH_ASK_SECRETS", value_parser = FalseyValueParser::new())]
    pub ask_secrets: bool,
}

/// Flags of `uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Delete the volumes with metrics, logs and dashboards, the Secrets and the kept answers, too
    #[arg(long, env = "TAILWATCH_DELETE_DATA", value_parser = FalseyValueParser::new())]
    pub delete_data: bool,
    /// Delete the CRDs of monitoring.coreos.com, too, except those that others need
    #[arg(long, env = "TAILWATCH_DELETE_CRDS", value_parser = FalseyValueParser::new())]
    pub delete_crds: bool,
    /// Do not ask for confirmation
    #[arg(long, short = 'y', env = "TAILWATCH_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
    /// How long one wave may take, e.g. 10m
    #[arg(long, env = "TAILWATCH_TIMEOUT", default_value = "10m", value_name = "DURATION")]
    pub timeout: String,
    /// How long to wait where another run holds the lock, e.g. 15m; otherwise it ends at once
    #[arg(long, env = "TAILWATCH_LOCK_TIMEOUT", default_value = "0s", value_name = "DURATION")]
    pub lock_timeout: String,
}

/// The flags of the guided mode: none but their environment twins.
pub fn from_environment<T: Args>() -> Result<T, clap::Error> {
    let matches = T::augment_args(clap::Command::new("tailwatch")).try_get_matches_from(["tailwatch"])?;
    T::from_arg_matches(&matches)
}

/// The command that a line asks for whose output is one JSON event a line, whatever is wrong with the line: clap reads
/// nothing behind the first thing that it refuses.
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
    /// How to run.
    #[command(flatten)]
    pub run: InstallArgs,
    /// Take this version of a component, e.g. --to loki=6.55.0 (repeatable)
    #[arg(long, env = "TAILWATCH_TO", value_delimiter = ',', value_name = "COMPONENT=VERSION")]
    pub to: Vec<String>,
    /// Take the newest version of every other component, of a major that was tried with this tailwatch unless
    /// --allow-unverified is given
    #[arg(long, env = "TAILWATCH_LATEST", value_parser = FalseyValueParser::new())]
    pub latest: bool,
}

/// Flags of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Run only this check and what it needs (repeatable)
    #[arg(long = "check", value_name = "ID")]
    pub checks: Vec<String>,
    /// Whether and how somebody signs in.
    #[command(flatten)]
    pub login: LoginArgs,
    /// Leave out this check and what needs it (repeatable)
    #[arg(long = "skip-check", value_name = "ID")]
    pub skipped: Vec<String>,
    /// How long a check may wait for what is not true yet, e.g. 10s; otherwise each has its own time
    #[arg(long, env = "TAILWATCH_WITHIN", value_name = "DURATION")]
    pub within: Option<String>,
    /// On how many nodes a pod writes a line that is then looked for in Loki
    #[arg(long, env = "TAILWATCH_PROBE_NODES", default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub probe_nodes: u16,
}

/// How somebody signs in.
#[derive(Clone, Copy, Debug, Args)]
pub struct LoginArgs {
    /// Sign in, too, and tell whether you would be let in, and if not, why; the token is kept nowhere
    #[arg(
        long = "login",
        env = "TAILWATCH_LOGIN",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "browser",
        value_name = "WAY"
    )]
    pub way: Option<LoginWay>,
    /// Port for --login; http://127.0.0.1:PORT/callback must be among the application's Allowed Callback URLs
    #[arg(long = "login-port", env = "TAILWATCH_LOGIN_PORT", default_value_t = 4181, value_name = "PORT")]
    pub port: u16,
}

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoginWay {
    /// In the browser of this machine.
    Browser,
    /// Anywhere, with a code to type, where the issuer allows the device flow.
    Device,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install or update the stack, wave by wave, and prove that it works
    Install {
        /// How to run.
        #[command(flatten)]
        run: InstallArgs,
        /// Execute exactly the plan that `tailwatch plan --out FILE` wrote, without a question; with the same answers. A
        /// plan that does not hold any more is refused
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
    /// Show newer chart versions and what they change, and upgrade to the chosen ones
    Upgrade(UpgradeArgs),
    /// Remove the stack, last wave first; data and CRDs stay unless asked
    Uninstall(UninstallArgs),
    /// Show what install would do and why, without changing anything
    Plan {
        /// Settings.
        #[command(flatten)]
        settings: SettingsArgs,
        /// Show the values and objects that would change
        #[arg(long)]
        diff: bool,
        /// Exit with 8 where something would change
        #[arg(long)]
        exit_code: bool,
        /// Plan as `install --adopt` does
        #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
        adopt: bool,
        /// Write the plan into a file for `tailwatch install --plan FILE`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Run every check that can be made before anything is changed
    Preflight {
        /// Settings.
        #[command(flatten)]
        settings: SettingsArgs,
        /// Judge as `install --adopt` would
        #[arg(long, env = "TAILWATCH_ADOPT", value_parser = FalseyValueParser::new())]
        adopt: bool,
    },
    /// Run every check of the installed stack
    Verify(VerifyArgs),
    /// Show what is installed: versions, health, address
    Status,
    /// Look for what keeps the installed stack from working, and say what to do
    Diagnose,
    /// Say what the id of a check or a diagnosis, or an exit code, means and what to do
    Explain {
        /// The id as a report shows it, e.g. image-not-found, or an exit code, e.g. 4.
        id: String,
    },
    /// Work with the answers file
    Answers {
        /// What to do with it.
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
    /// Show the effective answers and where each came from; secrets are redacted
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
    fn a_wrong_line_still_reports_which_command_streams_events() {
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
