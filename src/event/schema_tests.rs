//! `docs/events.schema.json` is generated from the types of the events.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::TimedEvent;

/// Runs that older versions recorded must stay valid, too.
const RUNS: &str = "tests/fixtures/runs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<TimedEvent>();
    schema.insert("title".into(), "One line of tailwatch --output json".into());
    schema.into()
}

/// TAILWATCH_WRITE_DOCS=1 writes the file.
#[test]
fn the_published_schema_is_that_of_the_events() {
    let path = root().join("docs/events.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn every_recorded_event_is_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut lines = 0;
    for entry in std::fs::read_dir(root().join(RUNS)).unwrap() {
        let path = entry.unwrap().path();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let problems: Vec<String> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
            assert_eq!(problems, [""; 0], "{}: {line}", path.display());
            lines += 1;
        }
    }
    assert!(lines > 0, "{RUNS} has runs");
    for wrong in [
        json!({"event": "wave-started", "wave": 30}),
        json!({"time": "2026-01-01T00:00:00Z", "event": "wave-begun", "wave": 30}),
        json!({"time": "2026-01-01T00:00:00Z", "event": "wave-started", "wave": "30"}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
