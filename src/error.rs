//! The crate's error and its exit codes. One place maps errors to codes; the text is each error's own,
//! the rendering is `report::failure`'s.

use crate::{
    cluster::ClusterError, config::ConfigError, engine::EngineError, event::Diagnosis, helm::HelmError,
    plan::PlanError, stack::StackError, wizard::WizardError,
};

/// Everything went as asked.
pub const OK: u8 = 0;
/// A bug or an unexpected local failure.
pub const INTERNAL: u8 = 1;
/// Wrong command line.
pub const USAGE: u8 = 2;
/// The answers are invalid or incomplete.
pub const ANSWERS: u8 = 3;
/// Something outside is in the way; nothing was changed.
pub const PREFLIGHT: u8 = 4;
/// The install or removal failed; the cluster was changed.
pub const INSTALL: u8 = 5;
/// Installed, but verification failed, or `diagnose` found what hinders it.
pub const VERIFICATION: u8 = 6;
/// Another run holds the lock, or took it.
pub const LOCKED: u8 = 7;
/// `plan --exit-code` found changes.
pub const CHANGES: u8 = 8;
/// Interrupted by the person or a signal.
pub const INTERRUPTED: u8 = 130;

/// Any failure a command can end with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong command line that clap could not see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// Invalid or incomplete answers.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The catalogue or the values are broken.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The cluster cannot be used; nothing was changed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// helm cannot be used; nothing was changed.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// No plan can be made; nothing was changed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The run failed after changes began.
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
    /// A preflight check failed; nothing was changed.
    #[error("{failed} of {total} checks failed, nothing was changed")]
    Preflight {
        /// How many failed.
        failed: usize,
        /// How many were made.
        total: usize,
    },
    /// `diagnose` found something that hinders the stack.
    #[error("causes that hinder the stack: {findings}")]
    Hindered {
        /// How many, notices not counted.
        findings: usize,
    },
    /// The person did not agree to the plan.
    #[error("declined, nothing was changed")]
    Declined,
    /// The person or a signal ended it before anything was changed.
    #[error("interrupted, nothing was changed")]
    Interrupted,
    /// A local failure.
    #[error("cannot {what}")]
    Local {
        /// What was tried, e.g. "write the log file /x".
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
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
    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => USAGE,
            Error::Config(_) => ANSWERS,
            Error::Stack(_) => ANSWERS,
            Error::Cluster(_) | Error::Helm(_) | Error::Plan(_) | Error::Preflight { .. } => PREFLIGHT,
            Error::Engine(error) => error.exit_code(),
            Error::Verification { .. } | Error::Hindered { .. } => VERIFICATION,
            Error::Declined | Error::Interrupted => INTERRUPTED,
            Error::Local { .. } => INTERNAL,
        }
    }

    /// The next step for the person, where there is one.
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
            Error::Preflight { .. } => Some("mend the failed rows above, then run the same command again".into()),
            Error::Hindered { .. } | Error::Declined | Error::Interrupted | Error::Local { .. } => None,
        }
    }

    /// What a rule found, where one did.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Error::Engine(error) => error.diagnosis(),
            _ => None,
        }
    }

    /// What stands now and what may be done without harm, for failures after changes began.
    pub fn safe(&self) -> Option<String> {
        match self {
            Error::Engine(error) => error.safe(),
            _ => None,
        }
    }
}
