//! Chart values reach the real helm unchanged, and a rerun plans nothing.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::Sandbox;

/// What YAML, JSON and helm could read in different ways.
const VALUES: &str = r#"
values:
  loki:
    singleBinary:
      probe: &probe
        words: [yes, off, y, 'yes', "off", 'null', '~', '0644', '1e3', '2001-01-01']
        numbers: [0644, 0x1f, 1_000, 1.0, 1e6, 1.5e-9, 9007199254740993, 18446744073709551615, -0.1, 0.30000000000000004]
        nothing: ~
        1: one
        texts: ["a\u2028b", "é🦀", "tab\t", "{{ .x }}", "line\nline\n", "", "\x7f", "\\ / \" '"]
        empty: [{}, []]
      merged: { <<: *probe, words: [no] }
      secret: { env: CHART_SECRET }
"#;

fn survives(helm: &str) {
    let sandbox = Sandbox::up(&["--helm", helm]);
    let answers = sandbox.answers();
    let text = std::fs::read_to_string(&answers).unwrap();
    assert!(!text.contains("\nvalues:"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers.yaml");
    std::fs::write(&file, format!("{text}{VALUES}")).unwrap();
    let file = file.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command: Command = sandbox.tailwatch_command(arguments);
        command.env("CHART_SECRET", "c4nary-secret\nof two lines");
        crate::support::Said::of(command.output().unwrap())
    };
    run(&["install", "--answers", file, "--yes", "--skip-verify"]).ended_with(0);
    let kept = sandbox.helm(&["get", "values", "loki", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
    let kept = &kept["singleBinary"];
    let probe = &kept["probe"];
    assert_eq!(probe["words"], json!([true, false, true, "yes", "off", "null", "~", "0644", "1e3", "2001-01-01"]));
    let numbers: Vec<f64> = probe["numbers"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
    let expected =
        [420.0, 31.0, 1000.0, 1.0, 1e6, 1.5e-9, 9007199254740992.0, 18446744073709551615.0, -0.1, 0.30000000000000004];
    assert_eq!(numbers, expected);
    assert_eq!(probe.get("nothing"), Some(&Value::Null), "helm keeps the null that takes a default away");
    assert_eq!(probe["1"], "one");
    let texts = json!(["a\u{2028}b", "é🦀", "tab\t", "{{ .x }}", "line\nline\n", "", "\u{7f}", "\\ / \" '"]);
    assert_eq!(probe["texts"], texts);
    assert_eq!((&kept["merged"]["words"], &kept["merged"]["1"]), (&json!([false]), &json!("one")));
    assert_eq!(kept["secret"], "c4nary-secret\nof two lines");
    let again = run(&["plan", "--answers", file, "--exit-code", "--diff"]).ended_with(0);
    assert!(!again.stdout.contains("c4nary") && !again.stderr.contains("c4nary"), "{}", again.stdout);
    // From the answers that the cluster keeps, too; without the secret's source the key is named.
    run(&["plan", "--exit-code"]).ended_with(0);
    let without = sandbox.tailwatch(&["plan"]).ended_with(3);
    assert!(without.stderr.contains("values.loki.singleBinary.secret"), "{}", without.stderr);
}

#[test]
fn values_survive_helm_4_and_a_rerun_plans_nothing() {
    survives("4");
}

#[test]
fn values_survive_helm_3_and_a_rerun_plans_nothing() {
    survives("3");
}
