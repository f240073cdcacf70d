use super::*;
use crate::config::template;

const GOOD: &str = "version: 1\ntailnet: tail1a2b\nauth0:\n  issuer: https://acme.eu.auth0.com\n  clientId: abc\n  \
                    clientSecret: { env: SECRET }\n  groupsClaim: https://acme.example/groups\n";

fn loaded(text: &str) -> Result<Draft, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let environment = BTreeMap::from([("SECRET".to_owned(), "s3cret".to_owned())]);
    load(&Sources { answers: Some(file), environment, ..Sources::default() })
}

#[test]
fn a_file_becomes_settings_with_defaults() {
    let settings = loaded(GOOD).unwrap().finish().unwrap();
    assert_eq!(settings.grafana_fqdn(), "grafana.tail1a2b.ts.net");
    assert_eq!(settings.auth0.issuer.as_str(), "https://acme.eu.auth0.com/");
    assert_eq!(settings.auth0.client_secret.unwrap().expose(), "s3cret");
    assert_eq!(settings.auth0.allowed_groups.len(), 2);
    assert_eq!(settings.retention.logs.as_hours(), "168h");
}

#[test]
fn the_stronger_source_wins_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, format!("{GOOD}retention: {{ logs: 3d, metrics: 4d }}\nnamespace: from-file\n")).unwrap();
    let environment = BTreeMap::from([("TAILWATCH_RETENTION_LOGS".to_owned(), "5d".to_owned())]);
    let sources = Sources {
        answers: Some(file),
        set: vec!["retention.metrics=6d".into()],
        namespace_flag: Some("from-flag".into()),
        environment,
    };
    let mut draft = load(&sources).unwrap();
    let shown = |draft: &Draft, key: &str| draft.text(key).map(|(text, from)| (text, from.to_string())).unwrap();
    assert_eq!(shown(&draft, "retention.logs"), ("5d".into(), "TAILWATCH_RETENTION_LOGS".into()));
    assert_eq!(shown(&draft, "retention.metrics"), ("6d".into(), "--set".into()));
    assert_eq!(shown(&draft, "namespace"), ("from-flag".into(), "--namespace".into()));
    assert_eq!(shown(&draft, "storage.loki"), ("50Gi".into(), "default".into()));
    draft.set("namespace", "typed", Provenance::Prompt).unwrap();
    assert_eq!(shown(&draft, "namespace").0, "typed");
    draft.set("namespace", "late", Provenance::Detected).unwrap();
    assert_eq!(shown(&draft, "namespace").0, "typed");
}

#[test]
fn all_problems_come_in_one_go_with_line_and_key() {
    let text = "tailnet: [a]\nretention:\n  logs: 7 days\n  metric: 5d\nauth0:\n  clientSecret: hunter2\n";
    let Err(ConfigError::Invalid { problems }) = loaded(text) else { panic!("problems were expected") };
    let shown: Vec<String> =
        problems.iter().map(|p| p.to_string().split("a.yaml:").nth(1).unwrap().to_owned()).collect();
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert!(shown[0].starts_with("1:10: tailnet: found a list"), "{}", shown[0]);
    assert!(shown[1].starts_with("3:9: retention.logs: found \"7 days\"; expected a duration"), "{}", shown[1]);
    assert!(shown[2].starts_with("4:3: retention.metric: found an unknown key; did you mean metrics?"), "{}", shown[2]);
    assert!(shown[3].starts_with("6:17: auth0.clientSecret: found a literal"), "{}", shown[3]);
    assert!(!shown.join("").contains("hunter2"), "the literal secret was repeated");
}

#[test]
fn missing_answers_and_secret_sources_are_named() {
    let error = loaded("tailnet: tail1a2b\n").unwrap().finish().unwrap_err();
    assert_eq!(error.to_string(), "no answer for auth0.issuer, auth0.clientId, auth0.groupsClaim");
    let error = loaded(&GOOD.replace("SECRET", "NOWHERE")).unwrap().finish().unwrap_err();
    assert!(error.to_string().contains("no variable NOWHERE"), "{error}");
}

