//! What a child gets of our environment: everything but our own secrets, by exact name. Tested with the real binary, since
//! a test can choose its environment.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::api_server::{Server, healthy, status};
use crate::host::Host;

/// What no child may get.
const CANARY: &str = "c4nary";
/// What every child needs, whatever its name says.
const KEPT: [&str; 8] = [
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_CLIENT_SECRET",
    "AAD_SERVICE_PRINCIPAL_CLIENT_SECRET",
    "VAULT_SECRET_ID",
    "AUTH0_DOMAIN",
    "my_secret_thing",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// A machine with both in its environment, and answers with two sources of secrets.
fn machine() -> (Host, PathBuf) {
    let mut machine = Host::new()
        .with("AUTH0_CLIENT_SECRET", CANARY)
        .with("TAILWATCH_TAILNET", "c4nary.ts.net")
        .with("OIDC_CLIENT_KEY", CANARY)
        .with("TS_OAUTH_KEY", CANARY);
    for name in KEPT {
        let value = match name {
            "HTTPS_PROXY" => "http://127.0.0.1:3128",
            "NO_PROXY" => "127.0.0.1",
            _ => "kept",
        };
        machine = machine.with(name, value);
    }
    let answers = machine.file(
        "answers.yaml",
        "auth0: { clientSecret: { env: OIDC_CLIENT_KEY } }\ntailscale: { oauth: { clientSecret: { env: TS_OAUTH_KEY } } }\n",
    );
    (machine, answers)
}

/// A program that writes down its environment and then does what the script says.
fn dumping(machine: &Host, name: &str, script: &str) -> PathBuf {
    let dump = machine.path(&format!("{name}.environment"));
    machine.program(name, &format!("env >> '{}'\n{script}", dump.display()));
    dump
}

#[track_caller]
fn has_what_it_needs(dump: &PathBuf) {
    let seen = std::fs::read_to_string(dump).unwrap_or_else(|error| panic!("{}: {error}", dump.display()));
    for line in seen.lines() {
        assert!(!line.contains(CANARY) && !line.starts_with("TAILWATCH_"), "{}: {line}", dump.display());
    }
    for name in KEPT {
        assert!(seen.contains(&format!("{name}=")), "{name} is missing in {}: {seen}", dump.display());
    }
}

const HELM: &str = "[ \"$1\" = version ] && echo v3.19.4 || echo '[]'";

#[test]
fn helm_gets_no_secret_of_ours_and_all_of_others() {
    let server = Server::start(healthy);
    // Commands that take no answers file know the one that the environment names.
    for command in ["uninstall --yes", "plan", "verify", "preflight"] {
        let (machine, answers) = machine();
        let machine = machine.with("TAILWATCH_ANSWERS", &answers.display().to_string());
        machine.kubeconfig(server.address());
        let helm = dumping(&machine, "helm", HELM);
        let arguments: Vec<&str> = command.split(' ').collect();
        machine.run(&arguments);
        has_what_it_needs(&helm);
    }
}

/// helm works for a moment: unless the user decides otherwise, its runtime collects garbage less often.
#[test]
fn helm_gets_the_users_percentage_of_garbage_collection_or_a_high_one() {
    let server = Server::start(healthy);
    for (of_user, expected) in [(None, "GOGC=400"), (Some("50"), "GOGC=50")] {
        let machine = of_user.into_iter().fold(Host::new(), |machine, percentage| machine.with("GOGC", percentage));
        machine.kubeconfig(server.address());
        let helm = dumping(&machine, "helm", HELM);
        machine.run(&["verify", "--set", "tailnet=tail1a2b.ts.net"]);
        let seen = std::fs::read_to_string(helm).unwrap();
        assert!(seen.lines().any(|line| line == expected), "{seen}");
    }
}

/// A core dump holds the secrets in memory.
#[test]
fn helm_may_leave_no_core_dump() {
    let server = Server::start(healthy);
    let machine = Host::new();
    machine.kubeconfig(server.address());
    let limit = machine.path("limit");
    machine.program("helm", &format!("ulimit -H -c > '{}'\n{HELM}", limit.display()));
    machine.run(&["verify", "--set", "tailnet=tail1a2b.ts.net"]);
    assert_eq!(std::fs::read_to_string(limit).unwrap(), "0\n");
}

/// A cluster that keeps answers which name one more variable.
fn keeping(path: &str) -> (u16, String) {
    let resource = |name: &str, kind: &str| json!({"name": name, "kind": kind, "namespaced": name == "secrets"});
    match path.split('?').next().unwrap_or_default() {
        "/api/v1" => {
            let resources = [resource("secrets", "Secret"), resource("namespaces", "Namespace")];
            let list = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources});
            (200, list.to_string())
        }
        "/api/v1/namespaces/monitoring/secrets/tailwatch-answers" => {
            // values: { loki: { link: { env: KEPT_KEY } } }
            let answers = "dmFsdWVzOiB7IGxva2k6IHsgbGluazogeyBlbnY6IEtFUFRfS0VZIH0gfSB9Cg==";
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "data": {"answers.yaml": answers},
                "metadata": {"name": "tailwatch-answers", "namespace": "monitoring"},
            });
            (200, secret.to_string())
        }
        _ => healthy(path),
    }
}

