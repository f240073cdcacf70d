//! The data of the real Loki: a new pod has them, the compactor deletes them after the retention period, and requests
//! through Grafana neither add nor delete any.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Sandbox, eventually, verdicts};

use crate::TAILWATCH;

/// Loki keeps logs for at least 24 h.
const SHORTEST: &str = "
retention: { logs: 24h }
values:
  loki:
    loki: { compactor: { compaction_interval: 1s, retention_delete_delay: 1s } }
";

/// Status and body of a request to the process behind a pod, e.g. `Loki`.
fn request(sandbox: &Sandbox, (process, path): (&str, &str), body: Option<&Value>) -> (u16, String) {
    let settings: Value = serde_json::from_slice(&std::fs::read(sandbox.file("settings.json")).unwrap()).unwrap();
    let mut command: Command = sandbox.command("curl".as_ref());
    command.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}"]);
    if let Some(body) = body {
        command.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
    }
    let output = command.arg(format!("http://127.0.0.1:{}{path}", settings["Ports"][process])).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (text, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), text.to_owned())
}

const LOKI: &str = "Loki";
const PUSH: &str = "/loki/api/v1/push";

/// A line with the label `age`, some hours old.
fn line(age: &str, hours: i64) -> Value {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    json!({"streams": [{"stream": {"age": age}, "values": [[at.as_nanosecond().to_string(), "a line"]]}]})
}

fn has_line(sandbox: &Sandbox, age: &str) -> bool {
    let path = format!("/loki/api/v1/query_range?query=%7Bage%3D%22{age}%22%7D&since=40h");
    request(sandbox, (LOKI, &path), None).1.contains("a line")
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// The folder of Loki's volume.
fn data(sandbox: &Sandbox) -> std::path::PathBuf {
    let claim = sandbox.get(&["-n", "monitoring", "pvc", "storage-loki-0"]);
    sandbox.file("volumes").join(claim["spec"]["volumeName"].as_str().unwrap())
}

fn replace_pod(sandbox: &Sandbox) {
    sandbox.kubectl(&["-n", "monitoring", "delete", "pod", "loki-0"]);
    eventually("the new Loki answers", || request(sandbox, (LOKI, "/ready"), None).0 == 200);
}

#[test]
fn the_compactor_deletes_old_logs_and_users_of_grafana_cannot() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let answers = sandbox.answers();
    let text = std::fs::read_to_string(&answers).unwrap() + SHORTEST;
    std::fs::write(&answers, text).unwrap();
    sandbox.install(&["--skip-verify"]).ended_with(0);
    eventually("Loki answers", || request(&sandbox, (LOKI, "/ready"), None).0 == 200);
    for (age, hours) in [("old", 30), ("new", 0)] {
        assert_eq!(request(&sandbox, (LOKI, PUSH), Some(&line(age, hours))).0, 204);
    }
    assert_eq!(request(&sandbox, (LOKI, "/flush"), Some(&Value::Null)).0, 204);
    let delete = "/loki/api/v1/delete?query=%7Bage%3D%22new%22%7D&start=1700000000";
    for path in [PUSH, delete, "/ingester/shutdown"] {
        let path = format!("/api/datasources/proxy/uid/loki{path}");
        assert_eq!(request(&sandbox, ("Grafana", &path), Some(&line("forged", 0))).0, 403, "{path}");
    }
    assert_eq!(request(&sandbox, (LOKI, delete), Some(&Value::Null)).0, 403);

    // Loki stores the index of these lines when it ends, and reads the list of chunks to delete when it starts.
    replace_pod(&sandbox);
    let chunks = data(&sandbox).join("chunks/fake");
    let mut most = files(&chunks);
    eventually("a new pod has the lines", || has_line(&sandbox, "new") && has_line(&sandbox, "old"));
    eventually("the compactor marks chunks", || {
        most = most.max(files(&chunks));
        files(&data(&sandbox).join("compactor/retention")) > 0
    });
    replace_pod(&sandbox);
    eventually("a chunk is deleted", || files(&chunks) < most);
    eventually("the old line is not found", || !has_line(&sandbox, "old"));
    assert!(has_line(&sandbox, "new") && !has_line(&sandbox, "forged"));
    let verified = sandbox.tailwatch(&["verify", "--answers", &answers, "--output", "json"]).ended_with(0).json();
    let found = verdicts(&verified["checks"]);
    for check in ["loki-retention", "grafana-loki-read-only", "logs-in-grafana"] {
        assert_eq!(found.get(check).map(String::as_str), Some("pass"), "{check}: {verified:#}");
    }
}
