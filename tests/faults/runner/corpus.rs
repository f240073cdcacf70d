//! `fault.yaml`: how a fault is provoked, and what is to be named.

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
    /// What is wrong, in a few words.
    pub title: String,
    /// Id of the rule that has to name it; none for a transient one.
    pub expect: Option<String>,
    /// The run has to end well.
    #[serde(default)]
    pub transient: bool,
    #[serde(default)]
    pub how: How,
    /// Release that suffers.
    pub component: String,
    /// Merged below `values.<component>` of the answers; empty: an annotation that makes a new revision.
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
    /// `scripts/sandbox fault` that is on for the run; a file after `@` lies in the fault's folder.
    pub fault: Option<String>,
    /// What provokes it, after `objects`.
    #[serde(default)]
    pub before: Vec<Vec<String>>,
    /// What happens while the run waits, in this order.
    #[serde(default)]
    pub during: Vec<During>,
    /// What undoes it.
    #[serde(default)]
    pub after: Vec<Vec<String>>,
    pub symptom: Option<Symptom>,
    /// Seconds that the run is told to wait before it is a fault; no part of the time to the cause.
    #[serde(default)]
    pub grace: f64,
}

/// The command that has to name the fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    #[default]
    Install,
    /// Run once the symptom is there, where one is given.
    Diagnose,
}

/// Something that happens in the course of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct During {
    /// Seconds after the symptom; where the fault has none, after the release's step began.
    pub after: f64,
    #[serde(rename = "do")]
    pub commands: Vec<Vec<String>>,
}

/// How the API first shows the fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// Kind of the object, or `helm`: a refusal in the API server's audit log.
    pub kind: String,
    /// Part of the object's JSON, or of the refusal.
    pub contains: String,
}

impl Fault {
    /// The values of this run: what the fault asks for, else an annotation on pods of the release.
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

/// What the variable asks for beside names.
const ALL: &str = "all";

/// The faults that are asked for, by name. Unasked it is every tenth one, so that the whole suite stays below forty
/// minutes on a machine whose caches are cold.
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
