//! Whatever becomes of a verification, it leaves nothing behind.

use std::time::Duration;

use serde_json::Value;
use support::{Sandbox, eventually};

/// At random moments.
const KILLS: usize = 10;
/// Milliseconds; an undisturbed verification takes about as long.
const LONGEST: u64 = 4000;

/// On an installed stack.
pub fn a_verification_that_is_killed_leaves_nothing_once_the_next_has_run(sandbox: &Sandbox) {
    kill_once(sandbox, || eventually("a probe", || !probes(sandbox).is_empty()));
    assert!(!probes(sandbox).is_empty(), "nothing is left to be cleared away");
    for _ in 0..KILLS {
        kill_once(sandbox, || std::thread::sleep(Duration::from_millis(rand::random_range(0..LONGEST))));
    }
    sandbox.tailwatch(&["verify"]).ended_with(0);
    assert_eq!(probes(sandbox), Vec::<Value>::new());
}

fn kill_once(sandbox: &Sandbox, wait: impl FnOnce()) {
    let mut verification = sandbox.tailwatch_command(&["verify"]).spawn().unwrap();
    wait();
    verification.kill().unwrap();
    verification.wait().unwrap();
}

/// Everything with the label of a verification's own objects.
pub fn probes(sandbox: &Sandbox) -> Vec<Value> {
    let found = sandbox.get(&["-n", "monitoring", "jobs,pods", "-l", "tailwatch.dev/probe"]);
    found["items"].as_array().unwrap().clone()
}
