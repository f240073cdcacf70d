//! No output shows a secret that came below `values:`: neither of a run that was given its source, nor of one that finds
//! it in the cluster alone, nor once the answers name no source of it any more. No secret of any answer is anywhere but in
//! its own Secret.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::diagnosis::oauth2_proxy_crashes;
use crate::kubeconfig_snapshot::script;
use crate::private_repository::serve;

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

/// One for each answer that can hold a secret: its variable, the secret, and the Secrets of the cluster that have it.
struct Canary {
    variable: &'static str,
    secret: String,
    secrets: &'static [&'static str],
    /// helm reads it from a file, in the private folder of the run.
    reaches_helm: bool,
}

fn canaries(sandbox: &Sandbox) -> [Canary; 5] {
    let canary = |variable, secret: &str, secrets, reaches_helm| Canary {
        variable,
        secret: secret.into(),
        secrets,
        reaches_helm,
    };
    [
        canary("SIGN_IN_KEY", sandbox.variable("AUTH0_CLIENT_SECRET"), &["oauth2-proxy-auth0"], false),
        canary("OPERATOR_KEY", "tskey-client-canary", &["operator-oauth"], false),
        canary("ALERTS_KEY", "words-of-a-receiver", &["tailwatch-alerts"], false),
        canary("CHARTS_KEY", "hunter2", &[], true),
        // The chart renders it, and helm records what it rendered.
        canary("HOOK_LINK", "words-of-a-hook", &["hook", "sh.helm.release.v1.oauth2-proxy.v1"], true),
    ]
}

/// Fails if a text has a canary, as it is or in base64.
#[track_caller]
fn has_none<'a>(text: &str, canaries: impl IntoIterator<Item = &'a Canary>, place: &str) {
    for Canary { variable, secret, .. } in canaries {
        let forms = [secret.clone(), STANDARD.encode(secret)];
        let found = text.lines().find(|line| forms.iter().any(|form| line.contains(form.as_str())));
        assert_eq!(found, None, "{place} has the secret of {variable}");
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let each = entries.map(|entry| entry.unwrap().path());
    each.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_secret_of_an_answer_is_only_in_its_own_secret() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    sandbox.helm(&["repo", "index", &sandbox.file("charts").display().to_string()]).ended_with(0);
    let repository = format!("charts.repository={}", serve(sandbox.file("charts"), None));
    let canaries = canaries(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let [temporary, reports, seen] = ["tmp", "reports", "seen"].map(|name| folder.path().join(name));
    std::fs::create_dir(&temporary).unwrap();
    std::fs::create_dir(&reports).unwrap();
    let report = |name: &str| reports.join(name).display().to_string();

    // A helm that records its arguments, its environment, and the files of the run.
    let helm = folder.path().join("helm");
    let (program, seen_file) = (sandbox.variable("TAILWATCH_HELM"), seen.display());
    let find = format!("find '{}' -type f -exec cat {{}} + 2>/dev/null", temporary.display());
    script(
        &helm,
        &format!("{{ echo \"$@\"; env; }} >> '{seen_file}'; {find} >> '{seen_file}-files'; exec '{program}' \"$@\""),
    );

    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    let hook = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"},
        "stringData": {"link": {"env": "HOOK_LINK"}}});
    let values = json!({"oauth2-proxy": {"extraObjects": [hook]}});
    let answers = report("answers.yaml");
    std::fs::write(&answers, format!("{text}\nvalues: {values}\n")).unwrap();
    let set = [
        repository.as_str(),
        "charts.username=ci",
        "charts.password={ env: CHARTS_KEY }",
        "auth0.clientSecret={ env: SIGN_IN_KEY }",
        "alerts.receiver=pagerduty",
        "alerts.secret={ env: ALERTS_KEY }",
        "tailscale.oauth.clientId=k",
        "tailscale.oauth.clientSecret={ env: OPERATOR_KEY }",
    ];
    let settings_of =
        |file| [vec!["--answers", file], set.iter().flat_map(|one| ["--set", *one]).collect::<Vec<_>>()].concat();
    let plain = sandbox.answers();
    let (settings, without_values) = (settings_of(answers.as_str()), settings_of(plain.as_str()));
    let run = |words: &[&str], more: &[&str]| {
        let mut command = sandbox.tailwatch_command(&[words, more].concat());
        command.env_remove("AUTH0_CLIENT_SECRET").env("TAILWATCH_HELM", &helm).env("TMPDIR", &temporary);
        command
            .env_remove("XDG_RUNTIME_DIR")
            .env("TAILWATCH_STATE", &temporary)
            .env("TAILWATCH_LOG_FILE", report("log"));
        command.envs(canaries.iter().map(|canary| (canary.variable, &canary.secret)));
        if !more.contains(&answers.as_str()) {
            // Its answers have no secret below `values:`: the variable is not theirs.
            command.env_remove("HOOK_LINK");
        }
        let said = CommandOutput::of(command.output().unwrap()).ended_with(0);
        has_none(&said.stdout, &canaries, &format!("stdout of {words:?}"));
        has_none(&said.stderr, &canaries, &format!("stderr of {words:?}"));
    };
    let (junit, html, plan, exported) =
        (report("junit.xml"), report("page.html"), report("plan.json"), report("export"));
    // An export with a secret below `values:` is refused: the saved answers have none yet.
    run(&["export", "argocd", "--out", &exported], &without_values);
    run(&["preflight"], &settings);
    run(&["plan", "--diff", "--out", &plan], &settings);
    run(&["install", "--yes", "--output", "json", "--skip-verify", "--junit", &junit, "--html", &html], &settings);
    run(&["answers", "show"], &settings);
    run(&["rbac"], &settings);
    run(&["plan", "--diff"], &settings);
    for words in [&["status"][..], &["status", "--output", "json"]] {
        run(words, &[]);
    }

    let calls = std::fs::read_to_string(&seen).unwrap();
    assert!(calls.lines().any(|line| line.contains("upgrade") && line.contains("loki")), "helm was recorded: {calls}");
    has_none(&calls, &canaries, "an argument or the environment of helm");
    let during = String::from_utf8_lossy(&std::fs::read(format!("{seen_file}-files")).unwrap()).into_owned();
    assert!(during.contains("words-of-a-hook"), "the files of the run were recorded");
    has_none(&during, canaries.iter().filter(|canary| !canary.reaches_helm), "a file of the run");
    for file in [files(&temporary), files(&reports), files(&sandbox.file("home"))].concat() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        has_none(&text, &canaries, &file.display().to_string());
    }
    has_none(&std::fs::read_to_string(sandbox.file("audit.log")).unwrap(), &canaries, "the audit log");
    in_the_cluster(&sandbox, &canaries);
}

