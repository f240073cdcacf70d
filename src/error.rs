//! The crate's error and its exit codes. `report::error_message` renders it. [`CommandError`] adds whether the cluster
//! was changed, from the record of the run's writes.

use crate::cluster::ClusterError;
use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::event::{CheckResult, Diagnosis, Verdict};
use crate::helm::HelmError;
use crate::plan::PlanError;
use crate::stack::StackError;
use crate::wizard::WizardError;
use crate::write_record::ClusterState;

pub use crate::exit_code::{
    ANSWERS, CHANGES, INSTALL, INTERNAL, INTERRUPTED, LOCKED, OK, PREFLIGHT, USAGE, VERIFICATION,
};

/// Any failure a command can end with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command line error that clap does not detect.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// The correction.
        hint: Option<String>,
    },
    /// Invalid or incomplete answers.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The catalogue or the values are broken.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// helm cannot be used.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// Planning failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The run failed while the plan was executed.
    #[error(transparent)]
    Engine(Box<EngineError>),
    /// Checks failed.
    #[error("{failed} of {total} checks failed")]
    Verification {
        /// How many failed.
        failed: usize,
        /// How many ran.
        total: usize,
    },
    /// A preflight check failed.
    #[error("{failed} of {total} checks failed")]
    Preflight {
        /// How many failed.
        failed: usize,
        /// How many ran.
        total: usize,
    },
    /// `diagnose` found problems.
    #[error("problems found: {findings}")]
    ProblemsFound {
        /// How many, notices not counted.
        findings: usize,
    },
    /// Security-bearing saved answers changed since the last run; nothing was changed.
    #[error("the saved answers were changed since the last run:\n{}", changed.join("\n"))]
    SavedAnswersChanged {
        /// Key, value of the last run, saved value; never empty.
        changed: Vec<String>,
    },
    /// The user declined the plan.
    #[error("declined")]
    Declined,
    /// The user or a signal ended it.
    #[error("interrupted")]
    Interrupted,
    /// The user aborted a changing run before it stopped in order.
    #[error("aborted during the run{}", killed_text(.killed))]
    Aborted {
        /// What was killed, e.g. `helm upgrade loki`.
        killed: Vec<String>,
    },
    /// A bug ended the command.
    #[error("internal error: {message}")]
    Bug {
        /// Message and location of the panic.
        message: String,
    },
    /// The user or a signal ended the checks of the stack.
    #[error("interrupted during the verification")]
    InterruptedChecks {
        /// The command that ran them.
        of: Checked,
    },
    /// A local failure.
    #[error("cannot {what}")]
    Local {
        /// The operation, e.g. "write the log file /x".
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// The command that runs the checks of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The end of an install with all releases ready.
    Install,
    /// `verify`, which creates only the objects of its checks.
    InstalledStack,
}

/// How a command failed: its error, and whether the run had written to the cluster by then.
#[derive(Debug)]
pub struct CommandError {
    /// The error.
    pub error: Box<Error>,
    /// From the run's record of writes.
    pub cluster: ClusterState,
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)?;
        formatter.write_str(match (&*self.error, self.cluster) {
            (Error::InterruptedChecks { of: Checked::Install }, ClusterState::Changed) => {
                "; the stack is installed, but not verified"
            }
            (Error::InterruptedChecks { of: Checked::InstalledStack }, ClusterState::Changed) => {
                "; only the objects of its checks were created"
            }
            (Error::Interrupted | Error::Declined | Error::Preflight { .. }, ClusterState::Changed) => {
                "; the cluster was changed"
            }
            (
                Error::Interrupted | Error::InterruptedChecks { .. } | Error::Declined | Error::Preflight { .. },
                ClusterState::Unchanged,
            ) => ", nothing was changed",
            _ => "",
        })
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl CommandError {
    /// The error of a command.
    pub fn new(error: Error, cluster: ClusterState) -> CommandError {
        CommandError { error: Box::new(error), cluster }
    }

    /// The documented exit code. Code 4 means that nothing was changed: after a write it becomes 5.
    pub fn exit_code(&self) -> u8 {
        match (self.error.exit_code(), self.cluster) {
            (PREFLIGHT, ClusterState::Changed) => INSTALL,
            (code, _) => code,
        }
    }

    /// The next step for the user.
    pub fn hint(&self) -> Option<String> {
        match (&*self.error, self.cluster) {
            (Error::Interrupted | Error::Declined, ClusterState::Changed) => {
                Some("run the same command again; it continues from the current state".into())
            }
            _ => self.error.hint(),
        }
    }

    /// The diagnosis, if a rule matched.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        self.error.diagnosis()
    }

    /// For failures after the first write: what is installed, and which command is safe.
    pub fn safe(&self) -> Option<String> {
        let changed = self.error.exit_code() == PREFLIGHT && self.cluster == ClusterState::Changed;
        let written = || "the run had written to the cluster; the same command continues from the current state".into();
        self.error.safe().or_else(|| changed.then(written))
    }
}

