//! What is in the way is reported with the next step and the documented exit code, and nothing was changed.

use std::collections::BTreeSet;

use support::{CommandOutput, assert_wording};

use crate::api_server::{self, Server, healthy};
use crate::host::{Host, fixture};

/// The request that identifies the cluster.
const IDENTITY: &str = "GET /api/v1/namespaces/kube-system";

/// What an install needs from its person.
fn answers() -> String {
    fixture("answers/good/full.yaml").display().to_string()
}

fn machine() -> Host {
    Host::new().with("AUTH0_CLIENT_SECRET", "hunter2").with("TAILSCALE_OAUTH_SECRET", "hunter2")
}

/// A machine with a kubeconfig of this server, and a helm with this answer to `version`.
fn connected(server: &Server, helm: &str) -> Host {
    let machine = machine();
    machine.kubeconfig(server.address());
    machine.program("helm", helm);
    machine
}

const CURRENT_HELM: &str = "case \"$1\" in version) echo v3.19.4+g7cfb6e4 ;; list) echo '[]' ;; *) exit 9 ;; esac";

#[track_caller]
fn install(machine: &Host, arguments: &[&str]) -> CommandOutput {
    machine.run(&[&["install", "--answers", &answers(), "--yes"], arguments].concat())
}

/// The message of a refusal, with what is true of every one.
#[track_caller]
fn reported(machine: &Host, said: CommandOutput) -> String {
    let said = said.ended_with(4);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    assert!(said.stderr.contains("hint: "), "no next step in:\n{}", said.stderr);
    assert!(!said.stderr.contains("panicked") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    said.messages(machine.home())
}

#[test]
fn without_a_kubeconfig_every_command_says_where_it_looked() {
    let machine = machine();
    let answers = answers();
    let mut messages = BTreeSet::new();
    for arguments in [
        &["install", "--yes", "-f", &answers][..],
        &["plan", "-f", &answers],
        &["preflight", "-f", &answers],
        &["verify", "-f", &answers],
        &["status"],
    ] {
        messages.insert(reported(&machine, machine.run(arguments)));
    }
    let named = machine.with("KUBECONFIG", "/nowhere/a:/nowhere/b");
    messages.insert(reported(&named, named.run(&["status"])));
    messages.insert(reported(&named, named.run(&["status", "--kubeconfig", "/nowhere/c"])));
    assert_wording!(Vec::from_iter(messages).join("\n"));
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_reported_with_its_place() {
    let machine = machine();
    let no_cluster = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
                      contexts: [{ name: a, context: { cluster: gone, user: b } }]\n";
    let mut messages = Vec::new();
    for (name, content) in [
        ("garbage", &b"\x00\xff\xfe garbage"[..]),
        ("words", b"just words"),
        ("empty", b""),
        ("no-cluster", no_cluster.as_bytes()),
        ("no-context", b"contexts: [{ name: a, context: { cluster: b } }]\n"),
    ] {
        let file = machine.file(name, content).display().to_string();
        messages.push(reported(&machine, install(&machine, &["--kubeconfig", &file])));
    }
    std::fs::create_dir(machine.path("folder")).unwrap();
    let folder = machine.path("folder").display().to_string();
    messages.push(reported(&machine, install(&machine, &["--kubeconfig", &folder])));
    assert_wording!(messages.join("\n"));
}

#[test]
fn an_unknown_context_is_reported_with_the_one_that_was_meant() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    let context = |name: &str| reported(&machine, install(&machine, &["--context", name]));
    assert_wording!([context("ofline"), context("production")].join("\n"));
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_api_server_that_does_not_answer_is_reported_with_its_address() {
    let machine = machine();
    machine.program("helm", CURRENT_HELM);
    for server in ["http://127.0.0.1:1", "https://name-that-does-not-resolve.invalid:6443"] {
        machine.kubeconfig(server);
        let said = reported(&machine, install(&machine, &[]));
        assert!(said.contains(server), "{said}");
    }
}

#[test]
fn what_the_api_server_answers_decides_what_is_reported() {
    let rows: [api_server::Answers; 5] = [
        |_| (401, api_server::status(401, "Unauthorized", "Unauthorized")),
        |_| (403, api_server::status(403, "Forbidden", "User \"x\" cannot get path \"/version\"")),
        |_| (403, "blocked by the proxy".into()),
        |_| (500, api_server::status(500, "InternalError", "etcd is gone")),
        |_| (200, "<html>a login page</html>".into()),
    ];
    let messages = rows.map(|answers| {
        let server = Server::start(answers);
        let machine = connected(&server, CURRENT_HELM);
        let said = reported(&machine, install(&machine, &[]));
        // In parallel: each can be the first, and several connections are opened.
        let asked: BTreeSet<String> = server.asked().into_iter().filter(|one| one != IDENTITY).collect();
        assert_eq!(asked, BTreeSet::from(["GET /version".to_owned()]));
        said
    });
    assert_wording!(messages.join("\n"));
}

#[test]
fn a_helm_that_cannot_be_used_is_reported_before_anything_is_changed() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    let script = |name: &str, text: &str| machine.program(name, text).display().to_string();
    let plain = machine.file("plain", "no program").display().to_string();
    let home = machine.home().display().to_string();
    let rows = [
        "/nowhere/helm",
        &script("old", "echo v3.10.2+g50f003e"),
        &script("ancient", "echo Client: v2.17.0"),
        &script("editor", "echo 'Helm is an Emacs framework'"),
        &script("silent", "exit 0"),
        &script("cross", "echo unknown flag >&2; exit 3"),
        &plain,
        &home,
    ];
    let mut messages: Vec<String> =
        rows.iter().map(|program| reported(&machine, install(&machine, &["--helm", program]))).collect();
    std::fs::remove_file(machine.path("bin/helm")).unwrap();
    messages.push(reported(&machine, install(&machine, &[])));
    assert_wording!(messages.join("\n"));
    // The answers and the secrets that the cluster keeps are read before helm is started.
    let labelled = "secrets?&labelSelector=app.kubernetes.io%2Fmanaged-by+in+%28Helm%2Ctailwatch%29&limit=50";
    let kept = ["secrets/tailwatch-answers", "secrets/grafana-admin", "secrets/oauth2-proxy-auth0", labelled];
    let mut known = kept.map(|path| format!("GET /api/v1/namespaces/observability/{path}")).to_vec();
    let namespace = "GET /api/v1/namespaces/observability";
    let operator = "GET /api/v1/namespaces/tailscale/secrets/operator-oauth";
    known.extend(["GET /version", IDENTITY, namespace, operator].map(str::to_owned));
    assert!(server.asked().iter().all(|request| known.contains(request)), "{:?}", server.asked());
}

#[test]
fn a_wrong_command_line_is_usage_and_names_what_to_write() {
    let machine = machine();
    let answers = answers();
    let rows: [&[&str]; 13] = [
        &[],
        &["install", "-f", &answers],
        &["--output", "json"],
        &["install", "--yess"],
        &["instal"],
        &["install", "--yes", "-f", &answers, "--timeout", "soon"],
        &["install", "--yes", "-f", &answers, "--timeout", "1s"],
        &["uninstall"],
        &["uninstall", "--yes", "--timeout", "soon"],
        &["verify", "--check", "grafana-loggin"],
        &["status", "--output", "yaml"],
        &["status", "-v", "-q"],
        &["completions", "tcsh"],
    ];
    let messages = rows.map(|arguments| {
        let said = machine.run(arguments).ended_with(2);
        assert!(said.stdout.is_empty(), "{arguments:?}: {}", said.stdout);
        said.messages(machine.home())
    });
    assert_wording!(messages.join("\n"));
    machine.run(&["answers"]).ended_with(2).tells(&["Usage: tailwatch answers"]);
}

/// There are no answers, and no earlier run saved any: invalid answers, not a failed preflight.
#[test]
fn missing_answers_are_reported_once_the_cluster_turns_out_to_keep_none() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    let file = machine.file("a.yaml", "tailnet: tail1a2b.ts.net\n").display().to_string();
    for command in [&["install", "--yes"][..], &["plan"], &["preflight"], &["verify"]] {
        let said = machine.run(&[command, &["-f", &file]].concat()).ended_with(3);
        said.tells(&["auth0.issuer", "auth0.clientId", "auth0.groupsClaim", "TAILWATCH_AUTH0_ISSUER"]);
    }
    assert!(server.asked().iter().all(|request| request.starts_with("GET ")), "{:?}", server.asked());
}

#[test]
fn status_of_nothing_is_no_success() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    assert_wording!(reported(&machine, machine.run(&["status"])));
}
