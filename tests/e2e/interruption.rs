//! Interrupted, killed, doubled: the same command converges, and two never work at once.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::{CommandOutput, Run, Sandbox, Signal, children, eventually, of_kind, outcomes, signal, verdicts};

use crate::TAILWATCH;
use crate::kubeconfig_snapshot::script;

/// Starts an install, and returns at the first event that satisfies the predicate.
#[track_caller]
pub fn install_until(sandbox: &Sandbox, is_reached: impl Fn(&Value) -> bool) -> Run {
    let answers = sandbox.answers();
    let arguments = ["install", "--answers", &answers, "--yes", "--output", "json"];
    Run::start(&mut sandbox.tailwatch_command(&arguments)).until(is_reached)
}

fn helm_works_on(component: &str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "step-progress" && event["component"] == component && event["phase"] == "helm"
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
fn a_run_that_is_killed_or_interrupted_is_continued_by_the_same_command() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    // A helm that outlives its run ends by itself.
    killed(&sandbox, "kube-prometheus-stack", false);
    let run = install_until(&sandbox, |event| event["event"] == "step-started" && event["component"] == "oauth2-proxy");
    run.signal(Signal::SIGTERM);
    let last = run.end().ended_with(130).run_finished();
    assert_eq!(last["outcome"], "cancelled", "{last:#}");
    assert!(last["steps"].as_array().unwrap().iter().any(|step| step["outcome"] == "skipped"), "{last:#}");
    // One that is killed as well leaves its release pending.
    killed(&sandbox, "loki", true);
    converges(&sandbox);
}

/// Kills an install while helm works on a component.
fn killed(sandbox: &Sandbox, component: &str, helm_dies: bool) {
    let mut run = install_until(sandbox, helm_works_on(component));
    let mut helms = children(run.pid());
    eventually("helm runs", || {
        helms = children(run.pid());
        !helms.is_empty() || run.has_ended()
    });
    kill_with_helms(run, if helm_dies { &helms } else { &[] });
}

/// Kills a run and its helms; stopped ones cannot record that the run ended.
fn kill_with_helms(run: Run, helms: &[u32]) {
    helms.iter().for_each(|pid| _ = signal(*pid, Signal::SIGSTOP));
    run.signal(Signal::SIGKILL);
    helms.iter().for_each(|pid| _ = signal(*pid, Signal::SIGKILL));
    run.end();
}

/// Gives the lock of a run at work to another holder; returns how the run ends.
fn robbed(sandbox: &Sandbox, run: Run) -> CommandOutput {
    let patch = |holder: &str| {
        let patch = format!("{{\"spec\":{{\"holderIdentity\":\"{holder}\"}}}}");
        sandbox.kubectl(&["-n", "monitoring", "patch", "lease", "tailwatch", "--type", "merge", "-p", &patch]);
    };
    patch("1@elsewhere");
    let ended = run.end();
    patch("");
    ended
}

/// An image that cannot be pulled: the wave's time ends the run with the reason, later waves do not start, and once the
/// image is there the same command goes on.
#[test]
fn a_wave_that_does_not_come_up_ends_with_the_reason() {
    let sandbox = Sandbox::up(TAILWATCH, &["--fault", "image-pull=loki"]);
    let failed = sandbox.install(&["--timeout", "45s", "--output", "json"]).ended_with(5);
    let events = failed.events();
    assert_eq!(outcomes(&events), ["installed", "installed", "failed", "skipped"]);
    assert_eq!(events.last().unwrap()["outcome"], "failed");
    let failure = of_kind(&events, "step-finished")[2].clone();
    assert_eq!((&failure["component"], &failure["wave"]), (&"loki".into(), &32.into()), "{failure:#}");
    assert_eq!(failure["diagnosis"]["rule"], "image-not-found", "{failure:#}");
    assert!(failure["hint"].is_string() || failure["diagnosis"]["hint"].is_string(), "{failure:#}");

    // A run that loses its lock while it waits ends with that error, and is not reported as interrupted.
    let waits = |event: &Value| event["event"] == "step-progress" && event["component"] == "loki";
    let ended = robbed(&sandbox, install_until(&sandbox, waits)).ended_with(7).run_finished();
    assert_eq!(ended["outcome"], "locked", "{ended:#}");
    assert!(ended["error"].to_string().contains("1@elsewhere"), "{ended:#}");
    sandbox.fault("image-pull", "off");
    converges(&sandbox);
}

