//! An API server that takes every request and answers none (its process is stopped): each phase of a run ends within its
//! limits and says why, a signal ends it, and the same command converges once it answers again.

use serde_json::Value;
use support::{CommandOutput, Run, Sandbox, Signal, eventually, matching, named, of_kind, signal, verdicts};

use crate::TAILWATCH;
use crate::diagnosis::away;
use crate::switched_tunnel::Gate;

/// The API server's process; it answers again when this is dropped.
struct Stopped {
    pid: u32,
}

impl Stopped {
    fn new(sandbox: &Sandbox) -> Stopped {
        let folder = sandbox.variable("TAILWATCH_SANDBOX_DIR");
        let pid = matching(&format!("/kube-apiserver .*{folder}/"))[0];
        assert!(signal(pid, Signal::SIGSTOP));
        Stopped { pid }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.pid, Signal::SIGCONT);
    }
}

fn start(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    Run::start(sandbox.tailwatch_command(arguments).args(["--output", "json"]))
}

/// Waits for the end of a run; the limit is far beyond every limit of the run itself.
#[track_caller]
fn end(mut run: Run) -> CommandOutput {
    eventually("the run ends", || run.has_ended());
    run.end()
}

/// The step reached its limit, or the lock could not be renewed, whichever came first.
#[track_caller]
fn ended_for_silence(run: CommandOutput) {
    match run.code {
        Some(7) => ended_with(run, 7, "locked"),
        _ => ended_with(run, 5, "failed"),
    }
}

#[track_caller]
fn ended_with(run: CommandOutput, code: i32, outcome: &str) {
    let run = run.ended_with(code);
    assert_eq!(run.run_finished()["outcome"], outcome, "{}", run.stderr);
}

/// Sends SIGTERM once the process has worked on for a second.
fn signal_soon(pid: u32) {
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        signal(pid, Signal::SIGTERM);
    });
}

fn phase(component: &'static str, phase: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "step-progress" && event["component"] == component && event["phase"] == phase
}

#[test]
fn a_run_ends_within_its_limits_and_by_a_signal_in_every_phase_and_then_converges() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let answers = sandbox.answers();
    let install = ["install", "--answers", &answers, "--yes"];
    let soon = [&install[..], &["--timeout", "15s"]].concat();

    let stopped = Stopped::new(&sandbox);
    ended_with(end(start(&sandbox, &soon)), 4, "preflight-failed");
    drop(stopped);

    // Each interrupted run begins at the component where the one before it was stopped. What is waited for: a request of
    // ours, helm, the watches.
    let first = "kube-prometheus-stack";
    for (component, phase_name) in [(first, "applying"), (first, "helm"), (first, "waiting"), ("loki", "helm")] {
        let run = start(&sandbox, &install).until(phase(component, phase_name));
        let stopped = Stopped::new(&sandbox);
        run.signal(Signal::SIGTERM);
        ended_with(end(run), 130, "cancelled");
        drop(stopped);
    }

    let run = start(&sandbox, &soon).until(phase("loki", "helm"));
    let stopped = Stopped::new(&sandbox);
    let ended = end(run);
    drop(stopped);
    ended_for_silence(ended);

    let run = start(&sandbox, &install).until(|event| event["event"] == "checks-started");
    let stopped = Stopped::new(&sandbox);
    run.signal(Signal::SIGTERM);
    ended_with(end(run), 130, "cancelled");
    drop(stopped);

    let run = start(&sandbox, &install).until(|event| event["event"] == "checks-started");
    let stopped = Stopped::new(&sandbox);
    let ended = end(run);
    let last = ended.run_finished();
    assert!(verdicts(&last["checks"]).values().any(|verdict| verdict == "skip"), "{last:#}");
    ended_with(ended, 6, "verification-failed");
    drop(stopped);

    sandbox.install(&["--skip-verify"]).ended_with(0);
    let third = sandbox.install(&["--output", "json", "--skip-verify"]).ended_with(0);
    assert!(of_kind(&third.events(), "step-finished").iter().all(|step| step["outcome"] == "unchanged"));

    let removal = ["uninstall", "--yes", "--timeout", "15s"];
    for component in ["alloy", "loki"] {
        let removing = |event: &Value| event["event"] == "step-started" && event["component"] == component;
        let run = start(&sandbox, &removal).until(removing);
        let stopped = Stopped::new(&sandbox);
        if component == "alloy" {
            run.signal(Signal::SIGTERM);
            ended_with(end(run), 130, "cancelled");
        } else {
            let ended = end(run);
            ended_for_silence(ended);
        }
        drop(stopped);
    }
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
    assert!(sandbox.releases().is_empty());
}

#[test]
fn planning_and_a_rollback_end_by_a_signal_or_with_the_reason_and_a_short_outage_is_waited_for() {
    let sandbox = Sandbox::up(TAILWATCH, &["--fault", "image-pull=docker.io/grafana/loki:3.6.7"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let answers = sandbox.answers();
    let gate = Gate::before(sandbox.variable("TAILWATCH_HELM"));
    for (is_signalled, code) in [(false, 4), (true, 130)] {
        gate.set("version", "");
        let mut stopped = None;
        let mut plan = sandbox.tailwatch_command(&["plan", "--answers", &answers]);
        let planned = gate.run(&mut plan, |pid| {
            stopped = Some(Stopped::new(&sandbox));
            is_signalled.then(|| signal_soon(pid));
        });
        drop(stopped);
        planned.ended_with(code);
    }

    let newer = ["install", "--answers", &answers, "--yes", "--timeout", "15s", "--set", "versions.loki=6.55.0"];
    let run = start(&sandbox, &newer).until(phase("loki", "rolling-back"));
    let stopped = Stopped::new(&sandbox);
    run.signal(Signal::SIGTERM);
    ended_with(end(run), 5, "failed");
    drop(stopped);

    let changed = [&newer[..], &["--set", "retention.logs=8d"]].concat();
    let run = start(&sandbox, &changed).until(phase("loki", "rolling-back"));
    away(&sandbox, 2);
    let ended = end(run);
    let failed = ended.events().into_iter().find(named("step-finished", "loki")).unwrap();
    let is_back = ["done", "not-ready"].contains(&failed["rollback"]["outcome"].as_str().unwrap());
    assert!(is_back, "{failed:#}");
    ended_with(ended, 5, "failed");

    sandbox.fault("image-pull", "off");
    sandbox.tailwatch(&newer[..4]).ended_with(0);
}
