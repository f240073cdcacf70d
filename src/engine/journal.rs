//! What the last run did and how long each step took, in a small file beside the user's other state. It explains an
//! interruption and tells what is usual; what is installed only the cluster says. A journal that cannot be read or
//! written never stops a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cluster::ClusterIdentity;
use crate::event::{ActionKind, PlannedStep, RunOutcome, StepOutcome, StepResult};

/// The file, version 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u8,
    #[serde(default)]
    run: Option<Run>,
    /// Component -> action -> seconds it took the last time it went well.
    #[serde(default)]
    usual: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Run {
    command: String,
    /// What the cluster is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    started: jiff::Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<RunOutcome>,
    steps: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Entry {
    component: String,
    wave: u8,
    action: ActionKind,
    chart_version: String,
    /// When it began; `None`: it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<jiff::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<StepOutcome>,
}

/// The journal of one namespace of one cluster.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
    cluster: Option<String>,
    document: Mutex<Document>,
}

const VERSION: u8 = 1;

impl Journal {
    /// Of a namespace of a cluster; an absent or unreadable one starts again.
    pub fn open(cluster: &ClusterIdentity, namespace: &str) -> Journal {
        let name = target_name(cluster, namespace);
        let path = state_folder().map(|folder| folder.join(format!("journal-{name}.json")));
        Journal { cluster: Some(cluster.to_string()), ..Journal::at(path) }
    }

    fn at(path: Option<PathBuf>) -> Journal {
        let read = path.as_deref().and_then(|path| std::fs::read(path).ok());
        let document = read.and_then(|text| serde_json::from_slice::<Document>(&text).ok());
        let document = document.filter(|document| document.version == VERSION);
        let cluster = None;
        Journal {
            path,
            cluster,
            document: Mutex::new(document.unwrap_or(Document { version: VERSION, ..Document::default() })),
        }
    }

    /// Seconds that this took the last time it went well.
    pub fn usual_seconds(&self, component: &str, action: ActionKind) -> Option<u64> {
        let document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        document.usual.get(component)?.get(&key(action)).copied()
    }

    /// A run begins.
    pub fn begin(&self, command: &str, steps: &[PlannedStep]) {
        let entry = |step: &PlannedStep| Entry {
            component: step.component.clone(),
            wave: step.wave,
            action: step.action,
            chart_version: step.chart_version.clone(),
            started: None,
            outcome: None,
        };
        let steps = steps.iter().map(entry).collect();
        let (command, cluster) = (command.to_owned(), self.cluster.clone());
        let run = Run { command, cluster, started: jiff::Timestamp::now(), outcome: None, steps };
        self.change(|document| document.run = Some(run));
    }

    /// A step begins.
    pub(super) fn step_started(&self, component: &str) {
        self.change(|document| {
            if let Some(entry) = entry_of(document, component) {
                entry.started = Some(jiff::Timestamp::now());
            }
        });
    }

    /// A step has ended.
    pub(super) fn step_finished(&self, result: &StepResult) {
        self.change(|document| {
            let Some(entry) = entry_of(document, &result.component) else { return };
            entry.outcome = Some(result.outcome);
            let action = entry.action;
            let went_well =
                !matches!(result.outcome, StepOutcome::Failed | StepOutcome::Cancelled | StepOutcome::Skipped);
            if went_well && action != ActionKind::Unchanged {
                let usual = document.usual.entry(result.component.clone()).or_default();
                usual.insert(key(action), whole_seconds(result.seconds));
            }
        });
    }

    /// The run has ended.
    pub fn finish(&self, outcome: RunOutcome) {
        self.change(|document| {
            if let Some(run) = &mut document.run {
                run.outcome = Some(outcome);
            }
        });
    }

    /// Changes the document and writes it whole: a kill leaves the old file or the new one.
    fn change(&self, change: impl FnOnce(&mut Document)) {
        let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut document);
        if let Some(path) = &self.path {
            let _ = write(path, &document);
        }
    }
}

fn entry_of<'a>(document: &'a mut Document, component: &str) -> Option<&'a mut Entry> {
    document.run.as_mut()?.steps.iter_mut().find(|entry| entry.component == component)
}

fn key(action: ActionKind) -> String {
    serde_json::to_value(action).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a step, never negative")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.max(0.0).round() as u64
}

fn write(path: &Path, document: &Document) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, document)?;
    file.persist(path)?;
    Ok(())
}

/// A file name's worth of a cluster and a namespace.
pub(super) fn target_name(cluster: &ClusterIdentity, namespace: &str) -> String {
    let name = Sha256::digest(format!("{cluster} {namespace}"));
    name.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// `$TAILWATCH_STATE`, or the platform's folder for state.
pub fn state_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    std::env::var_os("TAILWATCH_STATE").map(PathBuf::from).or_else(|| {
        let base = etcetera::choose_base_strategy().ok()?;
        Some(base.state_dir().unwrap_or_else(|| base.data_dir()).join("tailwatch"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(component: &str, action: ActionKind) -> PlannedStep {
        PlannedStep {
            component: component.into(),
            wave: 32,
            namespace: "m".into(),
            chart: component.into(),
            chart_version: "1.0.0".into(),
            action,
            reason: String::new(),
            from_version: None,
            effects: Default::default(),
            usual_seconds: None,
        }
    }

    fn result(component: &str, outcome: StepOutcome) -> StepResult {
        StepResult { component: component.into(), wave: 32, outcome, seconds: 12.4 }
    }

    #[test]
    fn what_went_well_reports_what_is_usual_to_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal.json");
        let journal = Journal::at(Some(path.clone()));
        journal.begin("install", &[planned("loki", ActionKind::Install), planned("alloy", ActionKind::Upgrade)]);
        journal.step_started("loki");
        journal.step_finished(&result("loki", StepOutcome::Installed));
        journal.step_finished(&result("alloy", StepOutcome::Cancelled));
        journal.finish(RunOutcome::Cancelled);
        let next = Journal::at(Some(path));
        assert_eq!(next.usual_seconds("loki", ActionKind::Install), Some(12));
        assert_eq!(next.usual_seconds("loki", ActionKind::Upgrade), None);
        assert_eq!(next.usual_seconds("alloy", ActionKind::Upgrade), None);
        let run = next.document.lock().unwrap().run.clone().unwrap();
        assert_eq!(run.outcome, Some(RunOutcome::Cancelled));
        assert_eq!(run.steps[1].outcome, Some(StepOutcome::Cancelled));
        assert!(run.steps[0].started.is_some() && run.steps[1].started.is_none());
    }

    #[test]
    fn a_broken_or_foreign_journal_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        for text in ["{", "[]", r#"{"version": 9, "usual": {"loki": {"install": 3}}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Journal::at(Some(path.clone())).usual_seconds("loki", ActionKind::Install), None, "{text}");
        }
    }

    #[test]
    fn a_journal_of_version_1_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals/v1.json");
        let journal = Journal::at(Some(path));
        assert_eq!(journal.usual_seconds("kube-prometheus-stack", ActionKind::Install), Some(24));
        assert!(journal.document.lock().unwrap().run.is_some());
    }
}
