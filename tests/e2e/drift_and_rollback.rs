//! A stack over months: drift, predictions that come true, versions that fail, volumes that grow, hands of others.

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Sandbox, of_kind, outcomes, verdicts};

use crate::TAILWATCH;

/// The step of a component in `plan --output json`, with more arguments.
fn planned(sandbox: &Sandbox, component: &str, arguments: &[&str]) -> Value {
    let mut all = vec!["plan", "--output", "json"];
    all.extend(arguments);
    let plan = sandbox.tailwatch(&all).ended_with(0).json();
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["component"] == component);
    step.unwrap_or_else(|| panic!("{component} is missing in {plan:#}")).clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// A rerun has no work, by its exit code and by the action of each step.
#[track_caller]
fn nothing_is_planned(sandbox: &Sandbox) {
    let plan = sandbox.tailwatch(&["plan", "--exit-code", "--output", "json"]).ended_with(0).json();
    assert!(plan["steps"].as_array().unwrap().iter().all(|step| step["action"] == "unchanged"), "{plan:#}");
}

/// Workload -> uids of its pods.
fn pods(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut pods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in sandbox.get(&["-n", "monitoring", "pods"])["items"].as_array().unwrap() {
        let owner = &pod["metadata"]["ownerReferences"][0];
        let (kind, name) = (owner["kind"].as_str().unwrap(), owner["name"].as_str().unwrap());
        let workload = match kind {
            "ReplicaSet" => format!("Deployment {}", name.rsplit_once('-').unwrap().0),
            _ => format!("{kind} {name}"),
        };
        pods.entry(workload).or_default().push(pod["metadata"]["uid"].as_str().unwrap().to_owned());
    }
    pods.values_mut().for_each(|uids| uids.sort());
    pods
}

#[test]
fn one_stack_is_repaired_left_alone_reduced_and_enlarged() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    what_hands_have_changed_is_put_back_without_helm(&sandbox);
    an_operation_that_another_owner_began_is_named_and_left_alone(&sandbox);
    logs_are_left_out_and_come_back_with_their_volume(&sandbox);
    volumes_grow_with_their_data_and_never_shrink(&sandbox);
}

