//! The stand-in charts: they render under both helms, and refuse what they do not model.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{CommandOutput, Sandbox, outcomes};

use crate::TAILWATCH;
use crate::private_repository::serve;

fn render(helm: &Path, chart: &Path, more: &[&str]) -> Result<String, String> {
    let output = Command::new(helm)
        .args(["template", "x"])
        .arg(chart)
        .args(["-n", "monitoring", "--kube-version", "1.36.1"])
        .args(more)
        .output()
        .expect("helm runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_chart_is_in_two_versions_and_refuses_what_it_does_not_know() {
    let (four, three) = (
        Sandbox::up(TAILWATCH, &["--helm", "4", "--nodes", "1"]),
        Sandbox::up(TAILWATCH, &["--helm", "3", "--nodes", "1"]),
    );
    let helms: Vec<PathBuf> = [&four, &three].map(|sandbox| sandbox.file("bin/helm")).into();
    let folder = four.file("charts");
    let mut archives: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    archives.sort();
    for name in ["kube-prometheus-stack", "oauth2-proxy", "loki", "alloy", "tailscale-operator"] {
        let versions: Vec<&String> = archives
            .iter()
            .filter(|file| {
                file.strip_prefix(name).is_some_and(|rest| rest[1..].starts_with(|c: char| c.is_ascii_digit()))
            })
            .collect();
        assert!(versions.len() >= 2, "{name}: {versions:?}");
        for (helm, file) in helms.iter().flat_map(|helm| versions.iter().map(move |file| (helm, file))) {
            let chart = folder.join(file);
            let refused = render(helm, &chart, &["--set", "noSuchKey=1"]).expect_err(file);
            assert!(refused.contains("noSuchKey"), "{file}: {refused}");
        }
    }
    // The same source gives the same archive, so that a digest stays locked across sandboxes.
    for file in &archives {
        let bytes = |sandbox: &Sandbox| std::fs::read(sandbox.file("charts").join(file)).unwrap();
        assert!(bytes(&four) == bytes(&three), "{file} differs between two sandboxes");
    }
    the_stand_in_of_loki_fails_where_loki_fails(&four);
}

/// Loki's own traps, which the values have to avoid.
fn the_stand_in_of_loki_fails_where_loki_fails(sandbox: &Sandbox) {
    let (helm, chart) = (sandbox.file("bin/helm"), sandbox.file("charts/loki-6.46.0.tgz"));
    assert!(render(&helm, &chart, &[]).is_err(), "without a schema the real chart refuses to render");
    let values = sandbox.file("loki-values.yaml");
    std::fs::write(
        &values,
        "deploymentMode: SingleBinary\nloki:\n  storage: { type: filesystem }\n  schemaConfig:\n    configs: [{ from: '2025-01-01', \
         store: tsdb, object_store: filesystem, schema: v13, index: { prefix: i_, period: 24h } }]\nsingleBinary: { replicas: 1 }\n",
    )
    .unwrap();
    let values = values.display().to_string();
    let refused =
        render(&helm, &chart, &["-f", &values]).expect_err("read, write and backend replicas are 3 by default");
    assert!(refused.contains("replicas"), "{refused}");
    let off = [
        "-f",
        &values,
        "--set",
        "read.replicas=0,write.replicas=0,backend.replicas=0,lokiCanary.enabled=false,test.enabled=false",
    ];
    let whole = render(&helm, &chart, &off).expect("it renders");
    assert!(
        whole.contains("auth_enabled: true")
            && whole.contains("loki-chunks-cache")
            && whole.contains("whenDeleted: Delete"),
        "{whole}"
    );
}

/// A machine of its own with this chart repository: an empty home, cache and state.
fn on_another_machine(sandbox: &Sandbox, (machine, charts): (&str, &str), arguments: &[&str]) -> CommandOutput {
    let mut command = sandbox.tailwatch_command(arguments);
    command.env("TAILWATCH_CHART_REPOSITORY", charts).env("HOME", sandbox.file(machine));
    command.env("TAILWATCH_CACHE", sandbox.file(&format!("{machine}/cache")));
    command.env("TAILWATCH_STATE", sandbox.file(&format!("{machine}/state")));
    std::fs::create_dir_all(sandbox.file(machine)).unwrap();
    CommandOutput::of(command.output().unwrap())
}

/// Ends with exit code 4 and these words before anything is changed.
fn refused(run: CommandOutput, words: &[&str]) {
    let last = run.ended_with(4).run_finished();
    assert_eq!(last["clusterChanged"], false, "{last:#}");
    let error = last["error"].to_string();
    assert!(words.iter().all(|words| error.contains(words)), "{words:?}: {error}");
}

/// Repository and sha256 of Loki's archive, as `status` shows them.
fn loki(sandbox: &Sandbox) -> Value {
    let status = sandbox.tailwatch(&["status", "--output", "json"]).ended_with(0).json();
    let releases = status["releases"].as_array().unwrap();
    releases.iter().find(|release| release["component"] == "loki").unwrap()["chartArchive"].clone()
}

#[test]
fn an_archive_that_differs_from_the_applied_one_is_refused_on_every_machine() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let charts = sandbox.file("charts");
    let archive = charts.join("loki-6.46.0.tgz");
    let original = std::fs::read(&archive).unwrap();
    let mut flipped = original.clone();
    // The time in the header of gzip: helm unpacks the same chart.
    flipped[4] ^= 1;
    let (answers, folder) = (sandbox.answers(), charts.display().to_string());
    let install = |machine: &str, more: &[&str]| {
        let all = ["install", "--answers", &answers, "--yes", "--skip-verify", "--output", "json"];
        on_another_machine(&sandbox, (machine, &folder), &[&all[..], more].concat())
    };
    let recorded = |bytes: &[u8]| {
        let sha256 = format!("{:x}", Sha256::digest(bytes));
        serde_json::json!({"repository": folder, "sha256": sha256})
    };
    install("laptop", &[]).ended_with(0);
    assert_eq!(loki(&sandbox), recorded(&original));

    std::fs::write(&archive, &flipped).unwrap();
    let other_values = ["--set", "retention.logs=14d"];
    let words = ["loki 6.46.0", "tailwatch.dev/charts", "kubectl annotate namespace monitoring"];
    refused(install("ci", &other_values), &words);
    assert_eq!(loki(&sandbox), recorded(&original));

    std::fs::write(&archive, &original).unwrap();
    let accepted = install("ci", &other_values).ended_with(0).events();
    assert!(outcomes(&accepted).contains(&"upgraded"), "{accepted:?}");

    // The command of the hint.
    std::fs::write(&archive, &flipped).unwrap();
    sandbox.kubectl(&["annotate", "namespace", "monitoring", "tailwatch.dev/charts-"]);
    install("third", &["--set", "retention.logs=9d"]).ended_with(0);
    assert_eq!(loki(&sandbox), recorded(&flipped));
    // Another version is another archive.
    install("fourth", &["--set", "versions.loki=6.55.0"]).ended_with(0);
}

