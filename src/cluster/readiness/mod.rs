//! Whether things are ready, and if not, why: pure functions over what has been seen. A generation that its
//! controller has not observed is never ready. What is wrong is reported by `diagnose`, what is merely under way here.

pub(super) mod pods;
pub(super) mod workloads;

use crate::cluster::diagnose::Cause;
use crate::cluster::watch::cache::{ObjectCache, TrackedRelease};
use crate::event::Diagnosis;

/// Whether a release is ready, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness<'a> {
    /// It is.
    Ready,
    /// Not yet; `why` is one sentence fragment with the object's name.
    Waiting {
        /// Why.
        why: &'a str,
    },
    /// It will not become ready by itself.
    Failed {
        /// What a rule found.
        diagnosis: &'a Diagnosis,
    },
}

/// Readiness of one release.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReleaseReadiness {
    /// Workloads (and waited-for conditions) that are ready.
    pub ready: u32,
    /// Workloads (and waited-for conditions) that are wanted.
    pub desired: u32,
    /// First reason it waits: what a rule found, or what is under way.
    pub waiting: Option<String>,
    /// The worst that a rule found, whether or not it counts yet.
    pub cause: Option<Cause>,
    /// The worst that a rule found in the chart's hooks, for which helm waits.
    pub hook: Option<Cause>,
}

impl ReleaseReadiness {
    /// All ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.verdict(), Readiness::Ready)
    }

    /// The answer.
    pub fn verdict(&self) -> Readiness<'_> {
        if self.ready == self.desired {
            return Readiness::Ready;
        }
        match self.cause.as_ref().filter(|cause| cause.is_final()) {
            Some(cause) => Readiness::Failed { diagnosis: &cause.diagnosis },
            None => Readiness::Waiting { why: self.waiting.as_deref().unwrap_or("nothing said why") },
        }
    }
}

/// Counts what is ready of a release, with the first thing that is under way.
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
