//! From the desired releases and the cluster's state to one [`Plan`], and its description. [`Planner`] observes,
//! decides, renders and predicts. Reads only. Must not print or prompt.

mod available_versions;
#[cfg(any(test, feature = "benchmarks"))]
pub(crate) mod benchmarks;
mod compare;
mod decide;
mod deselected;
mod diff;
mod differences;
mod drift;
mod effects;
mod error;
mod immutable;
mod installed_releases;
mod list;
mod observe;
mod planner;
mod preconditions;
mod predict;
mod render;
mod reviewed;
mod revision_notes;
mod secret_mask;
mod status;
mod step;
mod takeover;
mod uninstall;
mod volume_expansion;

pub use available_versions::{Mirror, Offer};
pub use compare::{MissingField, drift};
pub use diff::{SecretPlaces, StepDiff, diffs};
pub use drift::Drifted;
pub use error::{PlanError, RejectedValues};
pub use installed_releases::{Installed, installed_releases, installed_rows, releases_everywhere};
pub use observe::{Observed, PendingOwner, Surroundings, observe_releases, surroundings, tailscale_operator};
pub use planner::{Planner, unidentified};
pub use preconditions::{Precondition, check_preconditions};
pub use render::render_without_cluster;
pub use render::rendered_release::{PlannedRelease, RenderedRelease};
pub use reviewed::{FORMAT, Review, ReviewedPlan, ReviewedRelease};
pub use revision_notes::{Healthy, rollback_key};
pub use status::{address, diagnosis_of, status, tracked_releases};
pub use step::{InstalledRelease, PlannedState, Removal, Replacement, Step, Untried, Wave, Work};
pub use takeover::{Takeover, taken_by};
pub use uninstall::dependents::{
    KubeletService, describe, kubelet_objects, kubelet_service, managed_services, operator_users,
};
pub use uninstall::inventory::{OwnedObjects, owned_objects};
pub use uninstall::scope::{NamespaceOutcome, UninstallOptions, UninstallScope};
pub use uninstall::{OWN_OBJECTS, OWN_WAVE, Uninstall, uninstall};
pub use volume_expansion::{ClaimTemplate, claim_templates};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::event::{ActionKind, PlannedStep};
use crate::stack::{RecordedChart, Release};

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
    /// Installed releases that another tool reconciles, e.g. `Application loki of Argo CD reconciles release loki in
    /// namespace monitoring`.
    pub reconciled: Vec<String>,
    /// Steps that need an explicit yes.
    pub untried: Vec<Untried>,
    /// Unexpected contents of the charts and of their values.
    pub chart_notices: Vec<String>,
    /// Everything that is shown with the plan, those of the charts first.
    pub notices: Vec<String>,
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

    /// The archives that helm will apply.
    pub fn charts(&self) -> Vec<RecordedChart> {
        let fetched = self.each_step().filter_map(|step| Some((step, step.rendered.as_ref()?)));
        fetched.map(|(step, rendered)| step.release.chart.recorded(&rendered.chart.digest)).collect()
    }

    /// The releases that helm will install or change.
    pub fn incoming(&self) -> Vec<PlannedRelease<'_>> {
        self.each_step().filter_map(Step::planned).collect()
    }

    /// Whether helm will install or change the component that signs users in.
    pub fn changes_sign_in(&self) -> bool {
        self.incoming().iter().any(|incoming| incoming.release.rules().signs_users_in)
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

    /// Objects that are deleted and created anew.
    pub fn recreated(&self) -> Vec<&ObjectRef> {
        let replacements = self.each_step().flat_map(|step| &step.replacements);
        let objects = replacements.filter_map(|replacement| match replacement {
            Replacement::Orphan(object) | Replacement::Cascade(object) => Some(object),
            Replacement::ExpandClaim { .. } => None,
        });
        objects.collect()
    }

    /// Every release of the plan, in wave order.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.each_step().map(|step| &step.release)
    }

    /// The final plan, with the warnings of the checks, the takeovers and their effects.
    #[must_use]
    pub fn taking_over(mut self, takeovers: Vec<Takeover>, warnings: Vec<String>) -> Plan {
        self.notices.extend(warnings);
        self.notices.extend(takeover::notices(&takeovers));
        for step in self.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
            let component = Some(step.release.component.as_str());
            let restarted = takeovers.iter().filter(|taken| taken.restarts && taken.component.as_deref() == component);
            step.effects.restarts.extend(restarted.map(|taken| taken.object.clone()));
        }
        Plan { takeovers, ..self }
    }

    /// UIDs of the objects that own objects adopt.
    pub fn adopted(&self) -> BTreeSet<String> {
        self.takeovers.iter().filter_map(|taken| taken.uid.clone()).collect()
    }

    /// (object, owner) of the objects that a component's release adopts.
    pub fn taken_by(&self, component: &str) -> BTreeSet<(&str, &str)> {
        takeover::taken_by(&self.takeovers, component)
    }

    /// Workloads with pods that a takeover replaces.
    pub fn replaced_workloads(&self) -> Vec<&str> {
        self.takeovers.iter().filter(|taken| taken.restarts).map(|taken| taken.object.as_str()).collect()
    }
}
