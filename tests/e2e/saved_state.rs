//! What a past run kept in the cluster decides nothing by itself: answers that were changed there need a yes, and a
//! kept client secret is sent to the issuer that it was given for and to no other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::recording_issuer::RecordingIssuer;
use crate::rerun::kept_answers;

/// A run without answers file, secret and chart repository.
fn bare(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
    let mut command = sandbox.tailwatch_command(arguments);
    command.env_remove("AUTH0_CLIENT_SECRET").env_remove("TAILWATCH_CHART_REPOSITORY").envs(variables.iter().copied());
    CommandOutput::of(command.output().unwrap())
}

fn keep(sandbox: &Sandbox, answers: &str) {
    let patch = json!({"data": {"answers.yaml": STANDARD.encode(answers)}}).to_string();
    sandbox.kubectl(&["-n", "monitoring", "patch", "secret", "tailwatch-answers", "--type", "merge", "-p", &patch]);
}

const INSTALL: [&str; 3] = ["install", "--yes", "--skip-verify"];
const ACCEPT: &str = "--accept-saved";

/// The three answers below `auth0:` and the tailnet, and nothing else.
fn minimal(sandbox: &Sandbox) -> String {
    let file = sandbox.file("minimal.yaml");
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    std::fs::write(&file, text.lines().filter(|line| !line.contains("clientSecret")).collect::<Vec<_>>().join("\n"))
        .unwrap();
    file.display().to_string()
}

#[test]
fn what_a_run_kept_decides_nothing_once_someone_changed_it() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    a_config_map_of_the_name_answers_nothing(&sandbox);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let kept = kept_answers(&sandbox);
    let untouched = sandbox.changes().len();
    bare(&sandbox, &INSTALL, &[]).ended_with(0);
    assert_eq!(bare(&sandbox, &["plan", "--exit-code"], &[]).ended_with(0).stderr, "", "a rerun says nothing of it");

    values_that_bind_a_cluster_role(&sandbox, &kept);
    sources_of_secrets_on_the_operators_machine(&sandbox, &kept);
    answers_that_a_minimal_file_leaves_open(&sandbox, &kept);
    a_kept_secret_goes_to_its_own_issuer_only(&sandbox, &kept);
    answers_that_cannot_be_used_are_named_with_what_recovers_them(&sandbox, &kept);
    who_may_not_read_them_is_reported_the_right(&sandbox);

    // What is no question of security is taken as it is, and what was agreed to is the next run's record.
    keep(&sandbox, &kept.replace("anonymousRole: Editor", "anonymousRole: Viewer").replace("logs: 7d", "logs: 9d"));
    assert_eq!(changes_since(&sandbox, untouched), Vec::<String>::new());
    let refused = bare(&sandbox, &INSTALL, &[]).ended_with(4);
    assert!(
        refused.stderr.contains("grafana.anonymousRole") && !refused.stderr.contains("retention"),
        "{}",
        refused.stderr
    );
    bare(&sandbox, &INSTALL, &[("TAILWATCH_ACCEPT_SAVED", "true")]).ended_with(0);
    assert_eq!(bare(&sandbox, &["plan", "--exit-code"], &[]).ended_with(0).stderr, "");
}

/// Writes of tailwatch or helm since then.
fn changes_since(sandbox: &Sandbox, untouched: usize) -> Vec<String> {
    let changes = sandbox.changes().split_off(untouched).into_iter();
    let ours = changes.filter(|(agent, verb, resource)| {
        (agent.starts_with("tailwatch") || agent.starts_with("Helm"))
            && !resource.contains("review")
            && verb != "review"
    });
    ours.map(|change| format!("{change:?}")).collect()
}

fn a_config_map_of_the_name_answers_nothing(sandbox: &Sandbox) {
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    let literal = format!("--from-literal=answers.yaml={answers}");
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["-n", "monitoring", "create", "configmap", "tailwatch-answers", &literal]);
    let missing = sandbox.tailwatch(&INSTALL).ended_with(3);
    assert!(missing.stderr.contains("tailnet"), "{}", missing.stderr);
}

