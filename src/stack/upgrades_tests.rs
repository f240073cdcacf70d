use serde_json::json;

use super::*;
use crate::config::{ChartValues, settings_for_tests};
use crate::stack::{Catalogue, StackError};

fn version(text: &str) -> semver::Version {
    text.parse().unwrap()
}

fn name(text: &str) -> ComponentName {
    text.parse().unwrap()
}

fn path(component: &str) -> UpgradePath {
    Catalogue::embedded().unwrap().path(&name(component)).unwrap().clone()
}

fn read(text: &str) -> Result<UpgradePath, StackError> {
    UpgradePath::read("upgrades/loki.yaml", &name("loki"), text)
}

const HEAD: &str = "component: loki\nverified: 3\nsteps:\n";

#[test]
fn every_built_in_step_says_what_changes_and_where_to_read_more() {
    let catalogue = Catalogue::embedded().unwrap();
    for (component, installed) in catalogue.versions() {
        let path = catalogue.path(component).unwrap();
        assert!(path.knows(installed), "{component}: the catalogue's own {installed} is above {}", path.verified);
        for step in &path.steps {
            assert!(step.to.major <= path.verified, "{component} {}: above what is verified", step.to);
            assert!(!step.what.is_empty() && !step.what.ends_with('.'), "{component} {}: {:?}", step.to, step.what);
            assert!(step.docs.starts_with("https://"), "{component} {}: {}", step.to, step.docs);
            assert!(step.rollback.as_ref().is_none_or(|reason| !reason.is_empty()), "{component} {}", step.to);
        }
        // The built-in values need no migration.
        let values = catalogue.components.iter().find(|row| row.name == *component).unwrap().values.clone();
        let reported = path.migrate(&mut values.clone(), &version("999.0.0"));
        assert!(reported.is_empty(), "{component}: values/{component}.yaml: {reported:?}");
    }
    assert_eq!(path("kube-prometheus-stack").verified, 88);
}

#[test]
fn a_step_is_crossed_from_below_to_it_or_beyond() {
    let path = path("loki");
    let crossed = |from: &str, to: &str| {
        let (from, to) = (version(from), version(to));
        path.crossed(&from, &to).map(|step| step.to.to_string()).collect::<Vec<_>>()
    };
    assert!(crossed("6.46.0", "6.55.0").is_empty());
    assert_eq!(crossed("6.46.0", "7.0.0"), ["7.0.0"]);
    assert_eq!(crossed("7.0.0", "9.1.0"), ["8.0.0", "9.0.0"]);
    let majors: Vec<String> = (7..=18).map(|major| format!("{major}.0.0")).collect();
    assert_eq!(crossed("6.55.0", "18.11.0"), majors);
    assert!(path.knows(&version("18.99.0")) && !path.knows(&version("19.0.0")));
}

