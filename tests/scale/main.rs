//! What a cluster of a thousand nodes costs. The suite runs by itself: the sandbox of that many nodes needs the whole
//! machine, and peak memory depends on what runs beside it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::Value;
use support::{Sandbox, of_kind};

/// The program under test.
const TAILWATCH: &str = env!("CARGO_BIN_EXE_tailwatch");

/// A thousand nodes need hardly more memory than three, also for an upgrade with its verification, and hardly more
/// different requests.
#[test]
fn a_large_cluster_costs_hardly_more_than_a_small_one() {
    let peak = |events: &[Value]| events.last().unwrap()["peakRssKiB"].as_u64().unwrap();
    let install = |sandbox: &Sandbox| {
        let peak = peak(&sandbox.install(&["--output", "json", "--skip-verify"]).ended_with(0).events());
        (peak, different_requests(sandbox))
    };
    let ((small, few), (large, many), rolled) = {
        let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "3"]);
        let few = install(&sandbox);
        drop(sandbox);
        let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1000"]);
        let many = install(&sandbox);
        let upgrade = ["--output", "json", "--set", "versions.alloy=1.11.1"];
        (few, many, sandbox.install(&upgrade).ended_with(0).events())
    };
    let verified = peak(&rolled);
    // Of a build for tests the program itself is 40 MiB.
    assert!(large <= small + 16 * 1024, "{large} KiB, {small} KiB for an install on three nodes");
    assert!(many * 10 <= few * 13, "{many} requests, {few} on three nodes");
    assert!(verified <= small + 32 * 1024, "{verified} KiB, {small} KiB for an install on three nodes");
    let finished = of_kind(&rolled, "step-finished");
    let alloy = finished.iter().find(|step| step["component"] == "alloy").unwrap();
    assert_eq!(alloy["outcome"], "upgraded", "{alloy:#}");
}

/// The requests of tailwatch by verb, path and selectors: how often some are repeated depends on the time of a rollout.
fn different_requests(sandbox: &Sandbox) -> usize {
    const PROGRESS: [&str; 3] = ["continue=", "resourceVersion=", "timeoutSeconds="];
    let requests = sandbox.requests().into_iter().map(|event| {
        let parts = event["requestURI"].as_str().unwrap_or_default().split(['?', '&']);
        let kept = parts.filter(|part| !PROGRESS.iter().any(|name| part.starts_with(name)));
        (event["verb"].to_string(), kept.collect::<Vec<_>>().join("&"))
    });
    requests.collect::<BTreeSet<_>>().len()
}
