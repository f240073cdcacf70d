use serde_json::{Value, json};

use super::*;
use crate::config::settings_for_tests;
use crate::event::Verdict;

fn claims(token: Value) -> Claims {
    let mut claims = Claims { token: token.as_object().unwrap().clone(), userinfo: None };
    claims.token.insert("aud".into(), json!("client-1"));
    claims
}

fn verdicts(claims: Result<Claims, LoginError>, settings: Settings) -> Vec<CheckResult> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(SignedIn { claims, settings }.verdicts(Duration::from_secs(3)))
}

fn of(claims: &Claims) -> Vec<CheckResult> {
    with(claims, &settings_for_tests())
}

fn with(claims: &Claims, settings: &Settings) -> Vec<CheckResult> {
    verdicts(Ok(claims.clone()), settings.clone())
}

fn row<'a>(checks: &'a [CheckResult], id: &str) -> &'a CheckResult {
    checks.iter().find(|check| check.id == id).unwrap()
}

/// A user in these groups, by the configured claim, with a verified address.
fn user(groups: Value) -> Claims {
    claims(json!({"email": "a@acme.example", "email_verified": true, "https://acme.example/groups": groups}))
}

#[test]
fn a_member_of_any_allowed_group_is_admitted() {
    for groups in [json!(["staff", "infra-admins"]), json!("infra-admins")] {
        let checks = of(&user(groups));
        assert_eq!(checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(), ids());
        assert!(checks.iter().all(|check| check.verdict == Verdict::Pass && check.hint.is_none()), "{checks:#?}");
        assert_eq!(row(&checks, "login-admitted").detail, "you are in infra-admins, which oauth2-proxy admits");
        let token = row(&checks, "login-token");
        assert_eq!(token.detail, "https://acme.eu.auth0.com/, for client-1");
        assert!((token.seconds - 3.0).abs() < f64::EPSILON);
    }
}

#[test]
fn without_an_allowed_group_both_lists_are_reported() {
    for (groups, detail) in [
        (json!(["staff", "ops"]), "you are in staff, ops; allowed are infra-admins, monitoring-admins"),
        (json!([]), "you are in no group; allowed are infra-admins, monitoring-admins"),
        (
            json!("Infra-Admins"),
            "you are in Infra-Admins; allowed are infra-admins, monitoring-admins; \"Infra-Admins\" and \
             \"infra-admins\" differ: the match is exact",
        ),
        (
            json!(["monitoring-admins "]),
            "you are in monitoring-admins ; allowed are infra-admins, monitoring-admins; \"monitoring-admins \" and \
             \"monitoring-admins\" differ: the match is exact",
        ),
    ] {
        let checks = of(&user(groups));
        let admitted = row(&checks, "login-admitted");
        assert_eq!((admitted.verdict, admitted.detail.as_str()), (Verdict::Fail, detail));
        assert_eq!(admitted.hop, None, "a correct denial has no broken hop");
        assert!(admitted.hint.as_ref().unwrap().contains("auth0.allowedGroups") && admitted.docs.is_some());
        assert_eq!(row(&checks, "login-groups").verdict, Verdict::Pass);
    }
}

#[test]
fn of_very_many_groups_the_first_are_reported() {
    let many: Vec<String> = (0..50).map(|number| format!("g{number}")).collect();
    let checks = of(&user(json!(many)));
    assert!(row(&checks, "login-groups").detail.ends_with("g19 and 30 more"), "{checks:#?}");
}

#[test]
fn a_missing_claim_is_reported_with_the_action_and_the_alternative() {
    let action = "exports.onExecutePostLogin = async (event, api) => {\n  \
                  api.idToken.setCustomClaim(\"https://acme.example/groups\", event.authorization?.roles ?? []);\n};";
    for (other, value, reported, take) in [
        ("picture", json!("infra-admins"), None, false),
        ("https://acme.example/team", json!(["infra-admins"]), Some("https://acme.example/team"), true),
        ("https://acme.example/Groups", json!(["staff"]), Some("https://acme.example/Groups"), true),
        ("groups", json!(["infra-admins"]), Some("groups"), false),
        ("roles", json!(["staff"]), Some("roles"), false),
        ("org", json!("acme"), None, false),
    ] {
        let checks = of(&claims(json!({"email": "a@acme.example", "email_verified": true, other: value})));
        let groups = row(&checks, "login-groups");
        assert_eq!((groups.verdict, groups.hop), (Verdict::Fail, Some(Hop::Oauth2ProxyIssuer)), "{other}");
        let hint = groups.hint.as_ref().unwrap();
        assert!(hint.contains(action), "{hint}");

        match reported {
            Some(name) => assert!(groups.detail.contains(&format!("; the token has {name}: ")), "{groups:#?}"),
            None => assert_eq!(groups.detail, "there is no claim https://acme.example/groups"),
        }
        assert_eq!(hint.contains(&format!("set auth0.groupsClaim to {other}")), take, "{hint}");
        let admitted = row(&checks, "login-admitted");
        assert_eq!(
            (admitted.verdict, admitted.detail.as_str()),
            (Verdict::Skip, "not tested, since login-groups did not pass")
        );
    }
}