#[test]
fn keys_are_renamed_and_removed_ones_are_reported() {
    let text = format!(
        "{HEAD}- to: 2.0.0\n  what: w\n  docs: d\n  values:\n  - {{ rename: {{ from: a.b, to: c.d.e }} }}\n  \
         - {{ removed: old, instead: write new }}\n- to: 3.0.0\n  what: w\n  docs: d\n  values:\n  \
         - {{ rename: {{ from: c.d, to: f }} }}\n"
    );
    let path = read(&text).unwrap();
    let migrated = |mut values: Value, to: &str| {
        let reported = path.migrate(&mut values, &version(to));
        (values, reported)
    };
    let written = json!({"a": {"b": {"x": 1}}, "old": true, "other": 2});
    assert_eq!(migrated(written.clone(), "1.9.0"), (written.clone(), vec![]));
    let (values, reported) = migrated(written.clone(), "2.0.0");
    assert_eq!(values, json!({"c": {"d": {"e": {"x": 1}}}, "old": true, "other": 2}));
    assert_eq!(
        reported,
        ["a.b was renamed to c.d.e in 2.0.0; using c.d.e", "old was removed in chart 2.0.0; write new"]
    );
    // A later step finds the key of an earlier one.
    let (values, reported) = migrated(written, "3.5.0");
    assert_eq!((values, reported.len()), (json!({"f": {"e": {"x": 1}}, "old": true, "other": 2}), 3));
    // A value at the new key takes precedence.
    let (values, reported) = migrated(json!({"a": {"b": 1, "z": 2}, "c": {"d": {"e": 3}}}), "2.0.0");
    assert_eq!(values, json!({"a": {"z": 2}, "c": {"d": {"e": 3}}}));
    assert!(reported[0].contains("is ignored"), "{reported:?}");
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_place() {
    for (text, expected) in [
        ("component: alloy\nverified: 1\nsteps: []\n", "the file is for component alloy"),
        ("component: loki\nverified: 1\nsteps: []\nextra: 1\n", "extra"),
        (&format!("{HEAD}- {{ to: two, what: w, docs: d }}\n"), "version"),
        (&format!("{HEAD}- {{ to: 2.0.0, docs: d }}\n"), "what"),
        (
            &format!("{HEAD}- {{ to: 2.0.0, what: w, docs: d }}\n- {{ to: 1.0.0, what: w, docs: d }}\n"),
            "step 1.0.0 must come before step 2.0.0",
        ),
        (&format!("{HEAD}- {{ to: 2.0.0, what: w, docs: d, values: [{{ removed: a }}] }}\n"), "step 2.0.0: expected"),
        (&format!("{HEAD}- {{ to: 2.0.0, what: w, docs: d, repository: 'ftp://x' }}\n"), "step 2.0.0: expected https"),
    ] {
        let error = read(text).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let reported = format!("{error}: {source}");
        assert!(reported.contains(expected) && reported.contains("upgrades/loki.yaml"), "{expected}: {reported}");
    }
}

/// Files of a folder without `upgrades/`.
fn folder_without_paths() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let values = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("values");
    for entry in std::fs::read_dir(values).unwrap().map(|entry| entry.unwrap()) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[test]
fn a_folder_without_paths_knows_the_majors_of_its_own_catalogue() {
    let folder = folder_without_paths();
    let catalogue = Catalogue::from_dir(folder.path()).unwrap();
    let path = catalogue.path(&name("loki")).unwrap();
    assert!(path.steps.is_empty() && path.knows(&version("6.99.0")) && !path.knows(&version("7.0.0")));
    std::fs::create_dir(folder.path().join("upgrades")).unwrap();
    std::fs::write(folder.path().join("upgrades/loki.yaml"), "component: loki\nverified: 6\nstep: []\n").unwrap();
    let error = Catalogue::from_dir(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "upgrades/loki.yaml is not valid");
}

#[test]
fn the_chart_moves_with_its_version() {
    let catalogue = Catalogue::embedded().unwrap();
    let loki = catalogue.components.iter().find(|row| row.name.as_str() == "loki").unwrap();
    let (left, community) =
        ("https://grafana.github.io/helm-charts", "https://grafana-community.github.io/helm-charts");
    for (number, repository) in [("6.46.0", left), ("6.99.0", left), ("7.0.0", community), ("18.11.0", community)] {
        assert_eq!(loki.repository(&version(number), None).unwrap().as_str(), repository, "{number}");
    }
    let places = catalogue.places(&name("loki"), None);
    assert_eq!(places.len(), 2);
    assert!(places[0].has(&version("6.55.0")) && !places[0].has(&version("7.3.0")), "Enterprise Logs is no Loki");
    assert!(!places[1].has(&version("6.55.0")) && places[1].has(&version("7.3.0")));
    // A mirror has every version; the repository that the chart left keeps its upper bound when configured.
    let mirror = "https://mirror.example/charts".parse().unwrap();
    assert_eq!(loki.repository(&version("18.0.0"), Some(&mirror)).unwrap(), mirror);
    let named = left.parse().unwrap();
    assert_eq!(loki.repository(&version("6.55.0"), Some(&named)).unwrap(), named);
    let error = loki.repository(&version("7.1.0"), Some(&named)).unwrap_err();
    assert!(matches!(error, StackError::OtherProduct { .. }) && error.hint().unwrap().contains(community), "{error}");
    assert_eq!(catalogue.places(&name("alloy"), None).len(), 1);
}

#[test]
fn values_of_the_answers_are_brought_to_the_asked_version_and_kept_as_written() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut settings = settings_for_tests();
    let written = json!({"ingester": {"updateStrategy": {"type": "Recreate"}}, "enterprise": {"on": 1}});
    settings.values.insert(name("loki"), ChartValues::literal(written));
    assert!(catalogue.migrations(&settings).is_empty());
    settings.versions.insert(name("loki"), version("18.11.0"));
    let reported = catalogue.migrations(&settings).remove(&name("loki")).unwrap();
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(reported[0].starts_with("values.loki.enterprise was removed") && reported[1].contains("ingester.strategy"));
    let loki = catalogue.components.iter().find(|row| row.name.as_str() == "loki").unwrap();
    let (values, _) = loki.answered_values(&settings).unwrap();
    assert_eq!(values["ingester"], json!({"strategy": {"type": "Recreate"}}));
    assert!(crate::config::saved_answers(&settings).contains("updateStrategy"));
}
