//! What is in the way is reported with the next step and the documented exit code, and nothing was changed.

use support::CommandOutput;

use crate::api_server::{self, Server, healthy};
use crate::host::{Host, fixture};

/// What an install needs from its person.
fn answers() -> String {
    fixture("answers/good/full.yaml").display().to_string()
}

fn machine() -> Host {
    Host::new().with("AUTH0_CLIENT_SECRET", "hunter2").with("TAILSCALE_OAUTH_SECRET", "hunter2")
}

/// A machine whose kubeconfig leads to a server, with a helm of this answer to `version`.
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

#[track_caller]
fn reported(said: CommandOutput, parts: &[&str]) {
    let said = said.ended_with(4).tells(parts);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    assert!(said.stderr.contains("hint: "), "no next step in:\n{}", said.stderr);
    assert!(!said.stderr.contains("panicked") && !said.stderr.contains("hunter2"), "{}", said.stderr);
}

#[test]
fn without_a_kubeconfig_every_command_says_where_it_looked() {
    let machine = machine();
    let place = machine.path(".kube/config").display().to_string();
    let answers = answers();
    for arguments in [
        &["install", "--yes", "-f", &answers][..],
        &["plan", "-f", &answers],
        &["preflight", "-f", &answers],
        &["verify", "-f", &answers],
        &["status"],
    ] {
        reported(machine.run(arguments), &["no kubeconfig found at", &place, "--kubeconfig FILE"]);
    }
    let named = machine.with("KUBECONFIG", "/nowhere/a:/nowhere/b");
    reported(named.run(&["status"]), &["no kubeconfig found at /nowhere/a, /nowhere/b"]);
    reported(named.run(&["status", "--kubeconfig", "/nowhere/c"]), &["no kubeconfig found at /nowhere/c"]);
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_reported_with_its_place() {
    let machine = machine();
    for (name, content, parts) in [
        ("garbage", &b"\x00\xff\xfe garbage"[..], &["garbage cannot be used", "it is no text"][..]),
        ("words", b"just words", &["cannot be used", "words"]),
        ("empty", b"", &["empty cannot be used", "it has no current context", "kubectl config"]),
        (
            "no-cluster",
            b"apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{ name: a, context: { cluster: gone, user: b } }]\n",
            &["cannot be used", "gone"],
        ),
        ("no-context", b"contexts: [{ name: a, context: { cluster: b } }]\n", &["no-context", "it has: a"]),
    ] {
        let file = machine.file(name, content).display().to_string();
        reported(install(&machine, &["--kubeconfig", &file]), parts);
    }
    std::fs::create_dir(machine.path("folder")).unwrap();
    let folder = machine.path("folder").display().to_string();
    reported(install(&machine, &["--kubeconfig", &folder]), &["cannot read", &folder, "--kubeconfig FILE"]);
}

#[test]
fn an_unknown_context_is_reported_with_the_one_that_was_meant() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    reported(
        install(&machine, &["--context", "ofline"]),
        &["has no context ofline", "did you mean --context offline?"],
    );
    reported(install(&machine, &["--context", "production"]), &["has no context production", "it has: offline"]);
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_api_server_that_does_not_answer_is_reported_with_its_address() {
    let machine = machine();
    machine.program("helm", CURRENT_HELM);
    machine.kubeconfig("http://127.0.0.1:1");
    reported(
        install(&machine, &[]),
        &["http://127.0.0.1:1", "cannot be reached", "refused", "kubectl get --raw /version"],
    );
    machine.kubeconfig("https://name-that-does-not-resolve.invalid:6443");
    reported(install(&machine, &[]), &["name-that-does-not-resolve.invalid", "cannot be reached"]);
}

#[test]
fn what_the_api_server_answers_decides_what_is_reported() {
    let rows: [(api_server::Answers, &[&str]); 5] = [
        (
            |_| (401, api_server::status(401, "Unauthorized", "Unauthorized")),
            &["does not accept the credentials of this context", "log in again, or use another --context"],
        ),
        (
            |_| (403, api_server::status(403, "Forbidden", "User \"x\" cannot get path \"/version\"")),
            &["not allowed: User \"x\" cannot get path", "cluster-admin"],
        ),
        (|_| (403, "blocked by the proxy".into()), &["403", "http://127.0.0.1", "kubectl get --raw /version"]),
        (
            |_| (500, api_server::status(500, "InternalError", "etcd is gone")),
            &["500: etcd is gone", "kubectl get --raw"],
        ),
        (|_| (200, "<html>a login page</html>".into()), &["http://127.0.0.1", "no API server", "correct `server`"]),
    ];
    for (answers, parts) in rows {
        let server = Server::start(answers);
        reported(install(&connected(&server, CURRENT_HELM), &[]), parts);
        assert_eq!(server.asked(), ["GET /version"]);
    }
}

#[test]
fn a_helm_that_cannot_be_used_is_reported_before_anything_is_changed() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    let script = |name: &str, text: &str| machine.program(name, text).display().to_string();
    let plain = machine.file("plain", "no program").display().to_string();
    let home = machine.home().display().to_string();
    let rows: [(&str, &[&str]); 8] = [
        ("/nowhere/helm", &["helm was not found at /nowhere/helm", "install helm 3.14 or later", "--helm PATH"]),
        (&script("old", "echo v3.10.2+g50f003e"), &["helm 3.10.2 is too old, 3.14.0 or later", "--helm PATH"]),
        (&script("ancient", "echo Client: v2.17.0"), &["helm 2.17.0 is too old"]),
        (&script("editor", "echo 'Helm is an Emacs framework'"), &["is not helm: `version` printed Helm is an Emacs"]),
        (&script("silent", "exit 0"), &["silent is not helm", "printed nothing"]),
        (
            &script("cross", "echo unknown flag >&2; exit 3"),
            &["is not helm: `version` printed exit code 3: unknown flag"],
        ),
        (&plain, &["plain", "Permission denied", "--helm PATH"]),
        (&home, &["Permission denied", "--helm PATH"]),
    ];
    for (program, parts) in rows {
        reported(install(&machine, &["--helm", program]), parts);
    }
    std::fs::remove_file(machine.path("bin/helm")).unwrap();
    reported(install(&machine, &[]), &["error: helm was not found hint: install helm 3.14 or later"]);
    // The answers that the cluster keeps are read before helm is started.
    let known = ["GET /version", "GET /api/v1/namespaces/kube-system", "GET /api/v1"];
    assert!(server.asked().iter().all(|request| known.contains(&request.as_str())), "{:?}", server.asked());
}

