//! Every helm of a run works on the cluster that was resolved at its beginning, whatever happens to the kubeconfig and
//! whatever the environment says.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use support::{Signal, signal};
use tailwatch::helm::HelmError;
use tailwatch::plan::PlanError;

use crate::api_server::{Server, healthy, status, version};
use crate::child_environment::with_loki;
use crate::host::Host;

/// A helm that lists nothing.
const CURRENT_HELM: &str = "[ \"$1\" = version ] && echo v3.19.4 || echo '[]'";
/// Variables that lead helm elsewhere, or change what it says.
const ASTRAY: [&str; 13] = [
    "HELM_KUBECONTEXT",
    "HELM_KUBEAPISERVER",
    "HELM_KUBETOKEN",
    "HELM_KUBEASUSER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBECAFILE",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBE_OF_A_LATER_HELM",
    "HELM_NAMESPACE",
    "HELM_DEBUG",
    "HELM_COLOR",
    "KUBERNETES_MASTER",
];

/// A kubeconfig with a context for each server.
fn two_contexts(machine: &Host, current: &str, servers: [(&str, &str); 2]) -> PathBuf {
    let named = |list: &str, rows: Vec<Value>| (list.to_owned(), Value::Array(rows));
    let each = |row: fn(&str, &str) -> Value| servers.iter().map(|(name, server)| row(name, server)).collect();
    let document = json!({"apiVersion": "v1", "kind": "Config", "current-context": current});
    let mut document = document.as_object().unwrap().clone();
    document.extend([
        named("contexts", each(|name, _| json!({"name": name, "context": {"cluster": name, "user": name}}))),
        named("clusters", each(|name, server| json!({"name": name, "cluster": {"server": server}}))),
        named("users", each(|name, _| json!({"name": name, "user": {"token": format!("token-of-{name}")}}))),
    ]);
    machine.file(".kube/config", Value::Object(document).to_string())
}

/// helm's calls, one line each: arguments, then the kubeconfig that they name.
fn calls(machine: &Host) -> Vec<(Vec<String>, Value)> {
    let text = std::fs::read_to_string(machine.path("calls")).unwrap_or_default();
    let call = |line: &str| {
        let (arguments, kubeconfig) = line.split_once('\t').unwrap();
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        (arguments, serde_json::from_str(kubeconfig).unwrap_or(Value::Null))
    };
    text.lines().map(call).collect()
}

/// A helm that writes down what it gets, after its first start has switched the current context of the user's kubeconfig.
fn switching_helm(machine: &Host) {
    let script = "[ \"$1\" = version ] && {\n\
        sed -i 's/\"current-context\":\"here\"/\"current-context\":\"there\"/' \"$HOME/.kube/config\"\n\
        echo v3.19.4; exit; }\n\
        env >> \"$HOME/environment\"\n\
        for argument; do [ \"$last\" = --kubeconfig ] && file=$argument; last=$argument; done\n\
        printf '%s\\t%s\\n' \"$*\" \"$(cat \"$file\")\" >> \"$HOME/calls\"\n\
        ls -ld \"$file\" \"${file%/*}\" | cut -c 1-10 >> \"$HOME/modes\"\n\
        echo '[]'";
    machine.program("helm", script);
}

/// The message of a command that finds no stack.
fn nothing_installed() -> String {
    PlanError::NothingInstalled { namespace: "monitoring".into() }.to_string()
}

#[test]
fn every_helm_gets_the_cluster_of_the_beginning_and_nothing_that_names_another() {
    let (here, there) = (Server::start(with_loki), Server::start(healthy));
    let mut machine = Host::new().with("HELM_DRIVER", "secrets").with("HELM_PLUGINS", "/plugins");
    for name in ASTRAY {
        machine = machine.with(name, "there");
    }
    let kubeconfig = two_contexts(&machine, "here", [("here", here.address()), ("there", there.address())]);
    let machine = machine.with("KUBECONFIG", &kubeconfig.display().to_string());
    switching_helm(&machine);
    // The index that this helm does not write cannot be read.
    machine.run(&["upgrade"]).ended_with(4);
    let switched = std::fs::read_to_string(&kubeconfig).unwrap();
    assert!(switched.contains(r#""current-context":"there""#), "the test switched the context: {switched}");
    let calls = calls(&machine);
    assert!(!calls.is_empty(), "helm starts after the switch");
    for (arguments, kubeconfig) in &calls {
        let of = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag).unwrap_or_else(|| panic!("no {flag}"));
            arguments[at + 1].as_str()
        };
        assert_eq!(of("--kube-context"), "here");
        assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], here.address());
        assert_eq!(kubeconfig["users"][0]["user"]["token"], "token-of-here");
        assert!(!kubeconfig.to_string().contains("there"), "{kubeconfig}");
        assert!(!Path::new(of("--kubeconfig")).exists(), "the file goes with the run");
    }
    assert!(there.asked().is_empty(), "{:?}", there.asked());
    let seen = std::fs::read_to_string(machine.path("environment")).unwrap();
    for name in ASTRAY.into_iter().chain(["KUBECONFIG"]) {
        assert!(!seen.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}: {seen}");
    }
    assert!(seen.contains("HELM_DRIVER=secret\n") && seen.contains("HELM_PLUGINS=/plugins"), "{seen}");
    let modes = std::fs::read_to_string(machine.path("modes")).unwrap();
    assert!(modes.lines().all(|mode| ["-rw-------", "drwx------"].contains(&mode)), "{modes}");
    assert_eq!(run_folders(&machine), 0);
}

