//! From the desired releases and the cluster's state to one [`Plan`], and its description. [`Planner`] observes,
//! decides, renders and predicts. Reads only. Must not print or prompt.

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
mod planner;
mod preconditions;
mod predict;
mod render;
mod reviewed;
mod revision_notes;
mod secret_mask;
mod takeover;
mod uninstall;
mod volume_expansion;

pub use available_versions::{Mirror, Offer, Untried};
pub use diff::{SecretPlaces, StepDiff, diffs};
pub use drift::Drifted;
pub use error::{PlanError, RejectedValues};
pub use installed_releases::installed_releases;
pub use observe::{Observed, PendingOwner, cluster_facts, observe, tailscale_operator};
pub use planner::{Planner, unidentified};
pub use preconditions::{Precondition, check_preconditions};
pub use render::{PlannedRelease, RenderedRelease};
pub use reviewed::{FORMAT, Review, ReviewedPlan, ReviewedRelease};
pub use revision_notes::{Healthy, rollback_key};
pub use takeover::{Takeover, taken_by};
pub use uninstall::dependents::{KubeletService, describe, kubelet_left, kubelet_service, operator_users};
pub use uninstall::inventory::{NamespaceOutcome, OwnedObjects, UninstallOptions, UninstallScope, owned_objects};
pub use uninstall::{OWN_OBJECTS, OWN_WAVE, Uninstall, uninstall};

use std::collections::BTreeMap;

use crate::cluster::ObjectRef;
use serde_json::Value;

use crate::event::{ActionKind, Effects, PlannedStep};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::stack::Release;

/// The steps of a run, in waves. The plan that is confirmed is the plan that is executed. It does not change after
/// [`Plan::taking_over`].
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Waves in ascending order, each with its steps.
    pub waves: Vec<Wave>,
    /// Installed releases that the answers leave out, the latest wave first; uninstalled once every wave is ready.
    pub removals: Vec<Removal>,
    /// Own objects outside of the releases (the saved answers), created or changed if any step changes something.
    pub records: Vec<Drifted>,
    /// Objects of other owners that become part of a release or our own objects.
    pub takeovers: Vec<Takeover>,
    /// Installed releases with our names that tailwatch did not install, e.g. `release loki in namespace monitoring`.
    pub unmanaged: Vec<String>,
    /// Steps that need an explicit yes.
    pub untried: Vec<Untried>,
    /// Unexpected contents of the charts and of their values.
    pub chart_notices: Vec<String>,
    /// Everything that is shown with the plan, those of the charts first.
    pub notices: Vec<String>,
}

/// A release that is uninstalled.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Component name = release name.
    pub component: String,
    /// Its wave.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// Its chart.
    pub chart: String,
    /// Its current state.
    pub from: InstalledRelease,
    /// Reason, one line.
    pub reason: String,
}

/// Steps that run in parallel.
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
    /// Desired state.
    pub release: Release,
    /// Install, upgrade, repair or none.
    pub action: ActionKind,
    /// Reason, one line.
    pub reason: String,
    /// Current state; `None`: not installed.
    pub from: Option<InstalledRelease>,
    /// Last healthy revision; a failed step is rolled back to it.
    pub last_healthy: Option<Healthy>,
    /// Why the upgrade path of the chart allows no rollback.
    pub no_rollback: Option<String>,
    /// Drifted objects of the release that conflict with helm's apply; repaired before it.
    pub conflicting_drift: Vec<Drifted>,
    /// How the step is executed.
    pub work: Work,
    /// The rendered chart, where helm runs.
    pub rendered: Option<RenderedRelease>,
    /// Own objects of the release that are created or changed. Where helm runs: filled once the chart is rendered.
    pub own: Vec<Drifted>,
    /// Changes beyond the release; filled once the chart is rendered.
    pub effects: Effects,
    /// Objects to re-create and claims to expand before helm runs; filled with the effects.
    pub replacements: Vec<Replacement>,
    /// UIDs of the live objects that are deleted for it; an object without an entry does not exist.
    pub uids: BTreeMap<ObjectRef, String>,
}

/// How a step is executed.
#[derive(Clone, Debug)]
pub enum Work {
    /// helm applies the chart, after the own objects and the chart's CRDs.
    Helm,
    /// Drifted objects of the release's manifest and the own objects are applied again, without helm.
    Objects {
        /// Of the release's manifest.
        release: Vec<Drifted>,
    },
    /// No change; the step waits until the workloads are ready.
    Wait,
}

/// A change that helm cannot make by updating the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Deleted with `propagationPolicy: Orphan`: helm re-creates it, its pods keep running.
    Orphan(ObjectRef),
    /// Deleted with its dependents: the new selector would not match its pods.
    Cascade(ObjectRef),
    /// A PersistentVolumeClaim is expanded.
    ExpandClaim {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// New size.
        size: String,
    },
}

