use super::*;
use crate::config::{ChartValues, template};

const GOOD: &str = "version: 1\ntailnet: tail1a2b\nauth0:\n  issuer: https://acme.eu.auth0.com\n  clientId: abc\n  \
                    clientSecret: { env: SECRET }\n  groupsClaim: https://acme.example/groups\n";

fn loaded(text: &str) -> Result<Draft, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let environment = EnvironmentVariables::from([("SECRET".to_owned(), "s3cret".to_owned().into())]);
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
fn the_source_with_precedence_is_used_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, format!("{GOOD}retention: {{ logs: 3d, metrics: 4d }}\nnamespace: from-file\n")).unwrap();
    let environment = EnvironmentVariables::from([("TAILWATCH_RETENTION_LOGS".to_owned(), "5d".to_owned().into())]);
    let sources = Sources {
        answers: Some(file),
        set: vec!["retention.metrics=6d".into()],
        namespace_flag: Some("from-flag".into()),
        bundle: Some("/srv/bundle.tar.gz".into()),
        environment,
    };
    let mut draft = load(&sources).unwrap();
    let shown = |draft: &Draft, key: &str| draft.text(key).map(|(text, from)| (text, from.to_string())).unwrap();
    assert_eq!(shown(&draft, "retention.logs"), ("5d".into(), "TAILWATCH_RETENTION_LOGS".into()));
    assert_eq!(shown(&draft, "retention.metrics"), ("6d".into(), "--set".into()));
    assert_eq!(shown(&draft, "namespace"), ("from-flag".into(), "--namespace".into()));
    assert_eq!(shown(&draft, "charts.repository"), ("/srv/bundle.tar.gz".into(), "--bundle".into()));
    assert_eq!(shown(&draft, "storage.loki"), ("50Gi".into(), "default".into()));
    draft.set("namespace", "typed", Provenance::Prompt).unwrap();
    assert_eq!(shown(&draft, "namespace").0, "typed");
    draft.set("namespace", "late", Provenance::Detected).unwrap();
    assert_eq!(shown(&draft, "namespace").0, "typed");
}

