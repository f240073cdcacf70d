//! How a run can fail after changes began.

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
        /// What became of the release, where an earlier revision stood.
        rollback: Option<Box<Rollback>>,
        /// Why.
        #[source]
        source: StepError,
    },
    /// A signal ended the run; what was running was finished or marked failed by helm.
    #[error("interrupted in wave {wave}, the steps after it were not started")]
    Cancelled {
        /// Wave that was under way.
        wave: u8,
    },
    /// A removal failed; nothing after it was removed.
    #[error("{component} could not be removed")]
    Removal {
        /// Component.
        component: String,
        /// Wave.
        wave: u8,
        /// Why.
        #[source]
        source: StepError,
    },
    /// A signal ended a removal.
    #[error("interrupted while {component} was being removed, nothing after it was removed")]
    RemovalCancelled {
        /// Component that was under way or next.
        component: String,
    },
    /// The lock went to someone else under the run.
    #[error("the lock was lost in the middle of the run: {how}")]
    LockLost {
        /// What became of it, e.g. `4711@host holds it now`.
        how: String,
    },
    /// The address of the API server leads to another cluster than at the beginning.
    #[error("the run ended before its next write")]
    OtherCluster {
        /// Which.
        #[source]
        source: ClusterError,
    },
    /// The namespace or the lock could not be had.
    #[error("cannot lock the stack in namespace {namespace}")]
    Lock {
        /// Namespace.
        namespace: String,
        /// Why.
        #[source]
        source: ClusterError,
    },
}

