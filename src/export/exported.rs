//! What is exported of a release, and the files.

use serde_json::Value;

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

    /// The file with its own objects, if it has some.
    pub(super) fn own_objects(&self, path: String) -> Option<ExportedFile> {
        (!self.objects.is_empty()).then(|| ExportedFile { path, text: documents(&self.objects) })
    }
}

/// A repository that a tool in the cluster cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("chart {chart} is in the folder {folder}, which {tool} cannot read")]
pub struct Unreachable {
    /// The chart.
    pub chart: String,
    /// The folder.
    pub folder: String,
    /// The tool.
    pub tool: &'static str,
}

/// Address of the repository of a chart, and whether it is a registry: then without `oci://`.
pub(super) fn address<'a>(chart: &'a ChartSource, tool: &'static str) -> Result<(&'a str, bool), Unreachable> {
    let address = chart.repository.as_str();
    match address.strip_prefix("oci://") {
        Some(registry) => Ok((registry, true)),
        None if address.contains("://") => Ok((address, false)),
        None => Err(Unreachable { chart: chart.name.clone(), folder: address.to_owned(), tool }),
    }
}

/// YAML documents, each with its separator.
pub(super) fn documents<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    objects.into_iter().map(|object| format!("---\n{}", block(object))).collect()
}