/// Folders of runs that are there.
fn run_folders(machine: &Host) -> usize {
    let entries = std::fs::read_dir(machine.path(".local/state/tailwatch/runs")).into_iter().flatten();
    entries.chain(std::fs::read_dir(machine.path("tmp")).unwrap()).count()
}

#[test]
fn a_driver_that_keeps_no_records_in_the_cluster_is_refused_before_anything_is_asked() {
    let server = Server::start(healthy);
    for driver in ["memory", "sql", "Secret", "postgres", " "] {
        let refusal = HelmError::Driver { found: driver.into() }.to_string();
        let machine = Host::new().with("HELM_DRIVER", driver);
        machine.kubeconfig(server.address());
        machine.program("helm", &format!("touch '{}'\n{CURRENT_HELM}", machine.path("ran").display()));
        for command in
            ["status", "diagnose", "uninstall --yes", "plan --set tailnet=tail1a2b.ts.net", "verify", "upgrade"]
        {
            let arguments: Vec<&str> = command.split(' ').collect();
            machine.run(&arguments).ended_with(4).tells(&[&refusal]);
        }
        assert!(!machine.path("ran").exists(), "helm was started with {driver}");
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

/// Metadata of one record of release loki.
fn record(status: &str) -> String {
    let labels = json!({"owner": "helm", "name": "loki", "version": "1", "status": status, "tailwatch-run": "1a2b"});
    let item = json!({"metadata": {"name": "sh.helm.release.v1.loki.v1", "namespace": "monitoring", "labels": labels}});
    let kind = "PartialObjectMetadataList";
    json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": [item]}).to_string()
}

fn nothing() -> String {
    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": []})
        .to_string()
}

/// `/api/v1`, with the kinds of both drivers.
fn kinds() -> String {
    let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list"]});
    let resources = [resource("secrets", "Secret"), resource("configmaps", "ConfigMap")];
    json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}).to_string()
}

fn in_config_maps(path: &str) -> (u16, String) {
    match path.split('?').next().unwrap_or_default() {
        "/version" => (200, version()),
        "/api/v1" => (200, kinds()),
        "/api/v1/namespaces/monitoring/configmaps" => (200, record("deployed")),
        path if path.ends_with("/configmaps") || path.ends_with("/secrets") => (200, nothing()),
        _ => (404, status(404, "NotFound", "not found")),
    }
}

fn taken_away_from_config_maps(path: &str) -> (u16, String) {
    match path.split('?').next().unwrap_or_default() {
        "/api/v1/namespaces/monitoring/configmaps" => (200, record("uninstalled")),
        _ => in_config_maps(path),
    }
}

#[test]
fn a_stack_that_is_by_the_records_of_the_other_driver_is_named_and_not_planned_over() {
    let server = Server::start(in_config_maps);
    let commands = ["status", "diagnose", "uninstall --yes", "upgrade"];
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let machine = Host::new();
        machine.kubeconfig(server.address());
        machine.program("helm", CURRENT_HELM);
        machine.run(&arguments).ended_with(4).tells(&["loki", "ConfigMaps", "HELM_DRIVER=configmap"]);
        let machine = machine.with("HELM_DRIVER", "configmap");
        machine.run(&arguments).ended_with(4).tells(&[&nothing_installed()]);
    }
    let server = Server::start(taken_away_from_config_maps);
    let machine = Host::new();
    machine.kubeconfig(server.address());
    machine.program("helm", CURRENT_HELM);
    machine.run(&["status"]).ended_with(4).tells(&[&nothing_installed()]);
}

/// A run that is killed while helm reads leaves its folder, and the next run removes it.
#[test]
fn what_a_killed_run_left_is_removed_by_the_next_one() {
    let server = Server::start(healthy);
    let machine = Host::new();
    machine.kubeconfig(server.address());
    mkfifo(&machine.path("started"), Mode::S_IRWXU).unwrap();
    mkfifo(&machine.path("gate"), Mode::S_IRWXU).unwrap();
    // Open on both sides: no helm waits for the test to open it, and each one ends when the test closes the gate.
    let open = |name: &str| std::fs::OpenOptions::new().read(true).write(true).open(machine.path(name)).unwrap();
    let (started, gate) = (open("started"), open("gate"));
    let script = "echo listing > \"$HOME/started\"\nread line < \"$HOME/gate\"\necho v3.19.4";
    machine.program("helm", script);
    let mut run = std::process::Command::new(crate::host::PROGRAM)
        .args(["uninstall", "--yes"])
        .env_clear()
        .env("HOME", machine.home())
        .env("PATH", machine.path("bin"))
        .env("TMPDIR", machine.path("tmp"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(&started).read_line(&mut line).unwrap();
    assert_eq!(line, "listing\n");
    assert_eq!(run_folders(&machine), 1);
    signal(run.id(), Signal::SIGKILL);
    run.wait().unwrap();
    assert_eq!(run_folders(&machine), 1, "a killed run removes nothing");
    machine.program("helm", CURRENT_HELM);
    machine.run(&["uninstall", "--yes"]).ended_with(4);
    assert_eq!(run_folders(&machine), 0);
    // A helm that has opened neither yet finds none.
    drop(machine);
    drop((started, gate));
}

/// A signal ends the command, and its folder goes.
#[test]
fn an_interrupted_run_leaves_nothing() {
    let server = Server::start(healthy);
    let machine = Host::new();
    machine.kubeconfig(server.address());
    machine.program("helm", "kill -TERM $PPID\nsleep 60");
    machine.run(&["uninstall", "--yes"]).ended_with(130);
    assert_eq!(run_folders(&machine), 0);
}
