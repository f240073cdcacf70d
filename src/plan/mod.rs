//! Observed state, the plan and its description. [`build`] is pure; [`observe`] only reads. Must not change
//! anything, print or prompt.

mod belongings;
mod build;
mod describe;
mod difference;
mod error;
mod observe;
mod outsiders;
mod place;
mod uninstall;
mod whose;

pub use belongings::{Asked, Belongings, Ground, NamespaceEnd, belongings};
pub use build::build;
pub use describe::{ValueDiff, value_diff};
pub use error::PlanError;
pub use observe::{Observed, live_facts, observe};
pub use outsiders::{KubeletService, in_words, kubelet_left, kubelet_service, operator_users};
pub use uninstall::{OWN_OBJECTS, OWN_WAVE, Uninstall, uninstall};

use crate::event::{ActionKind, Effects, PlannedStep};
use crate::stack::Release;

/// What will be done, in waves; the value that is confirmed is the value that is executed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Waves in ascending order, each with its steps.
    pub waves: Vec<Wave>,
    /// Releases that stand and are not wanted any more, the latest wave first; taken away after every wave stands.
    pub removals: Vec<Removal>,
}

/// A release that is taken away.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Component name = release name.
    pub component: String,
    /// Its wave.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// Chart it was made from.
    pub chart: String,
    /// How it stands.
    pub from: Standing,
    /// Why, one line.
    pub reason: String,
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
    /// What it will do beyond the release; filled once the chart is rendered.
    pub effects: Effects,
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
        let changes = self.waves.iter().flat_map(|wave| &wave.steps).map(|step| PlannedStep {
            component: step.release.component.to_string(),
            wave: step.release.wave,
            namespace: step.release.namespace.clone(),
            chart: step.release.chart.name.clone(),
            chart_version: step.release.chart.version.to_string(),
            from_version: step.from.as_ref().map(|standing| standing.chart_version.to_string()),
            action: step.action,
            reason: step.reason.clone(),
            effects: step.effects.clone(),
            usual_seconds: None,
        });
        changes.chain(self.removals.iter().map(Removal::step)).collect()
    }

    /// Whether any step changes something.
    pub fn has_changes(&self) -> bool {
        let changes = self.waves.iter().flat_map(|wave| &wave.steps).any(|step| step.action != ActionKind::Unchanged);
        changes || !self.removals.is_empty()
    }

    /// Every release of the plan, in wave order.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.waves.iter().flat_map(|wave| &wave.steps).map(|step| &step.release)
    }
}

impl Removal {
    /// As events and reports show it.
    pub fn step(&self) -> PlannedStep {
        PlannedStep {
            component: self.component.clone(),
            wave: self.wave,
            namespace: self.namespace.clone(),
            chart: self.chart.clone(),
            chart_version: self.from.chart_version.to_string(),
            from_version: Some(self.from.chart_version.to_string()),
            action: ActionKind::Remove,
            reason: self.reason.clone(),
            effects: Effects::default(),
            usual_seconds: None,
        }
    }
}