fn values_that_bind_a_cluster_role(sandbox: &Sandbox, kept: &str) {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "taken"}, "subjects": [{"kind": "User", "name": "mallory"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    keep(sandbox, &format!("{kept}\nvalues: {}\n", json!({"oauth2-proxy": {"extraObjects": [binding]}})));
    for command in [&INSTALL[..], &["upgrade", "--latest", "--yes"], &["preflight"], &["install", "--yes", "-q"]] {
        let refused = bare(sandbox, command, &[]).ended_with(4);
        assert!(refused.stderr.contains("values.oauth2-proxy.extraObjects"), "{command:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("mallory") && refused.stderr.contains(ACCEPT), "{}", refused.stderr);
    }
    let plan = bare(sandbox, &["plan", "--output", "json"], &[]).ended_with(0).json();
    let notices = plan["notices"].to_string();
    assert!(notices.contains("values.oauth2-proxy.extraObjects") && !notices.contains("mallory"), "{notices}");
    let bindings = sandbox.kubectl(&["get", "clusterrolebindings", "-o", "name"]);
    assert!(!bindings.contains("taken"), "{bindings}");
}

/// Whoever may write the answers would have a file or variable of the operator's machine sent into the cluster.
fn sources_of_secrets_on_the_operators_machine(sandbox: &Sandbox, kept: &str) {
    let file = sandbox.file("of-the-operator");
    std::fs::write(&file, "0perators-own-words").unwrap();
    let planted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "loot"},
        "data": {"file": {"file": file}, "key": {"env": "AWS_SECRET_ACCESS_KEY"}}});
    keep(sandbox, &format!("{kept}\nvalues: {}\n", json!({"oauth2-proxy": {"extraObjects": [planted]}})));
    let cloud = [("AWS_SECRET_ACCESS_KEY", "cl0ud-key")];
    for command in [&INSTALL[..], &["upgrade", "--latest", "--yes"], &["preflight"]] {
        let refused = bare(sandbox, command, &cloud).ended_with(4);
        for part in ["values.oauth2-proxy.extraObjects", "of-the-operator", "{ env: AWS_SECRET_ACCESS_KEY }"] {
            assert!(refused.stderr.contains(part), "{command:?}: {part} is missing in:\n{}", refused.stderr);
        }
    }
    for command in [&["plan", "--diff"][..], &["plan", "--diff", "--output", "json"], &["diagnose"], &["status"]] {
        let reported = bare(sandbox, command, &cloud);
        let all = format!("{}{}", reported.stdout, reported.stderr);
        assert!(!all.contains("0perators-own-words") && !all.contains("cl0ud-key"), "{command:?}: {all}");
    }
    let maps = sandbox.kubectl(&["get", "configmaps", "-A", "-o", "name"]);
    assert!(!maps.contains("loot"), "{maps}");
    // Nor do they lead a run into another namespace.
    keep(sandbox, &format!("{kept}\nnamespace: elsewhere\n"));
    let refused = bare(sandbox, &INSTALL, &[]).ended_with(3);
    assert!(refused.stderr.contains("namespace: "), "{}", refused.stderr);
    keep(sandbox, kept);
}

fn answers_that_a_minimal_file_leaves_open(sandbox: &Sandbox, kept: &str) {
    let repository = sandbox.variable("TAILWATCH_CHART_REPOSITORY").to_owned();
    keep(sandbox, &kept.replace("- infra-admins", "- mallorys").replace(&repository, "http://127.0.0.1:9/charts"));
    let file = minimal(sandbox);
    let refused = bare(sandbox, &[&INSTALL[..], &["--answers", &file]].concat(), &[]).ended_with(4);
    for part in ["auth0.allowedGroups", "infra-admins", "mallorys", "charts.repository", "127.0.0.1:9", &repository] {
        assert!(refused.stderr.contains(part), "{part} is missing in:\n{}", refused.stderr);
    }
    // Nor is that address asked by a command that changes nothing.
    for command in [&["plan"][..], &["plan", "--answers", &file], &["preflight"], &["upgrade"]] {
        let refused = bare(sandbox, command, &[]).ended_with(4);
        assert!(refused.stderr.contains("charts.repository"), "{command:?}: {}", refused.stderr);
    }
    // What another source answers is not the saved answers' to decide.
    let groups = ["--set", "auth0.allowedGroups=[infra-admins, monitoring-admins]"];
    let address = ("TAILWATCH_CHART_REPOSITORY", repository.as_str());
    bare(sandbox, &[&INSTALL[..], &["--answers", &file], &groups].concat(), &[address]).ended_with(0);
}

