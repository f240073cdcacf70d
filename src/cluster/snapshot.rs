//! The state of a cluster that was read once, judged by the same readiness and rules as during a watch. Sends no
//! requests.

use crate::cluster::diagnose::{self, Depth, Scope};
use crate::cluster::readiness::{self, ReleaseReadiness};
use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;
use crate::event::Diagnosis;

/// Objects that were read.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) cache: ObjectCache,
}

impl Snapshot {
    /// The counts of a release, without causes.
    pub(super) fn count(&self, release: &TrackedRelease) -> ReleaseReadiness {
        readiness::count(&self.cache, release)
    }

    /// Readiness of a release, with why it waits.
    pub(super) fn readiness(&self, release: &TrackedRelease, now: jiff::Timestamp) -> ReleaseReadiness {
        let mut readiness = self.count(release);
        if readiness.is_ready() {
            return readiness;
        }
        let matches = diagnose::matches(&self.cache, release, Scope { depth: Depth::Waiting, now });
        readiness.cause = diagnose::at_once(matches, now).into_iter().next();
        if let Some(cause) = &readiness.cause {
            readiness.waiting = Some(cause.diagnosis.cause.clone());
        }
        readiness
    }

    /// What the rules find in the objects of the releases, the worst first.
    pub(super) fn diagnoses(&self, releases: &[TrackedRelease], now: jiff::Timestamp) -> Vec<Diagnosis> {
        let scope = Scope { depth: Depth::Everything, now };
        let matches = releases.iter().flat_map(|release| diagnose::matches(&self.cache, release, scope)).collect();
        grouped(diagnose::at_once(matches, now).into_iter().map(|cause| cause.diagnosis))
    }
}

/// One finding for all pods of a workload with the same cause.
fn grouped(diagnoses: impl Iterator<Item = Diagnosis>) -> Vec<Diagnosis> {
    let mut groups: Vec<(Diagnosis, usize)> = Vec::new();
    for diagnosis in diagnoses {
        let same = groups.iter_mut().find(|(first, _)| {
            let place = (&first.place.workload, &first.place.container);
            let own = (&diagnosis.place.workload, &diagnosis.place.container);
            first.rule == diagnosis.rule && place == own && place.0.is_some()
        });
        match same {
            Some((_, more)) => *more += 1,
            None => groups.push((diagnosis, 0)),
        }
    }
    let reported = groups.into_iter().map(|(mut first, more)| {
        if more > 0 {
            first.cause += &format!(" (and {more} more of {})", first.place.workload.as_deref().unwrap_or_default());
        }
        first
    });
    reported.collect()
}
