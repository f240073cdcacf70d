//! Desired releases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::config::{ChartRepository, ComponentName, RepositoryAccess, Secret};
use crate::stack::{ComponentRules, KnownDigest, OwnObject, RecordedChart};

/// A desired release.
#[derive(Clone, Debug)]
pub struct Release {
    /// Component = release name.
    pub component: ComponentName,
    /// Wave number; lower waves are ready before higher ones start.
    pub wave: u8,
    /// The component with the own objects and CRDs that this one needs; its Ingress, if it has one, leads to it.
    pub after: Option<ComponentName>,
    /// Namespace of the release.
    pub namespace: String,
    /// Chart to install.
    pub chart: ChartSource,
    /// Final values, with the user's merged last.
    pub values: Value,
    /// The values without the user's.
    pub defaults: Value,
    /// The user's part of them: a mapping, empty if there is none.
    pub overrides: Value,
    /// Secrets in them, which the answers read from a secret source.
    pub secrets: Vec<Secret<String>>,
    /// Texts in them that are derived from own Secrets, which each plan generates until they are installed.
    pub derived: Vec<String>,
    /// How CRDs are applied.
    pub crds: CrdPolicy,
    /// API versions that the cluster will have once earlier waves are installed (`group/version/Kind`), for rendering.
    pub api_versions: Vec<String>,
    /// Conditions to wait for beyond the workloads of the manifest.
    pub wait_for: Vec<WaitFor>,
    /// Own objects, applied before helm runs, the namespaces first.
    pub objects: Vec<OwnObject>,
    /// Keys of the parts that the values switch off, e.g. `alertmanager.enabled`.
    pub switched_off: Vec<String>,
    /// Expected number of rendered objects by kind; a difference is a notice. Empty: not checked.
    pub expect: BTreeMap<String, u32>,
}

impl Release {
    /// Rules of its component.
    pub fn rules(&self) -> ComponentRules {
        ComponentRules::of(self.component.as_str())
    }
}

#[cfg(any(test, feature = "benchmarks"))]
#[allow(clippy::unwrap_used)]
impl Release {
    /// One for tests and benchmarks, in wave 30 of namespace monitoring, of a chart with the component's name.
    pub(crate) fn for_tests(component: &str, version: &str) -> Release {
        let empty = || Value::Object(Default::default());
        Release {
            component: component.parse().unwrap(),
            wave: 30,
            after: None,
            namespace: "monitoring".into(),
            chart: ChartSource {
                name: component.into(),
                repository: "https://charts.example".parse().unwrap(),
                access: RepositoryAccess::default(),
                version: version.parse().unwrap(),
                digests: Vec::new(),
                missing_in: None,
            },
            values: empty(),
            defaults: empty(),
            overrides: empty(),
            secrets: Vec::new(),
            derived: Vec::new(),
            crds: CrdPolicy::None,
            api_versions: Vec::new(),
            wait_for: Vec::new(),
            objects: Vec::new(),
            switched_off: Vec::new(),
            expect: BTreeMap::new(),
        }
    }
}

/// A chart and its repository.
#[derive(Clone, Debug)]
pub struct ChartSource {
    /// Chart name.
    pub name: String,
    /// Repository; the answers override the catalogue.
    pub repository: ChartRepository,
    /// How it is read.
    pub access: RepositoryAccess,
    /// Version.
    pub version: semver::Version,
    /// What the .tgz of that version must have, each of them; none: pinned on first use.
    pub digests: Vec<KnownDigest>,
    /// A lock file that does not have it.
    pub missing_in: Option<PathBuf>,
}

impl ChartSource {
    /// The record of its archive, with this sha256 (hex).
    pub fn recorded(&self, sha256: &str) -> RecordedChart {
        RecordedChart {
            chart: self.name.clone(),
            version: self.version.to_string(),
            repository: self.repository.to_string(),
            sha256: sha256.to_owned(),
        }
    }
}

/// How CRDs are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrdPolicy {
    /// The chart has none.
    None,
    /// From `helm show crds`, by server-side apply before the release; helm never upgrades them.
    ServerSideApply,
    /// They are templates of the chart, so helm upgrades them.
    Chart,
}

/// An object with a status condition that must be true.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitFor {
    /// e.g. `monitoring.coreos.com/v1`
    pub api_version: String,
    /// e.g. `Prometheus`
    pub kind: String,
    /// Object name.
    pub name: String,
    /// Condition type that must be `True`, e.g. `Available`.
    pub condition: String,
}
