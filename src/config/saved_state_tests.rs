use super::*;
use crate::config::{ComponentName, settings_for_tests};

const SALT: &[u8] = b"0123456789abcdef";

fn salt() -> Secret<Vec<u8>> {
    Secret::new(SALT.to_vec())
}

fn settings(more: &[(&str, &str)], values: &str) -> Settings {
    let mut draft = Draft::default();
    let base = [
        ("tailnet", "tail1a2b.ts.net"),
        ("auth0.issuer", "https://acme.eu.auth0.com/"),
        ("auth0.clientId", "client-1"),
        ("auth0.groupsClaim", "https://acme.example/groups"),
    ];
    for (key, text) in base.iter().chain(more) {
        draft.set(key, text, Provenance::Set).unwrap();
    }
    if draft.has("charts.username") {
        draft.set_secret("charts.password", Secret::new("hunter2".into()));
    }
    let mut text = saved_answers(&draft.finish().unwrap());
    text.push_str(values);
    add_saved(Draft::default(), &text).unwrap().finish().unwrap()
}

fn state(text: String, record: Option<String>) -> SavedState {
    SavedState { namespace: "m".into(), text, writer: "tailwatch 0.1.0".into(), salt: salt(), record }
}

/// The saved state of `settings` with an edited text.
fn edited(settings: &Settings, edit: impl Fn(&str) -> String) -> SavedState {
    state(edit(&saved_answers(settings)), Some(record(settings, &salt())))
}

fn keys(draft: Draft, state: &SavedState) -> Vec<String> {
    add_state(draft, state).unwrap().unconfirmed().into_iter().map(|one| one.key).collect()
}

const VALUES: &str = "values: { loki: { a: { b: 1, c: s3cret }, d: [1, 2] } }\nversions: { loki: 6.46.0 }\n";

#[test]
fn the_saved_answers_match_their_own_record() {
    for settings in [
        settings_for_tests(),
        settings(&[("charts.repository", "oci://mirror.example/charts"), ("logs", "none")], VALUES),
        settings(&[("tailscale.operator", "present"), ("tailscale.oauth.clientId", "k")], ""),
    ] {
        assert_eq!(keys(Draft::default(), &edited(&settings, str::to_owned)), Vec::<String>::new());
        let record = record(&settings, &salt());
        assert!(!record.contains("s3cret"), "{record}");
    }
}

#[test]
fn every_edited_security_bearing_row_is_reported() {
    for row in ROWS.iter().filter(|row| row.security) {
        // The other answers below `charts` are about this repository.
        let mut base = vec![("charts.repository", "oci://mirror.example/charts")];
        base.retain(|_| row.key.starts_with("charts.") && row.key != "charts.repository");
        let before = settings(&base, "");
        let other = match row.key {
            "tailnet" => "evil.ts.net",
            "grafana.hostname" => "other",
            "grafana.anonymousRole" => "Viewer",
            "auth0.issuer" => "https://evil.example/",
            "auth0.allowedGroups" => "everybody",
            "auth0.sessionLifetime" => "168h",
            "logs" => "none",
            "tailscale.operator" => "present",
            "tailscale.tags" => "tag:evil",
            "auth0.groupsClaim" => "https://evil.example/groups",
            _ => row.example,
        };
        let after = settings(&[base, vec![(row.key, other)]].concat(), "");
        let edit = edited(&before, |_| saved_answers(&after));
        let found = add_state(Draft::default(), &edit).unwrap().unconfirmed();
        assert_eq!(found.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), [row.key]);
        assert!(found[0].saved.as_ref().unwrap().contains(other), "{}", found[0]);
        // A source with precedence needs no confirmation.
        let mut answered = Draft::default();
        answered.set(row.key, other, Provenance::Environment("X".into())).unwrap();
        assert_eq!(keys(answered, &edit), Vec::<String>::new(), "{}", row.key);
    }
    let before = settings(&[], "");
    let harmless = settings(&[("retention.logs", "30d"), ("storage.loki", "70Gi")], "");
    assert_eq!(keys(Draft::default(), &edited(&before, |_| saved_answers(&harmless))), Vec::<String>::new());
}

#[test]
fn removed_answers_are_reported() {
    let narrow = settings(&[("auth0.allowedGroups", "few"), ("charts.repository", "oci://mirror.example/x")], VALUES);
    let without = edited(&narrow, |_| saved_answers(&settings(&[], "")));
    assert_eq!(
        keys(Draft::default(), &without),
        [
            "auth0.allowedGroups",
            "charts.repository",
            "versions.loki",
            "values.loki.a.b",
            "values.loki.a.c",
            "values.loki.d"
        ]
    );
}