#[test]
fn a_lock_beside_the_answers_names_the_archives() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let (answers, lock) = (sandbox.answers(), sandbox.file("charts.lock"));
    let mut command = sandbox.tailwatch_command(&["answers", "lock", &answers]);
    command.env("KUBECONFIG", "/nowhere").env_remove("AUTH0_CLIENT_SECRET");
    CommandOutput::of(command.output().unwrap()).ended_with(0);
    let written = std::fs::read_to_string(&lock).unwrap();
    let charts: Vec<Value> = serde_json::from_str(&written).unwrap();
    assert_eq!(charts.len(), 5, "{written}");
    let install =
        || sandbox.tailwatch(&["install", "--answers", &answers, "--yes", "--skip-verify", "--output", "json"]);
    let is_loki = |chart: &Value| chart["chart"] == "loki";
    let write = |charts: &[Value]| std::fs::write(&lock, Value::from(charts.to_vec()).to_string()).unwrap();

    let mut other = charts.clone();
    other.iter_mut().filter(|chart| is_loki(chart)).for_each(|loki| loki["sha256"] = "0".repeat(64).into());
    write(&other);
    refused(install(), &["loki 6.46.0", "charts.lock"]);
    other.retain(|chart| !is_loki(chart));
    write(&other);
    refused(install(), &["loki 6.46.0", "charts.lock", "tailwatch answers lock"]);
    std::fs::write(&lock, "[1]").unwrap();
    sandbox.tailwatch(&["plan", "--answers", &answers]).ended_with(3).tells(&["charts.lock:1:", "answers lock"]);
    assert_eq!(sandbox.releases(), []);

    std::fs::write(&lock, &written).unwrap();
    install().ended_with(0);
    // What is installed is not fetched: neither the plan nor the checks need the lock.
    other.clear();
    write(&other);
    sandbox.tailwatch(&["plan", "--exit-code", "--answers", &answers]).ended_with(0);
}