fn a_kept_secret_goes_to_its_own_issuer_only(sandbox: &Sandbox, kept: &str) {
    let issuer = RecordingIssuer::start(sandbox);
    let secret = sandbox.variable("AUTH0_CLIENT_SECRET").to_owned();
    let trust = ("SSL_CERT_FILE", issuer.trust.to_str().unwrap());
    let typo = format!("auth0.issuer={}", issuer.url);
    let login = ["verify", "--check", "oauth2-proxy-healthy", "--login=device"];
    for command in [&["preflight"][..], &INSTALL, &login] {
        keep(sandbox, &kept.replace("https://acme.eu.auth0.com/", &issuer.url));
        let refused = bare(sandbox, command, &[trust]).ended_with(4);
        assert!(refused.stderr.contains("auth0.issuer") && refused.stderr.contains(&issuer.url), "{}", refused.stderr);
        let unbound = bare(sandbox, &[command, &[ACCEPT]].concat(), &[trust]).ended_with(3);
        keep(sandbox, kept);
        let mistyped = bare(sandbox, &[command, &["--set", &typo]].concat(), &[trust]).ended_with(3);
        for said in [unbound, mistyped] {
            for part in ["auth0.clientSecret", "acme.eu.auth0.com", &issuer.url, "--ask-secrets", "AUTH0_CLIENT_SECRET"]
            {
                assert!(said.stderr.contains(part), "{command:?}: {part} is missing in:\n{}", said.stderr);
            }
        }
        assert!(!issuer.received().contains(&secret), "{command:?}: {}", issuer.received());
    }
    // The same issuer and client id, given again: then it is sent.
    let given = [trust, ("AUTH0_CLIENT_SECRET", "given-again")];
    bare(sandbox, &["preflight", "--set", &typo], &given);
    let received = issuer.received();
    assert!(received.contains("given-again") && !received.contains(&secret), "{received}");
    let other_client = bare(sandbox, &[&INSTALL[..], &["--set", "auth0.clientId=other"]].concat(), &[]).ended_with(3);
    assert!(other_client.stderr.contains("\"other\""), "{}", other_client.stderr);
}

fn answers_that_cannot_be_used_are_named_with_what_recovers_them(sandbox: &Sandbox, kept: &str) {
    let newer = format!("{}\nfuture: {{ key: 1 }}\n", kept.replace("version: 1\n", "version: 2\n"));
    let edited = kept.replace("metrics: 15d", "metrics: fortnight");
    let file = minimal(sandbox);
    for (answers, named) in [(newer, "version 2"), (edited, "retention.metrics")] {
        keep(sandbox, &answers);
        for command in [&INSTALL[..], &["plan"], &["preflight"], &["verify"]] {
            let refused = bare(sandbox, command, &[]).ended_with(3);
            for part in [named, "Secret tailwatch-answers", "delete secret tailwatch-answers", "edit secret"] {
                assert!(refused.stderr.contains(part), "{command:?}: {part} is missing in:\n{}", refused.stderr);
            }
        }
        let repository = ("TAILWATCH_CHART_REPOSITORY", sandbox.variable("TAILWATCH_CHART_REPOSITORY"));
        for command in [&INSTALL[..], &["plan"]] {
            let went_on = bare(sandbox, &[command, &["--answers", &file]].concat(), &[repository]).ended_with(0);
            assert!(went_on.stderr.contains(named), "{}", went_on.stderr);
        }
        bare(sandbox, &["status"], &[]).ended_with(0);
    }
    keep(sandbox, kept);
}

fn who_may_not_read_them_is_reported_the_right(sandbox: &Sandbox) {
    let no_one = sandbox.file("kubeconfig-unprivileged").display().to_string();
    let refused = bare(sandbox, &["plan", "--kubeconfig", &no_one], &[]).ended_with(4);
    refused.tells(&["get", "secrets", "namespace monitoring"]);
}
