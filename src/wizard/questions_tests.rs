use super::*;
use crate::config::TailscaleOperator;
use crate::wizard::ask;
use crate::wizard::scripted::scripted;
use crate::wizard::summary::{CONTINUE, SAVE};

fn cluster() -> Detected {
    Detected {
        tailnet: Some("tail9.ts.net".into()),
        storage_classes: vec![("standard".into(), true), ("fast".into(), false)],
        tailscale_operator: TailscaleOperator { has_class: true, is_ours: false },
        kept_oidc_client: None,
        kept_operator_client: None,
    }
}

fn answered(from: &Provenance) -> Draft {
    let mut draft = Draft::default();
    for (key, text) in [
        ("tailnet", "tail1.ts.net"),
        ("auth0.issuer", "https://acme.eu.auth0.com/"),
        ("auth0.clientId", "c"),
        ("auth0.groupsClaim", "https://acme.example/groups"),
    ] {
        draft.set(key, text, from.clone()).unwrap();
    }
    draft
}

#[test]
fn defaults_validation_a_step_back_and_the_summary() {
    let mut prompt = scripted(&[
        "not a domain",
        "",
        "",
        "https://acme.eu.auth0.com/",
        "wrong-client",
        "<",
        "client-1",
        "s3cret",
        "https://acme.example/groups",
        "",
        "",
        "",
        "fast",
        "",
        CONTINUE,
    ]);
    let mut draft = Draft::default();
    ask(&mut draft, &cluster(), Scope::Everything, &mut prompt).unwrap();
    let settings = draft.finish().unwrap();
    assert_eq!(settings.tailnet.as_str(), "tail9.ts.net");
    assert_eq!(settings.auth0.client_id.as_str(), "client-1");
    assert_eq!(settings.storage.class.unwrap().as_str(), "fast");
    assert!(prompt.said.iter().any(|line| line.contains("expected")), "{:?}", prompt.said);
    assert!(!prompt.said.iter().any(|line| line.contains("s3cret")), "{:?}", prompt.said);
}

#[test]
fn only_missing_answers_are_prompted_for() {
    let mut draft = Draft::default();
    for (key, text) in
        [("tailnet", "tail1.ts.net"), ("auth0.issuer", "https://acme.eu.auth0.com/"), ("auth0.clientId", "c")]
    {
        draft.set(key, text, Provenance::Set).unwrap();
    }
    let kept_oidc_client = Some(("https://acme.eu.auth0.com/".to_owned(), "c".to_owned()));
    let detected = Detected { kept_oidc_client, ..cluster() };
    let mut prompt = scripted(&["https://acme.example/groups"]);
    ask(&mut draft, &detected, Scope::OnlyMissing, &mut prompt).unwrap();
    assert_eq!(prompt.asked, ["Groups claim"]);
    assert!(draft.missing().is_empty());
}

#[test]
fn a_stored_secret_is_prompted_for_only_with_another_issuer_or_client() {
    let kept = Detected {
        kept_oidc_client: Some(("https://acme.eu.auth0.com/".into(), "c".into())),
        kept_operator_client: Some("k1".into()),
        tailscale_operator: TailscaleOperator::default(),
        ..cluster()
    };
    let none = Detected { kept_oidc_client: None, kept_operator_client: None, ..kept.clone() };
    for (detected, set, asked) in [
        (&kept, &[][..], &[][..]),
        (&kept, &[("auth0.issuer", "https://other.eu.auth0.com/")], &["Auth0 client secret"]),
        (&kept, &[("auth0.clientId", "d")], &["Auth0 client secret"]),
        (&kept, &[("tailscale.oauth.clientId", "k1")], &[]),
        (&kept, &[("tailscale.oauth.clientId", "k2")], &["Tailscale OAuth client secret"]),
        (&none, &[], &["Tailscale OAuth client id", "Tailscale OAuth client secret", "Auth0 client secret"]),
    ] {
        let mut draft = answered(&Provenance::Set);
        for (key, text) in set {
            draft.set(key, text, Provenance::Set).unwrap();
        }
        let mut prompt = scripted(&["given", "given", "given"]);
        ask(&mut draft, detected, Scope::OnlyMissing, &mut prompt).unwrap();
        assert_eq!(prompt.asked, asked, "{set:?}");
    }
}

#[test]
fn a_guided_run_prompts_for_the_secret_of_another_client() {
    let kept_oidc_client = Some(("https://acme.eu.auth0.com/".into(), "c".into()));
    let detected = Detected { kept_oidc_client, ..cluster() };
    // A step back from the claim skips the secret that is not prompted for.
    let same = ["", "", "", "c", "<", "c"];
    let other = ["", "", "", "d", "given"];
    for (replies, secret_asked) in [(&same[..], false), (&other, true)] {
        let mut draft = Draft::default();
        draft.set("auth0.issuer", "https://acme.eu.auth0.com/", Provenance::Saved).unwrap();
        let rest = ["https://acme.example/groups", "", "", "", "", "", CONTINUE];
        let mut prompt = scripted(&[replies, &rest].concat());
        ask(&mut draft, &detected, Scope::Everything, &mut prompt).unwrap();
        assert_eq!(prompt.asked.iter().any(|label| label == "Auth0 client secret"), secret_asked);
        assert_eq!(draft.has("auth0.clientSecret"), secret_asked);
        assert!(draft.missing().is_empty());
    }
}

