//! Answers that are fine: check, template, provenance, schema, and the files of released versions.

use serde_json::{Value, json};
use tailwatch::config::{Draft, add_saved, saved_answers};

use crate::host::{Host, fixture, fixtures};

fn machine() -> Host {
    Host::new().with("AUTH0_CLIENT_SECRET", "hunter2").with("TAILSCALE_OAUTH_SECRET", "hunter2-too")
}

fn full() -> String {
    fixture("answers/good/full.yaml").display().to_string()
}

#[test]
fn a_full_file_is_valid_and_shows_what_to_register() {
    let said = machine().run(&["answers", "check", &full()]).ended_with(0);
    assert!(said.stdout.contains("full.yaml"), "{}", said.stdout);
    assert!(said.stdout.contains("https://dashboards.tail1a2b.ts.net/oauth2/callback"), "{}", said.stdout);
    assert!(said.stderr.is_empty(), "{}", said.stderr);
}

#[test]
fn what_editors_add_to_a_file_does_no_harm() {
    let text = std::fs::read_to_string(full()).unwrap();
    let machine = machine();
    for (name, content) in [
        ("byte-order-mark.yaml", format!("\u{feff}{text}")),
        ("carriage-returns.yaml", text.replace('\n', "\r\n")),
        ("no-last-newline.yaml", text.trim_end().to_owned()),
        ("document-marks.yaml", format!("---\n{text}...\n")),
    ] {
        let file = machine.file(name, content).display().to_string();
        machine.run(&["answers", "check", &file]).ended_with(0);
    }
}

#[test]
fn a_secret_file_next_to_the_answers_is_read_from_where_the_command_runs() {
    let machine = Host::new();
    machine.file("secret.txt", "hunter2\n");
    let text = std::fs::read_to_string(fixture("answers/broken/secret-file-missing.yaml")).unwrap();
    let file = machine.file("a.yaml", text.replace("no/such/secret.txt", "secret.txt")).display().to_string();
    let said = machine.run(&["answers", "check", &file]).ended_with(0);
    assert!(!said.stdout.contains("hunter2"), "{}", said.stdout);
    machine.file("secret.txt", "two\nlines\n");
    let said = machine.run(&["answers", "check", &file]).ended_with(3).tells(&["auth0.clientSecret", "secret.txt"]);
    assert!(!said.talk().contains("two lines"), "{}", said.stderr);
}

#[test]
fn the_template_is_valid_yaml_and_the_check_reports_what_is_missing() {
    let machine = machine();
    let template = machine.run(&["answers", "init"]).ended_with(0).stdout;
    let parsed: Value = serde_yaml::from_str(&template).unwrap();
    assert_eq!(parsed["version"], 1);
    let file = machine.file("answers.yaml", &template).display().to_string();
    let missing = ["tailnet", "auth0.issuer", "auth0.clientId", "auth0.groupsClaim"];
    let shown = machine.run(&["answers", "show", "-f", &file, "--output", "json"]).ended_with(0).json();
    assert_eq!(shown["missing"], json!(missing));
    machine.run(&["answers", "check", &file]).ended_with(3).tells(&missing).tells(&["TAILWATCH_TAILNET"]);
    let mut filled = template;
    for (key, value) in [
        ("tailnet:", "tail1a2b.ts.net"),
        ("issuer:", "https://acme.eu.auth0.com/"),
        ("clientId:", "8fJxW2kQ"),
        ("groupsClaim:", "https://acme.example/groups"),
    ] {
        filled = filled.replacen(&format!("{key}            #"), &format!("{key} {value} #"), 1);
    }
    let file = machine.file("filled.yaml", filled).display().to_string();
    machine.run(&["answers", "check", &file]).ended_with(0);
}

