//! Interrupted, killed, doubled: the same command converges, and two never work at once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::kubeconfig_snapshot::script;
use crate::sandbox::eventually;
use crate::support::{Sandbox, of_kind, verdicts};

/// Starts an install whose events go to a pipe, and returns once a line of them satisfies the predicate.
pub fn install_until(
    sandbox: &Sandbox,
    is_reached: impl Fn(&serde_json::Value) -> bool,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let answers = sandbox.answers();
    let arguments = ["install", "--answers", &answers, "--yes", "--output", "json"];
    run_until(&mut sandbox.tailwatch_command(&arguments), is_reached)
}

/// Likewise any command that sends events.
pub fn run_until(
    command: &mut Command,
    is_reached: impl Fn(&serde_json::Value) -> bool,
) -> (Child, BufReader<ChildStdout>) {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tailwatch runs");
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the run ended before it was interrupted");
        if is_reached(&serde_json::from_str(&line).unwrap()) {
            return (child, lines);
        }
    }
}

fn helm_works_on(component: &str) -> impl Fn(&serde_json::Value) -> bool {
    move |event| event["event"] == "step-progress" && event["component"] == component && event["phase"] == "helm"
}

pub fn kill(signal: &str, pid: &str) {
    let _ = Command::new("kill").args([signal, pid]).status();
}

/// helm children of a process.
fn helm_children(pid: u32) -> Vec<String> {
    let listed = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

#[track_caller]
fn converges(sandbox: &Sandbox) {
    let again = sandbox.install(&["--output", "json"]).ended_with(0);
    let events = again.events();
    let last = events.last().unwrap();
    assert!(verdicts(&last["checks"]).values().all(|verdict| verdict == "pass"), "{last:#}");
    assert_eq!(sandbox.releases().len(), 4);
    let third = sandbox.install(&["--output", "json", "--skip-verify"]).ended_with(0);
    assert!(of_kind(&third.events(), "step-finished").iter().all(|step| step["outcome"] == "unchanged"));
}

#[test]
fn an_interrupt_ends_the_run_in_order_and_the_same_command_goes_on() {
    let sandbox = Sandbox::up(&[]);
    let (child, lines) = install_until(&sandbox, |event| event["event"] == "wave-started" && event["wave"] == 31);
    kill("-TERM", &child.id().to_string());
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let ended = { child }.wait().unwrap();
    assert_eq!(ended.code(), Some(130));
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"cancelled".into()), "{events:#?}");
    assert!(last["steps"].as_array().unwrap().iter().any(|step| step["outcome"] == "skipped"), "{last:#}");
    converges(&sandbox);
}

#[test]
fn a_killed_run_leaves_nothing_that_needs_a_hand() {
    let sandbox = Sandbox::up(&[]);
    // A helm that outlives its run ends by itself; one that is killed as well leaves its release pending.
    for (component, helm_dies) in [("kube-prometheus-stack", false), ("loki", true)] {
        let (mut child, _lines) = install_until(&sandbox, helm_works_on(component));
        let mut helms = helm_children(child.id());
        eventually("helm runs", || {
            helms = helm_children(child.id());
            !helms.is_empty() || child.try_wait().unwrap().is_some()
        });
        kill("-KILL", &child.id().to_string());
        helms.iter().filter(|_| helm_dies).for_each(|pid| kill("-KILL", pid));
        child.wait().unwrap();
    }
    converges(&sandbox);
}

