//! What a run says of itself is so: whether the cluster was changed, how its JSON ends, and what it asks.

use std::path::PathBuf;

use serde_json::Value;
use support::{CommandOutput, Sandbox, Signal, of_kind, signal, verdicts};

use crate::TAILWATCH;
use crate::interruption::install_until;
use crate::verify_cleanup::probes;
use crate::wizard::{drive, exit_code};

#[test]
fn what_a_run_says_of_itself_is_so() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    a_quiet_run_on_a_terminal_asks_nothing(&sandbox);
    a_refusal_before_the_plan_ends_with_its_checks(&sandbox);
    a_held_lock_and_an_interrupt_of_the_verification_say_what_was_changed(&sandbox);
    an_interrupt_of_verify_says_what_was_created(&sandbox);
    a_helm_that_a_dead_run_left_is_waited_for(&sandbox);
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
    let third = sandbox.install(&[]).ended_with(7);
    assert!(third.stderr.contains(&format!("{}@", run.pid())), "{}", third.stderr);
    assert!(third.stdout.is_empty(), "{}", third.stdout);
    let run = run.until(|event| event["event"] == "checks-started");
    run.signal(Signal::SIGTERM);
    let last = run.end().ended_with(130).run_finished();
    assert_eq!((&last["outcome"], &last["clusterChanged"]), (&"cancelled".into(), &true.into()), "{last:#}");
    assert_eq!(last["error"]["exitCode"], 130, "{last:#}");
    assert_eq!(sandbox.releases().len(), 4);
}

fn an_interrupt_of_verify_says_what_was_created(sandbox: &Sandbox) {
    let mut command = sandbox.tailwatch_command(&["verify"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    support::eventually("a probe", || !probes(sandbox).is_empty());
    signal(child.id(), Signal::SIGTERM);
    let ended = CommandOutput::of(child.wait_with_output().unwrap()).ended_with(130);
    let error = ended.talk().split_once("error: ").unwrap().1.to_owned();
    insta::assert_snapshot!(error.split("hint: ").next().unwrap().trim(), @"interrupted during the verification; only the objects of its checks were created");
    assert_eq!(probes(sandbox), Vec::<Value>::new());
}

/// But not for ever, and it is reported as what it is.
fn a_helm_that_a_dead_run_left_is_waited_for(sandbox: &Sandbox) {
    let left_behind = std::fs::File::open(machine_lock(sandbox)).unwrap();
    left_behind.lock().unwrap();
    let waiting = ["uninstall", "--yes", "--timeout", "10s", "--output", "json"];
    let events = sandbox.tailwatch(&waiting).ended_with(7).events();
    for reported in [of_kind(&events, "notice")[0], &last(&events)["error"]] {
        assert!(reported.to_string().contains("helm"), "{reported:#}");
    }
    assert_eq!(sandbox.releases().len(), 4);
    drop(left_behind);
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
}

/// The file by which runs of this machine know of each other.
fn machine_lock(sandbox: &Sandbox) -> PathBuf {
    let folder = std::fs::read_dir(sandbox.file("home/.local/state/tailwatch")).unwrap();
    let mut files = folder.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "lock")).expect("a lock file")
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
