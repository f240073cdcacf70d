//! What is reported before anything is changed: exit 4, the next step, and an unchanged cluster.

use support::{CommandOutput, Sandbox, verdicts};

use crate::TAILWATCH;

#[test]
fn what_is_in_the_way_is_reported_while_the_cluster_is_untouched() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let before = objects(&sandbox);

    let no_one = sandbox.file("kubeconfig-unprivileged").display().to_string();
    for (arguments, failed, named) in [
        (["--kubeconfig", &no_one], &[][..], "cluster-admin"),
        (["--helm", "/nonexistent/helm"], &[], "/nonexistent/helm"),
        (["--context", "sandbocks"], &[], "sandbocks"),
        (["--set", "storage.class=standart"], &["storage-class"], "standard"),
        (["--set", "versions.loki=99.0.0"], &[], "loki 99.0.0"),
        (["--set", "charts.repository=http://127.0.0.1:1"], &[], "charts.repository"),
    ] {
        refused(&sandbox.install(&[&arguments[..], &["--output", "json"]].concat()), failed, named);
    }

    sandbox.fault("no-storage-class", "on");
    refused(&sandbox.install(&["--output", "json"]), &["storage-class"], "standard");
    sandbox.fault("no-storage-class", "off");

    sandbox.fault("api-down", "on");
    refused(&sandbox.install(&["--output", "json"]), &[], "kubectl get --raw /version");
    sandbox.fault("api-down", "off");

    assert_eq!(objects(&sandbox), before);
    assert!(sandbox.releases().is_empty());
    sandbox.tailwatch(&["verify", "--answers", &sandbox.answers()]).ended_with(4);
    sandbox.tailwatch(&["status"]).ended_with(4);
    a_chart_that_refuses_its_values_stops_the_run_before_the_change(&sandbox);
    a_namespace_that_another_owner_labelled_is_left_alone(&sandbox);
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

/// An install that ended with 4: these checks failed, and what is reported names this.
#[track_caller]
fn refused(said: &CommandOutput, failed: &[&str], named: &str) {
    assert_eq!(said.code, Some(4), "{}\n{}", said.stdout, said.stderr);
    let last = said.run_finished();
    assert_eq!((&last["outcome"], &last["clusterChanged"]), (&"preflight-failed".into(), &false.into()), "{last:#}");
    let verdicts = verdicts(&last["checks"]).into_iter();
    let found: Vec<String> = verdicts.filter(|(_, verdict)| verdict == "fail").map(|(id, _)| id).collect();
    assert_eq!(found, failed, "{last:#}");
    assert!(last["error"]["hint"].is_string() && last.to_string().contains(named), "{named}: {last:#}");
}

/// A Pod Security level that another client has set is not changed without a notice.
fn a_namespace_that_another_owner_labelled_is_left_alone(sandbox: &Sandbox) {
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let label = "pod-security.kubernetes.io/enforce=restricted";
    sandbox.kubectl(&["label", "namespace", "monitoring", label]);
    let said = sandbox.install(&["--output", "json"]).ended_with(4);
    let finished = said.events().pop().unwrap();
    assert_eq!((&finished["outcome"], &finished["clusterChanged"]), (&"preflight-failed".into(), &false.into()));
    let checks = finished["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = checks.filter(|check| check["verdict"] == "fail").collect();
    assert_eq!((failed.len(), &failed[0]["id"]), (1, &"dry-run".into()), "{failed:?}");
    assert!(failed[0]["detail"].as_str().unwrap().contains("restricted"), "{failed:?}");
    assert!(sandbox.releases().is_empty());
    assert!(sandbox.kubectl(&["get", "namespace", "monitoring", "--show-labels"]).contains(label));
}

/// A values key that the chart does not know, and a value of the wrong type, stop the run at the render.
fn a_chart_that_refuses_its_values_stops_the_run_before_the_change(sandbox: &Sandbox) {
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    for (values, named) in [
        ("loki: { read: { replicas: 3 } }", &["loki 6.46.0"][..]),
        ("loki: { singelBinary: { replicas: 1 } }", &["values.loki.singelBinary", "singleBinary?"]),
        ("alloy: { controller: { tolerations: none } }", &["values.alloy.controller.tolerations"]),
        ("kube-prometheus-stack: { grafana: { grafana.ini: { database: { password: x } } } }", &["password"]),
    ] {
        let file = sandbox.file("broken.yaml").display().to_string();
        std::fs::write(&file, format!("{answers}values:\n  {values}\n")).unwrap();
        let said = sandbox.tailwatch(&["install", "--yes", "--output", "json", "--answers", &file]);
        named.iter().for_each(|named| refused(&said, &[], named));
    }
    assert!(sandbox.releases().is_empty());
    assert!(!sandbox.kubectl(&["get", "namespaces", "-o", "name"]).contains("monitoring"));
}
