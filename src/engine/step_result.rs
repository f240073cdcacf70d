//! Reports the end of a step once, as an event and to the journal.

use crate::engine::{EngineContext, StepError};
use crate::event::{ActionKind, Event, Rollback, StepOutcome, StepResult};

/// The outcome of a step of this action.
pub(super) fn outcome(worked: &Result<(), StepError>, action: ActionKind) -> StepOutcome {
    match (worked, action) {
        (Err(StepError::Cancelled), _) => StepOutcome::Cancelled,
        (Err(_), _) => StepOutcome::Failed,
        (Ok(()), ActionKind::Install) => StepOutcome::Installed,
        (Ok(()), ActionKind::Upgrade) => StepOutcome::Upgraded,
        (Ok(()), ActionKind::Repair) => StepOutcome::Repaired,
        (Ok(()), ActionKind::Unchanged) => StepOutcome::Unchanged,
        (Ok(()), ActionKind::Remove) => StepOutcome::Removed,
    }
}

/// The end of a step.
pub(super) struct FinishedStep {
    pub(super) component: String,
    pub(super) wave: u8,
    pub(super) outcome: StepOutcome,
    pub(super) seconds: f64,
    /// Result of the rollback after a failure, if an earlier revision existed.
    pub(super) rollback: Option<Rollback>,
}

impl FinishedStep {
    /// A step that was not started.
    pub(super) fn skipped(component: &str, wave: u8) -> FinishedStep {
        FinishedStep {
            component: component.to_owned(),
            wave,
            outcome: StepOutcome::Skipped,
            seconds: 0.0,
            rollback: None,
        }
    }

    /// Sends the event with the error; of a cancelled step only the outcome.
    pub(super) fn emit(self, context: &EngineContext, error: Option<&StepError>) -> StepResult {
        let FinishedStep { component, wave, outcome, seconds, rollback } = self;
        let error = error.filter(|error| !matches!(error, StepError::Cancelled));
        context.events.send(Event::StepFinished {
            component: component.clone(),
            wave,
            outcome,
            seconds,
            message: error.map(ToString::to_string),
            causes: error.map(StepError::causes).unwrap_or_default(),
            hint: error.and_then(StepError::hint),
            diagnosis: error.and_then(StepError::diagnosis).cloned().map(Box::new),
            rollback: rollback.map(Box::new),
        });
        let result = StepResult { component, wave, outcome, seconds };
        context.journal.step_finished(&result);
        result
    }
}