#[test]
fn all_problems_are_reported_at_once_with_line_and_key() {
    let text = "tailnet: [a]\nretention:\n  logs: 7 days\n  metric: 5d\nauth0:\n  clientSecret: hunter2\n";
    let Err(ConfigError::Invalid { problems }) = loaded(text) else { panic!("expected problems") };
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
fn missing_answers_and_secret_sources_are_reported() {
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
    assert_eq!(settings.values[&loki].exposed()["singleBinary"]["replicas"], 1);
    assert!(
        loaded(&format!("{GOOD}values: {{ lokki: {{}} }}\n")).unwrap_err().to_string().contains("did you mean loki?")
    );
    assert!(loaded(&format!("{GOOD}versions: {{ loki: latest }}\n")).is_err());
}

#[test]
fn settings_by_flag_are_validated_like_the_file() {
    let set = |setting: &str| load(&Sources { set: vec![setting.into()], ..Sources::default() });
    assert!(set("auth0.allowedGroups=[a, b]").is_ok() && set("versions.loki=6.55.0").is_ok());
    assert!(set("auth0.clientSecret={ env: X }").is_ok());
    for (wrong, expected) in [
        ("retention.logs", "KEY=VALUE"),
        ("retention.log=7d", "did you mean logs?"),
        ("auth0.clientSecret=hunter2", "never the secret"),
        ("auth0.clientSecret hunter2", "KEY=VALUE"),
        ("values.loki.password=hunter2", "answers file"),
        ("auth0.allowedGroups=[]", "at least one"),
    ] {
        let error = set(wrong).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{wrong}: {error}");
    }
}

#[test]
fn the_template_is_valid_except_for_required_answers() {
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
    let environment = EnvironmentVariables::from([("TAILWATCH_TAILNETT".to_owned(), "x".to_owned().into())]);
    let draft = load(&Sources { environment, ..Sources::default() }).unwrap();
    assert!(draft.notices()[0].contains("did you mean TAILWATCH_TAILNET?"), "{:?}", draft.notices());
}

#[test]
fn an_answers_file_replaces_saved_values_but_not_versions() {
    let saved = "versions: { loki: 6.55.0 }\nvalues: { loki: { a: 1 }, alloy: { b: 2 } }\n";
    let mut with_file = Draft { from_file: true, ..Draft::default() };
    with_file.values.insert("alloy".parse().unwrap(), (ChartValues::default(), Provenance::Set));
    let draft = add_saved(with_file, saved).unwrap();
    assert_eq!(draft.versions.len(), 1, "charts are never downgraded");
    assert_eq!(draft.values.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["alloy"]);
    assert_eq!(draft.notices(), ["values.loki of the last run is not in the answers file and is dropped"]);
    let without = add_saved(Draft::default(), saved).unwrap();
    assert_eq!((without.values.len(), without.notices().len()), (2, 0));
}

#[test]
fn versions_and_values_have_their_own_source() {
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

#[test]
fn every_variable_with_a_secret_is_known_despite_problems() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.yaml");
    std::fs::write(&path, "tailnett: x\nauth0: { clientSecret: { env: OF_FILE } }\n").unwrap();
    let set = vec!["auth0.clientSecret={ env: OF_SET }".to_owned()];
    let sources = Sources { answers: Some(path), set, ..Sources::default() };
    assert_eq!(
        load_despite_problems(&sources).secret_variables().into_iter().collect::<Vec<_>>(),
        ["OF_FILE", "OF_SET"]
    );
    let saved = add_saved(Draft::default(), "values: { loki: { password: { env: OF_SAVED } } }").unwrap();
    assert_eq!(saved.secret_variables().into_iter().collect::<Vec<_>>(), ["OF_SAVED"]);
    let newer = "version: 2\nx: 1\nvalues: { loki: { password: { env: OF_NEWER } } }";
    let kept = load_saved_only(&Draft::default(), newer);
    assert_eq!(kept.secret_variables().into_iter().collect::<Vec<_>>(), ["OF_NEWER"]);
}

fn values_of(text: &str) -> Result<serde_json::Value, ConfigError> {
    let draft = loaded(&format!("{GOOD}values:\n  loki:\n{text}"))?;
    Ok(draft.values.values().next().map(|(values, _)| values.exposed()).unwrap_or_default())
}

#[test]
fn values_mean_what_they_mean_to_helm() {
    let values =
        values_of("    a: &t [{ mode: 0444, on: yes }]\n    b: *t\n    c: { <<: { x: 'yes' }, 1: ~ }\n").unwrap();
    let list = serde_json::json!([{"mode": 292, "true": true}]);
    assert_eq!(values, serde_json::json!({"a": list, "b": list, "c": {"x": "yes", "1": null}}));
    let draft = loaded(&format!("{GOOD}values:\n  loki: &l {{ a: {{ b: 1 }} }}\n  alloy: *l\n")).unwrap();
    assert_eq!(draft.values.len(), 2, "an anchor of one component may be used in another");
    let draft = loaded(&format!("{GOOD}values: {{ loki: {{ id: 9007199254740993, ok: 1.5 }} }}\n")).unwrap();
    assert_eq!(
        draft.notices(),
        ["values.loki.id: helm converts 9007199254740993 to 9007199254740992; quote it to keep its digits"]
    );
}

#[test]
fn values_that_helm_rejects_are_rejected_with_their_position() {
    for (text, line, key, found) in [
        ("    ~: 1\n", 10, "values.loki", "a key without a name"),
        ("    : x\n", 10, "values.loki", "a key without a name"),
        ("    a: [.nan]\n", 10, "values.loki.a[0]", "a number that JSON does not have"),
        ("    a: *outside\n", 10, "", "an alias of an anchor"),
        ("    a: 1\n    a: 2\n", 11, "values.loki.a", "the key a second time"),
        ("    a: !!int x\n", 10, "values.loki.a", "a value that its tag cannot have"),
        ("    [a]: 1\n", 10, "values.loki", "a key that is not a text"),
    ] {
        let Err(ConfigError::Invalid { problems }) = values_of(text) else { panic!("{text} was accepted") };
        assert_eq!(problems.len(), 1, "{problems:?}");
        let reported = &problems[0];
        assert!(reported.place.contains(&format!("a.yaml:{line}:")), "{text}: {reported}");
        assert!(reported.key == key && reported.found.starts_with(found), "{text}: {reported}");
    }
}

#[test]
fn secrets_below_values_are_read_at_the_end_and_reported_by_key() {
    let text = format!(
        "{GOOD}values:\n  loki:\n    a: {{ env: SECRET }}\n    b: [{{ env: NOWHERE }}]\n    password: hunter2\n"
    );
    let draft = loaded(&text).unwrap();
    assert_eq!(draft.secret_variables().into_iter().collect::<Vec<_>>(), ["NOWHERE", "SECRET"]);
    assert!(draft.notices()[0].starts_with("values.loki.password looks like a secret"), "{:?}", draft.notices());
    assert!(!draft.notices()[0].contains("hunter2"));
    let Err(ConfigError::Invalid { problems }) = draft.finish() else { panic!("NOWHERE is not set") };
    assert_eq!((problems.len(), problems[0].key.as_str()), (1, "values.loki.b.0"));
    let settings = loaded(&text.replace("NOWHERE", "SECRET")).unwrap().finish().unwrap();
    let values = settings.values.values().next().unwrap();
    assert_eq!(values.exposed()["b"][0], "s3cret");
    assert!(!crate::config::saved_answers(&settings).contains("s3cret"));
    assert!(!format!("{settings:?}").contains("s3cret"));
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    /// YAML syntax in any order.
    fn yaml_like() -> impl Strategy<Value = String> {
        let pieces = proptest::sample::select(vec![
            "a",
            ": ",
            "\n",
            "  ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&x ",
            "*x",
            "<<",
            "!!str ",
            "!!int ",
            "! ",
            "~",
            "null",
            ".nan",
            ".inf",
            "yes",
            "0x1f",
            "0777",
            "1e400",
            "'",
            "\"",
            "|\n",
            ">-\n",
            "#",
            "%",
            "---\n",
            "? ",
            "\t",
            "é",
            "🦀",
            "env",
            "file",
            "password",
            "SECRET",
            "\\u2028",
            "18446744073709551615",
        ]);
        proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn ends(text: &str) {
        let Ok(settings) = loaded(text).and_then(|draft| draft.finish()) else { return };
        let saved = crate::config::saved_answers(&settings);
        let again = add_saved(Draft::default(), &saved).unwrap();
        for (component, values) in &settings.values {
            assert_eq!(again.values[component].0.written(), values.written(), "{saved}");
            assert!(again.values[component].0.references().eq(values.references()), "{saved}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn ends_in_settings_or_in_an_error(text in yaml_like(), any in "\\PC*") {
            ends(&text);
            ends(&any);
            ends(&format!("{GOOD}values:\n  loki: {{ {text} }}\n"));
            ends(&format!("{GOOD}values:\n  loki:\n    {}\n", text.replace('\n', "\n    ")));
            ends(&format!("{GOOD}values: {text}\n"));
        }
    }
}

#[test]
fn values_files_are_merged_in_order_below_the_values_and_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("one.yaml", "a: 1\nb: 1\nc: 1\nmode: 0644\nurl: { env: SECRET }\n");
    write("two.yaml", "b: 2\nc: 2\n");
    let load_with = |text: &str| {
        write("a.yaml", &format!("{GOOD}{text}"));
        let environment = EnvironmentVariables::from([("SECRET".to_owned(), "s3cret".to_owned().into())]);
        load(&Sources { answers: Some(folder.path().join("a.yaml")), environment, ..Sources::default() })
    };
    let draft =
        load_with("values: { loki: { c: 3 } }\nvaluesFiles: { loki: [one.yaml, two.yaml], alloy: [] }\n").unwrap();
    let settings = draft.finish().unwrap();
    let values = &settings.values[&"loki".parse().unwrap()];
    let expected = serde_json::json!({"a": 1, "b": 2, "c": 3, "mode": 420, "url": {"env": "SECRET"}});
    assert_eq!(values.written(), &expected);
    assert_eq!(values.exposed()["url"], "s3cret");
    assert_eq!(settings.values.len(), 1);
    let shown = draft.entries().into_iter().find(|entry| entry.key == "values.loki").unwrap().value;
    assert!(shown.contains("one.yaml") && shown.contains("two.yaml"), "{shown}");
    let again = add_saved(Draft::default(), &crate::config::saved_answers(&settings)).unwrap();
    assert_eq!(again.values[&"loki".parse().unwrap()].0.written(), &expected);

    write("broken.yaml", "a: 1\nb: [\n");
    write("list.yaml", "- a\n");
    for (text, at, key) in [
        ("valuesFiles: { loki: [gone.yaml] }", "a.yaml:8:23", "valuesFiles.loki"),
        ("valuesFiles: { loki: one.yaml }", "a.yaml:8:22", "valuesFiles.loki"),
        ("valuesFiles: { loky: [one.yaml] }", "a.yaml:8:16", "valuesFiles.loky"),
        ("valuesFiles: { loki: [broken.yaml] }", "broken.yaml:3:1", "valuesFiles.loki"),
        ("valuesFiles: { loki: [list.yaml] }", "list.yaml:1:1", "values.loki"),
    ] {
        let Err(ConfigError::Invalid { problems }) = load_with(text) else { panic!("{text}") };
        assert!(problems[0].place.ends_with(at) && problems[0].key == key, "{text}: {problems:?}");
    }
    let saved = format!("{}valuesFiles: {{ loki: [{}/one.yaml] }}\n", "version: 1\n", folder.path().display());
    assert!(add_saved(Draft::default(), &saved).is_err(), "the saved answers name files of this machine");
}
