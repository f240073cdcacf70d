//! An API server that takes every request and answers none (its process is stopped): each phase of a run ends within its
//! limits and says why, a signal ends it, and the same command converges once it answers again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::diagnosis::away;
use crate::interruption::kill;
use crate::sandbox::eventually;
use crate::support::{Sandbox, of_kind};
use crate::switched_tunnel::Gate;

/// The API server's process; it answers again when this is dropped.
struct Stopped {
    pid: String,
}

impl Stopped {
    fn new(sandbox: &Sandbox) -> Stopped {
        let folder = sandbox.variable("TAILWATCH_SANDBOX_DIR");
        let listed = Command::new("pgrep").args(["-f", &format!("/kube-apiserver .*{folder}/")]).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let stopped = Stopped { pid: listed.lines().next().expect("the API server runs").to_owned() };
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid]).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// A run whose events go to a pipe.
struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// How a run ended.
struct EndedRun {
    code: Option<i32>,
    last: Value,
    said: String,
}

impl Run {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Run {
        let mut command = sandbox.tailwatch_command(arguments);
        let mut child =
            command.args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Run { child, lines }
    }

    fn reaches(mut self, is_reached: impl Fn(&Value) -> bool) -> Run {
        for line in self.lines.by_ref() {
            if is_reached(&serde_json::from_str(&line.unwrap()).unwrap()) {
                return self;
            }
        }
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("the run ended before it came to that:\n{said}");
    }

    fn signal(&self) {
        kill("-TERM", &self.child.id().to_string());
    }

    #[track_caller]
    fn ends(mut self) -> EndedRun {
        // Reading to the end of its events would wait for a run that hangs; the limit is far beyond every limit of a run.
        eventually("the run ends", || self.child.try_wait().unwrap().is_some());
        let events: Vec<Value> = self.lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let last = events.last().cloned().unwrap_or_default();
        EndedRun { code: self.child.wait().unwrap().code(), last, said }
    }
}

impl EndedRun {
    /// The step reached its limit, or the lock could not be renewed, whichever came first; both name the API server.
    #[track_caller]
    fn for_silence(self) {
        assert!(matches!(self.code, Some(5 | 7)), "{:?}: {}", self.code, self.said);
        assert_eq!(self.last["event"], "run-finished", "{}", self.said);
        let reason = self.last["error"].to_string();
        let is_named = |part: &&str| reason.contains(*part);
        assert!(["did not answer", "could not be renewed", "cannot be reached"].iter().any(is_named), "{reason}");
    }

    #[track_caller]
    fn with(self, (code, outcome): (i32, &str), part: &str) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert_eq!(
            (&self.last["event"], &self.last["outcome"]),
            (&"run-finished".into(), &outcome.into()),
            "{}",
            self.said
        );
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

/// Sends SIGTERM once the process has worked on for a second.
fn signal_soon(pid: u32) {
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        kill("-TERM", &pid.to_string());
    });
}

fn phase(component: &'static str, phase: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "step-progress" && event["component"] == component && event["phase"] == phase
}

#[test]
fn a_run_ends_within_its_limits_and_by_a_signal_in_every_phase_and_then_converges() {
    let sandbox = Sandbox::up(&[]);
    let answers = sandbox.answers();
    let install = ["install", "--answers", &answers, "--yes", "--timeout", "15s"];

    let stopped = Stopped::new(&sandbox);
    Run::start(&sandbox, &install).ends().with((4, "preflight-failed"), "no usable answer within 5 s");
    drop(stopped);

    // Each interrupted run begins at the component where the one before it was stopped. What is waited for: a request of
    // ours, helm, the watches.
    let first = "kube-prometheus-stack";
    for phase_name in ["applying", "helm", "waiting"] {
        let run = Run::start(&sandbox, &install).reaches(phase(first, phase_name));
        let stopped = Stopped::new(&sandbox);
        run.signal();
        run.ends().with((130, "cancelled"), "interrupted in wave 30");
        drop(stopped);
    }

    let run = Run::start(&sandbox, &install).reaches(phase("oauth2-proxy", "helm"));
    let stopped = Stopped::new(&sandbox);
    let ended = run.ends();
    drop(stopped);
    ended.for_silence();

    let run = Run::start(&sandbox, &["install", "--answers", &answers, "--yes"])
        .reaches(|event| event["event"] == "checks-started");
    let stopped = Stopped::new(&sandbox);
    run.signal();
    run.ends().with((130, "cancelled"), "interrupted during the verification");
    drop(stopped);

    let run = Run::start(&sandbox, &["install", "--answers", &answers, "--yes"])
        .reaches(|event| event["event"] == "checks-started");
    let stopped = Stopped::new(&sandbox);
    let ended = run.ends();
    let reason = ended.last["checks"].to_string().contains("not tested, since the API server");
    assert!(reason, "{:#}", ended.last);
    ended.with((6, "verification-failed"), "checks failed");
    drop(stopped);

    sandbox.install(&["--skip-verify"]).ended_with(0);
    let third = sandbox.install(&["--output", "json", "--skip-verify"]).ended_with(0);
    assert!(of_kind(&third.events(), "step-finished").iter().all(|step| step["outcome"] == "unchanged"));

    let removal = ["uninstall", "--yes", "--timeout", "15s"];
    for component in ["alloy", "loki"] {
        let removing = |event: &Value| event["event"] == "step-started" && event["component"] == component;
        let run = Run::start(&sandbox, &removal).reaches(removing);
        let stopped = Stopped::new(&sandbox);
        if component == "alloy" {
            run.signal();
            run.ends().with((130, "cancelled"), "interrupted while alloy was being removed");
        } else {
            let ended = run.ends();
            ended.for_silence();
        }
        drop(stopped);
    }
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
    assert!(sandbox.releases().is_empty());
}

#[test]
fn planning_and_a_rollback_end_by_a_signal_or_with_the_reason_and_a_short_outage_is_waited_for() {
    let sandbox = Sandbox::up(&["--fault", "image-pull=docker.io/grafana/loki:3.6.7"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let answers = sandbox.answers();
    let gate = Gate::before(sandbox.variable("TAILWATCH_HELM"));
    for (is_signalled, code, part) in [(false, 4, "the API server cannot be reached"), (true, 130, "interrupted")] {
        gate.set("list", "");
        let mut stopped = None;
        let mut plan = sandbox.tailwatch_command(&["plan", "--answers", &answers]);
        let planned = gate.run(&mut plan, |pid| {
            stopped = Some(Stopped::new(&sandbox));
            is_signalled.then(|| signal_soon(pid));
        });
        drop(stopped);
        let planned = planned.ended_with(code);
        assert!(planned.stderr.contains(part), "{part:?} is missing in:\n{}", planned.stderr);
    }

    let newer = ["install", "--answers", &answers, "--yes", "--timeout", "15s", "--set", "versions.loki=6.55.0"];
    let run = Run::start(&sandbox, &newer).reaches(phase("loki", "rolling-back"));
    let stopped = Stopped::new(&sandbox);
    run.signal();
    run.ends().with((5, "failed"), "interrupted");
    drop(stopped);

    let changed = [&newer[..], &["--set", "retention.logs=8d"]].concat();
    let run = Run::start(&sandbox, &changed).reaches(phase("loki", "rolling-back"));
    away(&sandbox, 2);
    run.ends().with((5, "failed"), "loki is back at revision");

    sandbox.fault("image-pull", "off");
    sandbox.tailwatch(&newer[..4]).ended_with(0);
}