#[test]
fn free_form_sections_are_read_by_component() {
    let text = format!("{GOOD}versions: {{ loki: 6.55.0 }}\nvalues:\n  loki:\n    singleBinary: {{ replicas: 1 }}\n");
    let settings = loaded(&text).unwrap().finish().unwrap();
    let loki: ComponentName = "loki".parse().unwrap();
    assert_eq!(settings.versions[&loki].to_string(), "6.55.0");
    assert_eq!(settings.values[&loki]["singleBinary"]["replicas"], 1);
    assert!(
        loaded(&format!("{GOOD}values: {{ lokki: {{}} }}\n")).unwrap_err().to_string().contains("did you mean loki?")
    );
    assert!(loaded(&format!("{GOOD}versions: {{ loki: latest }}\n")).is_err());
}

#[test]
fn settings_by_flag_are_judged_like_the_file() {
    let set = |setting: &str| load(&Sources { set: vec![setting.into()], ..Sources::default() });
    assert!(set("auth0.allowedGroups=[a, b]").is_ok() && set("versions.loki=6.55.0").is_ok());
    assert!(set("auth0.clientSecret={ env: X }").is_ok());
    for (wrong, expected) in [
        ("retention.logs", "KEY=VALUE"),
        ("retention.log=7d", "did you mean logs?"),
        ("auth0.clientSecret=hunter2", "never the secret"),
        ("auth0.allowedGroups=[]", "at least one"),
    ] {
        let error = set(wrong).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{wrong}: {error}");
    }
}

#[test]
fn the_template_is_valid_but_for_what_must_be_answered() {
    let draft = loaded(&template()).unwrap();
    let missing: Vec<&str> = draft.missing().iter().map(|row| row.key).collect();
    assert_eq!(missing, ["tailnet", "auth0.issuer", "auth0.clientId", "auth0.groupsClaim"]);
    for row in ROWS {
        let name = row.key.rsplit('.').next().unwrap();
        assert!(template().contains(&format!("{name}:")), "{}", row.key);
    }
}

#[test]
fn a_misspelt_variable_is_noticed() {
    let environment = BTreeMap::from([("TAILWATCH_TAILNETT".to_owned(), "x".to_owned())]);
    let draft = load(&Sources { environment, ..Sources::default() }).unwrap();
    assert!(draft.notices()[0].contains("did you mean TAILWATCH_TAILNET?"), "{:?}", draft.notices());
}

#[test]
fn an_answers_file_says_all_there_is_to_say_of_values_but_not_of_versions() {
    let saved = "versions: { loki: 6.55.0 }\nvalues: { loki: { a: 1 }, alloy: { b: 2 } }\n";
    let mut with_file = Draft { from_file: true, ..Draft::default() };
    with_file.values.insert("alloy".parse().unwrap(), (serde_yaml::Value::Null, Provenance::Set));
    let draft = add_saved(with_file, saved).unwrap();
    assert_eq!(draft.versions.len(), 1, "charts are never downgraded");
    assert_eq!(draft.values.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["alloy"]);
    assert_eq!(draft.notices(), ["values.loki of the last run is not in the answers file and is dropped"]);
    let without = add_saved(Draft::default(), saved).unwrap();
    assert_eq!((without.values.len(), without.notices().len()), (2, 0));
}

#[test]
fn versions_and_values_tell_their_own_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, "versions:\n  loki: 6.46.0\n  alloy: 1.3.0\nvalues:\n  loki: { a: 1 }\n").unwrap();
    let set = vec!["versions.loki=6.55.0".into()];
    let draft = load(&Sources { answers: Some(file.clone()), set, ..Sources::default() }).unwrap();
    let saved = "versions: { loki: 6.1.0, oauth2-proxy: 10.7.0 }\nvalues: { loki: { a: 2 }, alloy: { b: 2 } }\n";
    let entries = |draft: &Draft| -> Vec<String> {
        let free = draft
            .entries()
            .into_iter()
            .filter(|entry| FREE.iter().any(|section| entry.key.starts_with(&format!("{section}."))));
        free.map(|entry| format!("{} {}", entry.key, entry.from)).collect()
    };
    let line = |number: usize| format!("{}:{number}", file.display());
    let kept = "saved in the cluster";
    assert_eq!(
        entries(&add_saved(draft, saved).unwrap()),
        [
            format!("versions.alloy {}", line(3)),
            "versions.loki --set".into(),
            format!("versions.oauth2-proxy {kept}"),
            format!("values.loki {}", line(5)),
        ]
    );
    let alone = add_saved(Draft::default(), saved).unwrap();
    assert_eq!(entries(&alone).iter().filter(|entry| entry.ends_with(kept)).count(), 4);
}
