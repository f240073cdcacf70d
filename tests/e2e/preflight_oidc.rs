//! One fact of the identity provider wrong at a time: `preflight` names it, and nothing was made in the cluster.

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Sandbox, verdicts};

use crate::TAILWATCH;
use crate::preflight::objects;

/// A kind of the fault `issuer`, the one check that speaks of it, its verdict, and part of what was found.
type Wrong = (&'static str, &'static str, &'static str, &'static str);

const WRONGS: [Wrong; 17] = [
    ("not-found", "issuer-discovery", "fail", "it answers 404: there is no issuer at this address"),
    ("html", "issuer-discovery", "fail", "with a page, expected JSON (200: Acme"),
    ("certificate-untrusted", "issuer-discovery", "fail", "an authority that this machine does not trust"),
    ("certificate-expired", "issuer-discovery", "fail", "its certificate has expired"),
    ("unreachable", "issuer-discovery", "warn", "not reachable from this machine: "),
    ("no-response", "issuer-discovery", "warn", "it does not answer within 10 s; the identity provider was not tested"),
    ("other-issuer", "issuer-match", "fail", "https://login.acme.example/, configured is https://acme.eu.auth0.com/"),
    ("no-trailing-slash", "issuer-match", "fail", "https://acme.eu.auth0.com, without the slash at the end"),
    ("no-code", "issuer-authorization-code", "fail", "response_types_supported has id_token, expected code"),
    ("no-pkce", "issuer-pkce", "fail", "code_challenge_methods_supported has nothing, expected S256"),
    ("no-rs256", "issuer-rs256", "fail", "id_token_signing_alg_values_supported has HS256, expected RS256"),
    ("jwks-not-found", "issuer-keys", "fail", "https://acme.eu.auth0.com/.well-known/jwks.json answers 404"),
    ("jwks-empty", "issuer-keys", "fail", "has no RSA signing key, of 0 keys"),
    ("client-unknown", "client-id", "fail", "it does not know the client id tailwatch-sandbox"),
    ("organization-required", "client-id", "fail", "parameter organization is required for this client"),
    ("callback-rejected", "callback-allowed", "fail", "it rejects https://grafana.tail1a2b.ts.net/oauth2/callback"),
    ("secret-wrong", "client-secret", "fail", "the token endpoint answers 401"),
];

const ROWS: [&str; 10] = [
    "issuer-discovery",
    "issuer-match",
    "groups-claim",
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
    assert_eq!(provider(&preflight(&sandbox, 0)), ROWS.map(|id| (id.to_owned(), "pass".to_owned())).into());
    for (kind, id, verdict, part) in WRONGS {
        sandbox.fault(&format!("issuer={kind}"), "on");
        let checks = preflight(&sandbox, if verdict == "fail" { 4 } else { 0 });
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
    install_stops_likewise(&sandbox);
    assert_eq!(objects(&sandbox), before);
    assert!(sandbox.releases().is_empty());
}

/// The same in `install`, told with the next step.
fn install_stops_likewise(sandbox: &Sandbox) {
    sandbox.fault("issuer=secret-wrong", "on");
    let said = sandbox.install(&[]).ended_with(4);
    for part in ["the identity provider accepts the client secret", "copy the Client Secret"] {
        assert!(said.stderr.contains(part), "{part:?} is missing in:\n{}", said.stderr);
    }
    assert!(!said.stderr.contains(sandbox.variable("AUTH0_CLIENT_SECRET")), "{}", said.stderr);
    sandbox.fault("issuer", "off");
}

#[track_caller]
fn preflight(sandbox: &Sandbox, code: i32) -> Value {
    let said = sandbox.tailwatch(&["preflight", "--output", "json", "--answers", &sandbox.answers()]).ended_with(code);
    let secret = sandbox.variable("AUTH0_CLIENT_SECRET");
    assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "the secret is shown");
    said.json()["checks"].clone()
}

/// The verdicts about the identity provider.
fn provider(checks: &Value) -> BTreeMap<String, String> {
    verdicts(checks).into_iter().filter(|(id, _)| ROWS.contains(&id.as_str())).collect()
}

#[test]
fn where_nothing_of_the_oauth2_proxy_changes_the_identity_provider_need_not_answer() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.install(&[]).ended_with(0);
    sandbox.fault("issuer=unreachable", "on");
    let said = sandbox.install(&["--skip-verify", "--output", "json"]).ended_with(0);
    assert!(!said.stdout.contains("identity provider"), "{}", said.stdout);
}
