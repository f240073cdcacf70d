//! What is told before anything is changed: exit 4, the next step, and a cluster that nobody touched.

use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;

#[test]
fn what_is_in_the_way_is_reported_while_the_cluster_is_untouched() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let before = objects(&sandbox);

    let no_one = sandbox.file("kubeconfig-unprivileged").display().to_string();
    reported(&sandbox.install(&["--kubeconfig", &no_one]), &["not allowed", "cluster-admin"]);
    reported(
        &sandbox.install(&["--helm", "/nonexistent/helm"]),
        &["helm was not found at /nonexistent/helm", "install helm"],
    );
    reported(&sandbox.install(&["--context", "sandbocks"]), &["has no context sandbocks"]);
    reported(
        &sandbox.install(&["--set", "storage.class=standart"]),
        &["no StorageClass standart", "did you mean standard?"],
    );
    reported(
        &sandbox.install(&["--set", "versions.loki=99.0.0"]),
        &["loki 99.0.0", "does not have this chart version"],
    );
    reported(&sandbox.install(&["--set", "charts.repository=http://127.0.0.1:1"]), &["refuse", "charts.repository"]);

    sandbox.fault("no-storage-class", "on");
    reported(
        &sandbox.install(&[]),
        &["the cluster has no default StorageClass", "set storage.class to one of: standard"],
    );
    sandbox.fault("no-storage-class", "off");

    sandbox.fault("api-down", "on");
    reported(&sandbox.install(&[]), &["cannot be reached", "kubectl get --raw /version"]);
    sandbox.fault("api-down", "off");

    assert_eq!(objects(&sandbox), before);
    assert!(sandbox.releases().is_empty());
    sandbox.tailwatch(&["verify", "--answers", &sandbox.answers()]).ended_with(4);
    sandbox.tailwatch(&["status"]).ended_with(4);
}

/// What a run would have made first; the cluster's own root certificates come when they come.
pub fn objects(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.kubectl(&["get", "namespaces,secrets,configmaps,leases", "-A", "-o", "name"]);
    listed
        .lines()
        .filter(|name| !name.contains("kube-root-ca.crt") && !name.contains("node-"))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn reported(said: &CommandOutput, parts: &[&str]) {
    assert_eq!(said.code, Some(4), "{}\n{}", said.stdout, said.stderr);
    for part in parts {
        assert!(said.stderr.contains(part), "{part:?} is missing in:\n{}", said.stderr);
    }
    assert!(said.stderr.contains("hint: "), "{}", said.stderr);
}

/// A namespace whose Pod Security someone else has set is not relabelled in silence.
#[test]
fn a_namespace_that_another_owner_labelled_is_left_alone() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let label = "pod-security.kubernetes.io/enforce=restricted";
    sandbox.kubectl(&["label", "namespace", "monitoring", label]);
    let said = sandbox.install(&["--output", "json"]).ended_with(4);
    let finished = said.events().pop().unwrap();
    assert_eq!((&finished["outcome"], &finished["clusterChanged"]), (&"preflight-failed".into(), &false.into()));
    let checks = finished["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = checks.filter(|check| check["verdict"] == "fail").collect();
    assert_eq!((failed.len(), &failed[0]["id"]), (1, &"object-conflict".into()), "{failed:?}");
    assert!(failed[0]["detail"].as_str().unwrap().contains("pod-security.kubernetes.io/enforce"), "{failed:?}");
    assert!(sandbox.releases().is_empty());
    assert!(sandbox.kubectl(&["get", "namespace", "monitoring", "--show-labels"]).contains(label));
}

/// A values key that the chart does not know, and a value of the wrong type, stop the run at the render.
#[test]
fn a_chart_that_refuses_its_values_stops_the_run_before_the_change() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    for (values, part) in [
        ("loki: { read: { replicas: 3 } }", "cannot render chart loki 6.46.0"),
        (
            "loki: { singelBinary: { replicas: 1 } }",
            "hint: correct values.loki.singelBinary in the answers: did you mean singleBinary?",
        ),
        ("alloy: { controller: { tolerations: none } }", "schema rejects values.alloy.controller.tolerations"),
        ("kube-prometheus-stack: { grafana: { grafana.ini: { database: { password: x } } } }", "password"),
    ] {
        let file = sandbox.file("broken.yaml");
        std::fs::write(&file, format!("{answers}values:\n  {values}\n")).unwrap();
        let said = sandbox.tailwatch(&["install", "--yes", "--answers", &file.display().to_string()]);
        reported(&said, &["cannot render chart", part]);
    }
    assert!(sandbox.releases().is_empty());
    assert!(!sandbox.kubectl(&["get", "namespaces", "-o", "name"]).contains("monitoring"));
}
