//! Proxies of the Tailscale operator that people choose: a ProxyGroup for Grafana's Ingress, and the operator's own as the
//! way to the API server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Run, Sandbox, check, eventually, verdicts};

use crate::TAILWATCH;
use crate::foreign_objects::{create, live, outcome_of};
use crate::ignored_values::answers;
use crate::switched_tunnel::{OpenConnections, Proxy, Tunnel};

#[test]
fn an_ingress_is_served_by_a_proxy_group_that_is_ready() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    // As `kubectl explain proxygroup` of tailscale 1.102.3, without the fields that no one reads here.
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    create(
        &sandbox,
        &json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "proxygroups.tailscale.com"},
            "spec": {"group": "tailscale.com", "scope": "Cluster",
                "names": {"kind": "ProxyGroup", "plural": "proxygroups"},
                "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        }),
    );
    sandbox.kubectl(&["wait", "crd/proxygroups.tailscale.com", "--for=condition=Established", "--timeout=30s"]);
    let available = |status: &str| json!({"conditions": [{"type": "ProxyGroupAvailable", "status": status}]});
    create(
        &sandbox,
        &json!({
            "apiVersion": "tailscale.com/v1alpha1", "kind": "ProxyGroup", "metadata": {"name": "ingress-proxies"},
            "spec": {"type": "ingress", "replicas": 2}, "status": available("False"),
        }),
    );
    let group = ["--set", "tailscale.proxyGroup=ingress-proxies"];
    let installs = |code: i32| sandbox.install(&[&group[..], &["--output", "json"]].concat()).ended_with(code);
    let verdict = |finished: &Value| check(&finished["checks"], "tailscale-proxy")["verdict"].clone();
    let waiting = installs(4).run_finished();
    assert_eq!(verdict(&waiting), "fail", "{waiting:#}");

    let ready = json!({"status": available("True")}).to_string();
    sandbox.kubectl(&["patch", "proxygroup", "ingress-proxies", "--type=merge", "-p", &ready]);
    let finished = installs(0).run_finished();
    assert!(verdicts(&finished["checks"]).values().all(|verdict| verdict == "pass"), "{finished:#}");
    let ingress = live(&sandbox, "Ingress", "grafana");
    assert_eq!(ingress["metadata"]["annotations"]["tailscale.com/proxy-group"], "ingress-proxies");
    let policy = live(&sandbox, "NetworkPolicy", "tailwatch-oauth2-proxy");
    let peers = policy["spec"]["ingress"][0]["from"].as_array().unwrap();
    let of_groups = |peer: &&Value| {
        peer["podSelector"]["matchLabels"]["tailscale.com/parent-resource-type"] == "proxygroup"
            && peer["namespaceSelector"].is_object()
    };
    assert_eq!(peers.iter().filter(of_groups).count(), 1, "{policy:#}");
}

/// `tailscale configure kubeconfig` names the context after the operator's device. An upgrade of the operator ends its
/// pod, and with it every connection; the next one is possible once the new pod serves.
#[test]
fn an_upgrade_of_the_operator_that_carries_the_api_server_waits_for_it_to_return() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    let secret = sandbox.file("tailscale-secret").display().to_string();
    std::fs::write(&secret, "tskey-canary\n").unwrap();
    let oauth = [
        "--set".to_owned(),
        "tailscale.oauth.clientId=k".to_owned(),
        "--set".to_owned(),
        format!("tailscale.oauth.clientSecret={{ file: {secret} }}"),
    ];
    let oauth: Vec<&str> = oauth.iter().map(String::as_str).collect();
    sandbox.install(&[&oauth[..], &["--skip-verify"]].concat()).ended_with(0);

    let api_server = Proxy::of(&sandbox);
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let kubeconfig = sandbox.file("through-the-operator");
    // With the request that starts the rollout, or once the new pod is being started.
    for (level, is_lost) in [("debug", true), ("dev", false)] {
        let tunnel = Tunnel::to(api_server.address);
        tunnel.write_kubeconfig("tailscale-operator.tail1a2b.ts.net", &kubeconfig);
        let file = answers(&sandbox, &format!("tailscale-operator: {{ operatorConfig: {{ logging: {level} }} }}"));
        let arguments = ["install", "--answers", &file, "--yes", "--output", "json"];
        let mut command = sandbox.tailwatch_command(&[&arguments[..], &oauth].concat());
        command.env("KUBECONFIG", &kubeconfig);
        let run = if is_lost {
            let patch = "PATCH /apis/apps/v1/namespaces/tailscale/deployments/operator?fieldManager=helm";
            *tunnel.trigger.lock().unwrap() = Some((patch, nowhere));
            let run = Run::start(&mut command);
            eventually("helm changes the operator", || tunnel.trigger.lock().unwrap().is_none());
            run
        } else {
            let run = Run::start(&mut command)
                .until(|event| event["component"] == "tailscale-operator" && event["phase"] == "waiting");
            tunnel.switch(nowhere, OpenConnections::Cut);
            run
        };
        std::thread::sleep(Duration::from_secs(8));
        tunnel.switch(api_server.address, OpenConnections::Cut);
        let events = run.end().ended_with(0).events();
        assert_eq!(outcome_of(&events, "tailscale-operator"), "upgraded", "{level}");
        let last = events.last().unwrap();
        assert!(verdicts(&last["checks"]).values().all(|verdict| verdict == "pass"), "{level}: {last:#}");
    }
}
