//! No output shows a secret that came below `values:`: neither of a run that was given its source, nor of one that finds
//! it in the cluster alone, nor once the answers name no source of it any more.

use std::process::Command;

use serde_json::json;
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::diagnosis::oauth2_proxy_crashes;

const SECRET: &str = "words-of-a-secret";

/// Objects in which the chart renders the value: as it is, in a text, and in base64.
fn answers(sandbox: &Sandbox, link: &str) -> String {
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hook"}, "data": {"link": "LINK"}});
    let objects = json!({"oauth2-proxy": {"extraObjects": [map]}}).to_string().replace("\"LINK\"", link);
    let file = sandbox.file(&format!("answers-{}.yaml", link.len()));
    std::fs::write(&file, format!("{text}\nvalues: {objects}\n")).unwrap();
    file.display().to_string()
}

fn run(sandbox: &Sandbox, arguments: &[&str], variable: Option<&str>) -> CommandOutput {
    let mut command: Command = sandbox.tailwatch_command(arguments);
    command.envs(variable.map(|value| ("HOOK_LINK", value)));
    CommandOutput::of(command.output().unwrap())
}

#[test]
fn a_secret_below_values_is_in_no_output() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let reference = answers(&sandbox, "{\"env\": \"HOOK_LINK\"}");
    run(&sandbox, &["install", "--answers", &reference, "--yes", "--skip-verify"], Some(SECRET)).ended_with(0);
    let data = sandbox.kubectl(&["-n", "monitoring", "get", "configmap", "hook", "-o", "jsonpath={.data.link}"]);
    assert_eq!(data, SECRET);

    // Another secret, none, and a literal in its place: neither the old nor the new value is shown.
    let diff = ["plan", "--diff", "--answers"];
    for output in ["human", "json"] {
        let reported = run(&sandbox, &[&diff[..], &[&reference, "--output", output]].concat(), Some("another-of-them"));
        hides(&reported.ended_with(0), &["another-of-them"]);
        let literal = answers(&sandbox, "\"plain-text-now\"");
        let reported = run(&sandbox, &[&diff[..], &[&literal, "--output", output]].concat(), None).ended_with(0);
        assert!(reported.stdout.contains("ConfigMap hook"), "{}", reported.stdout);
        assert!(reported.stdout.contains("(hidden, another)"), "{}", reported.stdout);
        hides(&reported, &["plain-text-now"]);
        let reported =
            run(&sandbox, &[&diff[..], &[&sandbox.answers(), "--output", output]].concat(), None).ended_with(0);
        assert!(reported.stdout.contains("ConfigMap hook"), "{}", reported.stdout);
        hides(&reported, &[]);
    }

    oauth2_proxy_crashes(&sandbox, &format!("cannot reach {SECRET}"));
    // Without the variable the secret is in the values of the installed release alone.
    for variable in [None, Some(SECRET)] {
        for output in ["json", "human"] {
            support::eventually("the log is quoted", || {
                let reported = run(&sandbox, &["diagnose", "--output", output], variable);
                hides(&reported, &[]);
                reported.stdout.contains("cannot reach ***")
            });
        }
    }
    let (log, junit, html) = (sandbox.file("run.log"), sandbox.file("run.xml"), sandbox.file("run.html"));
    let [log, junit, html] = [&log, &junit, &html].map(|path| path.to_str().unwrap());
    let files = ["--log-file", log, "--junit", junit, "--html", html, "--timeout", "20s"];
    let repaired = [&["install", "--answers", &reference, "--yes"][..], &files].concat();
    let reported = run(&sandbox, &repaired, Some(SECRET));
    assert_ne!(reported.code, Some(0), "{}", reported.stderr);
    hides(&reported, &[]);
    for file in [log, junit, html] {
        assert!(!std::fs::read_to_string(file).unwrap().contains(SECRET), "{file}");
    }
    hides(&run(&sandbox, &["status"], None), &[]);
}

#[track_caller]
fn hides(reported: &CommandOutput, more: &[&str]) {
    for secret in more.iter().chain([&SECRET]) {
        for text in [&reported.stdout, &reported.stderr] {
            assert!(!text.contains(secret), "{secret} is shown:\n{text}");
        }
    }
}