#[test]
fn a_wrong_command_line_is_usage_and_names_what_to_write() {
    let machine = machine();
    let answers = answers();
    let rows: [(&[&str], &[&str]); 14] = [
        (&[], &["the guided installation needs a terminal", "tailwatch install --answers answers.yaml --yes"]),
        (
            &["install", "-f", &answers],
            &["cannot ask for confirmation of the plan without a terminal", "--yes", "tailwatch plan"],
        ),
        (&["--output", "json"], &["the guided installation needs a terminal"]),
        (&["install", "--yess"], &["unexpected argument '--yess'", "--yes"]),
        (&["instal"], &["unrecognized subcommand 'instal'", "'install'"]),
        (&["install", "--yes", "-f", &answers, "--timeout", "soon"], &["--timeout soon", "10m, 90s or 1h"]),
        (&["install", "--yes", "-f", &answers, "--timeout", "1s"], &["--timeout 1s", "at least 10 s"]),
        (&["uninstall"], &["cannot ask for confirmation of the removal without a terminal", "--yes", "--delete-data"]),
        (&["uninstall", "--yes", "--timeout", "soon"], &["--timeout soon", "10m, 90s or 1h"]),
        (&["verify", "--check", "grafana-loggin"], &["there is no check grafana-loggin"]),
        (&["status", "--output", "yaml"], &["invalid value 'yaml'", "human, json"]),
        (&["status", "-v", "-q"], &["cannot be used with"]),
        (&["answers"], &["Usage: tailwatch answers"]),
        (&["completions", "tcsh"], &["invalid value 'tcsh'", "bash"]),
    ];
    for (arguments, parts) in rows {
        let said = machine.run(arguments).ended_with(2).tells(parts);
        assert!(said.stdout.is_empty(), "{arguments:?}: {}", said.stdout);
    }
}

/// Nobody has answered, and an earlier run kept nothing: invalid answers, not a failed preflight.
#[test]
fn missing_answers_are_reported_once_the_cluster_turns_out_to_keep_none() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    let file = machine.file("a.yaml", "tailnet: tail1a2b.ts.net\n").display().to_string();
    for command in [&["install", "--yes"][..], &["plan"], &["preflight"], &["verify"]] {
        let said = machine.run(&[command, &["-f", &file]].concat()).ended_with(3);
        said.tells(&["no answer for auth0.issuer, auth0.clientId, auth0.groupsClaim", "TAILWATCH_AUTH0_ISSUER"]);
    }
    assert!(server.asked().iter().all(|request| request.starts_with("GET ")), "{:?}", server.asked());
}

#[test]
fn status_of_nothing_is_no_success() {
    let server = Server::start(healthy);
    let machine = connected(&server, CURRENT_HELM);
    reported(
        machine.run(&["status"]),
        &["no release of the stack is installed in namespace monitoring", "tailwatch install"],
    );
}