/// Objects of every kind, Secrets by name, and what helm recorded.
fn in_the_cluster(sandbox: &Sandbox, canaries: &[Canary]) {
    let kinds = sandbox.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let objects = sandbox.kubectl(&["get", &kinds.join(","), "-A", "-o", "json", "--ignore-not-found"]);
    assert!(objects.contains("tailwatch.dev/charts"), "the namespace is there");
    has_none(&objects, canaries, "an object");
    for secret in sandbox.get(&["secrets", "-A"])["items"].as_array().unwrap() {
        let name = secret["metadata"]["name"].as_str().unwrap();
        let elsewhere = canaries.iter().filter(|canary| !canary.secrets.contains(&name));
        has_none(&secret.to_string(), elsewhere, name);
    }
    for canary in canaries.iter().filter(|canary| !canary.secrets.is_empty()) {
        let own = sandbox.get(&["secrets", "-A", "--field-selector", &format!("metadata.name={}", canary.secrets[0])]);
        assert!(own.to_string().contains(&STANDARD.encode(&canary.secret)), "{} is in its Secret", canary.variable);
    }
    for (release, _) in sandbox.releases() {
        let namespace = if release == "tailscale-operator" { "tailscale" } else { "monitoring" };
        let recorded = sandbox.helm(&["get", "all", &release, "-n", namespace]).ended_with(0).stdout;
        let record = format!("sh.helm.release.v1.{release}.v1");
        has_none(&recorded, canaries.iter().filter(|canary| !canary.secrets.contains(&record.as_str())), &record);
    }
}