#[test]
fn a_repository_that_serves_another_chart_than_its_index_says_is_refused() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let charts = sandbox.file("charts");
    let read = |file: &str| std::fs::read(charts.join(file)).unwrap();
    let write = |file: &str, bytes: &[u8]| std::fs::write(charts.join(file), bytes).unwrap();
    sandbox.helm(&["repo", "index", &charts.display().to_string()]).ended_with(0);
    let address = serve(charts.clone(), None);
    let answers = sandbox.answers();
    let secret = sandbox.file("charts-password");
    std::fs::write(&secret, "hunter2").unwrap();
    let secret = format!("charts.password={{ file: {} }}", secret.display());
    let login = ["--set", "charts.username=ci", "--set", &secret];
    let run = |machine: &str, command: &[&str]| {
        let all = [command, &["--answers", &answers, "--output", "json"], &login].concat();
        on_another_machine(&sandbox, (machine, &address), &all)
    };
    let install = |machine: &str| run(machine, &["install", "--yes", "--skip-verify"]);

    let (index, original) = (read("index.yaml"), read("loki-6.46.0.tgz"));
    write("loki-6.46.0.tgz", &read("alloy-1.4.0.tgz"));
    refused(install("other-chart"), &["chart alloy 1.4.0 as chart loki 6.46.0"]);
    write("loki-6.46.0.tgz", &read("loki-6.55.0.tgz"));
    refused(install("other-version"), &["chart loki 6.55.0 as chart loki 6.46.0"]);
    write("loki-6.46.0.tgz", &original);
    let swapped = String::from_utf8(index.clone()).unwrap().replace("- loki-6.46.0.tgz", "- loki-6.55.0.tgz");
    assert_ne!(swapped.as_bytes(), index);
    write("index.yaml", swapped.as_bytes());
    refused(install("other-address"), &["helm did not fetch loki-6.46.0.tgz"]);
    write("index.yaml", &index);

    // A mirror has the archives of the publishers, which these are not.
    let mut mirror = sandbox.tailwatch_command(&["install", "--yes", "--answers", &answers, "--output", "json"]);
    mirror.env_remove("TAILWATCH_CHARTS_REPACKED");
    refused(CommandOutput::of(mirror.output().unwrap()), &["that of its publisher", "charts.repacked: true"]);

    // Between a reviewed plan and its installation.
    let file = sandbox.file("plan.json").display().to_string();
    run("laptop", &["plan", "--out", &file]).ended_with(0);
    let mut flipped = original.clone();
    flipped[4] ^= 1;
    write("loki-6.46.0.tgz", &flipped);
    refused(run("ci", &["install", "--plan", &file]), &["the chart archive of loki differs"]);
    refused(run("laptop", &["install", "--plan", &file]), &["digests.json"]);
}
