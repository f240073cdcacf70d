//! One fact of the identity provider wrong at a time: `preflight` names it, and nothing was made in the cluster.

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Sandbox, of_kind, verdicts};

use crate::TAILWATCH;
use crate::preflight::objects;

/// A kind of the fault `issuer`, the one check that speaks of it, its verdict, and part of what was found.
type Wrong = (&'static str, &'static str, &'static str, &'static str);

const WRONGS: [Wrong; 17] = [
    ("not-found", "issuer-discovery", "fail", "404"),
    ("html", "issuer-discovery", "fail", "(200: Acme"),
    ("certificate-untrusted", "issuer-discovery", "fail", ""),
    ("certificate-expired", "issuer-discovery", "fail", ""),
    ("unreachable", "issuer-discovery", "warn", ""),
    ("no-response", "issuer-discovery", "warn", "10 s"),
    ("other-issuer", "issuer-match", "fail", "https://login.acme.example/"),
    ("no-trailing-slash", "issuer-match", "fail", "https://acme.eu.auth0.com"),
    ("no-code", "issuer-authorization-code", "fail", "response_types_supported has id_token"),
    ("no-pkce", "issuer-pkce", "fail", "code_challenge_methods_supported"),
    ("no-rs256", "issuer-rs256", "fail", "id_token_signing_alg_values_supported has HS256"),
    ("jwks-not-found", "issuer-keys", "fail", "https://acme.eu.auth0.com/.well-known/jwks.json"),
    ("jwks-empty", "issuer-keys", "fail", "RSA"),
    ("client-unknown", "client-id", "fail", "tailwatch-sandbox"),
    ("organization-required", "client-id", "fail", "parameter organization"),
    ("callback-rejected", "callback-allowed", "fail", "https://grafana.tail1a2b.ts.net/oauth2/callback"),
    ("secret-wrong", "client-secret", "fail", "401"),
];

const ROWS: [&str; 11] = [
    "issuer-discovery",
    "issuer-match",
    "groups-claim",
    "issuer-organization",
    "issuer-authorization-code",
    "issuer-pkce",
    "issuer-rs256",
    "issuer-keys",
    "client-id",
    "callback-allowed",
    "client-secret",
];

/// What cannot be asked while that check is false.
fn dependents(kind: &str, id: &str) -> &'static [&'static str] {
    match id {
        // The redirect to the callback URL proves that it is allowed.
        "client-id" if kind == "organization-required" => &["client-secret"],
        "issuer-discovery" => &ROWS[1..],
        "issuer-match" => &["client-secret"],
        "issuer-authorization-code" => &["client-id", "callback-allowed", "client-secret"],
        "client-id" => &["callback-allowed", "client-secret"],
        _ => &[],
    }
}

#[test]
fn a_single_wrong_fact_of_the_identity_provider_is_named_before_the_first_object() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let before = objects(&sandbox);
    assert_eq!(provider(&preflight(&sandbox, 0, &[])), ROWS.map(|id| (id.to_owned(), "pass".to_owned())).into());
    for (kind, id, verdict, part) in WRONGS {
        sandbox.fault(&format!("issuer={kind}"), "on");
        let checks = preflight(&sandbox, if verdict == "fail" { 4 } else { 0 }, &[]);
        let expected = ROWS.into_iter().map(|row| {
            let found = if row == id {
                verdict
            } else if dependents(kind, id).contains(&row) {
                "skip"
            } else {
                "pass"
            };
            (row.to_owned(), found.to_owned())
        });
        assert_eq!(provider(&checks), expected.collect(), "{kind}: {checks:#}");
        let others = verdicts(&checks).into_iter().filter(|(row, _)| !ROWS.contains(&row.as_str()));
        assert_eq!(others.filter(|(_, verdict)| verdict == "fail").count(), 0, "{kind}: {checks:#}");
        let check = checks.as_array().unwrap().iter().find(|check| check["id"] == id).unwrap();
        assert!(check["detail"].as_str().unwrap().contains(part), "{kind}: {check:#}");
        assert!(check["hint"].is_string() && check["group"] == "identity provider", "{kind}: {check:#}");
        sandbox.fault("issuer", "off");
    }
    an_organization_needs_the_endpoints_of_auth0(&sandbox);
    install_stops_likewise(&sandbox);
    assert_eq!(objects(&sandbox), before);
    assert!(sandbox.releases().is_empty());
    where_nothing_of_the_oauth2_proxy_changes_the_identity_provider_need_not_answer(&sandbox);
}

/// The endpoints of another product are right without an organization.
fn an_organization_needs_the_endpoints_of_auth0(sandbox: &Sandbox) {
    let organization = ["--set", "auth0.organization=org_a1"];
    let all = ROWS.map(|id| (id.to_owned(), "pass".to_owned()));
    assert_eq!(provider(&preflight(sandbox, 0, &organization)), all.clone().into());
    sandbox.fault("issuer=other-endpoints", "on");
    assert_eq!(provider(&preflight(sandbox, 0, &[])), all.clone().into());
    let checks = preflight(sandbox, 4, &organization);
    let mut expected = BTreeMap::from(all);
    expected.insert("issuer-organization".into(), "fail".into());
    assert_eq!(provider(&checks), expected, "{checks:#}");
    let check = checks.as_array().unwrap().iter().find(|check| check["id"] == "issuer-organization").unwrap();
    assert!(check["detail"].as_str().unwrap().starts_with("jwks_uri is "), "{check:#}");
    sandbox.fault("issuer", "off");
}

/// The same in `install`, with the next step.
fn install_stops_likewise(sandbox: &Sandbox) {
    sandbox.fault("issuer=secret-wrong", "on");
    let said = sandbox.install(&["--output", "json"]).ended_with(4);
    let checks = &said.run_finished()["checks"];
    assert_eq!(verdicts(checks)["client-secret"], "fail", "{checks:#}");
    assert!(!said.stderr.contains(sandbox.variable("AUTH0_CLIENT_SECRET")), "{}", said.stderr);
    sandbox.fault("issuer", "off");
}

#[track_caller]
fn preflight(sandbox: &Sandbox, code: i32, more: &[&str]) -> Value {
    let answers = sandbox.answers();
    let arguments = [&["preflight", "--output", "json", "--answers", &answers], more].concat();
    let said = sandbox.tailwatch(&arguments).ended_with(code);
    let secret = sandbox.variable("AUTH0_CLIENT_SECRET");
    assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "the secret is shown");
    said.json()["checks"].clone()
}

/// The verdicts about the identity provider.
fn provider(checks: &Value) -> BTreeMap<String, String> {
    verdicts(checks).into_iter().filter(|(id, _)| ROWS.contains(&id.as_str())).collect()
}

fn where_nothing_of_the_oauth2_proxy_changes_the_identity_provider_need_not_answer(sandbox: &Sandbox) {
    sandbox.install(&["--skip-verify"]).ended_with(0);
    sandbox.fault("issuer=unreachable", "on");
    let said = sandbox.install(&["--skip-verify", "--output", "json"]).ended_with(0);
    for check in of_kind(&said.events(), "check-finished") {
        assert!(!ROWS[1..].contains(&check["id"].as_str().unwrap()), "{check:#}");
    }
}