impl Step {
    /// Why a rollback would not restore the previous state; `None`: it would.
    pub fn no_rollback_reason(&self) -> Option<String> {
        if let Some(crd) = self.effects.crds.first() {
            return Some(format!("its CRDs were upgraded ({crd})"));
        }
        let object = self.effects.recreated.first().or(self.effects.growth.first());
        object.map(|object| format!("its storage was changed ({object})")).or_else(|| self.no_rollback.clone())
    }
}

/// An installed release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledRelease {
    /// Chart version.
    pub chart_version: semver::Version,
    /// Current revision.
    pub revision: u32,
    /// Its status.
    pub status: ReleaseStatus,
    /// Version of the application.
    pub app_version: String,
    /// User-supplied values, if it is deployed.
    pub values: Option<Value>,
    /// Objects of its last deployed revision.
    pub manifest: Vec<Value>,
}

/// The state of a release that the plan was built from.
#[derive(Clone, Copy, Debug)]
pub struct PlannedState<'a> {
    /// Namespace of the release.
    pub namespace: &'a str,
    /// Release name.
    pub release: &'a str,
    /// `None`: not installed.
    pub from: Option<&'a InstalledRelease>,
}

impl PlannedState<'_> {
    /// Whether helm still lists this revision and status; `listed` are the releases of the namespace.
    pub fn holds(&self, listed: &[ReleaseInfo]) -> bool {
        let now = listed.iter().find(|info| info.name == self.release);
        now.map(|info| (info.revision, info.status)) == self.from.map(|from| (from.revision, from.status))
    }
}

impl Step {
    /// Objects of the installed revision; none of a new release.
    pub fn installed(&self) -> &[Value] {
        self.from.as_ref().map(|from| from.manifest.as_slice()).unwrap_or_default()
    }

    /// Objects of the release after the step, without hooks.
    pub fn manifest(&self) -> &[Value] {
        self.rendered.as_ref().map_or(self.installed(), |rendered| &rendered.manifest)
    }

    /// What helm will install or change; `None` where helm has no part in the step.
    pub fn planned(&self) -> Option<PlannedRelease<'_>> {
        let RenderedRelease { manifest, hooks, crds, .. } = self.rendered.as_ref()?;
        Some(PlannedRelease { release: &self.release, rendered: manifest, hooks, crds, standing: self.installed() })
    }

    /// The state that the step was planned from.
    pub fn planned_state(&self) -> PlannedState<'_> {
        let Step { release, from, .. } = self;
        PlannedState { namespace: &release.namespace, release: release.component.as_str(), from: from.as_ref() }
    }
}

impl Removal {
    /// The state that the removal was planned from.
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
            from_version: step.from.as_ref().map(|installed| installed.chart_version.to_string()),
            action: step.action,
            reason: step.reason.clone(),
            effects: step.effects.clone(),
            usual_seconds: None,
        });
        changes.chain(self.removals.iter().map(Removal::step)).collect()
    }

    /// Whether any step makes a change.
    pub fn has_changes(&self) -> bool {
        let changes = self.each_step().any(|step| step.action != ActionKind::Unchanged);
        changes || !self.removals.is_empty()
    }

    /// Own objects that will be created or changed.
    pub fn own_changes(&self) -> impl Iterator<Item = &Drifted> {
        self.each_step().flat_map(|step| &step.own).chain(&self.records)
    }

    /// Every step, in wave order.
    pub fn each_step(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|wave| &wave.steps)
    }

    /// Objects of every release after the run, by component.
    pub fn manifests(&self) -> BTreeMap<String, Vec<Value>> {
        self.each_step().map(|step| (step.release.component.to_string(), step.manifest().to_vec())).collect()
    }

    /// The releases that helm will install or change.
    pub fn incoming(&self) -> Vec<PlannedRelease<'_>> {
        self.each_step().filter_map(Step::planned).collect()
    }

    /// Whether helm will install or change this component.
    pub fn changes(&self, component: &str) -> bool {
        self.incoming().iter().any(|incoming| incoming.release.component.as_str() == component)
    }

    /// Namespaces in which a claim will grow.
    pub fn growing(&self) -> Vec<&str> {
        let replacements = self.each_step().flat_map(|step| &step.replacements);
        let claims = replacements.filter_map(|replacement| match replacement {
            Replacement::ExpandClaim { namespace, .. } => Some(namespace.as_str()),
            Replacement::Orphan(_) | Replacement::Cascade(_) => None,
        });
        claims.collect()
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
