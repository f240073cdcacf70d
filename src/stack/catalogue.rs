//! `stack.yaml` and the values files: embedded, or read from a folder. Strict: unknown keys are errors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::config::{ChartRepository, ComponentName, LogsMode, Settings};
use crate::input_file;
use crate::stack::self_monitoring;
use crate::stack::yaml::{is_false, parse, values};
use crate::stack::{ChartNames, CrdPolicy, StackError, UpgradePath, WaitFor};
use crate::yaml::merge;

/// Size limit of a file.
const LARGEST: u64 = 4 << 20;
/// The files in the binary.
const EMBEDDED: [(&str, &str); 12] = [
    ("stack.yaml", include_str!("../../values/stack.yaml")),
    ("tailscale-operator.yaml", include_str!("../../values/tailscale-operator.yaml")),
    ("kube-prometheus-stack.yaml", include_str!("../../values/kube-prometheus-stack.yaml")),
    ("oauth2-proxy.yaml", include_str!("../../values/oauth2-proxy.yaml")),
    ("loki.yaml", include_str!("../../values/loki.yaml")),
    ("alloy.yaml", include_str!("../../values/alloy.yaml")),
    (self_monitoring::FILE, include_str!("../../values/self-monitoring.yaml")),
    ("upgrades/tailscale-operator.yaml", include_str!("../../values/upgrades/tailscale-operator.yaml")),
    ("upgrades/kube-prometheus-stack.yaml", include_str!("../../values/upgrades/kube-prometheus-stack.yaml")),
    ("upgrades/oauth2-proxy.yaml", include_str!("../../values/upgrades/oauth2-proxy.yaml")),
    ("upgrades/loki.yaml", include_str!("../../values/upgrades/loki.yaml")),
    ("upgrades/alloy.yaml", include_str!("../../values/upgrades/alloy.yaml")),
];

/// The components, with unfilled placeholders.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) components: Vec<Component>,
    /// `None`: the folder has no such file.
    pub(super) self_monitoring: Option<self_monitoring::Document>,
}

/// One component of the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) name: ComponentName,
    pub(super) row: Row,
    pub(super) after: Option<ComponentName>,
    pub(super) repository: ChartRepository,
    pub(super) values: Value,
    pub(super) path: UpgradePath,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    components: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) wave: u8,
    #[serde(default)]
    pub(super) after: Option<String>,
    pub(super) namespace: String,
    pub(super) chart: String,
    pub(super) repository: String,
    pub(super) version: semver::Version,
    #[serde(default)]
    pub(super) digests: BTreeMap<String, Option<String>>,
    pub(super) values: String,
    pub(super) crds: CrdPolicy,
    #[serde(default)]
    pub(super) wait_for: Vec<WaitFor>,
    #[serde(default)]
    pub(super) api_versions: Vec<String>,
    #[serde(default)]
    pub(super) expect: BTreeMap<String, u32>,
    #[serde(default)]
    pub(super) parts: Vec<Part>,
    #[serde(default)]
    pub(super) when: Option<When>,
}

/// A part of a chart that a value switches off.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Part {
    /// Path of the value that is `false` without the part, e.g. `alertmanager.enabled`.
    pub(super) key: String,
    /// Its rendered objects by kind.
    #[serde(default)]
    pub(super) expect: BTreeMap<String, u32>,
}

impl Part {
    /// Whether values of the chart switch it off.
    pub(super) fn is_off(&self, values: &Value) -> bool {
        is_false(values, &self.key)
    }
}

/// Namespace and release of a component.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    /// Component name = release name.
    pub name: String,
    /// Wave number.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// Chart.
    pub chart: String,
    /// Whether a stack is complete without it.
    pub optional: bool,
    /// Conditions beyond the workloads.
    pub wait_for: Vec<WaitFor>,
}

/// Condition of an optional component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum When {
    /// The cluster has no IngressClass `tailscale`, or tailwatch installed its operator.
    TailscaleOperatorNeeded,
    /// The answers do not say `logs: none`.
    LogsEnabled,
}

