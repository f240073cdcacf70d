//! What a run took, for its last event.

use std::time::Instant;

use crate::cluster::Cluster;
use crate::event::{RunOutcome, RunSummary};

/// Seconds, memory and requests; a success of no steps and no checks otherwise.
pub(super) fn so_far(started: Instant, cluster: &Cluster) -> RunSummary {
    RunSummary {
        outcome: RunOutcome::Succeeded,
        steps: Vec::new(),
        checks: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_kib: peak_rss_kib(),
        api_requests: cluster.request_counts(),
    }
}

/// getrusage(2): ru_maxrss is in KiB on Linux, in bytes on macOS.
fn peak_rss_kib() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let largest = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    let largest = u64::try_from(largest).unwrap_or(0);
    if cfg!(target_os = "macos") { largest / 1024 } else { largest }
}