#[test]
fn the_default_class_replaces_a_class_of_the_answers() {
    for from in [Provenance::File("answers.yaml".into(), 3), Provenance::Saved, Provenance::Set] {
        let mut draft = answered(&Provenance::Set);
        draft.set("storage.class", "fast", from.clone()).unwrap();
        let question = QUESTIONS.iter().find(|question| question.kind == Kind::StorageClass).unwrap();
        let mut kept = draft.clone();
        ask_one(question, "1/1", &mut kept, &cluster(), &mut scripted(&[""])).unwrap();
        assert_eq!(kept.finish().unwrap().storage.class.unwrap().as_str(), "fast", "Enter accepts it");
        let mut chosen = scripted(&["the cluster's default (standard)"]);
        ask_one(question, "1/1", &mut draft, &cluster(), &mut chosen).unwrap();
        assert!(draft.finish().unwrap().storage.class.is_none(), "{from}");
    }
}

#[test]
fn the_oauth_client_is_prompted_for_only_if_the_operator_is_installed() {
    for (mode, has_class, is_ours, asked) in [
        ("auto", false, false, true),
        ("auto", true, false, false),
        ("auto", true, true, true),
        ("install", true, false, true),
        ("present", false, false, false),
    ] {
        let mut draft = Draft::default();
        draft.set("tailscale.operator", mode, Provenance::Set).unwrap();
        let detected = Detected { tailscale_operator: TailscaleOperator { has_class, is_ours }, ..cluster() };
        let of_operator = QUESTIONS.iter().filter(|question| question.key.starts_with("tailscale.oauth"));
        for question in of_operator {
            let is_asked = is_asked(question, &draft, &detected, Scope::OnlyMissing);
            assert_eq!(is_asked, asked, "{} with {mode}, {has_class}, {is_ours}", question.key);
        }
    }
}

#[test]
fn stopping_is_an_interruption() {
    let mut prompt = scripted(&["tail1.ts.net"]);
    let error = ask(&mut Draft::default(), &cluster(), Scope::Everything, &mut prompt).unwrap_err();
    assert!(matches!(error, WizardError::Interrupted));
}

#[test]
fn known_answers_are_reviewed_without_questions() {
    let kept_oidc_client = Some(("https://acme.eu.auth0.com/".into(), "c".into()));
    let kept = Detected { kept_oidc_client, ..cluster() };
    for (detected, replies, asked) in [
        (&kept, &[CONTINUE][..], &["Next"][..]),
        (
            &kept,
            &["change an answer", "Retention of logs", "14d", CONTINUE],
            &["Next", "Which", "Retention of logs", "Next"],
        ),
        (&cluster(), &["s3cret", CONTINUE], &["Auth0 client secret", "Next"]),
        (
            &kept,
            &["change an answer", "Auth0 client id", "d", CONTINUE, "s3cret", CONTINUE],
            &["Next", "Which", "Auth0 client id", "Next", "Auth0 client secret", "Next"],
        ),
    ] {
        let mut prompt = scripted(replies);
        ask(&mut answered(&Provenance::Saved), detected, Scope::Review, &mut prompt).unwrap();
        assert_eq!(prompt.asked, asked);
    }
}

#[test]
fn a_review_saves_the_answers_as_a_file() {
    let mut draft = answered(&Provenance::Prompt);
    draft.set_secret("auth0.clientSecret", Secret::new("s3cret".into()));
    let mut prompt = scripted(&[SAVE, "", SAVE, "", CONTINUE]);
    ask(&mut draft, &cluster(), Scope::Review, &mut prompt).unwrap();
    let [(path, text)] = prompt.saved.into_iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(path.to_str(), Some("answers.yaml"));
    assert_eq!(text, draft.answers_file().unwrap());
    assert!(prompt.said.iter().any(|line| line.starts_with("answers.yaml cannot be written")), "{:?}", prompt.said);
}

/// The settings of the application come before the answers that it has, the Action after the claim.
#[test]
fn the_auth0_side_is_shown_where_it_is_needed() {
    let replies =
        ["", "", "https://acme.eu.auth0.com/", "c", "s3cret", "https://acme.example/groups", "", "", "", "", ""];
    let mut prompt = scripted(&[&replies[..], &[CONTINUE]].concat());
    ask(&mut Draft::default(), &cluster(), Scope::Everything, &mut prompt).unwrap();
    let said = prompt.said.join("\n");
    insta::assert_snapshot!("guided", said);
    let mut other = scripted(&["https://acme.example/groups"]);
    let mut keycloak = answered(&Provenance::Set);
    keycloak.set("auth0.issuer", "https://sso.acme.example/realms/x", Provenance::Set).unwrap();
    keycloak.unset("auth0.groupsClaim");
    let kept_oidc_client = Some(("https://sso.acme.example/realms/x".into(), "c".into()));
    ask(&mut keycloak, &Detected { kept_oidc_client, ..cluster() }, Scope::OnlyMissing, &mut other).unwrap();
    assert!(!other.said.join("\n").contains("onExecutePostLogin"), "{:?}", other.said);
}
