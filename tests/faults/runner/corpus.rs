//! `fault.yaml`: how a fault is provoked, and the expected diagnosis.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One folder of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(skip)]
    pub name: String,
    #[serde(skip)]
    pub folder: PathBuf,
    /// The state of the cluster, one line.
    pub title: String,
    /// Id of the expected diagnosis; none for a transient fault.
    pub expect: Option<String>,
    /// The run has to succeed.
    #[serde(default)]
    pub transient: bool,
    #[serde(default)]
    pub how: How,
    /// Release that fails or waits.
    pub component: String,
    /// Merged into `values.<component>` of the answers; default: an annotation that causes a new revision.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// Further arguments of the command.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Kubeconfig in the sandbox's folder to run with instead of the admin's.
    pub kubeconfig: Option<String>,
    /// Applied before, deleted afterwards.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// `scripts/sandbox fault` that is on during the run; a file after `@` is relative to the fault's folder.
    pub fault: Option<String>,
    /// Commands that provoke it, after `objects`.
    #[serde(default)]
    pub before: Vec<Vec<String>>,
    /// Commands during the run, in this order.
    #[serde(default)]
    pub during: Vec<During>,
    /// Commands that undo it.
    #[serde(default)]
    pub after: Vec<Vec<String>>,
    pub symptom: Option<Symptom>,
    /// Seconds of a configured timeout that pass before the diagnosis is due; subtracted from the reported time.
    #[serde(default)]
    pub grace: f64,
}

/// The command that has to report the diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    #[default]
    Install,
    /// Runs after the symptom, if there is one.
    Diagnose,
}

/// Commands at one moment of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct During {
    /// Seconds after the symptom; without a symptom, after the step of the release began.
    pub after: f64,
    #[serde(rename = "do")]
    pub commands: Vec<Vec<String>>,
}

/// The first object that shows the fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// Kind of the object, or `helm` for a rejected request in the API server's audit log.
    pub kind: String,
    /// Part of the object's JSON, or of the error.
    pub contains: String,
}

impl Fault {
    /// The values of this run: those of the fault, or an annotation on pods of the release.
    pub fn values(&self) -> Value {
        if !self.values.is_empty() {
            return Value::Object(self.values.clone());
        }
        let annotated = json!({"podAnnotations": {"tailwatch-fault": self.name}});
        match self.component.as_str() {
            "loki" => json!({"singleBinary": annotated}),
            "alloy" => json!({"controller": annotated}),
            "kube-prometheus-stack" => json!({"grafana": annotated}),
            _ => annotated,
        }
    }

    fn check(&self) {
        assert_eq!(self.expect.is_none(), self.transient, "{}: either `expect` or `transient: true`", self.name);
    }
}

/// Value of the variable for every fault.
const ALL: &str = "all";

/// The requested faults, by name. The default is every tenth one, so that the whole suite stays below 30 minutes.
pub fn read() -> Vec<Fault> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/cases");
    let wanted = std::env::var("TAILWATCH_FAULTS").unwrap_or_default();
    let all = wanted == ALL;
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty() && !all).collect();
    let mut faults: Vec<Fault> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| read_one(&path))
        .filter(|fault| wanted.is_empty() || wanted.contains(&fault.name.as_str()))
        .collect();
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    let unknown: Vec<_> = wanted.iter().filter(|name| !faults.iter().any(|fault| fault.name == **name)).collect();
    assert!(unknown.is_empty(), "tests/faults/cases has no {unknown:?}");
    if all || !wanted.is_empty() { faults } else { faults.into_iter().step_by(10).collect() }
}

fn read_one(folder: &Path) -> Fault {
    let file = folder.join("fault.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let fault: Fault = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let fault = Fault { name, folder: folder.to_owned(), ..fault };
    fault.check();
    fault
}