/// Why one step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// An object of ours could not be applied.
    #[error("cannot apply {object}")]
    Object {
        /// Kind and name.
        object: String,
        /// What the refusal means, where a row knows it.
        diagnosis: Option<Box<Diagnosis>>,
        /// Why.
        #[source]
        source: ClusterError,
    },
    /// Something that helm cannot change could not be re-created.
    #[error("cannot re-create {object}")]
    Replacement {
        /// Kind and name.
        object: String,
        /// Why.
        #[source]
        source: ClusterError,
    },
    /// The chart's CRDs could not be applied.
    #[error("cannot apply the chart's CRDs")]
    Crds {
        /// What the refusal means, where a row knows it.
        diagnosis: Option<Box<Diagnosis>>,
        /// Why.
        #[source]
        source: ClusterError,
    },
    /// helm failed.
    #[error("helm could not {what}")]
    Helm {
        /// e.g. "apply the release".
        what: &'static str,
        /// What the refusal means, where a row knows it, or why a hook failed.
        diagnosis: Option<Box<Diagnosis>>,
        /// Why.
        #[source]
        source: HelmError,
    },
    /// The workloads cannot be watched.
    #[error("cannot watch the workloads")]
    Watch(#[source] ClusterError),
    /// A workload cannot become ready.
    #[error("{}", diagnosis.cause)]
    NotReady {
        /// What cannot become ready and why.
        diagnosis: Box<Diagnosis>,
    },
    /// The wave's time is over.
    #[error("not ready within {} s: {why}", after.as_secs())]
    Timeout {
        /// What is not ready and why.
        why: String,
        /// The wave's time.
        after: Duration,
        /// What a rule found.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// helm may not be started.
    #[error("nothing more may be changed")]
    Unrenewed(#[source] ClusterError),
    /// Others have changed what the step was planned from; the step changed nothing.
    #[error("the cluster is not as it was planned from: {what}")]
    Changed {
        /// e.g. `release loki is at revision 3, deployed`.
        what: String,
    },
    /// An object could not be deleted.
    #[error("cannot delete {object}")]
    Delete {
        /// Kind and name.
        object: String,
        /// Why.
        #[source]
        source: ClusterError,
    },
    /// What stands cannot be read.
    #[error("cannot list the remaining objects")]
    Look(#[source] ClusterError),
    /// Others have come to need what was to be removed.
    #[error("still in use by {users}")]
    Needed {
        /// Some of them.
        users: String,
    },
    /// The wave's time is over and something is still there.
    #[error("not gone within {} s: {why}", after.as_secs())]
    NotGone {
        /// What is there and why.
        why: String,
        /// The wave's time.
        after: Duration,
        /// What lets it go, where that is known.
        hint: Option<String>,
    },
    /// A signal ended the run.
    #[error("interrupted")]
    Cancelled,
}

impl EngineError {
    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Step { source: StepError::Cancelled, .. } => exit_code::INTERRUPTED,
            EngineError::Cancelled { .. } | EngineError::RemovalCancelled { .. } => exit_code::INTERRUPTED,
            EngineError::Step { source, .. } | EngineError::Removal { source, .. } if source.is_unrenewed() => {
                exit_code::LOCKED
            }
            EngineError::Step { .. } | EngineError::Removal { .. } => exit_code::INSTALL,
            EngineError::LockLost { .. } => exit_code::LOCKED,
            // 5 where anything was written.
            EngineError::OtherCluster { .. } => exit_code::PREFLIGHT,
            EngineError::Lock { source, .. } if source.is_locked() => exit_code::LOCKED,
            EngineError::Lock { .. } => exit_code::PREFLIGHT,
        }
    }

    /// Whether a signal, or the loss of the lock, ended the run.
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
                Some("see who works on the stack and wait for its end, then run the same command again".into())
            }
            EngineError::Lock { source, .. } | EngineError::OtherCluster { source } => source.hint(),
        }
    }

    /// What a rule found, where one did.
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

    /// What stands now and what may be done without harm.
    pub fn safe(&self) -> Option<String> {
        match self {
            EngineError::Step { component, wave, rollback, .. } => {
                let back = rollback.as_deref().map(|rollback| taken_back(component, rollback) + "; ");
                let standing = standing(*wave);
                Some(format!(
                    "{}{standing}; the same command continues from the current state",
                    back.unwrap_or_default()
                ))
            }
            EngineError::Cancelled { wave } => Some(standing(*wave)),
            EngineError::Removal { .. } | EngineError::RemovalCancelled { .. } => {
                Some("everything reported as removed is gone, the rest is unchanged; the same command continues".into())
            }
            EngineError::LockLost { .. } => {
                Some("no further step was started; the same command continues from the current state".into())
            }
            EngineError::OtherCluster { .. } => Some(
                "tailwatch sent no write to the other cluster; a helm that was at work at that moment may have, see \
                 `helm list -A` there; the same command goes on from what is on the first one"
                    .into(),
            ),
            EngineError::Lock { .. } => Some("no release was changed".into()),
        }
    }
}

fn taken_back(component: &str, rollback: &Rollback) -> String {
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
        Rollback::Unsafe { why } => format!("{component} was not rolled back, since {why}"),
    }
}

/// A wave starts only after every step of the waves before it was ready.
fn standing(wave: u8) -> String {
    format!("waves before wave {wave} are installed and running; later waves were not started")
}

impl StepError {
    /// The lock could not be renewed for the rest of the step's time.
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

    /// A request that a signal ended has ended the step.
    pub(super) fn or_cancelled(self) -> StepError {
        match self {
            StepError::Object { source: ClusterError::Interrupted, .. }
            | StepError::Replacement { source: ClusterError::Interrupted, .. }
            | StepError::Crds { source: ClusterError::Interrupted, .. }
            | StepError::Delete { source: ClusterError::Interrupted, .. }
            | StepError::Watch(ClusterError::Interrupted)
            | StepError::Look(ClusterError::Interrupted) => StepError::Cancelled,
            other => other,
        }
    }

    /// What a rule found, where one did.
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
            | StepError::Look(_)
            | StepError::Needed { .. }
            | StepError::Changed { .. }
            | StepError::NotGone { .. }
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
            | StepError::Look(source) => source.hint(),
            StepError::Needed { .. } | StepError::Changed { .. } => {
                Some("run the same command again; it plans from the current state".into())
            }
            StepError::NotGone { hint, .. } => {
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
