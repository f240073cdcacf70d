//! Errors of a run, from the lock to its end.

use std::time::Duration;

use crate::cluster::ClusterError;
use crate::event::{Diagnosis, Rollback};
use crate::exit_code;
use crate::helm::HelmError;

/// The run failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A step failed; later waves were not started.
    #[error("{component} failed in wave {wave}")]
    Step {
        /// Component.
        component: String,
        /// Wave.
        wave: u8,
        /// Result of the rollback, if an earlier revision existed.
        rollback: Option<Box<Rollback>>,
        /// Cause.
        #[source]
        source: StepError,
    },
    /// A signal ended the run; helm finished the running operation or marked it as failed.
    #[error("interrupted in wave {wave}, the steps after it were not started")]
    Cancelled {
        /// The interrupted wave.
        wave: u8,
    },
    /// A removal failed; nothing after it was removed.
    #[error("{component} could not be removed")]
    Removal {
        /// Component.
        component: String,
        /// Wave.
        wave: u8,
        /// Cause.
        #[source]
        source: StepError,
    },
    /// A signal ended a removal.
    #[error("interrupted while {component} was being removed, nothing after it was removed")]
    RemovalCancelled {
        /// The component that was being removed or is the next.
        component: String,
    },
    /// Another client took the lock during the run.
    #[error("the lock was lost during the run: {how}")]
    LockLost {
        /// Its state, e.g. `4711@host holds it now`.
        how: String,
    },
    /// The API server's address is another cluster than at the start.
    #[error("the run ended before its next write")]
    OtherCluster {
        /// Both identities.
        #[source]
        source: ClusterError,
    },
    /// The namespace could not be created or the lock not acquired.
    #[error("cannot lock the stack in namespace {namespace}")]
    Lock {
        /// Namespace.
        namespace: String,
        /// Cause.
        #[source]
        source: ClusterError,
    },
}

