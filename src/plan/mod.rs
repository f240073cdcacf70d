//! Observed state, the plan and its description. [`build`] is pure; [`observe`] only reads. Must not change
//! anything, print or prompt.

mod build;
mod describe;
mod difference;
mod error;
mod observe;

pub use build::build;
pub use describe::{ValueDiff, value_diff};
pub use error::PlanError;
pub use observe::{Observed, live_facts, observe};

use crate::event::{ActionKind, PlannedStep};
use crate::stack::Release;

/// What will be done, in waves; the value that is confirmed is the value that is executed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Waves in ascending order, each with its steps.
    pub waves: Vec<Wave>,
}

/// Steps that run side by side.
#[derive(Clone, Debug)]
pub struct Wave {
    /// Number, e.g. 30.
    pub number: u8,
    /// Steps.
    pub steps: Vec<Step>,
}

/// One release's step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What should stand.
    pub release: Release,
    /// What is done.
    pub action: ActionKind,
    /// Why, one line.
    pub reason: String,
    /// What stands now.
    pub from: Option<Standing>,
}

/// The release as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Chart version.
    pub chart_version: semver::Version,
    /// Current revision.
    pub revision: u32,
    /// Its status.
    pub status: crate::helm::ReleaseStatus,
}

impl Plan {
    /// Steps as events and reports show them, in wave order.
    pub fn steps(&self) -> Vec<PlannedStep> {
        self.waves
            .iter()
            .flat_map(|wave| &wave.steps)
            .map(|step| PlannedStep {
                component: step.release.component.to_string(),
                wave: step.release.wave,
                namespace: step.release.namespace.clone(),
                chart: step.release.chart.name.clone(),
                chart_version: step.release.chart.version.to_string(),
                action: step.action,
                reason: step.reason.clone(),
                usual_seconds: None,
            })
            .collect()
    }

    /// Whether any step changes something.
    pub fn has_changes(&self) -> bool {
        self.waves.iter().flat_map(|wave| &wave.steps).any(|step| step.action != ActionKind::Unchanged)
    }

    /// Every release of the plan, in wave order.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.waves.iter().flat_map(|wave| &wave.steps).map(|step| &step.release)
    }
}
