//! The changes that are compared with the existing objects.

use crate::helm::{Ownership, ReleaseInfo};
use crate::plan::{Drifted, Plan, PlannedRelease};
use crate::stack::Release;

/// The planned changes.
pub struct Intent<'a> {
    /// All releases of the plan.
    pub desired: Vec<&'a Release>,
    /// The releases that helm will install or change.
    pub incoming: Vec<PlannedRelease<'a>>,
    /// Own objects that will be created or changed.
    pub own: Vec<&'a Drifted>,
    /// Whether objects of other owners may be adopted.
    pub ownership: Ownership,
}

impl<'a> Intent<'a> {
    /// Of a plan.
    pub fn of(plan: &'a Plan, ownership: Ownership) -> Intent<'a> {
        let (desired, own) = (plan.releases().collect(), plan.own_changes().collect());
        Intent { desired, incoming: plan.incoming(), own, ownership }
    }
}

/// The desired release of a component.
pub(super) fn release_of<'a>(desired: &[&'a Release], component: &str) -> Option<&'a Release> {
    desired.iter().copied().find(|release| release.component.as_str() == component)
}

pub(super) fn release_key(release: &Release) -> (&str, &str) {
    (release.component.as_str(), &release.namespace)
}

pub(super) fn is_ours(desired: &[&Release], info: &ReleaseInfo) -> bool {
    desired.iter().any(|release| release_key(release) == (info.name.as_str(), info.namespace.as_str()))
}