#[test]
fn show_reports_where_each_answer_came_from_and_never_a_secret() {
    let machine = machine().with("TAILWATCH_RETENTION_LOGS", "21d").with("TAILWATCH_STORAGE_LOKI", "60Gi");
    let full = full();
    let arguments = ["answers", "show", "-f", &full, "--namespace", "flagged", "--set", "storage.loki=70Gi"];
    let expected = [
        ("version", "1", format!("{full}:2")),
        ("tailnet", "tail1a2b.ts.net", format!("{full}:3")),
        ("namespace", "flagged", "--namespace".into()),
        ("retention.logs", "21d", "TAILWATCH_RETENTION_LOGS".into()),
        ("retention.metrics", "30d", format!("{full}:14")),
        ("storage.loki", "70Gi", "--set".into()),
        ("auth0.allowedGroups", "infra-admins,monitoring-admins", format!("{full}:13")),
        ("auth0.clientSecret", "{ env: AUTH0_CLIENT_SECRET }", format!("{full}:11")),
        ("versions.loki", "6.46.0", format!("{full}:29")),
    ];
    let human = machine.run(&arguments).ended_with(0).stdout;
    for (key, value, from) in &expected {
        let line = human.lines().find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("no line {key} in:\n{human}"));
        assert!(line.ends_with(&format!("  {value}  ({from})")), "{line}");
    }
    let document = machine.run(&[&arguments[..], &["--output", "json"]].concat()).ended_with(0).json();
    assert_eq!((&document["version"], &document["missing"]), (&json!(1), &json!([])));
    for (key, value, from) in &expected {
        let entry = json!({"key": key, "value": value, "from": from});
        assert!(document["answers"].as_array().unwrap().contains(&entry), "{entry} is missing in {document:#}");
    }
    assert!(!human.contains("hunter2") && !document.to_string().contains("hunter2"));
}

#[test]
fn show_without_a_file_has_defaults_the_conventional_secret_and_what_is_missing() {
    let document = machine().run(&["answers", "show", "--output", "json"]).ended_with(0).json();
    assert_eq!(document["missing"], json!(["tailnet", "auth0.issuer", "auth0.clientId", "auth0.groupsClaim"]));
    let answers = document["answers"].as_array().unwrap();
    for (key, value, from) in [
        ("grafana.hostname", "grafana", "default"),
        ("auth0.clientSecret", "{ env: AUTH0_CLIENT_SECRET }", "AUTH0_CLIENT_SECRET"),
    ] {
        assert!(answers.contains(&json!({"key": key, "value": value, "from": from})), "{document:#}");
    }
}

fn judged_by_schema(schema: &jsonschema::Validator, text: &str) -> Result<(), String> {
    let document: Value = serde_yaml::from_str(text).unwrap();
    schema.validate(&document).map_err(|error| error.to_string())
}

#[test]
fn the_schema_takes_what_the_program_takes_and_refuses_what_it_refuses() {
    let machine = machine();
    let document = machine.run(&["answers", "schema"]).ended_with(0).json();
    let schema = jsonschema::validator_for(&document).expect("a valid JSON Schema");
    let template = machine.run(&["answers", "init"]).ended_with(0).stdout;
    assert_eq!(judged_by_schema(&schema, &template), Ok(()));
    for file in [fixtures("answers/v1"), fixtures("saved-answers/v1"), fixtures("answers/good")].concat() {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(judged_by_schema(&schema, &text), Ok(()), "{}", file.display());
    }
    for name in [
        "unknown-key",
        "unknown-key-below",
        "list-for-text",
        "text-for-list",
        "text-for-mapping",
        "mapping-in-list",
        "literal-secret",
        "literal-secret-below-value",
        "secret-of-two-sources",
        "secret-without-source",
        "groups-empty",
        "format-of-the-future",
        "versions-unknown-component",
        "values-unknown-component",
        "values-text",
        "scalar",
        "list",
    ] {
        let text = std::fs::read_to_string(fixture(&format!("answers/broken/{name}.yaml"))).unwrap();
        assert!(judged_by_schema(&schema, &text).is_err(), "the schema takes {name}");
    }
}

#[test]
fn files_of_released_versions_keep_loading() {
    let machine = machine();
    let files = fixtures("answers/v1");
    assert!(!files.is_empty());
    for file in files {
        let said = machine.run(&["answers", "check", &file.display().to_string()]).ended_with(0);
        assert!(said.stdout.contains("https://grafana.tail1a2b.ts.net/oauth2/callback"), "{}", said.stdout);
    }
}

#[test]
fn saved_answers_of_released_versions_keep_loading_and_are_written_the_same_way() {
    let files = fixtures("saved-answers/v1");
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let settings = add_saved(Draft::default(), &text).unwrap().finish().unwrap();
        assert!(settings.auth0.client_secret.is_none());
        assert_eq!(saved_answers(&settings), text, "{}", file.display());
    }
}