#[test]
fn versions_and_values_are_compared_by_path_and_never_shown() {
    let before = settings(&[], VALUES);
    let edit = |from: &'static str, to: &'static str| edited(&before, move |text| text.replace(from, to));
    let found = |state: &SavedState| add_state(Draft::default(), state).unwrap().unconfirmed();
    assert_eq!(keys(Draft::default(), &edit("6.46.0", "6.45.0")), ["versions.loki"]);
    let other = found(&edit("s3cret", "h4cked"));
    assert_eq!(other.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["values.loki.a.c"]);
    assert!(!format!("{other:?}").contains("s3cret") && !format!("{other:?}").contains("h4cked"), "{other:?}");
    let binding = settings(&[], &VALUES.replace("d:", "extraObjects: [{ kind: ClusterRoleBinding }], d:"));
    assert_eq!(keys(Draft::default(), &edited(&before, |_| saved_answers(&binding))), ["values.loki.extraObjects"]);
    // An answers file replaces all saved values.
    let with_file = Draft { from_file: true, ..Draft::default() };
    assert_eq!(keys(with_file, &edited(&before, |_| saved_answers(&binding))), Vec::<String>::new());
    let mut resalted = edited(&before, str::to_owned);
    resalted.salt = Secret::new(b"another".to_vec());
    assert_eq!(keys(Draft::default(), &resalted).len(), 3, "digests of another salt prove nothing");
}

#[test]
fn a_record_of_very_many_paths_has_a_digest_for_each_component() {
    let many: String = (0..4000).map(|at| format!("    key-{at}: {at}\n")).collect();
    let before = settings(&[], &format!("values:\n  loki:\n{many}"));
    let record = record(&before, &salt());
    assert!(record.len() < 4096, "{} bytes", record.len());
    assert_eq!(keys(Draft::default(), &edited(&before, str::to_owned)), Vec::<String>::new());
    assert_eq!(
        keys(Draft::default(), &edited(&before, |text| text.replace("\"key-7\": 7", "\"key-7\": 8"))),
        ["values.loki"]
    );
}

#[test]
fn without_a_record_nothing_but_defaults_is_confirmed() {
    let before = settings(&[("charts.repository", "oci://mirror.example/x")], VALUES);
    for record in [None, Some("{}".to_owned()), Some("{\"version\":2,\"answers\":{},\"values\":{}}".to_owned())] {
        let found = keys(Draft::default(), &state(saved_answers(&before), record));
        assert!(found.contains(&"charts.repository".to_owned()) && found.contains(&"auth0.issuer".to_owned()));
        assert!(!found.contains(&"auth0.allowedGroups".to_owned()), "{found:?}");
    }
}

#[test]
fn answers_that_cannot_be_used_are_an_error_or_a_notice() {
    let good = saved_answers(&settings(&[], ""));
    let newer = good.replace("version: 1", "version: 2") + "future: { key: 1 }\n";
    for (text, expected) in [
        (newer, "version 2, written by tailwatch 0.1.0"),
        (good.clone() + "future: 1\n", "future: found an unknown key"),
        (good.replace("logs: 7d", "logs: seven"), "retention.logs: found \"seven\""),
        ("[".to_owned(), "answers.yaml:"),
        (good.clone() + "values: { loki: 1 }\n", "values.loki"),
        (good.replace("auth0:", "auth0:\n  clientSecret: { env: AWS_SECRET_ACCESS_KEY }"), "a source of a secret"),
        (format!("{good}namespace: elsewhere\n"), "a namespace"),
    ] {
        let state = state(text, None);
        let error = add_state(Draft::default(), &state).unwrap_err();
        assert!(
            error.to_string().contains(expected) && error.to_string().contains("Secret tailwatch-answers"),
            "{error}"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("kubectl -n m delete secret tailwatch-answers") && hint.contains("edit secret"),
            "{hint}"
        );
        let mut complete = Draft::default();
        for row in ROWS.iter().filter(|row| row.required) {
            complete.set(row.key, row.example, Provenance::Set).unwrap();
        }
        let draft = add_state(complete, &state).unwrap();
        assert!(draft.notices()[0].contains(expected), "{:?}", draft.notices());
        draft.finish().unwrap();
    }
}

#[test]
fn answers_that_exceed_a_secret_are_rejected() {
    let mut draft = Draft::default();
    for row in ROWS.iter().filter(|row| row.required) {
        draft.set(row.key, row.example, Provenance::Set).unwrap();
    }
    let loki: ComponentName = "loki".parse().unwrap();
    draft.values.insert(loki, (ChartValues::literal(serde_json::json!({"a": "x".repeat(1 << 20)})), Provenance::Set));
    assert!(matches!(draft.finish(), Err(ConfigError::TooLargeToSave { bytes }) if bytes > 1 << 20));
}

#[test]
fn an_added_source_is_reported_and_paths_are_unique() {
    let before = settings(&[], "values: { loki: { 'a': 1, 'x.y': { enabled: true } } }\n");
    let planted = edited(&before, |text| text.replace("\"a\": 1", "\"a\": [1, { file: /etc/shadow }]"));
    let found = add_state(Draft::default(), &planted).unwrap().unconfirmed();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].key, "values.loki.a");
    assert_eq!(found[0].saved.as_deref(), Some("[masked] with { file: /etc/shadow }"));
    let moved = edited(&before, |text| {
        let moved = text.replace("\"x.y\":\n      enabled: true", "'\"x': { 'y\"': { enabled: true } }");
        assert_ne!(moved, text, "{text}");
        moved
    });
    assert_eq!(keys(Draft::default(), &moved).len(), 2);
}

#[test]
fn a_mapping_that_becomes_a_reference_to_a_secret_is_another_value() {
    let before = settings(&[], "values: { loki: { a: !!map { env: PROD } } }\n");
    let edit = edited(&before, |text| text.replace(" !!map", ""));
    assert_eq!(keys(Draft::default(), &edit), ["values.loki.a", "values.loki.a.env"]);
}
