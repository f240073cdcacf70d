//! Whatever becomes of a verification, it leaves nothing behind.

use std::time::Duration;

use serde_json::Value;

use crate::sandboxes::eventually;
use crate::support::Sandbox;

const KILLS: u64 = 6;

#[test]
fn a_verification_that_is_killed_or_interrupted_leaves_nothing_once_the_next_has_run() {
    let sandbox = Sandbox::up(&["--nodes", "2"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    for kill in 0..KILLS {
        let mut verification = sandbox.tailwatch_command(&["verify"]).spawn().unwrap();
        eventually("a probe", || !probes(&sandbox).is_empty());
        std::thread::sleep(Duration::from_millis(300 * kill));
        verification.kill().unwrap();
        verification.wait().unwrap();
    }
    sandbox.tailwatch(&["verify"]).ended_with(0);
    assert_eq!(probes(&sandbox), Vec::<Value>::new());

    let mut interrupted = sandbox.tailwatch_command(&["verify"]).spawn().unwrap();
    eventually("a probe", || !probes(&sandbox).is_empty());
    sandbox.command("kill".as_ref()).args(["-INT", &interrupted.id().to_string()]).status().unwrap();
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    assert_eq!(probes(&sandbox), Vec::<Value>::new());
}

/// Everything with the label of a verification's own objects.
fn probes(sandbox: &Sandbox) -> Vec<Value> {
    let found = sandbox.get(&["-n", "monitoring", "jobs,pods", "-l", "tailwatch.dev/probe"]);
    found["items"].as_array().unwrap().clone()
}
