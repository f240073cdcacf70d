//! What a run says of itself is so: whether the cluster was changed, how its JSON ends, and what it asks.

use serde_json::Value;
use support::{CommandOutput, Sandbox, Signal, of_kind, signal, verdicts};

use crate::TAILWATCH;
use crate::interruption::install_until;
use crate::wizard::{drive, exit_code};

#[test]
fn what_a_run_says_of_itself_is_so() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
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
    let wrote = |(agent, _, resource): &(String, String, String)| {
        agent.starts_with("tailwatch") && resource != "selfsubjectaccessreviews"
    };
    assert!(!sandbox.changes().iter().any(wrote), "{:?}", sandbox.changes());
}

/// The first install is interrupted while its checks are made; while it works, a second one finds the lock held.
fn a_held_lock_and_an_interrupt_of_the_verification_say_what_was_changed(sandbox: &Sandbox) {
    let run = install_until(sandbox, |event| event["event"] == "run-started");
    let second = sandbox.install(&["--output", "json"]).ended_with(7);
    let events = second.events();
    let locked = last(&events);
    assert_eq!((&locked["outcome"], &locked["error"]["exitCode"]), (&"locked".into(), &7.into()), "{locked:#}");
    let run = run.until(|event| event["event"] == "checks-started");
    run.signal(Signal::SIGTERM);
    let ended = run.end().ended_with(130).tells(&["the stack is installed"]);
    assert!(!ended.talk().contains("nothing was changed"), "{}", ended.stderr);
    let last = ended.run_finished();
    assert_eq!((&last["outcome"], &last["clusterChanged"]), (&"cancelled".into(), &true.into()), "{last:#}");
    assert_eq!(last["error"]["exitCode"], 130, "{last:#}");
    assert_eq!(sandbox.releases().len(), 4);
}

fn an_interrupt_of_verify_says_what_was_created(sandbox: &Sandbox) {
    let mut command = sandbox.tailwatch_command(&["verify"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let probes = || {
        let found = sandbox.get(&["-n", "monitoring", "jobs,pods", "-l", "tailwatch.dev/probe"]);
        !found["items"].as_array().unwrap().is_empty()
    };
    support::eventually("a probe", probes);
    signal(child.id(), Signal::SIGTERM);
    let ended = CommandOutput::of(child.wait_with_output().unwrap());
    let ended = ended.ended_with(130).tells(&["only the objects of its checks"]);
    assert!(!ended.talk().contains("nothing was changed"), "{}", ended.stderr);
}

/// A release that tailwatch did not install is a notice of the plan; every chart can be fetched and renders.
#[test]
fn notices_of_the_plan_are_no_fault_of_the_charts() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let chart = sandbox.file("charts/alloy-1.4.0.tgz").display().to_string();
    sandbox.helm(&["install", "alloy", &chart, "-n", "monitoring", "--create-namespace"]).ended_with(0);
    let answers = sandbox.answers();
    let plan = sandbox.tailwatch(&["plan", "--answers", &answers]);
    assert!(plan.stderr.contains("release alloy in namespace monitoring"), "{}", plan.stderr);
    let judged = sandbox.tailwatch(&["preflight", "--answers", &answers, "--output", "json"]);
    assert_eq!(verdicts(&judged.json()["checks"])["charts"], "pass", "{}", judged.stdout);
}
