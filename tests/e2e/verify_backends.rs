//! One installed stack, one part of the world at a time that does not do its work: exactly the check that speaks of it
//! fails, with the hop that is broken.

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Sandbox, verdicts};

use crate::TAILWATCH;
use crate::verify_cleanup::a_verification_that_is_killed_leaves_nothing_once_the_next_has_run;

/// (id, verdict, part of what was measured) of a check that does not pass.
pub type Found = (&'static str, &'static str, &'static str);

/// A fault of the sandbox, the hop that it breaks, and every check that does not pass meanwhile.
struct Scenario {
    fault: &'static str,
    hop: Option<&'static str>,
    found: &'static [Found],
}

const LATE_TARGETS: [Found; 2] = [
    ("prometheus-targets-up", "skip", "prometheus-targets-known did not pass"),
    ("prometheus-samples-fresh", "skip", "prometheus-targets-up did not pass"),
];

#[rustfmt::skip]
const WORLDS: [Scenario; 33] = [
    Scenario { fault: "network=policies-ignored", hop: Some("oauth2-proxy-grafana"),
        found: &[("grafana-network-policy", "fail", "does not enforce NetworkPolicies")] },
    Scenario { fault: "metrics=target-missing", hop: Some("targets-prometheus"),
        found: &[("prometheus-targets-known", "fail", "ServiceMonitor kube-prometheus-stack-kube-state-metrics"), LATE_TARGETS[0], LATE_TARGETS[1]] },
    Scenario { fault: "metrics=config-invalid", hop: None,
        found: &[("prometheus-config-loaded", "fail", "the last reload")] },
    Scenario { fault: "metrics=no-alertmanager", hop: Some("prometheus-alertmanager"),
        found: &[("prometheus-alertmanager-connected", "fail", "knows no Alertmanager")] },
    Scenario { fault: "metrics=webhook-unreachable", hop: None,
        found: &[("rules-admitted", "warn", "does not reach the webhook")] },
    Scenario { fault: "metrics=alertmanager-drops-alerts", hop: None,
        found: &[("alertmanager-accepts-alerts", "fail", "does not show it"), ("prometheus-alertmanager-connected", "skip", "alertmanager-accepts-alerts")] },
    Scenario { fault: "oauth2-proxy=wrong-client", hop: Some("oauth2-proxy-issuer"),
        found: &[("oauth2-proxy-redirect", "fail", "client_id is other-client"), ("grafana-from-tailnet", "skip", "oauth2-proxy-redirect")] },
    Scenario { fault: "oauth2-proxy=wrong-redirect", hop: Some("oauth2-proxy-issuer"),
        found: &[("oauth2-proxy-redirect", "fail", "redirect_uri is https://grafana-1."), ("grafana-from-tailnet", "skip", "oauth2-proxy-redirect")] },
    Scenario { fault: "oauth2-proxy=no-pkce", hop: Some("oauth2-proxy-issuer"),
        found: &[("oauth2-proxy-redirect", "fail", "code_challenge_method is nothing"), ("grafana-from-tailnet", "skip", "oauth2-proxy-redirect")] },
    Scenario { fault: "oauth2-proxy=wrong-issuer", hop: Some("oauth2-proxy-issuer"),
        found: &[("oauth2-proxy-redirect", "fail", "host is other.eu.auth0.com"), ("grafana-from-tailnet", "skip", "oauth2-proxy-redirect")] },
    Scenario { fault: "oauth2-proxy=trusts-headers", hop: Some("oauth2-proxy-grafana"),
        found: &[("oauth2-proxy-spoofed-headers", "fail", "it accepts X-Forwarded-User")] },
    Scenario { fault: "grafana=two-defaults", hop: None,
        found: &[("grafana-default-source", "fail", "several: Prometheus, Loki")] },
    Scenario { fault: "grafana=no-default", hop: None,
        found: &[("grafana-default-source", "fail", "none of 2")] },
    Scenario { fault: "grafana=loki-url-wrong", hop: Some("loki-grafana"),
        found: &[("grafana-reads-loki", "fail", "400"), ("logs-in-grafana", "skip", "grafana-reads-loki")] },
    Scenario { fault: "grafana=login-form", hop: None,
        found: &[("grafana-login-closed", "fail", "disable_login_form is off")] },
    Scenario { fault: "grafana=root-url", hop: None,
        found: &[("grafana-address", "fail", "http://localhost:3000/")] },
    Scenario { fault: "grafana=no-dashboards", hop: None,
        found: &[("grafana-dashboards", "fail", "missing: Cluster")] },
    Scenario { fault: "grafana=proxy-open", hop: None,
        found: &[("grafana-loki-read-only", "fail", "expected 403")] },
    Scenario { fault: "grafana=alertmanager-open", hop: None,
        found: &[("grafana-alertmanager-read-only", "fail", "its data source Alertmanager is answered")] },
    Scenario { fault: "grafana=features-on", hop: None,
        found: &[("grafana-features-off", "fail", "public_dashboards.enabled is true, expected false")] },
    Scenario { fault: "grafana=alerting-on", hop: None,
        found: &[("grafana-features-off", "fail", "unified_alerting.enabled is true, expected false")] },
    Scenario { fault: "grafana=role-admin", hop: None,
        found: &[("grafana-role", "fail", "it is Admin")] },
    Scenario { fault: "logs=lost-before-alloy", hop: Some("pods-alloy"),
        found: &[("logs-collected", "fail", "has not read"), ("logs-delivered", "skip", "logs-collected"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=lost-in-alloy", hop: Some("alloy-loki"),
        found: &[("logs-delivered", "fail", "Loki has no line"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=duplicated", hop: Some("alloy-loki"),
        found: &[("logs-delivered", "fail", "more than once"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=read-only", hop: None,
        found: &[("loki-stores-logs", "fail", ""), ("logs-delivered", "skip", "loki-stores-logs"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=lost-in-loki", hop: None,
        found: &[("loki-stores-logs", "fail", ""), ("logs-delivered", "skip", "loki-stores-logs"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=wrong-labels", hop: Some("pods-alloy"),
        found: &[("logs-delivered", "fail", "label"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "logs=delayed", hop: Some("alloy-loki"),
        found: &[("logs-delivered", "fail", "Loki has no line"), ("logs-in-grafana", "skip", "logs-delivered")] },
    Scenario { fault: "tailscale=certificate-expired", hop: Some("browser-tailnet"),
        found: &[("grafana-from-tailnet", "fail", "has expired")] },
    Scenario { fault: "tailscale=certificate-expiring", hop: Some("browser-tailnet"),
        found: &[("grafana-from-tailnet", "warn", "its certificate expires in 5 days")] },
    Scenario { fault: "tailscale=certificate-untrusted", hop: Some("browser-tailnet"),
        found: &[("grafana-from-tailnet", "fail", "does not trust")] },
    Scenario { fault: "tailscale=not-joined", hop: None,
        found: &[("grafana-from-tailnet", "skip", "not on the tailnet")] },
];

#[test]
fn each_fault_fails_the_check_that_speaks_of_it_and_no_other() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "2"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let sound = sandbox.tailwatch(&["verify", "--output", "json"]).ended_with(0).json();
    assert_eq!(verdicts(&sound["checks"])["grafana-from-tailnet"], "pass");
    for world in &WORLDS {
        sandbox.fault(world.fault, "on");
        let said = settled(&sandbox, world.fault, world.found);
        sandbox.fault(world.fault, "off");
        reported_with_a_hop(&said, world);
    }
    a_verification_that_is_killed_leaves_nothing_once_the_next_has_run(&sandbox);
}

/// The checks as soon as exactly these do not pass, each with its part; what a fault restarts is not back at once.
pub fn settled(sandbox: &Sandbox, name: &str, found: &[Found]) -> Vec<Value> {
    let expected: BTreeMap<&str, &str> = found.iter().map(|(id, verdict, _)| (*id, *verdict)).collect();
    let mut last = Vec::new();
    for _ in 0..8 {
        let checked = sandbox.tailwatch(&["verify", "--within", "4s", "--output", "json"]);
        let checks = checked.json()["checks"].as_array().unwrap().clone();
        last = checks.iter().filter(|check| check["verdict"] != "pass").cloned().collect();
        let is_found = |check: &Value| {
            let part = found.iter().find(|(id, ..)| check["id"] == *id).map_or("", |(.., part)| part);
            let verdict = expected.get(check["id"].as_str().unwrap());
            verdict.is_some_and(|verdict| check["verdict"] == *verdict)
                && check["detail"].as_str().unwrap().contains(part)
        };
        if last.len() == expected.len() && last.iter().all(is_found) {
            let fails = expected.values().any(|verdict| *verdict == "fail");
            checked.ended_with(if fails { 6 } else { 0 });
            return checks;
        }
    }
    panic!("{name}: {last:#?}");
}

fn reported_with_a_hop(checks: &[Value], world: &Scenario) {
    for (id, verdict, _) in world.found {
        let check = checks.iter().find(|check| check["id"] == *id).unwrap();
        assert_eq!(*verdict != "skip", check["hint"].is_string(), "{}: {check:#}", world.fault);
        if *verdict != "skip" {
            assert_eq!(check["hop"].as_str(), world.hop, "{}: {check:#}", world.fault);
        }
    }
}
