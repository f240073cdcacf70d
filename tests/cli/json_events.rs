//! `--output json` of a run ends with exactly one `run-finished`, however the command ends, and a stdout that cannot be
//! written never changes the exit code.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Signal, signal};

use crate::api_server::{Server, healthy};
use crate::host::{Host, PROGRAM, fixture};

/// The events on stdout; there are a first and a last one and nothing else.
#[track_caller]
fn first_and_last(stdout: &str, command: &str) -> [Value; 2] {
    let events: Vec<Value> = stdout.lines().map(support::event).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run-started", "run-finished"], "{stdout}");
    assert_eq!(events[0]["command"], command, "{stdout}");
    events.try_into().unwrap()
}

fn least() -> String {
    fixture("answers/v1/least.yaml").display().to_string()
}

#[test]
fn every_exit_before_a_plan_is_executed_ends_with_its_run_finished() {
    let machine = Host::new();
    let (least, broken) = (least(), machine.file("broken.yaml", "version: 1\ntailnett: x\n").display().to_string());
    let kubeconfig = machine.path(".kube/config").display().to_string();
    let rows: [(&[&str], i32, &str, &str); 9] = [
        (&["install", "--nonsense"], 2, "refused", "--nonsense"),
        (&["install", "--timeout", "soon", "--yes"], 2, "refused", "--timeout soon"),
        (&["install", "--answers", &least], 2, "refused", "--yes"),
        (&["uninstall", "--lock-timeout"], 2, "refused", "--lock-timeout"),
        (&["uninstall"], 2, "refused", "--yes"),
        (&["upgrade", "--to", "lokki=1.0.0", "--yes"], 2, "refused", "lokki"),
        (&["install", "--yes", "--answers", &broken], 3, "refused", "tailnett"),
        (&["install", "--yes", "--answers", &least], 4, "preflight-failed", &kubeconfig),
        (&["uninstall", "--yes"], 4, "preflight-failed", &kubeconfig),
    ];
    for (arguments, code, outcome, message) in rows {
        let said = machine.run(&[arguments, &["--output", "json"]].concat()).ended_with(code);
        let [started, finished] = first_and_last(&said.stdout, arguments[0]);
        assert_eq!(started["steps"], Value::Array(Vec::new()), "{arguments:?}");
        assert_eq!(
            (&finished["outcome"], &finished["clusterChanged"]),
            (&outcome.into(), &false.into()),
            "{arguments:?}"
        );
        let error = &finished["error"];
        assert_eq!(error["exitCode"], code, "{arguments:?}: {error}");
        assert!(error.to_string().contains(message), "{arguments:?}: {error}");
        assert!(error["hint"].is_string(), "{arguments:?}: {error}");
        assert!(!said.stderr.is_empty(), "{arguments:?}: the same is reported on stderr");
    }
    // Without it, stdout stays empty.
    for arguments in [&["install", "--nonsense"][..], &["install", "--yes", "--answers", &least]] {
        assert_eq!(machine.run(arguments).stdout, "");
    }
}

/// What is asked for in the environment counts as a flag does.
/// On Linux getrusage(2) of a child includes what its parent had before execve(2).
#[test]
fn the_peak_memory_is_that_of_the_command_alone() {
    let large = std::hint::black_box(vec![1_u8; 256 << 20]);
    let said = Host::new().run(&["uninstall", "--output", "json"]).ended_with(2);
    let [_, finished] = first_and_last(&said.stdout, "uninstall");
    let peak = finished["peakRssKiB"].as_u64().unwrap();
    assert!(peak > 0 && peak < 200 << 10, "{peak} KiB, {} bytes in the parent", large.len());
}

#[test]
fn the_environment_asks_for_events_too() {
    let machine = Host::new().with("TAILWATCH_OUTPUT", "json");
    let said = machine.run(&["install", "--nonsense"]).ended_with(2);
    first_and_last(&said.stdout, "install");
}

#[test]
fn failed_checks_are_in_the_last_event() {
    let server = Server::start(|path| match path.split('?').next().unwrap_or_default() {
        "/apis/storage.k8s.io/v1/storageclasses" => (200, list("storage.k8s.io/v1", "StorageClassList")),
        "/apis/networking.k8s.io/v1/ingressclasses" => (200, list("networking.k8s.io/v1", "IngressClassList")),
        _ => healthy(path),
    });
    let machine = Host::new();
    machine.kubeconfig(server.address());
    machine.program("helm", "echo v3.19.4");
    let said = machine.run(&["install", "--yes", "--answers", &least(), "--output", "json"]).ended_with(4);
    let (verdicts, others): (Vec<&str>, Vec<&str>) =
        said.stdout.lines().partition(|line| line.contains("\"check-finished\""));
    let [started, finished] = first_and_last(&others.join("\n"), "install");
    assert!(said.stdout.starts_with(others[0]) && said.stdout.trim_end().ends_with(others[1]), "{}", said.stdout);
    assert_eq!((&started["context"], &started["namespace"]), (&"offline".into(), &"monitoring".into()));
    assert_eq!((&finished["outcome"], &finished["error"]["exitCode"]), (&"preflight-failed".into(), &4.into()));
    assert_eq!(finished["clusterChanged"], false);
    let checks = finished["checks"].as_array().unwrap();
    let failed: Vec<&str> =
        checks.iter().filter(|check| check["verdict"] == "fail").map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(failed, ["storage-class", "ingress-class"], "{finished:#}");
    assert!(checks.len() > failed.len(), "what passed is there too: {finished:#}");
    let verdicts = verdicts.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
    assert_eq!(verdicts.collect::<Vec<_>>(), checks.iter().map(|check| check["id"].clone()).collect::<Vec<_>>());
}

fn list(api_version: &str, kind: &str) -> String {
    serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": {}, "items": []}).to_string()
}

#[test]
fn a_signal_before_the_plan_is_the_last_event() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let machine = Host::new();
    machine.kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    machine.program("helm", "echo v3.19.4");
    let mut child = Command::new(PROGRAM)
        .args(["install", "--yes", "--output", "json", "--answers", &least()])
        .env_clear()
        .env("HOME", machine.home())
        .env("PATH", machine.path("bin"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once it has called, it waits for an answer that never comes.
    let connection = listener.accept().unwrap();
    signal(child.id(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let [_, finished] = first_and_last(&stdout, "install");
    assert_eq!((&finished["outcome"], &finished["clusterChanged"]), (&"cancelled".into(), &false.into()));
    assert_eq!(finished["error"]["exitCode"], 130);
    drop(connection);
}

#[test]
fn a_stdout_that_cannot_be_written_keeps_the_exit_code() {
    let machine = Host::new();
    let least = least();
    for (arguments, code) in [
        (&["install", "--nonsense", "--output", "json"][..], 2),
        (&["install", "--yes", "--answers", &least, "--output", "json"], 4),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        for stdout in [Stdio::from(full), Stdio::from(closed)] {
            let mut command = Command::new(PROGRAM);
            command.args(arguments).env_clear().env("HOME", machine.home()).env("PATH", machine.path("bin"));
            let output = command.stdin(Stdio::null()).stdout(stdout).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        }
    }
}