#[test]
fn another_provider_gets_no_hint_about_auth0s_actions() {
    let mut settings = settings_for_tests();
    settings.auth0.issuer = "https://keycloak.acme.example/realms/main".parse().unwrap();
    let user = claims(json!({"email": "a@acme.example", "email_verified": true, "groups": ["/infra-admins"]}));
    let missing = with(&user, &settings);
    let hint = row(&missing, "login-groups").hint.clone().unwrap();
    assert!(hint.starts_with("set auth0.groupsClaim to groups") && !hint.contains("onExecutePostLogin"), "{hint}");
    settings.auth0.groups_claim = "groups".parse().unwrap();
    let path = with(&user, &settings);
    assert!(row(&path, "login-admitted").detail.contains("the match is exact"), "{path:#?}");
    let overage = claims(json!({"email": "a@acme.example", "_claim_names": {"groups": "src1"}}));
    let checks = with(&overage, &settings);
    assert!(row(&checks, "login-groups").detail.contains("too many groups"), "{checks:#?}");
}

#[test]
fn claims_that_the_token_lacks_are_read_from_the_userinfo() {
    let mut some = claims(json!({}));
    let reported = json!({"email": "a@acme.example", "https://acme.example/groups": ["monitoring-admins"]});
    some.userinfo = Some(Ok(reported.as_object().unwrap().clone()));
    let checks = of(&some);
    assert_eq!(row(&checks, "login-admitted").detail, "you are in monitoring-admins, which oauth2-proxy admits");
    assert!(row(&checks, "login-email").detail.contains("does not say whether a@acme.example is verified"));
    some.userinfo = Some(Err("Request failed".into()));
    let checks = of(&some);
    for id in ["login-email", "login-groups"] {
        assert_eq!(row(&checks, id).verdict, Verdict::Fail);
        assert!(row(&checks, id).detail.ends_with("the userinfo endpoint failed: Request failed"), "{checks:#?}");
    }
}

#[test]
fn an_unverified_address_is_not_admitted() {
    for verified in [json!(false), json!("false"), json!(0)] {
        let mut user = user(json!(["infra-admins"]));
        user.token.insert("email_verified".into(), verified);
        let checks = of(&user);
        let email = row(&checks, "login-email");
        assert_eq!(email.verdict, Verdict::Fail);
        assert_eq!(email.detail, "a@acme.example is not verified; oauth2-proxy answers 500");
        assert_eq!(row(&checks, "login-admitted").verdict, Verdict::Skip);
    }
    let mut user = user(json!(["infra-admins"]));
    user.token.insert("email_verified".into(), json!("true"));
    assert_eq!(row(&of(&user), "login-email").detail, "a@acme.example is verified");
}

#[test]
fn without_a_token_all_other_checks_are_skipped_and_the_hint_fits_the_reason() {
    let callback = || Some("http://127.0.0.1:4181/callback".to_owned());
    let oauth2_proxy = Some(Hop::Oauth2ProxyIssuer);
    for (error, hop, detail, hint) in [
        (
            LoginError::Timeout { callback: callback() },
            None,
            "no sign-in within 5 minutes",
            "http://127.0.0.1:4181/callback",
        ),
        (LoginError::Timeout { callback: None }, None, "no sign-in within", "before it expires"),
        (LoginError::Denied("access_denied".into()), None, "the sign-in was denied: access_denied", "agree"),
        (
            LoginError::Secret("invalid_client".into()),
            oauth2_proxy,
            "the client secret: invalid_client",
            "--ask-secrets",
        ),
        (LoginError::NoDeviceFlow, None, "no device flow", "leave =device out"),
        (LoginError::Issuer("other".into()), oauth2_proxy, "does not match the issuer", "auth0.issuer"),
        (LoginError::Rejected("invalid_scope".into()), oauth2_proxy, "rejects the client: invalid_scope", "client-1"),
        (LoginError::Token("Expired".into()), oauth2_proxy, "does not verify: Expired", "clock"),
    ] {
        let checks = verdicts(Err(error), settings_for_tests());
        let token = row(&checks, "login-token");
        assert_eq!((token.verdict, token.hop), (Verdict::Fail, hop));
        assert!(token.detail.contains(detail) && token.hint.as_ref().unwrap().contains(hint), "{token:#?}");
        assert!(checks[1..].iter().all(|check| check.verdict == Verdict::Skip), "{checks:#?}");
    }
}
