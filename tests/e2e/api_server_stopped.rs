//! An API server that takes every request and answers none (its process is stopped): each phase of a run ends within its
//! limits and says why, a signal ends it, and the same command converges once it answers again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::sandbox::eventually;
use crate::support::{Sandbox, of_kind};

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
        panic!("the run ended before it came to that");
    }

    fn signal(&self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
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
    assert!(matches!(ended.code, Some(5 | 7)), "{:?}: {}", ended.code, ended.said);
    assert_eq!(ended.last["event"], "run-finished", "{}", ended.said);

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
            assert!(matches!(ended.code, Some(5 | 7)), "{:?}: {}", ended.code, ended.said);
        }
        drop(stopped);
    }
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
    assert!(sandbox.releases().is_empty());
}