fn killed_text(killed: &[String]) -> String {
    match killed {
        [] => String::new(),
        some => format!(", {} was killed", some.join(" and ")),
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        Error::Engine(Box::new(error))
    }
}

impl From<WizardError> for Error {
    fn from(error: WizardError) -> Error {
        match error {
            WizardError::Interrupted => Error::Interrupted,
            WizardError::Terminal(source) => Error::Local { what: "read the terminal".into(), source },
        }
    }
}

impl Error {
    /// The exit code if nothing was written.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => USAGE,
            Error::Config(_) => ANSWERS,
            Error::Stack(_) => ANSWERS,
            Error::Cluster(_) | Error::Helm(_) | Error::Plan(_) | Error::Preflight { .. } => PREFLIGHT,
            Error::SavedAnswersChanged { .. } => PREFLIGHT,
            Error::Engine(error) => error.exit_code(),
            Error::Verification { .. } | Error::ProblemsFound { .. } => VERIFICATION,
            Error::Declined | Error::Interrupted | Error::Aborted { .. } | Error::InterruptedChecks { .. } => {
                INTERRUPTED
            }
            Error::Local { .. } | Error::Bug { .. } => INTERNAL,
        }
    }

    /// Whether the API server did not answer, so that a retry may succeed.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Error::Cluster(error) => error.is_unreachable(),
            Error::Helm(source) | Error::Plan(PlanError::Helm { source, .. }) => source.is_unreachable(),
            Error::Engine(error) => matches!(&**error, EngineError::Lock { source, .. } if source.is_unreachable()),
            _ => false,
        }
    }

    /// The next step for the user.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } => hint.clone(),
            Error::Config(error) => error.hint(),
            Error::Stack(error) => error.hint(),
            Error::Cluster(error) => error.hint(),
            Error::Helm(error) => error.hint(),
            Error::Plan(error) => error.hint(),
            Error::Engine(error) => error.hint(),
            Error::Verification { .. } => Some("read the failed rows above; `tailwatch verify` runs them again".into()),
            Error::Preflight { .. } => Some("fix the failed checks above, then run the same command again".into()),
            Error::SavedAnswersChanged { .. } => Some(
                "review them with `tailwatch plan`; accept them with --accept-saved, or override them with an answers \
                 file or --set"
                    .into(),
            ),
            Error::InterruptedChecks { .. } => {
                Some("`tailwatch verify` runs the checks again, and deletes the objects of interrupted ones".into())
            }
            Error::Aborted { .. } => Some(
                "run the same command again: it repairs the interrupted release; the lock expires within 20 s".into(),
            ),
            Error::Bug { .. } => Some("report it; the same command continues from the current state".into()),
            Error::ProblemsFound { .. } | Error::Declined | Error::Interrupted | Error::Local { .. } => None,
        }
    }

    fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Error::Engine(error) => error.diagnosis(),
            _ => None,
        }
    }

    fn safe(&self) -> Option<String> {
        match self {
            Error::Engine(error) => error.safe(),
            _ => None,
        }
    }
}

/// The exit code of these checks.
pub fn verdict(checks: &[CheckResult]) -> Result<u8, Error> {
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    if failed > 0 { Err(Error::Verification { failed, total: checks.len() }) } else { Ok(OK) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_4_means_that_nothing_was_written() {
        let unreachable =
            || ClusterError::Unreachable { server: "https://x".into(), reason: "refused".into(), next: None };
        let locked = || ClusterError::Locked { holder: "1@x".into(), since: "now".into() };
        let lock = |source| Error::from(EngineError::Lock { namespace: "m".into(), source });
        for (error, unchanged, changed) in [
            (Error::Cluster(unreachable()), PREFLIGHT, INSTALL),
            (Error::Plan(PlanError::Stale { what: "release loki".into() }), PREFLIGHT, INSTALL),
            (Error::Preflight { failed: 1, total: 2 }, PREFLIGHT, INSTALL),
            (lock(unreachable()), PREFLIGHT, INSTALL),
            (lock(locked()), LOCKED, LOCKED),
            (Error::Interrupted, INTERRUPTED, INTERRUPTED),
            (Error::Declined, INTERRUPTED, INTERRUPTED),
        ] {
            let code = |error, cluster| CommandError::new(error, cluster).exit_code();
            assert_eq!(error.exit_code(), unchanged, "{error}");
            let text = error.to_string();
            assert_eq!(code(error, ClusterState::Changed), changed, "{text}");
        }
    }
}
