//! What is exported of a release, and the files.

use serde_json::Value;

use crate::config::ChartRepository;
use crate::stack::{ChartSource, CrdPolicy, OwnSecret};
use crate::yaml::block;

/// A file, its path below the folder of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// e.g. `stack/30-kube-prometheus-stack/objects.yaml`
    pub path: String,
    /// Its content.
    pub text: String,
}

/// What is exported of a release.
#[derive(Clone, Debug)]
pub struct ExportedRelease {
    /// Component = release name.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Its wave, or the one after it where it needs another release of its wave: the tools know no narrower order.
    pub wave: u8,
    /// Releases (namespace, name) that are ready before it.
    pub needs: Vec<(String, String)>,
    /// Its chart.
    pub chart: ChartSource,
    /// Who applies its CRDs.
    pub crds: CrdPolicy,
    /// Its values.
    pub values: Value,
    /// Own objects, without Secrets and the notes of runs.
    pub objects: Vec<Value>,
    /// Its own Secrets.
    pub secrets: Vec<OwnSecret>,
    /// What its chart renders; `None` where the tool renders it.
    pub rendered: Option<Rendered>,
}

/// Objects of a chart.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// CRDs, to be applied first.
    pub crds: Vec<Value>,
    /// All others.
    pub objects: Vec<Value>,
}

impl ExportedRelease {
    /// Folder of its files.
    pub(super) fn folder(&self) -> String {
        format!("stack/{}-{}", self.wave, self.name)
    }
}

/// A repository that a tool in the cluster cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("chart {chart} is in {place} on this machine, which {tool} cannot read")]
pub struct Unreachable {
    /// The chart.
    pub chart: String,
    /// The folder or the bundle.
    pub place: String,
    /// The tool.
    pub tool: &'static str,
}

/// Where a repository is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// An OCI registry, without `oci://`.
    Registry(&'a str),
    /// An http or https address.
    Address(&'a str),
    /// A folder of .tgz files on this machine.
    Folder(&'a str),
    /// A bundle in one archive on this machine.
    Bundle(&'a str),
}

impl<'a> Place<'a> {
    pub(super) fn of(repository: &'a ChartRepository) -> Place<'a> {
        let text = repository.as_str();
        match text.strip_prefix("oci://") {
            Some(registry) => Place::Registry(registry),
            None if text.contains("://") => Place::Address(text),
            None if repository.is_bundle() => Place::Bundle(text),
            None => Place::Folder(text),
        }
    }
}

impl Unreachable {
    /// That this tool cannot read the place of a chart.
    pub(super) fn new(chart: &ChartSource, place: &str, tool: &'static str) -> Unreachable {
        Unreachable { chart: chart.name.clone(), place: place.to_owned(), tool }
    }
}

/// The file with own objects, if there are some.
pub(super) fn own_objects(path: String, objects: &[Value]) -> Option<ExportedFile> {
    (!objects.is_empty()).then(|| ExportedFile { path, text: documents(objects) })
}

/// YAML documents, each with its separator.
pub(super) fn documents<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    objects.into_iter().map(|object| format!("---\n{}", block(object))).collect()
}