#[test]
fn of_two_runs_one_works_and_the_other_says_who() {
    let sandbox = Sandbox::up(&[]);
    let (mut first, lines) = install_until(&sandbox, |event| event["event"] == "run-started");
    let second = sandbox.install(&[]).ended_with(7);
    let holder = format!("{}@", first.id());
    assert!(
        second.stderr.contains("another run holds the lock") && second.stderr.contains(&holder),
        "{}",
        second.stderr
    );
    assert!(second.stdout.is_empty(), "{}", second.stdout);
    let events: Vec<_> = lines.lines().map_while(Result::ok).collect();
    assert_eq!(first.wait().unwrap().code(), Some(0), "{}", events.join("\n"));

    // A helm that a dead run left behind is waited for, but not for ever, and is said as what it is.
    let left_behind = std::fs::File::open(machine_lock(&sandbox)).unwrap();
    left_behind.lock().unwrap();
    let waiting = sandbox.tailwatch(&["uninstall", "--yes", "--timeout", "10s"]).ended_with(7);
    let said = waiting.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["or its helm process, is still active", "a helm of an earlier run on this machine is still running"] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
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

/// Gives the lock of a run that works to someone else; returns how the run ends, and what it says.
fn robbed(
    sandbox: &Sandbox,
    (mut child, lines): (Child, BufReader<std::process::ChildStdout>),
) -> (Option<i32>, String) {
    let patch = |holder: &str| {
        let patch = format!("{{\"spec\":{{\"holderIdentity\":\"{holder}\"}}}}");
        sandbox.kubectl(&["-n", "monitoring", "patch", "lease", "tailwatch", "--type", "merge", "-p", &patch]);
    };
    patch("1@elsewhere");
    lines.lines().map_while(Result::ok).for_each(drop);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    patch("");
    (child.wait().unwrap().code(), said)
}

/// An image that cannot be pulled: the wave's time ends the run with the reason, later waves do not start, and once the
/// image is there the same command goes on.
#[test]
fn a_wave_that_does_not_come_up_ends_with_the_reason() {
    let sandbox = Sandbox::up(&["--fault", "image-pull=loki"]);
    let failed = sandbox.install(&["--timeout", "45s", "--output", "json"]).ended_with(5);
    let events = failed.events();
    let outcomes: Vec<_> =
        of_kind(&events, "step-finished").iter().map(|step| step["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["installed", "installed", "failed", "skipped"]);
    assert_eq!(events.last().unwrap()["outcome"], "failed");
    let cause = "image docker.io/grafana/loki:3.5.7 does not exist in its registry";
    for part in ["loki failed in wave 32", cause, "  next    "] {
        assert!(failed.stderr.contains(part), "{part:?} is missing in:\n{}", failed.stderr);
    }

    // A run whose lock somebody takes while it waits ends with that, and is not called interrupted.
    let waits = |event: &serde_json::Value| event["event"] == "step-progress" && event["component"] == "loki";
    let (code, said) = robbed(&sandbox, install_until(&sandbox, waits));
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("the lock was lost during the run: 1@elsewhere holds it now"), "{said}");
    sandbox.fault("image-pull", "off");
    converges(&sandbox);
}

/// helm ignores every signal that it may at its first `upgrade`.
#[test]
fn a_second_signal_names_what_is_waited_for_a_third_leaves_and_a_stopped_process_continues() {
    let sandbox = Sandbox::up(&["--nodes", "1"]);
    let folder = tempfile::tempdir().unwrap();
    let (helm, deaf) = (folder.path().join("helm"), folder.path().join("deaf"));
    let text = format!(
        "if [ \"$1\" = upgrade ] && rm '{}' 2>/dev/null; then trap '' HUP INT TERM; while :; do sleep 0.1; done; fi\n\
         exec '{}' \"$@\"",
        deaf.display(),
        sandbox.variable("TAILWATCH_HELM")
    );
    script(&helm, &text);
    std::fs::write(&deaf, "").unwrap();
    let answers = sandbox.answers();
    let install = ["install", "--answers", &answers, "--yes", "--output", "json"];
    let mut command = sandbox.tailwatch_command(&install);
    let (mut child, lines) = run_until(command.env("TAILWATCH_HELM", &helm), helm_works_on("kube-prometheus-stack"));
    eventually("helm is at work", || !deaf.exists());
    let pid = child.id().to_string();
    let helms = helm_children(child.id());
    let mut events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    for part in ["stopping: no further step starts", &format!("(process {})", helms[0])] {
        kill("-INT", &pid);
        let is_it = |event: &serde_json::Value| event["message"].as_str().is_some_and(|text| text.contains(part));
        assert!(events.any(|event| is_it(&event)), "no notice has {part:?}");
    }
    kill("-INT", &pid);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"cancelled".into()), "{last:#}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    eventually("helm is killed", || !std::path::Path::new("/proc").join(&helms[0]).exists());
    let lease = sandbox.get(&["-n", "monitoring", "lease/tailwatch"]);
    assert_eq!(lease["spec"]["holderIdentity"], "", "{lease:#}");

    // Longer than the lock lasts: no other run took it, so that the run renews it and continues.
    let (mut child, lines) = install_until(&sandbox, helm_works_on("oauth2-proxy"));
    kill("-STOP", &child.id().to_string());
    std::thread::sleep(std::time::Duration::from_secs(22));
    kill("-CONT", &child.id().to_string());
    lines.lines().map_while(Result::ok).for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    sandbox.tailwatch(&["plan", "--exit-code"]).ended_with(0);
}
