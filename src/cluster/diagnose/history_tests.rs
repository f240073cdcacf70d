//! Transient and lasting causes.

use super::*;
use crate::cluster::diagnose::tests::{cache, ended, now, release};
use crate::cluster::diagnose::{Depth, Scope, matches};

/// A rerun after the image was pushed: the kubelet has not tried again yet.
#[test]
fn a_cause_from_before_the_run_may_recover_first() {
    let cache = cache(ended("Error", 1));
    let mut history = History::default();
    let mut at = |seconds: i64| {
        let now = now() + jiff::SignedDuration::from_secs(seconds);
        let matches = matches(&cache, &release(), Scope { depth: Depth::Waiting, now });
        history.enter(matches, now).first().map(Cause::is_final)
    };
    assert_eq!(at(0), Some(false), "reported at once, but it does not count yet");
    assert_eq!((10..60).step_by(10).filter_map(&mut at).collect::<Vec<_>>(), [false; 5]);
    assert_eq!(at(60), Some(true));
    assert_eq!(at(90), Some(false), "a cause that was absent for longer starts again");
}

#[test]
fn a_few_restarts_are_passing() {
    let mut status = ended("Error", 1);
    status["containerStatuses"][0]["restartCount"] = 2.into();
    let cache = cache(status);
    let mut history = History::default();
    for seconds in (0..600).step_by(10) {
        let now = now() + jiff::SignedDuration::from_secs(seconds);
        let matches = matches(&cache, &release(), Scope { depth: Depth::Waiting, now });
        assert!(!history.enter(matches, now)[0].is_final());
    }
}

/// Every claim waits a moment for its volume.
#[test]
fn an_absent_object_is_reported_only_when_it_stays_absent() {
    let mut cache = cache(serde_json::json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "pod has unbound immediate PersistentVolumeClaims"}]}));
    cache.insert_json(
        serde_json::json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "storage", "namespace": "m"},
        "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}),
    );
    let mut history = History::default();
    let mut at = |seconds: i64| {
        let now = now() + jiff::SignedDuration::from_secs(seconds);
        let found = matches(&cache, &release(), Scope { depth: Depth::Waiting, now });
        history.enter(found, now).first().map(|cause| cause.diagnosis.rule.clone())
    };
    assert_eq!([at(0), at(3)], [None, None]);
    assert_eq!(at(4).as_deref(), Some("provisioner-not-responding"));
}
