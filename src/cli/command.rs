//! The command line and its subcommands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::{
    BundleArgs, ExportArgs, GlobalArgs, InstallArgs, PlanArgs, RbacArgs, SettingsArgs, StatusArgs, UninstallArgs,
    UpgradeArgs, VerifyArgs,
};

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
    /// Write the stack as files for Argo CD, Flux, helmfile or kubectl, without secrets
    Export(ExportArgs),
    /// Write charts and a list of images for a cluster without internet; needs no cluster
    Bundle(BundleArgs),
    /// Show installed releases, versions, readiness and address
    Status(StatusArgs),
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
    /// Show this build and the chart versions that it installs; needs no cluster
    Version,
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
    /// Write charts.lock beside an answers file: the sha256 of each chart archive
    Lock {
        /// The answers file.
        file: PathBuf,
    },
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