/// Why one step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// An own object could not be applied.
    #[error("cannot apply {object}")]
    Object {
        /// Kind and name.
        object: String,
        /// The known error, if it is one.
        diagnosis: Option<Box<Diagnosis>>,
        /// Cause.
        #[source]
        source: ClusterError,
    },
    /// An object with an immutable field could not be re-created, or a claim not be expanded.
    #[error("cannot re-create {object}")]
    Replacement {
        /// Kind and name.
        object: String,
        /// Cause.
        #[source]
        source: ClusterError,
    },
    /// The chart's CRDs could not be applied.
    #[error("cannot apply the chart's CRDs")]
    Crds {
        /// The known error, if it is one.
        diagnosis: Option<Box<Diagnosis>>,
        /// Cause.
        #[source]
        source: ClusterError,
    },
    /// helm failed.
    #[error("helm could not {what}")]
    Helm {
        /// e.g. "apply the release".
        what: &'static str,
        /// The known error, or why a hook failed.
        diagnosis: Option<Box<Diagnosis>>,
        /// Cause.
        #[source]
        source: HelmError,
    },
    /// The workloads cannot be watched.
    #[error("cannot watch the workloads")]
    Watch(#[source] ClusterError),
    /// A workload cannot become ready.
    #[error("{}", diagnosis.cause)]
    NotReady {
        /// The diagnosis.
        diagnosis: Box<Diagnosis>,
    },
    /// The timeout has expired without progress.
    #[error("not ready, without progress for {} s: {why}", after.as_secs())]
    Timeout {
        /// The object that is not ready, and the reason.
        why: String,
        /// The timeout.
        after: Duration,
        /// The diagnosis, if a rule applies.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The deadline of the run has passed.
    #[error("not ready at the deadline of the run, {} s after its start: {why}", after.as_secs())]
    Deadline {
        /// The object that is not ready, and the reason.
        why: String,
        /// Time from the start of the run to the deadline.
        after: Duration,
    },
    /// The lease is not renewed: helm must not start.
    #[error("the lock is not renewed: no change is allowed")]
    Unrenewed(#[source] ClusterError),
    /// The release changed since the plan; the step changed nothing.
    #[error("the cluster changed since the plan: {what}")]
    Changed {
        /// e.g. `release loki is at revision 3, deployed`.
        what: String,
    },
    /// An object could not be deleted.
    #[error("cannot delete {object}")]
    Delete {
        /// Kind and name.
        object: String,
        /// Cause.
        #[source]
        source: ClusterError,
    },
    /// The cluster cannot be read.
    #[error("cannot read the state of the cluster")]
    Read(#[source] ClusterError),
    /// Other objects use the release that was to be removed.
    #[error("still in use by {users}")]
    InUse {
        /// Some of them.
        users: String,
    },
    /// The timeout has expired without a further deletion.
    #[error("not deleted within {} s: {why}", after.as_secs())]
    NotDeleted {
        /// The object and the reason.
        why: String,
        /// The timeout.
        after: Duration,
        /// How to remove it, if known.
        hint: Option<String>,
    },
    /// A signal ended the run.
    #[error("interrupted")]
    Cancelled,
}

impl EngineError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Step { source: StepError::Cancelled, .. } => exit_code::INTERRUPTED,
            EngineError::Cancelled { .. } | EngineError::RemovalCancelled { .. } => exit_code::INTERRUPTED,
            EngineError::Step { source, .. } | EngineError::Removal { source, .. } if source.is_unrenewed() => {
                exit_code::LOCKED
            }
            EngineError::Step { .. } | EngineError::Removal { .. } => exit_code::INSTALL,
            EngineError::LockLost { .. } => exit_code::LOCKED,
            // The command returns 5 if anything was written.
            EngineError::OtherCluster { .. } => exit_code::PREFLIGHT,
            EngineError::Lock { source, .. } if source.is_locked() => exit_code::LOCKED,
            EngineError::Lock { .. } => exit_code::PREFLIGHT,
        }
    }

    /// Whether a signal or the loss of the lock ended the run.
    pub fn is_cancelled(&self) -> bool {
        self.exit_code() == exit_code::INTERRUPTED || matches!(self, EngineError::LockLost { .. })
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Step { source, .. } | EngineError::Removal { source, .. } => source.hint(),
            EngineError::Cancelled { .. } | EngineError::RemovalCancelled { .. } => {
                Some("run the same command again; it continues from the current state".into())
            }
            EngineError::LockLost { .. } => {
                Some("wait until the other run ends, then run the same command again".into())
            }
            EngineError::Lock { source, .. } | EngineError::OtherCluster { source } => source.hint(),
        }
    }

    /// The diagnosis, if a rule applies.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            EngineError::Step { source, .. } | EngineError::Removal { source, .. } => source.diagnosis(),
            EngineError::Cancelled { .. }
            | EngineError::RemovalCancelled { .. }
            | EngineError::LockLost { .. }
            | EngineError::OtherCluster { .. }
            | EngineError::Lock { .. } => None,
        }
    }

    /// The state of the stack, and that a repetition is safe.
    pub fn safe(&self) -> Option<String> {
        match self {
            EngineError::Step { component, wave, rollback, .. } => {
                let back = rollback.as_deref().map(|rollback| rollback_text(component, rollback) + "; ");
                let earlier = earlier_waves(*wave);
                Some(format!(
                    "{}{earlier}; the same command continues from the current state",
                    back.unwrap_or_default()
                ))
            }
            EngineError::Cancelled { wave } => Some(earlier_waves(*wave)),
            EngineError::Removal { .. } | EngineError::RemovalCancelled { .. } => Some(
                "every release reported as removed is uninstalled, the rest is unchanged; the same command continues"
                    .into(),
            ),
            EngineError::LockLost { .. } => {
                Some("no further step was started; the same command continues from the current state".into())
            }
            EngineError::OtherCluster { .. } => Some(
                "tailwatch sent no write to the other cluster; a helm that was running at that moment may have, see \
                 `helm list -A` there; the same command continues from the state of the first one"
                    .into(),
            ),
            EngineError::Lock { .. } => Some("no release was changed".into()),
        }
    }
}