#[test]
fn helm_is_started_after_the_answers_that_the_cluster_keeps_are_known() {
    let server = Server::start(keeping);
    for command in ["uninstall --yes", "plan", "verify", "preflight", "install --yes", "upgrade"] {
        let (machine, answers) = machine();
        let machine = machine.with("KEPT_KEY", CANARY).with("TAILWATCH_ANSWERS", &answers.display().to_string());
        machine.kubeconfig(server.address());
        let helm = dumping(&machine, "helm", HELM);
        let arguments: Vec<&str> = command.split(' ').collect();
        machine.run(&arguments);
        has_what_it_needs(&helm);
    }
}

#[test]
fn a_source_of_a_secret_by_flag_counts_and_so_does_the_one_that_it_replaces() {
    let server = Server::start(healthy);
    let (machine, answers) = machine();
    let machine = machine.with("THIRD_KEY", CANARY);
    machine.kubeconfig(server.address());
    let helm = dumping(&machine, "helm", HELM);
    let answers = answers.display().to_string();
    machine.run(&["plan", "--answers", &answers, "--set", "auth0.clientSecret={ env: THIRD_KEY }"]);
    has_what_it_needs(&helm);
}

#[test]
fn an_exec_plugin_of_the_kubeconfig_gets_no_secret_of_ours_and_all_of_others() {
    let server = Server::start(healthy);
    let (machine, answers) = machine();
    let kubeconfig = machine.kubeconfig(server.address());
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t0ken"},
    });
    let plugin = dumping(&machine, "cloud-login", &format!("echo '{credential}'"));
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let exec = "exec: { apiVersion: client.authentication.k8s.io/v1, command: cloud-login, interactiveMode: Never }";
    // As kubectl it starts a plugin for https alone; the handshake that fails comes after it.
    let text = text.replace("http://", "https://").replace("token: t0ken", exec);
    std::fs::write(&kubeconfig, text).unwrap();
    dumping(&machine, "helm", HELM);
    machine.run(&["plan", "--answers", &answers.display().to_string()]);
    has_what_it_needs(&plugin);
}

/// A release is installed, and a registry requires credentials that only a credential helper has.
#[test]
fn a_credential_helper_gets_no_secret_of_ours_and_all_of_others() {
    let server = Server::start(with_loki);
    let registry = Server::guarded(one_tag, "Basic dXNlcjpwYXNz");
    let host = registry.address().replace("http://", "");
    let (machine, answers) = machine();
    machine.kubeconfig(server.address());
    machine.program("helm", "[ \"$1\" = version ] && echo v3.19.4\ntrue");
    let asked = machine.path("asked");
    let answer = json!({"ServerURL": host, "Username": "user", "Secret": "pass"});
    let helper = dumping(
        &machine,
        "docker-credential-cloud",
        &format!("echo \"$1 $(cat)\" > '{}'; echo '{answer}'", asked.display()),
    );
    let arguments = ["upgrade", "--answers", &answers.display().to_string(), "--set"];
    let repository = format!("charts.repository=oci://{host}/charts");
    for config in [json!({"credHelpers": {host.clone(): "cloud"}}), json!({"credsStore": "cloud", "auths": {}})] {
        machine.file(".docker/config.json", config.to_string());
        std::fs::remove_file(&helper).ok();
        machine.run(&[&arguments[..], &[&repository]].concat()).ended_with(0);
        has_what_it_needs(&helper);
        assert_eq!(std::fs::read_to_string(&asked).unwrap().trim(), format!("get {host}"));
    }
    machine.file(".docker/config.json", "{}");
    machine.run(&[&arguments[..], &[&repository]].concat()).ended_with(4).tells(&[&host, "helm registry login"]);
}

fn one_tag(_: &str) -> (u16, String) {
    (200, json!({"name": "charts/loki", "tags": ["6.46.0", "6.55.0"]}).to_string())
}

/// An API server with helm's record of one release.
pub fn with_loki(path: &str) -> (u16, String) {
    const RECORD: &str = "sh.helm.release.v1.loki.v1";
    let labels = json!({"owner": "helm", "name": "loki", "version": "1", "status": "deployed"});
    let metadata = json!({"name": RECORD, "namespace": "monitoring", "uid": "1", "labels": labels});
    let chart = json!({"metadata": {"name": "loki", "version": "6.46.0"}});
    let record = json!({"info": {"status": "deployed"}, "chart": chart}).to_string();
    let data = json!({"release": STANDARD.encode(STANDARD.encode(record))});
    let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": []});
    let path_only = path.split('?').next().unwrap_or_default();
    let answer = match path_only {
        "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1",
            "resources": [resource("secrets", "Secret"), resource("configmaps", "ConfigMap")]}),
        "/api/v1/namespaces/monitoring/secrets" => {
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {},
                "items": [{"metadata": metadata, "data": data}]})
        }
        _ if path_only.ends_with(RECORD) => {
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": data})
        }
        _ if path_only.ends_with("/secrets") || path_only.ends_with("/configmaps") => {
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": []})
        }
        _ => return empty(path),
    };
    (200, answer.to_string())
}

/// An API server without objects.
fn empty(path: &str) -> (u16, String) {
    match path.split('?').next().unwrap_or_default() {
        "/api/v1/namespaces/monitoring/secrets" | "/api/v1/namespaces/monitoring/configmaps" => (
            200,
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": []})
                .to_string(),
        ),
        "/version" => healthy(path),
        _ => (404, status(404, "NotFound", "not found")),
    }
}
