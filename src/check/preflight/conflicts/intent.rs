//! The changes that are compared with the existing objects.

use crate::helm::{Ownership, ReleaseInfo};
use crate::plan::{Drifted, Plan, PlannedRelease};
use crate::stack::Release;

/// What is about to be done.
pub struct Intent<'a> {
    /// Every release that should stand.
    pub wanted: Vec<&'a Release>,
    /// Those that helm is about to install or change.
    pub incoming: Vec<PlannedRelease<'a>>,
    /// Our own objects that are about to be made or changed.
    pub own: Vec<&'a Drifted>,
    /// What may be done with objects of others.
    pub ownership: Ownership,
}

impl<'a> Intent<'a> {
    /// Of a plan.
    pub fn of(plan: &'a Plan, ownership: Ownership) -> Intent<'a> {
        let (wanted, own) = (plan.releases().collect(), plan.own_changes().collect());
        Intent { wanted, incoming: plan.incoming(), own, ownership }
    }
}

/// The release of a component among the wanted ones.
pub(super) fn release_of<'a>(wanted: &[&'a Release], component: &str) -> Option<&'a Release> {
    wanted.iter().copied().find(|release| release.component.as_str() == component)
}

pub(super) fn place(release: &Release) -> (&str, &str) {
    (release.component.as_str(), &release.namespace)
}

pub(super) fn is_ours(wanted: &[&Release], info: &ReleaseInfo) -> bool {
    wanted.iter().any(|release| place(release) == (info.name.as_str(), info.namespace.as_str()))
}