fn rollback_text(component: &str, rollback: &Rollback) -> String {
    match rollback {
        Rollback::Done { revision, chart_version } => {
            format!("{component} is back at revision {revision}, chart {chart_version}, and ready")
        }
        Rollback::NotReady { revision, why } => {
            format!("{component} is back at revision {revision}, which is not ready yet: {why}")
        }
        Rollback::Failed { revision, why } => {
            format!("{component} could not be rolled back to revision {revision}: {why}")
        }
        Rollback::Unsafe { why } => format!("{component} was not rolled back: {why}"),
    }
}

/// A wave starts only after every step of the waves before it was ready.
fn earlier_waves(wave: u8) -> String {
    format!("waves before wave {wave} are installed and running; later waves were not started")
}

impl StepError {
    /// Whether the lease could not be renewed until the step's timeout.
    fn is_unrenewed(&self) -> bool {
        matches!(
            self,
            StepError::Unrenewed(_)
                | StepError::Object { source: ClusterError::Unrenewed { .. }, .. }
                | StepError::Replacement { source: ClusterError::Unrenewed { .. }, .. }
                | StepError::Crds { source: ClusterError::Unrenewed { .. }, .. }
                | StepError::Delete { source: ClusterError::Unrenewed { .. }, .. }
        )
    }

    /// A request that a signal interrupted counts as a cancelled step.
    pub(super) fn or_cancelled(self) -> StepError {
        match self {
            StepError::Object { source: ClusterError::Interrupted, .. }
            | StepError::Replacement { source: ClusterError::Interrupted, .. }
            | StepError::Crds { source: ClusterError::Interrupted, .. }
            | StepError::Delete { source: ClusterError::Interrupted, .. }
            | StepError::Watch(ClusterError::Interrupted)
            | StepError::Read(ClusterError::Interrupted) => StepError::Cancelled,
            other => other,
        }
    }

    /// The diagnosis, if a rule applies.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            StepError::NotReady { diagnosis } => Some(diagnosis),
            StepError::Timeout { diagnosis, .. }
            | StepError::Object { diagnosis, .. }
            | StepError::Crds { diagnosis, .. }
            | StepError::Helm { diagnosis, .. } => diagnosis.as_deref(),
            StepError::Replacement { .. }
            | StepError::Watch(_)
            | StepError::Unrenewed(_)
            | StepError::Delete { .. }
            | StepError::Read(_)
            | StepError::InUse { .. }
            | StepError::Changed { .. }
            | StepError::NotDeleted { .. }
            | StepError::Deadline { .. }
            | StepError::Cancelled => None,
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            StepError::NotReady { diagnosis } => Some(diagnosis.hint.clone()),
            StepError::Object { source, .. }
            | StepError::Replacement { source, .. }
            | StepError::Crds { source, .. }
            | StepError::Delete { source, .. }
            | StepError::Watch(source)
            | StepError::Unrenewed(source)
            | StepError::Read(source) => source.hint(),
            StepError::InUse { .. } | StepError::Changed { .. } => {
                Some("run the same command again; it plans from the current state".into())
            }
            StepError::NotDeleted { hint, .. } => {
                Some(hint.clone().unwrap_or_else(|| {
                    "fix what blocks it, or raise --timeout, then run the same command again".into()
                }))
            }
            StepError::Helm { diagnosis, source, .. } => {
                diagnosis.as_ref().map(|diagnosis| diagnosis.hint.clone()).or_else(|| source.hint())
            }
            StepError::Timeout { diagnosis, .. } => Some(diagnosis.as_ref().map_or_else(
                || "fix what it waits for, or raise --timeout, then run the same command again".into(),
                |diagnosis| diagnosis.hint.clone(),
            )),
            StepError::Deadline { .. } => {
                Some("run the same command again, with a longer --deadline; it continues from the current state".into())
            }
            StepError::Cancelled => Some("run the same command again; it continues from the current state".into()),
        }
    }

    /// The chain of causes, outermost first, without this error itself.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            causes.push(error.to_string());
            source = error.source();
        }
        causes
    }
}
