//! One installed stack, one part of the world at a time that does not do its work: exactly the check that speaks of it
//! fails, with the hop that is broken.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Sandbox;

/// (id, verdict, part of what was measured) of a check that does not pass.
type Found = (&'static str, &'static str, &'static str);

/// A fault of the sandbox, the hop that it breaks, and every check that does not pass meanwhile.
struct World {
    fault: &'static str,
    hop: Option<&'static str>,
    found: &'static [Found],
}

const LATE_TARGETS: [Found; 2] = [
    ("prometheus-targets-up", "skip", "prometheus-targets-known did not pass"),
    ("prometheus-samples-fresh", "skip", "prometheus-targets-up did not pass"),
];

#[rustfmt::skip]
const WORLDS: [World; 28] = [
    World { fault: "network=policies-ignored", hop: Some("door-grafana"),
        found: &[("grafana-guarded", "fail", "does not enforce NetworkPolicies")] },
    World { fault: "metrics=target-missing", hop: Some("targets-prometheus"),
        found: &[("prometheus-targets-known", "fail", "ServiceMonitor kube-prometheus-stack-kube-state-metrics"), LATE_TARGETS[0], LATE_TARGETS[1]] },
    World { fault: "metrics=no-alertmanager", hop: Some("prometheus-alertmanager"),
        found: &[("alertmanager-reached", "fail", "knows no Alertmanager")] },
    World { fault: "metrics=webhook-away", hop: None,
        found: &[("rules-admitted", "warn", "does not reach the webhook")] },
    World { fault: "metrics=alertmanager-deaf", hop: None,
        found: &[("alertmanager-takes-alerts", "fail", "does not show it"), ("alertmanager-reached", "skip", "alertmanager-takes-alerts")] },
    World { fault: "door=wrong-client", hop: Some("door-issuer"),
        found: &[("door-redirects", "fail", "client_id is somebody-else"), ("door-from-tailnet", "skip", "door-redirects")] },
    World { fault: "door=wrong-redirect", hop: Some("door-issuer"),
        found: &[("door-redirects", "fail", "redirect_uri is https://grafana-1."), ("door-from-tailnet", "skip", "door-redirects")] },
    World { fault: "door=no-pkce", hop: Some("door-issuer"),
        found: &[("door-redirects", "fail", "code_challenge_method is nothing"), ("door-from-tailnet", "skip", "door-redirects")] },
    World { fault: "door=wrong-issuer", hop: Some("door-issuer"),
        found: &[("door-redirects", "fail", "host is other.eu.auth0.com"), ("door-from-tailnet", "skip", "door-redirects")] },
    World { fault: "door=trusts-headers", hop: Some("door-grafana"),
        found: &[("door-unforgeable", "fail", "X-Forwarded-User, -Email and -Groups opens it")] },
    World { fault: "grafana=two-defaults", hop: None,
        found: &[("grafana-default-source", "fail", "Prometheus and Loki are")] },
    World { fault: "grafana=no-default", hop: None,
        found: &[("grafana-default-source", "fail", "none of 3")] },
    World { fault: "grafana=loki-wrong", hop: Some("loki-grafana"),
        found: &[("grafana-reads-loki", "fail", "400"), ("logs-in-grafana", "skip", "grafana-reads-loki")] },
    World { fault: "grafana=login-form", hop: None,
        found: &[("grafana-login-closed", "fail", "disable_login_form is off")] },
    World { fault: "grafana=root-url", hop: None,
        found: &[("grafana-address", "fail", "http://localhost:3000/")] },
    World { fault: "grafana=no-dashboards", hop: None,
        found: &[("grafana-dashboards", "fail", "missing: Cluster")] },
    World { fault: "grafana=role-admin", hop: None,
        found: &[("grafana-role", "fail", "it is Admin")] },
    World { fault: "logs=lost-before-alloy", hop: Some("pods-alloy"),
        found: &[("logs-collected", "fail", "has not read"), ("logs-arrive", "skip", "logs-collected"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=lost-in-alloy", hop: Some("alloy-loki"),
        found: &[("logs-arrive", "fail", "Loki has no line"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=twice", hop: Some("alloy-loki"),
        found: &[("logs-arrive", "fail", "more than once"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=read-only", hop: None,
        found: &[("loki-keeps-lines", "fail", ""), ("logs-arrive", "skip", "loki-keeps-lines"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=lost-in-loki", hop: None,
        found: &[("loki-keeps-lines", "fail", ""), ("logs-arrive", "skip", "loki-keeps-lines"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=wrong-labels", hop: Some("pods-alloy"),
        found: &[("logs-arrive", "fail", "label"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "logs=late", hop: Some("alloy-loki"),
        found: &[("logs-arrive", "fail", "Loki has no line"), ("logs-in-grafana", "skip", "logs-arrive")] },
    World { fault: "tailscale=certificate-expired", hop: Some("browser-tailnet"),
        found: &[("door-from-tailnet", "fail", "has expired")] },
    World { fault: "tailscale=certificate-ends", hop: Some("browser-tailnet"),
        found: &[("door-from-tailnet", "warn", "its certificate ends in 5 days")] },
    World { fault: "tailscale=certificate-foreign", hop: Some("browser-tailnet"),
        found: &[("door-from-tailnet", "fail", "does not trust")] },
    World { fault: "tailscale=not-joined", hop: None,
        found: &[("door-from-tailnet", "skip", "not on the tailnet")] },
];

#[test]
fn each_fault_fails_the_check_that_speaks_of_it_and_no_other() {
    let sandbox = Sandbox::up(&["--nodes", "2"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let sound = sandbox.tailwatch(&["verify", "--output", "json"]).ended_with(0).json();
    let door = sound["checks"].as_array().unwrap().iter().find(|check| check["id"] == "door-from-tailnet").unwrap();
    let told = door["detail"].as_str().unwrap();
    assert!(told.starts_with("through the Ingress; its certificate is valid for "), "{told}");
    for world in &WORLDS {
        sandbox.fault(world.fault, "on");
        let said = settled(&sandbox, world);
        sandbox.fault(world.fault, "off");
        told_with_a_hop(&said, world);
    }
    sandbox.tailwatch(&["verify"]).ended_with(0);
    let jobs = sandbox.get(&["-n", "monitoring", "jobs,pods", "-l", "tailwatch.dev/probe"]);
    assert_eq!(jobs["items"].as_array().unwrap().len(), 0, "{jobs:#}");
}

/// What is found as soon as the fault has taken hold; a part that it restarts is not back at once.
fn settled(sandbox: &Sandbox, world: &World) -> Vec<Value> {
    let expected: BTreeMap<&str, &str> = world.found.iter().map(|(id, verdict, _)| (*id, *verdict)).collect();
    let mut last = Value::Null;
    for _ in 0..8 {
        let checked = sandbox.tailwatch(&["verify", "--within", "4s", "--output", "json"]);
        last = checked.json();
        let checks = last["checks"].as_array().unwrap();
        let not_passed: BTreeMap<&str, &str> = checks
            .iter()
            .filter(|check| check["verdict"] != "pass")
            .map(|check| (check["id"].as_str().unwrap(), check["verdict"].as_str().unwrap()))
            .collect();
        if not_passed == expected {
            let fails = expected.values().any(|verdict| *verdict == "fail");
            checked.ended_with(if fails { 6 } else { 0 });
            return checks.clone();
        }
    }
    let rest: Vec<_> = last["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] != "pass").collect();
    panic!("{}: {rest:#?}", world.fault);
}

fn told_with_a_hop(checks: &[Value], world: &World) {
    for (id, verdict, part) in world.found {
        let check = checks.iter().find(|check| check["id"] == *id).unwrap();
        assert!(check["detail"].as_str().unwrap().contains(part), "{}: {check:#}", world.fault);
        assert_eq!(*verdict != "skip", check["hint"].is_string(), "{}: {check:#}", world.fault);
        if *verdict != "skip" {
            assert_eq!(check["hop"].as_str(), world.hop, "{}: {check:#}", world.fault);
        }
    }
}
