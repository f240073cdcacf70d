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
pub fn request(sandbox: &Sandbox, address: (&str, &str), body: Option<&Value>) -> (u16, String) {
    let body = body.map(Value::to_string);
    let with_body = body.as_ref().map(|body| ["--header", "Content-Type: application/json", "--data", body]);
    curl(sandbox, address, with_body.iter().flatten().copied())
}

/// The same with arguments of curl.
pub fn curl<'a>(
    sandbox: &Sandbox,
    (process, path): (&str, &str),
    arguments: impl IntoIterator<Item = &'a str>,
) -> (u16, String) {
    let settings: Value = serde_json::from_slice(&std::fs::read(sandbox.file("settings.json")).unwrap()).unwrap();
    let mut command: Command = sandbox.command("curl".as_ref());
    command.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}"]).args(arguments);
    let output = command.arg(format!("http://127.0.0.1:{}{path}", settings["Ports"][process])).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (text, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), text.to_owned())
}

const PUSH: &str = "/loki/api/v1/push";

/// A line with the label `age`, some hours old.
fn line(age: &str, hours: i64) -> Value {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    json!({"streams": [{"stream": {"age": age}, "values": [[at.as_nanosecond().to_string(), "a line"]]}]})
}

/// The Loki of a sandbox.
pub struct Loki<'a>(pub &'a Sandbox);

impl Loki<'_> {
    fn ask(&self, path: &str, body: Option<&Value>) -> (u16, String) {
        request(self.0, ("Loki", path), body)
    }

    pub fn await_ready(&self) {
        eventually("Loki answers", || self.ask("/ready", None).0 == 200);
    }

    pub fn version(&self) -> String {
        let said: Value = serde_json::from_str(&self.ask("/loki/api/v1/status/buildinfo", None).1).unwrap();
        said["version"].as_str().unwrap().to_owned()
    }

    pub fn push_line(&self, age: &str, hours: i64) {
        assert_eq!(self.push_status(age, hours), 204);
    }

    pub fn push_status(&self, age: &str, hours: i64) -> u16 {
        self.ask(PUSH, Some(&line(age, hours))).0
    }

    pub fn flush(&self) {
        assert_eq!(self.ask("/flush", Some(&Value::Null)).0, 204);
    }

    pub fn has_line(&self, age: &str) -> bool {
        let path = format!("/loki/api/v1/query_range?query=%7Bage%3D%22{age}%22%7D&since=40h");
        self.ask(&path, None).1.contains("a line")
    }
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
    Loki(sandbox).await_ready();
}

#[test]
fn the_compactor_deletes_old_logs_and_users_of_grafana_cannot() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let answers = sandbox.answers();
    let text = std::fs::read_to_string(&answers).unwrap() + SHORTEST;
    std::fs::write(&answers, text).unwrap();
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let loki = Loki(&sandbox);
    loki.await_ready();
    loki.push_line("old", 30);
    loki.push_line("new", 0);
    loki.flush();
    let delete = "/loki/api/v1/delete?query=%7Bage%3D%22new%22%7D&start=1700000000";
    for path in [PUSH, delete, "/ingester/shutdown"] {
        let path = format!("/api/datasources/proxy/uid/loki{path}");
        assert_eq!(request(&sandbox, ("Grafana", &path), Some(&line("forged", 0))).0, 403, "{path}");
    }
    assert_eq!(loki.ask(delete, Some(&Value::Null)).0, 403);

    // Loki stores the index of these lines when it ends, and reads the list of chunks to delete when it starts.
    replace_pod(&sandbox);
    let chunks = data(&sandbox).join("chunks/fake");
    let mut most = files(&chunks);
    eventually("a new pod has the lines", || loki.has_line("new") && loki.has_line("old"));
    eventually("the compactor marks chunks", || {
        most = most.max(files(&chunks));
        files(&data(&sandbox).join("compactor/retention")) > 0
    });
    replace_pod(&sandbox);
    eventually("a chunk is deleted", || files(&chunks) < most);
    eventually("the old line is not found", || !loki.has_line("old"));
    assert!(loki.has_line("new") && !loki.has_line("forged"));
    let verified = sandbox.tailwatch(&["verify", "--answers", &answers, "--output", "json"]).ended_with(0).json();
    let found = verdicts(&verified["checks"]);
    for check in ["loki-retention", "grafana-loki-read-only", "logs-in-grafana"] {
        assert_eq!(found.get(check).map(String::as_str), Some("pass"), "{check}: {verified:#}");
    }
}
