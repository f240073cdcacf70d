//! Results of steps and checks.

use serde::{Deserialize, Serialize};

use crate::event::Hop;

/// How a step ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// A new release is installed and ready.
    Installed,
    /// An existing release was changed and is ready.
    Upgraded,
    /// A broken release was repaired and is ready.
    Repaired,
    /// The release was uninstalled.
    Removed,
    /// Nothing was done.
    Unchanged,
    /// Not started, because an earlier wave failed or the run was cancelled.
    Skipped,
    /// It failed.
    Failed,
    /// A signal, or the loss of the lock, ended it before it was done.
    Cancelled,
}

/// The end of a step, repeated in the last event.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Component name.
    pub component: String,
    /// Wave number.
    pub wave: u8,
    /// How it ended.
    pub outcome: StepOutcome,
    /// Seconds it took.
    pub seconds: f64,
}

/// Verdict of a check.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The statement is true.
    Pass,
    /// The statement is false, but nothing depends on it.
    Warn,
    /// The statement is false.
    Fail,
    /// Not tested; `detail` says why.
    Skip,
}

/// A check's verdict and measurement.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Stable id, e.g. `prometheus-targets-known`.
    pub id: String,
    /// Group of the report, e.g. `metrics`.
    pub group: String,
    /// The hop of the data path that it tests, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hop: Option<Hop>,
    /// A sentence that is true or false, e.g. "Prometheus knows every ServiceMonitor's target".
    pub statement: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was measured, or why it was skipped.
    pub detail: String,
    /// The next step, for warn and fail.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// A command or page with more information.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub docs: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
}
