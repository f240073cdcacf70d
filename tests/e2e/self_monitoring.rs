//! Alert rules and dashboards for the stack itself: promtool tests the rules, Prometheus evaluates them, and every query
//! of a rule or a dashboard finds series.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use support::{Sandbox, eventually, repository, verdicts};

use crate::TAILWATCH;
use crate::loki_data::{Loki, curl, request};

const RULE: [&str; 4] = ["-n", "monitoring", "prometheusrule", "kube-prometheus-stack-tailwatch"];
/// The sandbox's kubelets have no volumes to measure.
const NOT_IN_THE_SANDBOX: &str = "kubelet_volume_stats_";

/// The answer of Prometheus or Loki to a query.
fn result(sandbox: &Sandbox, address: (&str, &str), query: &str) -> Vec<Value> {
    let (_, text) = curl(sandbox, address, ["--get", "--data-urlencode", &format!("query={query}")]);
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// The metrics of a query with the namespace, Service and DaemonSet of their selectors.
fn selected(query: &str) -> BTreeSet<String> {
    const START: &str = "{namespace=\"";
    let starts = query.match_indices(START);
    let found = starts.map(|(at, _)| {
        let before = query[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |end| end + 1);
        let end = at + query[at..].find('}').unwrap();
        let labels = query[at + 1..end].split(", ").filter(|label| !label.starts_with("code"));
        format!("{}{{{}}}", &query[before..at], labels.collect::<Vec<_>>().join(", "))
    });
    found.collect()
}

fn dashboards(sandbox: &Sandbox) -> Vec<Value> {
    let map = sandbox.get(&["-n", "monitoring", "configmap", "tailwatch-dashboards"]);
    let files = map["data"].as_object().into_iter().flatten();
    files.map(|(_, text)| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect()
}

/// The queries of the panels of one kind of data source.
fn queries(dashboards: &[Value], source: &str) -> Vec<String> {
    let panels = dashboards.iter().flat_map(|dashboard| dashboard["panels"].as_array().unwrap());
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let of_source = targets.filter(|target| target["datasource"]["type"] == source);
    of_source.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn promtool(sandbox: &Sandbox, folder: &Path, arguments: &[&str]) {
    let output = sandbox.command("promtool".as_ref()).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
}

/// The titles that Grafana finds.
fn titles(sandbox: &Sandbox) -> BTreeSet<String> {
    let found: Value = serde_json::from_str(&request(sandbox, ("Grafana", "/api/search"), None).1).unwrap_or_default();
    let entries = found.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["title"].as_str().map(str::to_owned)).collect()
}

#[test]
fn rules_fire_and_end_and_every_query_finds_series() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let installed = sandbox.install(&["--output", "json"]).ended_with(0).run_finished();
    let checks = verdicts(&installed["checks"]);
    assert_eq!(checks.get("grafana-dashboards").map(String::as_str), Some("pass"), "{installed:#}");

    let groups = sandbox.get(&RULE)["spec"]["groups"].clone();
    let rules: Vec<Value> =
        groups.as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap().clone()).collect();
    the_rules_pass_their_tests(&sandbox, &groups, &rules);

    let found = dashboards(&sandbox);
    assert_eq!(found.len(), 3);
    let own: BTreeSet<String> = found.iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect();
    eventually("Grafana has the dashboards", || titles(&sandbox).is_superset(&own));
    // Then Loki has a series of discarded lines.
    assert_eq!(Loki(&sandbox).push_status("too-old", 24 * 30), 400);
    let in_rules = rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let metrics: BTreeSet<String> =
        in_rules.chain(queries(&found, "prometheus")).flat_map(|query| selected(&query)).collect();
    assert!(metrics.len() > 12, "{metrics:?}");
    for metric in metrics.iter().filter(|metric| !metric.starts_with(NOT_IN_THE_SANDBOX)) {
        eventually(metric, || !result(&sandbox, ("Prometheus", "/api/v1/query"), metric).is_empty());
    }
    for query in queries(&found, "loki").iter().filter(|query| !query.contains("(?i)error")) {
        let query = query.replace("$namespace", ".+").replace("$text", "").replace("$__auto", "5m");
        eventually(&query, || !result(&sandbox, ("Loki", "/loki/api/v1/query_range"), &query).is_empty());
    }
    the_rules_are_healthy(&sandbox, &rules);

    sandbox.install(&["--set", "selfMonitoring=false", "--skip-verify"]).ended_with(0);
    assert_eq!(sandbox.kubectl(&[&["get", "--ignore-not-found"], &RULE[..]].concat()), "");
    assert!(dashboards(&sandbox).is_empty());
    eventually("Grafana has none of the dashboards", || titles(&sandbox).is_disjoint(&own));
    sandbox.tailwatch(&["plan", "--exit-code"]).ended_with(0);
}

fn the_rules_pass_their_tests(sandbox: &Sandbox, groups: &Value, rules: &[Value]) {
    let folder = tempfile::tempdir().unwrap();
    let document = serde_json::json!({"groups": groups}).to_string();
    std::fs::write(folder.path().join("rules.yaml"), document).unwrap();
    let tests = std::fs::read_to_string(repository().join("tests/fixtures/alerts/self-monitoring.yaml")).unwrap();
    std::fs::write(folder.path().join("tests.yaml"), &tests).unwrap();
    promtool(sandbox, folder.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]);
    promtool(sandbox, folder.path(), &["test", "rules", "tests.yaml"]);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let fires = format!("    alertname: {name}\n    exp_alerts:\n    - exp_labels");
        let is_quiet = format!("alertname: {name}, exp_alerts: []");
        assert!(tests.contains(&fires) && tests.matches(&is_quiet).count() >= 2, "no test of {name}");
    }
}

/// In the Prometheus of the sandbox, after their first evaluation.
fn the_rules_are_healthy(sandbox: &Sandbox, rules: &[Value]) {
    let mut health = Vec::new();
    eventually("every rule is evaluated without an error", || {
        let answer: Value = serde_json::from_str(&request(sandbox, ("Prometheus", "/api/v1/rules"), None).1).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        let own = groups.filter(|group| group["name"].as_str().unwrap().starts_with("tailwatch-"));
        let evaluated = own.flat_map(|group| group["rules"].as_array().unwrap());
        health = evaluated.map(|rule| (rule["name"].clone(), rule["health"].clone(), rule["state"].clone())).collect();
        health.len() == rules.len() && health.iter().all(|(_, health, _)| health == "ok")
    });
    assert!(health.iter().all(|(.., state)| state != "firing"), "{health:?}");
}
