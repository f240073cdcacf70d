//! Existing releases, CRDs, objects, operators and data sources of other owners that conflict with the stack.

use std::time::Duration;

use support::{Sandbox, Signal, eventually, named, of_kind};

use crate::TAILWATCH;
use crate::interruption::install_until;
use crate::uninstall::DEAD_API_SERVICE;

/// (verdict, detail) of a row of `preflight`, with more arguments.
fn row(sandbox: &Sandbox, id: &str, arguments: &[&str]) -> (String, String) {
    row_for(sandbox, id, &sandbox.answers(), arguments)
}

fn row_for(sandbox: &Sandbox, id: &str, answers: &str, arguments: &[&str]) -> (String, String) {
    let all = [&["preflight", "--output", "json", "--answers", answers], arguments].concat();
    let checks = sandbox.tailwatch(&all).json();
    let found = checks["checks"].as_array().unwrap().iter().find(|check| check["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no row {id}: {checks}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("verdict"), text("detail"))
}

fn chart(sandbox: &Sandbox) -> String {
    sandbox.file("charts/kube-prometheus-stack-79.10.0.tgz").display().to_string()
}

#[test]
fn crds_of_no_one_are_taken_over_and_newer_or_foreign_ones_are_not() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let crds = sandbox.helm(&["show", "crds", &chart(&sandbox)]).ended_with(0);
    let file = sandbox.file("crds.yaml");
    std::fs::write(&file, &crds.stdout).unwrap();
    let file = file.display().to_string();
    sandbox.kubectl(&["create", "-f", &file]);
    let (verdict, detail) = row(&sandbox, "crd-conflict", &[]);
    assert_eq!(verdict, "pass");
    for part in [&crds.stdout.matches("kind: CustomResourceDefinition").count().to_string(), "kubectl-create", "0.86.2"]
    {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }

    let newer = "operator.prometheus.io/version=0.99.0";
    sandbox.kubectl(&["annotate", "--overwrite", "crd", "probes.monitoring.coreos.com", newer]);
    for arguments in [&[][..], &["--adopt"]] {
        let (verdict, detail) = row(&sandbox, "crd-conflict", arguments);
        assert_eq!(verdict, "fail");
        for part in ["probes.monitoring.coreos.com", "0.99.0", "0.86.2"] {
            assert!(detail.contains(part), "{part:?} is missing in {detail}");
        }
    }
    a_pending_deletion_is_reported_with_what_holds_it(&sandbox);
    sandbox.kubectl(&["delete", "--ignore-not-found", "-f", &file]);

    // A release of the same chart, of another name in another namespace.
    let archive = chart(&sandbox);
    let release = ["prom", &archive, "-n", "metrics", "--create-namespace", "--no-hooks"];
    sandbox.helm(&[&["install"], &release[..]].concat()).ended_with(0);
    let (verdict, detail) = row(&sandbox, "release-conflict", &[]);
    assert_eq!(verdict, "warn");
    assert!(detail.contains("release prom in namespace metrics") && detail.contains("79.10.0"), "{detail}");
    for (verdict, arguments) in [("fail", &[][..]), ("pass", &["--adopt"])] {
        let (found, detail) = row(&sandbox, "crd-conflict", arguments);
        assert_eq!(found, verdict, "{detail}");
        assert!(detail.contains("release prom in namespace metrics"), "{detail}");
    }
    let (verdict, detail) = row(&sandbox, "service-monitor-tokens", &["--adopt"]);
    assert_eq!(verdict, "warn", "{detail}");
    assert!(detail.contains("ServiceMonitor prom-kube-prometheus-stack-apiserver in namespace metrics"), "{detail}");
    let (verdict, detail) = row(&sandbox, "prometheus-operator-conflict", &["--adopt"]);
    assert_eq!(verdict, "fail", "{detail}");
    assert!(detail.contains("Deployment prom-kube-prometheus-stack-operator in namespace metrics"), "{detail}");
    let refused = sandbox.install(&[]).ended_with(4);
    assert!(refused.stderr.contains("--adopt"), "{}", refused.stderr);
    assert!(!sandbox.kubectl(&["get", "namespaces", "-o", "name"]).contains("monitoring"));

    let denied = ["--set", "prometheusOperator.denyNamespaces={monitoring}"];
    sandbox.helm(&[&["upgrade"], &release[..], &denied].concat()).ended_with(0);
    assert_eq!(row(&sandbox, "prometheus-operator-conflict", &[]).0, "warn");
    let image = "--image=registry.example/mirrored-prometheus-operator:v1";
    sandbox.kubectl(&["create", "deployment", "watcher", "-n", "default", image]);
    let (verdict, detail) = row(&sandbox, "prometheus-operator-conflict", &[]);
    assert!(verdict == "fail" && detail.contains("Deployment watcher in namespace default"), "{detail}");
}

#[test]
fn objects_of_others_stop_the_run_and_are_taken_over_when_asked() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["create", "clusterrole", "alloy", "--verb=get", "--resource=pods"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["-n", "monitoring", "create", "serviceaccount", "loki"]);
    let refused = sandbox.install(&[]).ended_with(4);
    for part in ["ClusterRole alloy", "kubectl-create", "ServiceAccount loki", "--adopt"] {
        assert!(refused.talk().contains(part), "{part:?} is missing in:\n{}", refused.stderr);
    }
    assert!(sandbox.releases().is_empty());
    let adopted = sandbox.install(&["--adopt", "--skip-verify"]).ended_with(0);
    assert!(adopted.talk().contains("ClusterRole alloy"), "{}", adopted.stderr);
    let role = sandbox.get(&["clusterrole", "alloy"]);
    assert_eq!(role["metadata"]["annotations"]["meta.helm.sh/release-name"], "alloy");
    assert_ne!(role["rules"].as_array().unwrap().len(), 1, "the rules are the chart's");

    // If nothing changes, no other owner is searched for.
    let log = sandbox.file("helm.log");
    sandbox.install(&["--skip-verify", "--log-file", &log.display().to_string()]).ended_with(0);
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("run-finished") && !calls.contains(r#""helm":["#), "{calls}");

    a_restart_is_announced(&sandbox);
    a_default_data_source_is_found(&sandbox);
}

/// A Deployment of the name and selector of ours, with another image.
fn a_restart_is_announced(sandbox: &Sandbox) {
    let mut live = sandbox.get(&["-n", "monitoring", "deployment", "oauth2-proxy"]);
    live["metadata"] = serde_json::json!({"name": "oauth2-proxy", "namespace": "monitoring"});
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "quay.io/other/image:1".into();
    sandbox.helm(&["uninstall", "oauth2-proxy", "-n", "monitoring"]).ended_with(0);
    let file = sandbox.file("deployment.json");
    std::fs::write(&file, live.to_string()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    sandbox.install(&["--skip-verify"]).ended_with(4);
    let events = sandbox.install(&["--adopt", "--skip-verify", "--output", "json"]).ended_with(0).events();
    let reported: Vec<&str> =
        of_kind(&events, "notice").iter().filter_map(|notice| notice["message"].as_str()).collect();
    insta::assert_snapshot!(reported.join("\n"), @r"
    adopted from field manager kubectl-create: Deployment oauth2-proxy
    adopting Deployment oauth2-proxy replaces its pods
    ");
    let steps = events[0]["steps"].as_array().unwrap();
    let oauth2_proxy = steps.iter().find(|step| step["component"] == "oauth2-proxy").unwrap();
    assert_eq!(oauth2_proxy["effects"]["restarts"][0], "Deployment oauth2-proxy");
}

fn a_default_data_source_is_found(sandbox: &Sandbox) {
    let id = "grafana-data-source-conflict";
    assert_eq!(row(sandbox, id, &[]).0, "pass");
    let file = sandbox.file("sources.yaml");
    std::fs::write(&file, "datasources:\n- { name: Mine, type: prometheus, isDefault: true }\n").unwrap();
    let from = format!("--from-file={}", file.display());
    sandbox.kubectl(&["create", "configmap", "mine", &from]);
    sandbox.kubectl(&["label", "configmap", "mine", "grafana_datasource=1"]);
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    let own = sandbox.file("with-sidecar.yaml");
    let sidecar = "{ enabled: true, searchNamespace: ALL, isDefaultDatasource: false }";
    let values =
        format!("values: {{ kube-prometheus-stack: {{ grafana: {{ sidecar: {{ datasources: {sidecar} }} }} }} }}\n");
    std::fs::write(&own, answers + &values).unwrap();
    let (verdict, detail) = row_for(sandbox, id, &own.display().to_string(), &[]);
    assert_eq!(verdict, "fail");
    assert!(detail.contains("ConfigMap mine in namespace default") && detail.contains("Mine"), "{detail}");
}

/// A CRD and a namespace that are being deleted, each held by a finalizer, and an APIService without a Service.
fn a_pending_deletion_is_reported_with_what_holds_it(sandbox: &Sandbox) {
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let file = sandbox.file("held.yaml");
    std::fs::write(&file, format!("{HELD}---\n{DEAD_API_SERVICE}")).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    sandbox.kubectl(&["delete", "crd", "prometheusrules.monitoring.coreos.com", "--wait=false"]);
    sandbox.kubectl(&["delete", "namespace", "monitoring", "--wait=false"]);
    let remaining = "--for=condition=NamespaceDeletionDiscoveryFailure";
    sandbox.kubectl(&["wait", "namespace/monitoring", remaining, "--timeout=30s"]);
    let (verdict, detail) = row(sandbox, "pending-deletions", &[]);
    assert_eq!(verdict, "fail", "{detail}");
    let dead = ["APIService v1beta1.custom.metrics.k8s.io", "Service monitoring/prometheus-adapter"];
    for part in [
        "Namespace monitoring",
        "custom.metrics.k8s.io/v1beta1",
        dead[0],
        dead[1],
        "CRD prometheusrules.monitoring.coreos.com",
        "PrometheusRule default/old",
        "example.com/held",
    ] {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }
    let (verdict, detail) = row(sandbox, "api-services", &[]);
    assert!(verdict == "warn" && dead.iter().all(|part| detail.contains(part)), "{verdict} {detail}");

    // What the hints say helps.
    sandbox.kubectl(&["delete", "apiservice", "v1beta1.custom.metrics.k8s.io"]);
    sandbox.kubectl(&["wait", "--for=delete", "namespace/monitoring", "--timeout=60s"]);
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    sandbox.kubectl(&["patch", "prometheusrule", "old", "--type=merge", "-p", patch]);
    let crd = "crd/prometheusrules.monitoring.coreos.com";
    sandbox.kubectl(&["wait", "--for=delete", crd, "--timeout=30s"]);
    assert_eq!(row(sandbox, "pending-deletions", &[]).0, "pass");
    assert_eq!(row(sandbox, "api-services", &[]).0, "pass");
}

/// Something else deletes a CRD between preflight and the first step.
#[test]
fn a_crd_that_is_being_deleted_is_applied_once_it_no_longer_exists() {
    const CRD: &str = "prometheusrules.monitoring.coreos.com";
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let crds = sandbox.helm(&["show", "crds", &chart(&sandbox)]).ended_with(0);
    let file = sandbox.file("crds.yaml").display().to_string();
    std::fs::write(&file, format!("{}\n---\n{HELD}", crds.stdout)).unwrap();
    eventually("the CRDs serve their kinds", || {
        let mut kubectl = sandbox.command(&sandbox.file("bin/kubectl"));
        kubectl.args(["apply", "--server-side", "-f", &file]).output().unwrap().status.success()
    });
    let old = sandbox.get(&["crd", CRD])["metadata"]["uid"].clone();

    let run = install_until(&sandbox, |event| event["id"] == "pending-deletions" && event["verdict"] == "pass");
    run.signal(Signal::SIGSTOP);
    sandbox.kubectl(&["delete", "crd", CRD, "--wait=false"]);
    run.signal(Signal::SIGCONT);
    let mut run = run.until(named("step-started", "kube-prometheus-stack"));
    std::thread::sleep(Duration::from_secs(3));
    assert!(!run.has_ended());
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    sandbox.kubectl(&["patch", "prometheusrule", "old", "--type=merge", "-p", patch]);
    run.end().ended_with(0);
    assert_ne!(sandbox.get(&["crd", CRD])["metadata"]["uid"], old);
}

const HELD: &str = "apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: old, namespace: default, finalizers: [example.com/held] }
spec: {}
";
