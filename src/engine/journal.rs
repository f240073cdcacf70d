//! The last duration of each step, in a small file in the user's state folder. It does not record what is installed. A
//! journal that cannot be read or written never fails a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cluster::ClusterIdentity;
use crate::event::{ActionKind, PlannedStep, StepOutcome, StepResult};

/// Component -> action -> seconds of the last success.
type Usual = BTreeMap<String, BTreeMap<String, u64>>;

/// The file, version 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u8,
    /// The UID of namespace `kube-system`, or the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(default)]
    usual: Usual,
}

/// The journal of one namespace of one cluster.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    document: Document,
    /// Component -> action of this run.
    actions: BTreeMap<String, ActionKind>,
}

const VERSION: u8 = 1;

impl Journal {
    /// Opens the journal for a namespace of a cluster; empty if it is absent or unreadable.
    pub fn open(cluster: &ClusterIdentity, namespace: &str) -> Journal {
        let name = target_name(cluster, namespace);
        let path = state_folder().map(|folder| folder.join(format!("journal-{name}.json")));
        Journal::at(path, Some(cluster.to_string()))
    }

    fn at(path: Option<PathBuf>, cluster: Option<String>) -> Journal {
        let read = path.as_deref().and_then(|path| std::fs::read(path).ok());
        let usual = read.map(|text| usual_in(&text)).unwrap_or_default();
        let document = Document { version: VERSION, cluster, usual };
        Journal { path, state: Mutex::new(State { document, ..State::default() }) }
    }

    /// Seconds of the last success of this action.
    pub fn usual_seconds(&self, component: &str, action: ActionKind) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.document.usual.get(component)?.get(&key(action)).copied()
    }

    /// Sets the actions of this run.
    pub fn begin(&self, steps: &[PlannedStep]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.actions = steps.iter().map(|step| (step.component.clone(), step.action)).collect();
    }

    /// Records the duration of a successful step. The file is replaced atomically.
    pub(super) fn step_finished(&self, result: &StepResult) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(action) = state.actions.get(&result.component).copied() else { return };
        let succeeded = !matches!(result.outcome, StepOutcome::Failed | StepOutcome::Cancelled | StepOutcome::Skipped);
        if !succeeded || action == ActionKind::Unchanged {
            return;
        }
        let usual = state.document.usual.entry(result.component.clone()).or_default();
        usual.insert(key(action), whole_seconds(result.seconds));
        if let Some(path) = &self.path {
            let _ = write(path, &state.document);
        }
    }
}

/// The durations in a file; none in one that cannot be read.
pub(super) fn usual_in(text: &[u8]) -> Usual {
    let document = serde_json::from_slice::<Document>(text).ok();
    document.filter(|document| document.version == VERSION).unwrap_or_default().usual
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

/// A hash of cluster and namespace for a file name.
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
    fn a_successful_step_sets_the_usual_duration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal.json");
        let journal = Journal::at(Some(path.clone()), Some("the-uid".into()));
        let planned = [
            planned("loki", ActionKind::Install),
            planned("alloy", ActionKind::Upgrade),
            planned("oauth2-proxy", ActionKind::Unchanged),
        ];
        journal.begin(&planned);
        journal.step_finished(&result("loki", StepOutcome::Installed));
        journal.step_finished(&result("alloy", StepOutcome::Cancelled));
        journal.step_finished(&result("oauth2-proxy", StepOutcome::Unchanged));
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!({"version": 1, "cluster": "the-uid", "usual": {"loki": {"install": 12}}});
        assert_eq!(written, expected);
        let next = Journal::at(Some(path), None);
        assert_eq!(next.usual_seconds("loki", ActionKind::Install), Some(12));
        assert_eq!(next.usual_seconds("loki", ActionKind::Upgrade), None);
    }

    #[test]
    fn a_broken_or_foreign_journal_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        for text in ["{", "[]", r#"{"version": 9, "usual": {"loki": {"install": 3}}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                Journal::at(Some(path.clone()), None).usual_seconds("loki", ActionKind::Install),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn a_journal_of_version_1_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals/v1.json");
        let journal = Journal::at(Some(path), None);
        assert_eq!(journal.usual_seconds("kube-prometheus-stack", ActionKind::Install), Some(24));
    }
}
