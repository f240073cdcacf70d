//! What a later run changes: newer charts, a new secret, an operator that is missing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rexpect::session::spawn_command;
use serde_json::Value;
use support::{Sandbox, outcomes};

use crate::TAILWATCH;
use crate::loki_data::Loki;
use crate::wizard::exit_code;

const LATER: [(&str, &str); 4] =
    [("kube-prometheus-stack", "88.5.3"), ("oauth2-proxy", "10.8.0"), ("loki", "18.11.0"), ("alloy", "1.11.1")];

/// (name, uid) of the volumes' claims.
pub fn claims(sandbox: &Sandbox) -> Vec<(String, String)> {
    let listed = sandbox.get(&["-n", "monitoring", "persistentvolumeclaims"]);
    let text = |claim: &Value, key: &str| claim["metadata"][key].as_str().unwrap().to_owned();
    listed["items"].as_array().unwrap().iter().map(|claim| (text(claim, "name"), text(claim, "uid"))).collect()
}

pub fn secret(sandbox: &Sandbox, name: &str, key: &str) -> String {
    sandbox.get(&["-n", "monitoring", "secret", name])["data"][key].as_str().unwrap().to_owned()
}

/// The answers that the last run kept, as it wrote them.
pub fn kept_answers(sandbox: &Sandbox) -> String {
    let bytes = STANDARD.decode(secret(sandbox, "tailwatch-answers", "answers.yaml")).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn saved_answers(sandbox: &Sandbox) -> Value {
    serde_yaml::from_str(&kept_answers(sandbox)).unwrap()
}

fn operator_version_of_the_crds(sandbox: &Sandbox) -> String {
    let crd = sandbox.get(&["crd", "prometheuses.monitoring.coreos.com"]);
    crd["metadata"]["annotations"]["operator.prometheus.io/version"].as_str().unwrap().to_owned()
}

#[test]
fn newer_charts_keep_data_and_secrets_and_older_ones_are_refused() {
    let sandbox = Sandbox::up(TAILWATCH, &["--loki-3.7"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let loki = Loki(&sandbox);
    loki.await_ready();
    // One is in a chunk, the other in the write-ahead log.
    loki.push_line("stored", 1);
    loki.flush();
    loki.push_line("logged", 0);
    assert_eq!(loki.version(), "3.5.7");
    let (claims_before, cookie, password) = (
        claims(&sandbox),
        secret(&sandbox, "oauth2-proxy-auth0", "cookie-secret"),
        secret(&sandbox, "grafana-admin", "admin-password"),
    );
    assert_eq!(claims_before.len(), 4, "{claims_before:?}");
    assert_eq!(operator_version_of_the_crds(&sandbox), "0.86.2");

    let answers_before = saved_answers(&sandbox);
    let untouched = sandbox.changes().len();
    let settings: Vec<String> = LATER.iter().map(|(name, version)| format!("versions.{name}={version}")).collect();
    let mut arguments = vec!["--output", "json"];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    let upgraded = sandbox.install(&arguments).ended_with(0).events();
    assert_eq!(outcomes(&upgraded), ["upgraded"; 4]);
    let mut expected: Vec<_> =
        LATER.iter().map(|(name, version)| ((*name).to_owned(), format!("{name}-{version}"))).collect();
    expected.sort();
    assert_eq!(sandbox.releases(), expected);
    assert_eq!(operator_version_of_the_crds(&sandbox), "0.93.1");
    let changes = sandbox.changes().split_off(untouched);
    let at = |agent: &str, resource: &str| {
        let is_it = |(by, _, what): &(String, String, String)| by.starts_with(agent) && what == resource;
        (changes.iter().position(is_it).unwrap(), changes.iter().rposition(is_it).unwrap())
    };
    let (crds, deployments) = (at("tailwatch", "customresourcedefinitions"), at("Helm", "deployments"));
    assert!(crds.1 < deployments.0, "the CRDs come before the operator: {crds:?}, {deployments:?}");
    let mut answers = saved_answers(&sandbox);
    assert_eq!(answers.as_object_mut().unwrap().remove("versions").unwrap().as_object().unwrap().len(), LATER.len());
    assert_eq!(answers, answers_before);
    assert_eq!(claims(&sandbox), claims_before);
    assert_eq!(loki.version(), "3.7.8");
    assert!(loki.has_line("stored") && loki.has_line("logged"), "Loki 3.7 reads what Loki 3.5 wrote");
    assert_eq!(secret(&sandbox, "oauth2-proxy-auth0", "cookie-secret"), cookie);
    assert_eq!(secret(&sandbox, "grafana-admin", "admin-password"), password);

    sandbox.install(&["--set", "versions.loki=6.46.0"]).ended_with(4).tells(&["18.11.0", "6.46.0"]);
    assert_eq!(sandbox.releases(), expected);

    // The answers that the last run kept know the versions; a new client secret restarts oauth2-proxy alone.
    let mut command = sandbox.tailwatch_command(&["install", "--yes", "--output", "json"]);
    // The issuer has not heard of it, and would have it refused; from here it is out of reach.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    let rotated = command.env("AUTH0_CLIENT_SECRET", "rotated").output().unwrap();
    let events: Vec<Value> =
        String::from_utf8_lossy(&rotated.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcomes(&events), ["unchanged", "upgraded", "unchanged", "unchanged"]);
    assert_eq!(secret(&sandbox, "oauth2-proxy-auth0", "client-secret"), "cm90YXRlZA==");
    assert_eq!(secret(&sandbox, "oauth2-proxy-auth0", "cookie-secret"), cookie);
}

#[test]
fn the_tailscale_operator_comes_first_where_the_cluster_has_none() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    let refused = sandbox.install(&[]).ended_with(4);
    assert!(refused.stderr.contains("tailscale.oauth"), "{}", refused.stderr);
    let secret = sandbox.file("tailscale-secret").display().to_string();
    std::fs::write(&secret, "tskey-canary\n").unwrap();
    let source = format!("tailscale.oauth.clientSecret={{ file: {secret} }}");
    let credentials = ["--set", "tailscale.oauth.clientId=kOperator", "--set", &source, "--output", "json"];
    let installed = sandbox.install(&credentials).ended_with(0).events();
    let first = &installed[0]["steps"][0];
    assert_eq!((&first["component"], &first["wave"]), (&"tailscale-operator".into(), &20.into()));
    assert_eq!(outcomes(&installed), ["installed"; 5]);
    let kept = sandbox.get(&["-n", "tailscale", "secret", "operator-oauth"]);
    assert_eq!(kept["data"]["client_secret"], "dHNrZXktY2FuYXJ5", "without the file's last newline");
    assert!(sandbox.kubectl(&["get", "ingressclass", "-o", "name"]).contains("tailscale"));
    // It stays ours, though there is an IngressClass now.
    let again = sandbox.tailwatch(&["install", "--yes", "--output", "json", "--skip-verify"]).ended_with(0).events();
    assert_eq!(outcomes(&again), ["unchanged"; 5]);

    // The data that an uninstall keeps answers everything, on a terminal, too.
    sandbox.tailwatch(&["uninstall", "--yes"]).ended_with(0);
    assert!(!sandbox.kubectl(&["get", "ingressclass", "-o", "name"]).contains("tailscale"));
    let mut command = sandbox.tailwatch_command(&["install", "--yes", "--skip-verify"]);
    command.env_remove("AUTH0_CLIENT_SECRET");
    let mut terminal = spawn_command(command, Some(120_000)).unwrap();
    // A question would never be answered.
    let shown = terminal.exp_eof().unwrap();
    assert!(!shown.contains("Tailscale OAuth") && !shown.contains("goes back"), "it asked a question:\n{shown}");
    assert_eq!(exit_code(terminal), 0, "{shown}");
    assert_eq!(sandbox.releases().len(), 5, "{shown}");
}
