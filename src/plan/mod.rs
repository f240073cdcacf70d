//! Observed state, the plan and its description. [`build`] is pure; [`observe`] only reads. Must not change
//! anything, print or prompt.

mod available_versions;
mod compare;
mod decide;
mod diff;
mod drift;
mod effects;
mod error;
mod immutable;
mod installed_releases;
mod observe;
mod preconditions;
mod predict;
mod render;
mod reviewed;
mod revision_notes;
mod secret_mask;
mod uninstall;
mod volume_expansion;

pub use available_versions::{Mirror, Offer, Untried, mark_one_way, untried};
pub use decide::build;
pub use diff::{SecretPlaces, StepDiff, diffs};
pub use drift::Drifted;
pub use error::{PlanError, RefusedValues};
pub use installed_releases::installed_releases;
pub use observe::{Observed, PendingOwner, cluster_facts, observe, removals, tailscale_operator};
pub use preconditions::{Precondition, check_preconditions};
pub use predict::{Rendered, predict};
pub use render::{Prepared, RenderedRelease, Taking, render};
pub use reviewed::{FORMAT, Review, ReviewedPlan, ReviewedRelease};
pub use revision_notes::{Healthy, rollback_key};
pub use uninstall::dependents::{KubeletService, in_words, kubelet_left, kubelet_service, operator_users};
pub use uninstall::inventory::{NamespaceOutcome, OwnedObjects, UninstallOptions, UninstallScope, owned_objects};
pub use uninstall::{OWN_OBJECTS, OWN_WAVE, Uninstall, manifests, uninstall};

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::ObjectRef;
use crate::event::{ActionKind, Effects, PlannedStep};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::stack::Release;

/// What will be done, in waves; the value that is confirmed is the value that is executed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Waves in ascending order, each with its steps.
    pub waves: Vec<Wave>,
    /// Releases that stand and are not wanted any more, the latest wave first; taken away after every wave stands.
    pub removals: Vec<Removal>,
    /// Our own objects beside those of the releases (the saved answers) that are made or changed where anything is.
    pub records: Vec<Drifted>,
    /// Uids of objects of other owners that these take over.
    pub adopted: BTreeSet<String>,
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
    pub from: InstalledRelease,
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
    pub from: Option<InstalledRelease>,
    /// Revision that was last seen healthy, and to which a failed step goes back.
    pub last_healthy: Option<Healthy>,
    /// Why the chart's own way leads only forward, where it does.
    pub no_way_back: Option<String>,
    /// Objects of the release that somebody changed and that stand in the way of helm's own apply; put back before it.
    pub conflicting_drift: Vec<Drifted>,
    /// How it is done.
    pub work: Work,
    /// Uids of objects of other owners that its own objects take over.
    pub adopted: BTreeSet<String>,
    /// Our own objects of the release that are made or changed; filled once the chart is rendered where helm is run.
    pub own: Vec<Drifted>,
    /// What it will do beyond the release; filled once the chart is rendered.
    pub effects: Effects,
    /// What must be re-created or grown by hand for helm to succeed; filled with the effects.
    pub replacements: Vec<Replacement>,
    /// Uids of the live objects that are deleted for it; one that has none here does not exist.
    pub uids: BTreeMap<ObjectRef, String>,
}

/// How a step is done.
#[derive(Clone, Debug)]
pub enum Work {
    /// helm applies the chart, after our own objects and the chart's CRDs.
    Helm,
    /// These objects of the release's manifest, and those of our own, are put back as they were, without helm.
    Objects {
        /// Of the release's manifest.
        release: Vec<Drifted>,
    },
    /// Nothing is changed; the workloads are waited for.
    Wait,
}

/// What helm cannot do by changing an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Deleted without what it owns, so that helm makes it again and the pods go on running meanwhile.
    Orphan(ObjectRef),
    /// Deleted with what it owns: its pods could not be distinguished from the new ones.
    Cascade(ObjectRef),
    /// A claim that grows.
    ExpandClaim {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// The size it is to have.
        size: String,
    },
}

impl Step {
    /// Why going back to an earlier revision would not bring back what was; `None`: it would.
    pub fn one_way(&self) -> Option<String> {
        if let Some(crd) = self.effects.crds.first() {
            return Some(format!("its CRDs have moved on ({crd})"));
        }
        let object = self.effects.recreated.first().or(self.effects.growth.first());
        object.map(|object| format!("its storage was changed ({object})")).or_else(|| self.no_way_back.clone())
    }
}

/// The release as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledRelease {
    /// Chart version.
    pub chart_version: semver::Version,
    /// Current revision.
    pub revision: u32,
    /// Its status.
    pub status: ReleaseStatus,
}

/// A release in its namespace as a plan was made from it.
#[derive(Clone, Copy, Debug)]
pub struct PlannedState<'a> {
    /// Namespace of the release.
    pub namespace: &'a str,
    /// Release name.
    pub release: &'a str,
    /// `None`: it was not installed.
    pub from: Option<&'a InstalledRelease>,
}

impl PlannedState<'_> {
    /// Whether helm lists the same revision and status of the release; `listed` are the releases of its namespace.
    pub fn holds(&self, listed: &[ReleaseInfo]) -> bool {
        let now = listed.iter().find(|info| info.name == self.release);
        now.map(|info| (info.revision, info.status)) == self.from.map(|from| (from.revision, from.status))
    }
}

impl Step {
    /// The release that the step was planned from.
    pub fn planned_state(&self) -> PlannedState<'_> {
        let Step { release, from, .. } = self;
        PlannedState { namespace: &release.namespace, release: release.component.as_str(), from: from.as_ref() }
    }
}

impl Removal {
    /// The release that is removed, as it was planned from.
    pub fn planned_state(&self) -> PlannedState<'_> {
        PlannedState { namespace: &self.namespace, release: &self.component, from: Some(&self.from) }
    }
}

impl Plan {
    /// Steps as events and reports show them, in wave order.
    pub fn steps(&self) -> Vec<PlannedStep> {
        let changes = self.each_step().map(|step| PlannedStep {
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
        let changes = self.each_step().any(|step| step.action != ActionKind::Unchanged);
        changes || !self.removals.is_empty()
    }

    /// Lets our own objects take over the object of this uid.
    pub fn adopt(&mut self, uid: &str) {
        self.adopted.insert(uid.to_owned());
        for step in self.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
            step.adopted.insert(uid.to_owned());
        }
    }

    /// Our own objects that will be made or changed.
    pub fn own_changes(&self) -> impl Iterator<Item = &Drifted> {
        self.each_step().flat_map(|step| &step.own).chain(&self.records)
    }

    /// Every step, in wave order.
    pub fn each_step(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|wave| &wave.steps)
    }

    /// Every release of the plan, in wave order.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.each_step().map(|step| &step.release)
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