fn what_hands_have_changed_is_put_back_without_helm(sandbox: &Sandbox) {
    nothing_is_planned(sandbox);

    let monitoring = ["-n", "monitoring"];
    for change in [
        &["scale", "deployment/oauth2-proxy", "--replicas=0"][..],
        &["delete", "service/loki"],
        &["delete", "ingress/grafana"],
        &[
            "patch",
            "prometheus/kube-prometheus-stack-prometheus",
            "--type=merge",
            "-p",
            r#"{"spec":{"retention":"3d"}}"#,
        ],
        &["patch", "configmap/alloy", "--type=merge", "-p", r#"{"data":{"config.alloy":"broken"}}"#],
    ] {
        sandbox.kubectl(&[&monitoring, change].concat());
    }
    let step = planned(sandbox, "oauth2-proxy", &[]);
    assert_eq!(step["action"], "repair");
    for part in ["Deployment oauth2-proxy", "spec.replicas", "Ingress grafana"] {
        assert!(step["reason"].as_str().unwrap().contains(part), "{part}: {step:#}");
    }
    let diff = sandbox.tailwatch(&["plan", "--diff"]).ended_with(0).stdout;
    assert!(
        diff.contains("-  replicas: 0\n+  replicas: 2") && diff.contains("-  retention: 3d\n+  retention: 15d"),
        "{diff}"
    );

    let repaired = sandbox.tailwatch(&["install", "--yes", "--output", "json"]).ended_with(0).events();
    assert_eq!(outcomes(&repaired), ["repaired"; 4]);
    let revisions = sandbox.helm(&["list", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
    assert!(revisions.as_array().unwrap().iter().all(|release| release["revision"] == "1"), "helm ran: {revisions:#}");
    assert_eq!(sandbox.get(&["-n", "monitoring", "deployment/oauth2-proxy"])["spec"]["replicas"], 2);
    nothing_is_planned(sandbox);
    // helm does not stumble over what was put back in its name.
    let role = [
        "install",
        "--yes",
        "--skip-verify",
        "--set",
        "grafana.anonymousRole=Viewer",
        "--set",
        "retention.metrics=16d",
    ];
    sandbox.tailwatch(&role).ended_with(0);
}

#[test]
fn restarts_are_those_that_were_predicted() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let changes = [
        vec!["--set", "retention.metrics=20d"],
        vec!["--set", "grafana.anonymousRole=Viewer"],
        vec!["--set", "versions.kube-prometheus-stack=88.5.3", "--set", "versions.oauth2-proxy=10.8.0"],
        vec!["--set", "versions.loki=6.55.0", "--set", "versions.alloy=1.11.1"],
    ];
    for change in changes {
        let plan = sandbox.tailwatch(&[&["plan", "--output", "json"], &change[..]].concat()).ended_with(0).json();
        let steps = plan["steps"].as_array().unwrap();
        let mut predicted: Vec<_> = steps.iter().flat_map(|step| texts(&step["effects"]["restarts"])).collect();
        let before = pods(&sandbox);
        sandbox.tailwatch(&[&["install", "--yes", "--skip-verify"], &change[..]].concat()).ended_with(0);
        let after = pods(&sandbox);
        assert!(before.keys().eq(after.keys()), "{before:#?}\n{after:#?}");
        let restarted: Vec<_> =
            before.iter().filter(|(name, uids)| after[*name] != **uids).map(|(name, _)| name).collect();
        predicted.sort_unstable();
        assert_eq!(restarted, predicted, "{change:?}");
        assert!(!restarted.is_empty(), "{change:?}");
    }
}

#[test]
fn a_version_that_fails_goes_back_where_it_can_and_later_waves_do_not_start() {
    let sandbox = Sandbox::up(TAILWATCH, &["--fault", "image-pull=docker.io/grafana/loki:3.6.7"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let newer = ["--set", "versions.loki=6.55.0", "--set", "versions.alloy=1.11.1"];
    let upgrade = [&["install", "--yes", "--output", "json", "--timeout", "45s"], &newer[..]].concat();
    let failed = sandbox.tailwatch(&upgrade).ended_with(5);
    let events = failed.events();
    let steps = of_kind(&events, "step-finished");
    assert_eq!(outcomes(&events), ["unchanged", "unchanged", "failed", "skipped"]);
    let rollback = &steps[2]["rollback"];
    assert_eq!((&rollback["outcome"], &rollback["revision"]), (&"done".into(), &1.into()), "{rollback:#}");
    assert_eq!(steps[2]["diagnosis"]["rule"], "image-not-found", "{:#}", steps[2]);
    let loki = sandbox.get(&["-n", "monitoring", "statefulset/loki"]);
    assert_eq!(loki["status"]["availableReplicas"], 1);
    sandbox.tailwatch(&["verify"]).ended_with(0);
    // Once the image is there, the same command brings what was asked for.
    sandbox.fault("image-pull", "off");
    sandbox.tailwatch(&[&["install", "--yes"], &newer[..]].concat()).ended_with(0);
    a_way_that_leads_only_forward_is_not_gone_back(&sandbox);
}

fn a_way_that_leads_only_forward_is_not_gone_back(sandbox: &Sandbox) {
    sandbox.fault("image-pull=docker.io/grafana/grafana:13", "on");
    let newer = ["--set", "versions.kube-prometheus-stack=88.5.3", "--timeout", "45s", "--output", "json"];
    let failed = sandbox.tailwatch(&[&["install", "--yes"], &newer[..]].concat()).ended_with(5);
    let events = failed.events();
    let rollback = &of_kind(&events, "step-finished")[0]["rollback"];
    assert_eq!(rollback["outcome"], "unsafe", "{rollback:#}");
}

fn logs_are_left_out_and_come_back_with_their_volume(sandbox: &Sandbox) {
    let claim = |sandbox: &Sandbox| sandbox.get(&["-n", "monitoring", "pvc/storage-loki-0"])["metadata"]["uid"].clone();
    let before = claim(sandbox);
    let without = ["install", "--yes", "--output", "json", "--set", "logs=none"];
    let events = sandbox.tailwatch(&without).ended_with(0).events();
    let outcomes: Vec<_> = of_kind(&events, "step-finished")
        .iter()
        .map(|step| format!("{} {}", step["component"].as_str().unwrap(), step["outcome"].as_str().unwrap()))
        .collect();
    let expected = ["kube-prometheus-stack upgraded", "oauth2-proxy unchanged", "alloy removed", "loki removed"];
    assert_eq!(outcomes, expected);
    let skipped = verdicts(&events.last().unwrap()["checks"]).into_iter().filter(|(_, verdict)| verdict == "skip");
    assert!(skipped.count() > 0, "the checks of logs ran");
    // The answers that were kept leave them out, too.
    let again = sandbox.tailwatch(&["plan", "--exit-code", "--output", "json"]).ended_with(0).json();
    assert_eq!(again["steps"].as_array().unwrap().len(), 2, "{again:#}");
    sandbox.tailwatch(&["install", "--yes", "--set", "logs=install"]).ended_with(0);
    assert_eq!(claim(sandbox), before);
}

fn volumes_grow_with_their_data_and_never_shrink(sandbox: &Sandbox) {
    let before = sandbox.get(&["-n", "monitoring", "pvc/storage-loki-0"]);
    let larger = ["--set", "storage.loki=60Gi", "--set", "storage.prometheus=70Gi", "--set", "storage.grafana=12Gi"];
    let step = planned(sandbox, "loki", &larger);
    assert_eq!(texts(&step["effects"]["growth"]), ["PersistentVolumeClaim storage-loki-0 50Gi -> 60Gi"]);
    let recreated = texts(&step["effects"]["recreated"])[0];
    assert!(recreated.starts_with("StatefulSet loki") && recreated.contains("spec.volumeClaimTemplates"), "{step:#}");
    sandbox.tailwatch(&[&["install", "--yes"], &larger[..]].concat()).ended_with(0);
    let size = |name: &str| {
        let claim = sandbox.get(&["-n", "monitoring", "pvc", name]);
        (claim["status"]["capacity"]["storage"].as_str().unwrap().to_owned(), claim["metadata"]["uid"].clone())
    };
    assert_eq!(size("storage-loki-0"), ("60Gi".into(), before["metadata"]["uid"].clone()));
    let prometheus = "kube-prometheus-stack-prometheus";
    assert_eq!(size(&format!("prometheus-{prometheus}-db-prometheus-{prometheus}-0")).0, "70Gi");
    assert_eq!(size("kube-prometheus-stack-grafana").0, "12Gi");
    nothing_is_planned(sandbox);

    let smaller = sandbox.tailwatch(&["install", "--yes", "--set", "storage.loki=10Gi"]).ended_with(4);
    smaller.tells(&["60Gi", "10Gi"]);
    sandbox.kubectl(&["patch", "storageclass/standard", "-p", r#"{"allowVolumeExpansion":false}"#]);
    let stiff = sandbox.tailwatch(&["install", "--yes", "--set", "storage.loki=90Gi"]).ended_with(4);
    assert!(stiff.talk().contains("StorageClass standard"), "{}", stiff.stderr);
}

/// The operation of another helm, killed or running, is not repaired by tailwatch.
fn an_operation_that_another_owner_began_is_named_and_left_alone(sandbox: &Sandbox) {
    let secret = "sh.helm.release.v1.loki.v1";
    let record = sandbox.get(&["-n", "monitoring", "secret", secret]);
    assert!(record["metadata"]["labels"]["tailwatch-run"].is_string(), "{}", record["metadata"]);
    // What helm writes first in an upgrade: the next revision, pending, with the labels of the last one.
    let mut pending = record.clone();
    let name = "sh.helm.release.v1.loki.v2";
    pending["metadata"] =
        serde_json::json!({"name": name, "namespace": "monitoring", "labels": record["metadata"]["labels"]});
    pending["metadata"]["labels"]["status"] = "pending-upgrade".into();
    pending["metadata"]["labels"]["version"] = "2".into();
    let decoded = release_of(&record);
    let text = decoded.replacen("\"version\":1,", "\"version\":2,", 1).replacen(
        "\"status\":\"deployed\"",
        "\"status\":\"pending-upgrade\"",
        1,
    );
    assert_ne!(text, decoded);
    pending["data"]["release"] = packed(&text).into();
    let file = sandbox.file("pending.json");
    std::fs::write(&file, pending.to_string()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);

    let refused = sandbox.tailwatch(&["install", "--yes"]).ended_with(4);
    refused.tells(&["pending-upgrade", "helm rollback loki -n monitoring"]);
    let listed = sandbox.helm(&["history", "loki", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 2, "left alone: {listed:#}");

    // The same revision with a mark of its own is one of ours that was interrupted.
    sandbox.kubectl(&["-n", "monitoring", "label", "--overwrite", "secret", name, "tailwatch-run=00000001"]);
    sandbox.tailwatch(&["install", "--yes", "--skip-verify"]).ended_with(0);
    assert!(sandbox.releases().contains(&("loki".into(), "loki-6.46.0".into())));
}

/// helm's record: base64 (of the API) of base64 of gzip of JSON.
fn release_of(secret: &Value) -> String {
    let packed = secret["data"]["release"].as_str().unwrap();
    piped(&format!("printf %s '{packed}' | base64 -d | base64 -d | gzip -dc"))
}

fn packed(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    piped(&format!("gzip -c '{}' | base64 -w0 | base64 -w0", file.path().display()))
}

fn piped(script: &str) -> String {
    let output = std::process::Command::new("bash").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
