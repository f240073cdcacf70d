//! Readiness of releases: pure functions over the cache. A generation that its controller has not observed is never
//! ready. `diagnose` finds causes of problems; a normal start is described here.

pub(super) mod pods;
pub(super) mod progress;
pub(super) mod workloads;

use crate::cluster::diagnose::Cause;
use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;
use crate::event::Diagnosis;

/// The state of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness<'a> {
    /// Everything is ready.
    Ready,
    /// Not ready yet.
    Waiting {
        /// One sentence fragment with the object's name.
        why: &'a str,
    },
    /// It does not become ready without a change by the user.
    Failed {
        /// The cause.
        diagnosis: &'a Diagnosis,
    },
}

/// Readiness of one release.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReleaseReadiness {
    /// Workloads (and waited-for conditions) that are ready.
    pub ready: u32,
    /// Workloads (and waited-for conditions) that are expected.
    pub desired: u32,
    /// First reason why it is not ready: a cause that a rule found, or the state of a start.
    pub waiting: Option<String>,
    /// The worst cause that a rule found, whether or not it counts yet.
    pub cause: Option<Cause>,
    /// The worst cause in the chart's hooks, for which helm waits.
    pub hook: Option<Cause>,
}

impl ReleaseReadiness {
    /// Whether everything is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.verdict(), Readiness::Ready)
    }

    /// The state that follows from the counts and the cause.
    pub fn verdict(&self) -> Readiness<'_> {
        if self.ready == self.desired {
            return Readiness::Ready;
        }
        match self.cause.as_ref().filter(|cause| cause.is_final()) {
            Some(cause) => Readiness::Failed { diagnosis: &cause.diagnosis },
            None => Readiness::Waiting { why: self.waiting.as_deref().unwrap_or("its status shows no reason") },
        }
    }
}

/// Counts the ready objects of a release, with the first reason why one is not.
pub(super) fn count(cache: &ObjectCache, release: &TrackedRelease) -> ReleaseReadiness {
    let objects = release.roots.iter().map(|root| workloads::judge(cache, root));
    let conditions =
        release.wait_for.iter().map(|wanted| workloads::judge_condition(cache, wanted, &release.namespace));
    let mut whole = ReleaseReadiness::default();
    for readiness in objects.chain(conditions) {
        whole.desired += 1;
        match readiness {
            Ok(()) => whole.ready += 1,
            Err(why) => {
                whole.waiting.get_or_insert(why);
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests;
