//! The receiver of alerts: a test alert arrives at it, and one that it rejects is reported; its secret stays in its Secret.

use serde_json::Value;
use support::{CommandOutput, Sandbox, check, verdicts};

use crate::TAILWATCH;

/// node-exporter answers every method with 200.
const RECEIVER: &str = "http://kube-prometheus-stack-prometheus-node-exporter.monitoring.svc:9100/metrics";

/// Runs a command; the variable of the receiver's secret has this value.
fn run(sandbox: &Sandbox, words: &[&str], url: Option<&str>) -> CommandOutput {
    let mut command = sandbox.tailwatch_command(words);
    command.envs(url.map(|url| ("ALERTS_URL", url)));
    CommandOutput::of(command.output().unwrap())
}

/// Installs with this receiver and, if there is a URL, its secret.
fn install(sandbox: &Sandbox, receiver: &str, url: Option<&str>) -> CommandOutput {
    let receiver = format!("alerts.receiver={receiver}");
    let mut words = vec!["install", "--yes", "--output", "json", "--set", receiver.as_str()];
    words.extend(url.iter().flat_map(|_| ["--set", "alerts.secret={ env: ALERTS_URL }"]));
    let answers = sandbox.answers();
    words.extend(["--answers", answers.as_str()]);
    run(sandbox, &words, url)
}

/// The checks of a test alert, with the saved answers.
fn test_alert(sandbox: &Sandbox, code: i32) -> Value {
    let words = ["verify", "--check", "alert-delivered", "--output", "json"];
    run(sandbox, &words, None).ended_with(code).json()["checks"].clone()
}

#[test]
fn a_test_alert_arrives_and_a_rejected_one_is_reported() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let missing = install(&sandbox, "slack", None).ended_with(3);
    assert!(missing.stderr.contains("alerts.secret"), "{}", missing.stderr);

    let installed = install(&sandbox, "webhook", Some(RECEIVER)).ended_with(0).run_finished();
    let found = verdicts(&installed["checks"]);
    assert_eq!((found.get("alert-receiver").map(String::as_str), found.get("alert-delivered")), (Some("pass"), None));
    assert_eq!(verdicts(&test_alert(&sandbox, 0))["alert-delivered"], "pass");
    let skipped = run(&sandbox, &["verify", "--check", "alert-delivered", "--set", "alerts.receiver=none"], None);
    assert!(skipped.ended_with(0).stdout.contains("alerts.receiver is none"));

    // The stored secret is used again; the release record has none.
    let answers = sandbox.answers();
    let same = ["plan", "--exit-code", "--answers", &answers, "--set", "alerts.receiver=webhook"];
    run(&sandbox, &same, None).ended_with(0);
    let recorded = sandbox.helm(&["get", "all", "kube-prometheus-stack", "-n", "monitoring"]).ended_with(0).stdout;
    assert!(recorded.contains("tailwatch-alerts/receiver-secret") && !recorded.contains(RECEIVER));

    install(&sandbox, "webhook", Some("http://nothing.monitoring.svc:9100/")).ended_with(0);
    let checks = test_alert(&sandbox, 6);
    assert_eq!(check(&checks, "alert-receiver")["verdict"], "pass");
    assert_eq!(check(&checks, "alert-delivered")["detail"], "webhook did not accept the alert");

    // Without a receiver nothing is sent, and the Secret is empty.
    let ended = install(&sandbox, "none", None).ended_with(0).run_finished();
    assert_eq!(check(&ended["checks"], "alert-receiver")["detail"], "the answer alerts.receiver is none");
    assert_eq!(sandbox.get(&["-n", "monitoring", "secret", "tailwatch-alerts"])["data"], Value::Null);
}