impl Catalogue {
    /// The built-in catalogue.
    pub fn embedded() -> Result<Catalogue, StackError> {
        Catalogue::read(|file| {
            let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "not one of the built-in files");
            let found = EMBEDDED.iter().find(|(name, _)| *name == file);
            let text = found.map(|(_, text)| (*text).to_owned());
            text.ok_or_else(|| StackError::Unreadable { path: file.into(), source: missing() })
        })
    }

    /// The catalogue of a folder with `stack.yaml` and its values files.
    pub fn from_dir(folder: &Path) -> Result<Catalogue, StackError> {
        Catalogue::read(|file| {
            let path = folder.join(file);
            input_file::read_text(&path, LARGEST)
                .map_err(|error| StackError::Unreadable { path, source: error.into_io() })
        })
    }

    /// Namespace and release of each component for this namespace of the stack.
    pub fn overview(&self, namespace: &str) -> Vec<CatalogueEntry> {
        self.components.iter().map(|component| component.overview(namespace)).collect()
    }

    /// Components that the answers leave out of the stack.
    pub fn left_out(&self, settings: &Settings) -> Vec<CatalogueEntry> {
        let is_left_out =
            |component: &&Component| component.row.when == Some(When::LogsEnabled) && settings.logs == LogsMode::None;
        let left_out = self.components.iter().filter(is_left_out);
        left_out.map(|component| component.overview(settings.namespace.as_str())).collect()
    }

    /// The names of the charts' objects with the values of the answers.
    pub fn chart_names(&self, settings: &Settings) -> ChartNames {
        let values = self.merged_values(settings);
        ChartNames::of(|component| values.get(component))
    }

    /// The values of each component with those of the answers, with unfilled placeholders.
    pub(super) fn merged_values(&self, settings: &Settings) -> BTreeMap<&str, Value> {
        let mut values: BTreeMap<&str, Value> = BTreeMap::new();
        for component in &self.components {
            let merged = values.entry(component.name.as_str()).or_insert_with(|| component.values.clone());
            if let Some((over, _)) = component.answered_values(settings) {
                merge(merged, &over);
            }
        }
        values
    }

    /// Every part that a value switches off, `COMPONENT.KEY`.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> Vec<String> {
        let of = |component: &Component| {
            let parts = component.row.parts.iter();
            parts.map(|part| format!("{}.{}", component.name, part.key)).collect::<Vec<_>>()
        };
        self.components.iter().flat_map(of).collect()
    }

    /// Names of the components with the default version of each, in catalogue order.
    pub fn versions(&self) -> impl Iterator<Item = (&ComponentName, &semver::Version)> {
        self.components.iter().map(|component| (&component.name, &component.row.version))
    }

    fn read(file: impl Fn(&str) -> Result<String, StackError>) -> Result<Catalogue, StackError> {
        const STACK: &str = "stack.yaml";
        let document: Document = parse(STACK, &file(STACK)?)?;
        let wrong = |component: &str, reason: String| StackError::Component {
            file: STACK.into(),
            component: component.into(),
            reason,
        };
        if document.api_version != "tailwatch/v1" {
            let reason = format!("apiVersion is {}, this tailwatch reads tailwatch/v1", document.api_version);
            return Err(wrong("(all)", reason));
        }
        let mut components: Vec<Component> = Vec::new();
        for row in document.components {
            let name = row.name.parse().map_err(|error| wrong(&row.name, format!("{error}")))?;
            let earlier = |after: &String| {
                let is_earlier = |known: &&Component| known.name.as_str() == after && known.row.wave <= row.wave;
                let found = components.iter().find(is_earlier).map(|known| known.name.clone());
                found.ok_or_else(|| wrong(&row.name, format!("it is after {after}, which is not an earlier component")))
            };
            let after = row.after.as_ref().map(earlier).transpose()?;
            let repository = row.repository.parse().map_err(|error| wrong(&row.name, format!("{error}")))?;
            let values = values(&row.values, &file(&row.values)?)?;
            let path = upgrade_path(&name, &row.version, &file)?;
            components.push(Component { name, row, after, repository, values, path });
        }
        let self_monitoring = optional(&file, self_monitoring::FILE)?;
        let self_monitoring = self_monitoring.map(|text| parse(self_monitoring::FILE, &text)).transpose()?;
        Ok(Catalogue { components, self_monitoring })
    }
}

impl Component {
    fn overview(&self, namespace: &str) -> CatalogueEntry {
        CatalogueEntry {
            name: self.name.to_string(),
            wave: self.row.wave,
            namespace: self.row.namespace.replace("${namespace}", namespace),
            chart: self.row.chart.clone(),
            optional: self.row.when == Some(When::TailscaleOperatorNeeded),
            wait_for: self.row.wait_for.clone(),
        }
    }
}

/// Optional in a folder: without one, the majors up to the catalogue's own are known, without steps.
fn upgrade_path(
    component: &ComponentName,
    version: &semver::Version,
    file: &impl Fn(&str) -> Result<String, StackError>,
) -> Result<UpgradePath, StackError> {
    let name = format!("upgrades/{component}.yaml");
    match optional(file, &name)? {
        Some(text) => UpgradePath::read(&name, component, &text),
        None => Ok(UpgradePath { verified: version.major, steps: Vec::new() }),
    }
}

/// The text of a file that a folder may lack.
fn optional(file: &impl Fn(&str) -> Result<String, StackError>, name: &str) -> Result<Option<String>, StackError> {
    match file(name) {
        Err(StackError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_has_every_component_in_its_wave() {
        let catalogue = Catalogue::embedded().unwrap();
        let waves: Vec<_> = catalogue.components.iter().map(|c| (c.name.as_str(), c.row.wave)).collect();
        let expected = [
            ("tailscale-operator", 20),
            ("kube-prometheus-stack", 30),
            ("oauth2-proxy", 30),
            ("loki", 32),
            ("alloy", 33),
        ];
        assert_eq!(waves, expected);
    }

    #[test]
    fn a_folder_without_the_catalogue_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Catalogue::from_dir(folder.path()).unwrap_err();
        assert!(error.to_string().contains("stack.yaml"), "{error}");
    }

    #[test]
    fn a_component_is_after_an_earlier_one() {
        let catalogue = Catalogue::embedded().unwrap();
        let after = catalogue.components.iter().filter_map(|c| Some((c.name.as_str(), c.after.as_ref()?.as_str())));
        assert_eq!(after.collect::<Vec<_>>(), [("oauth2-proxy", "kube-prometheus-stack")]);
        let read = |file: &str| {
            let text = EMBEDDED.iter().find(|(name, _)| *name == file).unwrap().1;
            Ok(text.replace("after: kube-prometheus-stack", "after: loki"))
        };
        let error = Catalogue::read(read).unwrap_err().to_string();
        assert!(error.contains("oauth2-proxy") && error.contains("loki"), "{error}");
    }

    #[test]
    fn unknown_keys_of_the_catalogue_are_refused_with_their_line() {
        let error = parse::<Document>("stack.yaml", "apiVersion: tailwatch/v1\ncomponent: []\n").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("component") && source.contains("line 2"), "{source}");
    }
}
