//! Steps of a plan, and the state that they were planned from.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{ObjectRef, RevisionRecord, current};
use crate::event::{ActionKind, Effects, PlannedStep};
use crate::helm::ReleaseStatus;
use crate::plan::drift::Drifted;
use crate::plan::installed_releases::Installed;
use crate::plan::render::rendered_release::{PlannedRelease, RenderedRelease};
use crate::plan::revision_notes::Healthy;
use crate::stack::{CatalogueEntry, Release};

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
    /// Whether this revision and status are still the current ones in the records of the namespace.
    pub fn holds(&self, records: &[RevisionRecord]) -> bool {
        let now = current(records, self.release);
        now.map(|record| (record.revision, ReleaseStatus::of(&record.status)))
            == self.from.map(|from| (from.revision, from.status))
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
        Some(PlannedRelease { release: &self.release, rendered: manifest, hooks, crds, installed: self.installed() })
    }

    /// The state that the step was planned from.
    pub fn planned_state(&self) -> PlannedState<'_> {
        let Step { release, from, .. } = self;
        PlannedState { namespace: &release.namespace, release: release.component.as_str(), from: from.as_ref() }
    }
}

impl Removal {
    /// Sorts removals, which have the order of the catalogue, into that of a removal: the reverse, by wave.
    pub(super) fn sort(removals: &mut [Removal]) {
        removals.sort_by_key(|removal| removal.wave);
        removals.reverse();
    }

    pub(super) fn new(row: &CatalogueEntry, found: &Installed, reason: String) -> Removal {
        Removal {
            component: row.name.clone(),
            wave: row.wave,
            namespace: row.namespace.clone(),
            chart: found.info.chart.clone(),
            from: InstalledRelease { manifest: found.manifest.clone(), ..InstalledRelease::from(&found.info) },
            reason,
        }
    }

    /// The state that the removal was planned from.
    pub fn planned_state(&self) -> PlannedState<'_> {
        PlannedState { namespace: &self.namespace, release: &self.component, from: Some(&self.from) }
    }

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

/// An upgrade to an untried major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// Component.
    pub component: String,
    /// Requested version.
    pub version: semver::Version,
}

impl std::fmt::Display for Untried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Untried { component, version } = self;
        write!(formatter, "{component} {version}: no version of major {} was tried with this tailwatch", version.major)
    }
}
