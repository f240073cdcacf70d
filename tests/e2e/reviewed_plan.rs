//! `plan --out FILE`, and `install --plan FILE`: exactly the reviewed plan, or nothing.

use serde_json::Value;
use support::{Sandbox, outcomes};

use crate::TAILWATCH;

#[test]
fn an_install_executes_exactly_the_reviewed_plan_or_refuses_it() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let answers = sandbox.answers();
    let file = sandbox.file("plan.json").display().to_string();
    let plan = |more: &[&str]| {
        let all = [&["plan", "--answers", &answers, "--out", &file, "--output", "json"], more].concat();
        sandbox.tailwatch(&all).ended_with(0).json()
    };
    let install = |more: &[&str]| {
        sandbox.tailwatch(&[&["install", "--answers", &answers, "--plan", &file, "--output", "json"], more].concat())
    };
    let written = || -> Value { serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap() };

    // Access reviews are creates, too, which store nothing.
    let writes = || {
        let by_us = |(agent, _, resource): &(String, String, String)| {
            (agent.starts_with("tailwatch") || agent.starts_with("Helm")) && !resource.ends_with("reviews")
        };
        sandbox.changes().iter().filter(|change| by_us(change)).count()
    };
    assert_eq!(plan(&[])["failed"], serde_json::json!([]));
    assert_eq!(writes(), 0, "a plan writes nothing into the cluster");
    let secret = sandbox.variable("AUTH0_CLIENT_SECRET");
    assert!(!std::fs::read_to_string(&file).unwrap().contains(secret));
    let steps: Vec<Value> =
        written()["steps"].as_array().unwrap().iter().map(|step| step["component"].clone()).collect();
    let events = install(&["--skip-verify"]).ended_with(0).events();
    let started: Vec<Value> =
        events[0]["steps"].as_array().unwrap().iter().map(|step| step["component"].clone()).collect();
    assert_eq!((started, outcomes(&events)), (steps, vec!["installed"; 4]));

    let refused = |more: &[&str], named: &str| {
        let before = writes();
        let run = install(more).ended_with(4).events();
        let last = run.last().unwrap();
        assert_eq!(last["clusterChanged"], false, "{last:#}");
        assert!(last["error"]["message"].as_str().unwrap().contains(named), "{named}: {last:#}");
        assert_eq!(writes(), before, "{named}");
    };
    refused(&[], "not installed");
    let newer = ["--set", "versions.loki=6.55.0"];
    plan(&newer);
    refused(&[], "loki");
    refused(&["--set", "versions.loki=6.55.0", "--set", "retention.logs=14d"], "loki");
    sandbox.kubectl(&["-n", "monitoring", "scale", "deployment", "oauth2-proxy", "--replicas", "0"]);
    refused(&newer, "oauth2-proxy");
    plan(&newer);
    let rule = r#"[{"op":"add","path":"/spec/rules","value":[{"host":"grafana.example.com"}]}]"#;
    sandbox.kubectl(&["-n", "monitoring", "patch", "ingress", "grafana", "--type", "json", "-p", rule]);
    refused(&newer, "oauth2-proxy");
    plan(&newer);
    // The same objects, changed once more.
    sandbox.kubectl(&["-n", "monitoring", "scale", "deployment", "oauth2-proxy", "--replicas", "3"]);
    refused(&newer, "Deployment oauth2-proxy changed");
    plan(&newer);
    let upgraded = install(&newer).ended_with(0).events();
    assert_eq!(outcomes(&upgraded), ["unchanged", "repaired", "upgraded", "unchanged"]);
}
