//! What a run says of itself is so: whether the cluster was changed, how its JSON ends, and what it asks.

use std::io::{BufRead as _, Read as _};

use serde_json::Value;

use crate::interruption::install_until;
use crate::support::{Sandbox, of_kind, verdicts};
use crate::wizard::{drive, exit_code};

#[test]
fn what_a_run_says_of_itself_is_so() {
    let sandbox = Sandbox::up(&["--nodes", "1"]);
    a_quiet_run_on_a_terminal_asks_nothing(&sandbox);
    a_refusal_before_the_plan_ends_with_its_checks(&sandbox);
    a_held_lock_and_an_interrupt_of_the_verification_say_what_was_changed(&sandbox);
    an_interrupt_of_verify_says_what_was_created(&sandbox);
}

/// Exactly one `run-finished`, last.
#[track_caller]
fn last(events: &[Value]) -> &Value {
    assert_eq!(of_kind(events, "run-started").len(), 1, "{events:#?}");
    assert_eq!(of_kind(events, "run-finished").len(), 1, "{events:#?}");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run-finished", "{events:#?}");
    last
}

fn a_quiet_run_on_a_terminal_asks_nothing(sandbox: &Sandbox) {
    let answers = sandbox.answers();
    for arguments in [&["install", "-q", "--answers", &answers][..], &["uninstall", "-q"]] {
        let mut session = drive(sandbox.tailwatch_command(arguments));
        let seen = session.exp_eof().expect("it ends without an answer");
        assert!(seen.contains("--quiet") && !seen.contains("as planned?"), "{seen}");
        assert_eq!(exit_code(session), 2, "{seen}");
    }
    assert!(sandbox.releases().is_empty());
}

fn a_refusal_before_the_plan_ends_with_its_checks(sandbox: &Sandbox) {
    let refused = sandbox.install(&["--output", "json", "--set", "storage.class=absent"]).ended_with(4);
    let events = refused.events();
    let last = last(&events);
    assert_eq!((&last["outcome"], &last["clusterChanged"]), (&"preflight-failed".into(), &false.into()), "{last:#}");
    assert_eq!(last["error"]["exitCode"], 4, "{last:#}");
    assert_eq!(verdicts(&last["checks"])["storage-class"], "fail", "{last:#}");
    assert!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
    let wrote = |(agent, _, resource): &(String, String, String)| {
        agent.starts_with("tailwatch") && resource != "selfsubjectaccessreviews"
    };
    assert!(!sandbox.changes().iter().any(wrote), "{:?}", sandbox.changes());
}

/// The rest of a run's events, its exit code and what it said.
fn ended(
    (mut child, lines): (std::process::Child, std::io::BufReader<std::process::ChildStdout>),
) -> (Vec<Value>, Option<i32>, String) {
    let events = lines.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (events, child.wait().unwrap().code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn interrupt(sandbox: &Sandbox, pid: u32) {
    sandbox.command("kill".as_ref()).args(["-TERM", &pid.to_string()]).status().unwrap();
}

/// The first install is interrupted while its checks are made; while it works, a second one finds the lock held.
fn a_held_lock_and_an_interrupt_of_the_verification_say_what_was_changed(sandbox: &Sandbox) {
    let mut run = install_until(sandbox, |event| event["event"] == "run-started");
    let second = sandbox.install(&["--output", "json"]).ended_with(7);
    let events = second.events();
    let locked = last(&events);
    assert_eq!((&locked["outcome"], &locked["error"]["exitCode"]), (&"locked".into(), &7.into()), "{locked:#}");
    let mut line = String::new();
    while !line.contains("checks-started") {
        line.clear();
        assert!(run.1.read_line(&mut line).unwrap() > 0, "the run ended before its checks");
    }
    interrupt(sandbox, run.0.id());
    let (events, code, said) = ended(run);
    assert_eq!(code, Some(130), "{said}");
    assert!(!said.contains("nothing was changed") && said.contains("the stack is installed"), "{said}");
    let last = events.last().unwrap();
    assert_eq!((&last["outcome"], &last["clusterChanged"]), (&"cancelled".into(), &true.into()), "{last:#}");
    assert_eq!(last["error"]["exitCode"], 130, "{last:#}");
    assert_eq!(sandbox.releases().len(), 4);
}

fn an_interrupt_of_verify_says_what_was_created(sandbox: &Sandbox) {
    let mut command = sandbox.tailwatch_command(&["verify"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let probes = || {
        let found = sandbox.get(&["-n", "monitoring", "jobs,pods", "-l", "tailwatch.dev/probe"]);
        !found["items"].as_array().unwrap().is_empty()
    };
    crate::sandbox::eventually("a probe", probes);
    interrupt(sandbox, child.id());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!said.contains("nothing was changed") && said.contains("only the objects of its checks"), "{said}");
}

/// A release that tailwatch did not install is a notice of the plan; every chart can be fetched and renders.
#[test]
fn notices_of_the_plan_are_no_fault_of_the_charts() {
    let sandbox = Sandbox::up(&["--nodes", "1"]);
    let chart = sandbox.file("charts/alloy-1.4.0.tgz").display().to_string();
    sandbox.helm(&["install", "alloy", &chart, "-n", "monitoring", "--create-namespace"]).ended_with(0);
    let answers = sandbox.answers();
    let plan = sandbox.tailwatch(&["plan", "--answers", &answers]);
    assert!(plan.stderr.contains("release alloy in namespace monitoring"), "{}", plan.stderr);
    let judged = sandbox.tailwatch(&["preflight", "--answers", &answers, "--output", "json"]);
    assert_eq!(verdicts(&judged.json()["checks"])["charts"], "pass", "{}", judged.stdout);
}
