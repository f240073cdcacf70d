//! The last event of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{CheckResult, StepResult};
use crate::exit_code;

/// How a run ended, by exit code.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Everything was done and verified, or the verification was skipped by a flag (exit code 0).
    Succeeded,
    /// The command line or the answers are wrong (exit codes 2 and 3).
    Refused,
    /// A preflight check failed; nothing was changed (exit code 4).
    PreflightFailed,
    /// It failed after the cluster was changed, or by a local failure (exit codes 5 and 1).
    Failed,
    /// The stack is installed, but a check failed (exit code 6).
    VerificationFailed,
    /// Another run holds or acquired the lock (exit code 7).
    Locked,
    /// The user or a signal ended it (exit code 130).
    Cancelled,
}

impl RunOutcome {
    /// The outcome of an exit code.
    pub fn of(code: u8) -> RunOutcome {
        match code {
            exit_code::OK => RunOutcome::Succeeded,
            exit_code::USAGE | exit_code::ANSWERS => RunOutcome::Refused,
            exit_code::PREFLIGHT => RunOutcome::PreflightFailed,
            exit_code::VERIFICATION => RunOutcome::VerificationFailed,
            exit_code::LOCKED => RunOutcome::Locked,
            exit_code::INTERRUPTED => RunOutcome::Cancelled,
            _ => RunOutcome::Failed,
        }
    }
}

/// Why a run failed: what `main` writes to stderr.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// One sentence fragment.
    pub message: String,
    /// The chain of causes, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub causes: Vec<String>,
    /// The next step for the user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// The process' exit code, 1 to 130.
    pub exit_code: u8,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether it wrote to the cluster, or sent a write without an answer.
    pub cluster_changed: bool,
    /// The error, unless it succeeded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<RunError>,
    /// Each step's end, in plan order; empty if no plan was executed.
    pub steps: Vec<StepResult>,
    /// Each check's result: of the stack, or of the preflight if that ended the run.
    pub checks: Vec<CheckResult>,
    /// Seconds since `run-started`, or since the start of the command if no plan was executed.
    pub seconds: f64,
    /// Largest resident set of tailwatch itself, without children, in KiB.
    #[serde(rename = "peakRssKiB")]
    pub peak_rss_kib: u64,
    /// Requests to the API server by verb (get, list, watch, patch, create, …); helm's own are not counted.
    pub api_requests: BTreeMap<String, u64>,
}