/// The first helm that upgrades kube-prometheus-stack ignores every signal that it may.
#[test]
fn a_second_signal_names_what_is_waited_for_a_third_leaves_and_a_stopped_process_continues() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let folder = tempfile::tempdir().unwrap();
    let (helm, deaf) = (folder.path().join("helm"), folder.path().join("deaf"));
    let text = format!(
        "case \"$*\" in *upgrade*kube-prometheus-stack*)\n\
         [ -e '{deaf}' ] || {{ echo $$ > '{deaf}'; trap '' HUP INT TERM; while :; do sleep 0.1; done; }};;\nesac\n\
         exec '{}' \"$@\"",
        sandbox.variable("TAILWATCH_HELM"),
        deaf = deaf.display(),
    );
    script(&helm, &text);
    let answers = sandbox.answers();
    let install = ["install", "--answers", &answers, "--yes", "--output", "json"];
    let mut command = sandbox.tailwatch_command(&install);
    let mut run = Run::start(command.env("TAILWATCH_HELM", &helm)).until(helm_works_on("kube-prometheus-stack"));
    let mut helm = String::new();
    eventually("helm is at work", || {
        helm = std::fs::read_to_string(&deaf).unwrap_or_default().trim().to_owned();
        !helm.is_empty()
    });
    // The second notice names the process that is waited for.
    for names_helm in [false, true] {
        run.signal(Signal::SIGINT);
        let notice = run.events().find(|event| event["event"] == "notice").expect("a notice");
        let message = notice["message"].as_str().unwrap();
        assert_eq!(message.contains(&format!("process {helm}")), names_helm, "{message}");
    }
    run.signal(Signal::SIGINT);
    let last = run.end().ended_with(130).run_finished();
    assert_eq!(last["outcome"], "cancelled", "{last:#}");
    eventually("helm is killed", || !std::path::Path::new("/proc").join(&helm).exists());
    let lease = sandbox.get(&["-n", "monitoring", "lease/tailwatch"]);
    assert_eq!(lease["spec"]["holderIdentity"], "", "{lease:#}");

    // Longer than the lock lasts: no other run took it, so that the run renews it and continues.
    let run = install_until(&sandbox, helm_works_on("oauth2-proxy"));
    run.signal(Signal::SIGSTOP);
    std::thread::sleep(std::time::Duration::from_secs(22));
    run.signal(Signal::SIGCONT);
    run.end().ended_with(0);
    sandbox.tailwatch(&["plan", "--exit-code"]).ended_with(0);
}

/// Two stacks of a cluster share CRDs and cluster-scoped objects.
#[test]
fn a_run_on_a_stack_in_another_namespace_holds_the_lock_of_the_cluster() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let lease = |second: usize| {
        let renewed = format!("2026-01-01T00:{:02}:{:02}.000000Z", second / 60, second % 60);
        let spec = json!({"holderIdentity": "7@elsewhere/1 for the stack in namespace second",
            "leaseDurationSeconds": 20, "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": renewed});
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "tailwatch-cluster", "namespace": "default"}, "spec": spec})
    };
    let file = sandbox.file("lease.json").display().to_string();
    let ended = AtomicBool::new(false);
    let renew = || {
        for second in 0.. {
            std::fs::write(&file, lease(second).to_string()).unwrap();
            sandbox.kubectl(&["apply", "-f", &file]);
            if ended.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    };
    let said = std::thread::scope(|scope| {
        scope.spawn(renew);
        let said = sandbox.install(&["--output", "json"]);
        ended.store(true, Ordering::Relaxed);
        said
    });
    let last = said.ended_with(7).run_finished();
    assert_eq!(last["outcome"], "locked", "{last:#}");
    assert!(last["error"].to_string().contains("stack in namespace second"), "{last:#}");
    assert_eq!(sandbox.releases(), []);
    let holder =
        |namespace: &str, name: &str| sandbox.get(&["-n", namespace, "lease", name])["spec"]["holderIdentity"].clone();
    assert!(!sandbox.kubectl(&["-n", "monitoring", "get", "leases", "-o", "name"]).contains("tailwatch"));

    // Its holder ended without releasing it.
    sandbox.install(&["--skip-verify"]).ended_with(0);
    assert_eq!(holder("default", "tailwatch-cluster"), "");
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
    assert!(!sandbox.kubectl(&["-n", "default", "get", "leases", "-o", "name"]).contains("tailwatch"));
}

/// Another state folder is another machine: it cannot see whether the helm of the killed run has ended.
#[test]
fn a_pending_release_of_another_machine_is_awaited_until_the_limit_of_its_helm() {
    // helm waits for its hook, which the values switch on: without one the release is pending for a moment only.
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1", "--fault", "image-pull=kube-prometheus-stack-admission"]);
    let answers = sandbox.answers();
    let hooks = "values: { kube-prometheus-stack: { prometheusOperator: { admissionWebhooks: { patch: { enabled: true } } } } }\n";
    std::fs::write(&answers, std::fs::read_to_string(&answers).unwrap() + hooks).unwrap();
    let install = ["install", "--answers", &answers, "--yes", "--skip-verify", "--output", "json"];
    let interrupted = [&install[..], &["--timeout", "60s"]].concat();
    let mut run =
        Run::start(&mut sandbox.tailwatch_command(&interrupted)).until(helm_works_on("kube-prometheus-stack"));
    // oauth2-proxy, which is installed beside it, is pending for a moment, too.
    let pending = || {
        let labels = "owner=helm,status=pending-install,name=kube-prometheus-stack";
        let records = sandbox.get(&["-n", "monitoring", "secrets", "-l", labels]);
        records["items"].as_array().is_some_and(|records| !records.is_empty())
    };
    eventually("a pending release", || pending() || run.has_ended());
    let helms = children(run.pid());
    kill_with_helms(run, &helms);
    assert!(pending());
    sandbox.fault("image-pull", "off");

    let other = tempfile::tempdir().unwrap();
    let mut command = sandbox.tailwatch_command(&[&install[..], &["--timeout", "180s"]].concat());
    let output = command.env("TAILWATCH_STATE", other.path()).output().unwrap();
    let events = CommandOutput::of(output).ended_with(0).events();
    let notices = of_kind(&events, "notice");
    let is_awaited = |notice: &&Value| notice["message"].as_str().unwrap().contains("on another machine may still");
    assert!(notices.iter().any(is_awaited), "{notices:#?}");
}
