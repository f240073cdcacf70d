//! The catalogue and what is wanted: releases as rows read from `values/`, typed placeholders filled on the
//! parsed document, the values merge, and our own manifests. Pure: no cluster, no helm, no printing.

mod catalogue;
mod certificate;
mod chart_sources;
mod desired;
mod error;
mod helm_driver;
mod manifests;
mod merge;
mod network_policies;
mod oauth_clients;
mod secrets;
mod template;
mod upgrades;

use std::collections::BTreeMap;

use serde_json::Value;

pub use catalogue::{Catalogue, CatalogueEntry};
pub use chart_sources::ChartPlace;
pub use desired::desired;
pub use error::StackError;
pub use helm_driver::HelmDriver;
pub use manifests::{namespace, note_on_releases, saved_answers_object};
pub use oauth_clients::{OidcClient, OperatorClient, kept_oidc_client, kept_operator_client};
pub use upgrades::{UpgradePath, UpgradeStep, ValueChange};

pub use crate::config::SAVED_ANSWERS;
use crate::config::{ChartRepository, ComponentName, Secret};

/// Name of the Secret with oauth2-proxy's credentials.
pub const OAUTH2_PROXY_SECRET: &str = "oauth2-proxy-auth0";
/// Name of the Secret with Grafana's admin password.
pub const GRAFANA_SECRET: &str = "grafana-admin";
/// Name of the Secret with the operator's webhook certificate; the chart fixes it.
pub const WEBHOOK_SECRET: &str = "kube-prometheus-stack-admission";
/// Name of the Secret with the Tailscale operator's OAuth client; the chart fixes it.
pub const TAILSCALE_SECRET: &str = "operator-oauth";
/// Namespace of the Tailscale operator.
pub const TAILSCALE_NAMESPACE: &str = "tailscale";

/// Label that every object of ours has.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value, and the name of the lock.
pub const TAILWATCH: &str = "tailwatch";
/// Annotation of a namespace that we made.
pub const MADE_BY_US: &str = "tailwatch.dev/created";

/// Annotation of the stack's namespace: the security-bearing answers of the last run.
pub const ANSWERS_RECORD: &str = "tailwatch.dev/answers";
/// Keys of the Secret with the saved answers beside the answers: which tailwatch wrote them, and random bytes.
pub const WRITTEN_BY: &str = "written-by";
/// See [`WRITTEN_BY`].
pub const SALT: &str = "salt";
/// Name of the ConfigMap with our notes on releases: the last healthy revision of each.
pub const REVISIONS: &str = "tailwatch-revisions";
/// The label by which each helm call of ours marks the revision it makes; helm hands it down to later revisions.
pub const RUN_LABEL: &str = "tailwatch-run";

/// A Secret's data, decoded.
pub type SecretData = BTreeMap<String, Secret<Vec<u8>>>;

/// What only the cluster knows and the wanted state depends on.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// The Tailscale operator must be installed: no other owner has an IngressClass `tailscale`.
    pub install_tailscale_operator: bool,
    /// Data of [`OAUTH2_PROXY_SECRET`].
    pub oauth2_proxy: Option<SecretData>,
    /// Data of [`GRAFANA_SECRET`].
    pub grafana: Option<SecretData>,
    /// Data of [`WEBHOOK_SECRET`].
    pub webhook: Option<SecretData>,
    /// Data of [`TAILSCALE_SECRET`].
    pub tailscale: Option<SecretData>,
    /// Now, for the certificate's age.
    pub now: jiff::Timestamp,
}

/// A desired release.
#[derive(Clone, Debug)]
pub struct Release {
    /// Component, which is the release's name too.
    pub component: ComponentName,
    /// Wave number; lower waves are ready before higher ones start.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// What to install.
    pub chart: ChartSource,
    /// Final values, with the user's merged last.
    pub values: Value,
    /// The user's own part of them: a mapping, empty when there is none.
    pub overrides: Value,
    /// Secrets in them, which the answers read from elsewhere.
    pub secrets: Vec<Secret<String>>,
    /// Texts in them that follow from Secrets of ours, which each plan generates until they are installed.
    pub derived: Vec<String>,
    /// How CRDs reach the cluster.
    pub crds: CrdPolicy,
    /// API versions that the cluster will have once earlier waves are installed (`group/version/Kind`), for rendering.
    pub api_versions: Vec<String>,
    /// Conditions to wait for beyond the workloads of the manifest.
    pub wait_for: Vec<WaitFor>,
    /// Our own objects that are applied before helm runs, in order.
    pub objects: Vec<OwnObject>,
    /// Rendered kinds and how many of each are expected; a difference is a notice. Empty: not checked.
    pub expect: BTreeMap<String, u32>,
}

#[cfg(test)]
impl Release {
    /// One for tests, in wave 30 of namespace monitoring, of a chart with the component's name.
    pub(crate) fn for_tests(component: &str, version: &str) -> Release {
        let empty = || Value::Object(Default::default());
        Release {
            component: component.parse().unwrap(),
            wave: 30,
            namespace: "monitoring".into(),
            chart: ChartSource {
                name: component.into(),
                repository: "https://charts.example".parse().unwrap(),
                version: version.parse().unwrap(),
                digest: None,
            },
            values: empty(),
            overrides: empty(),
            secrets: Vec::new(),
            derived: Vec::new(),
            crds: CrdPolicy::None,
            api_versions: Vec::new(),
            wait_for: Vec::new(),
            objects: Vec::new(),
            expect: BTreeMap::new(),
        }
    }
}

/// Which chart, from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartSource {
    /// Chart name.
    pub name: String,
    /// Repository address, after the answer's override.
    pub repository: ChartRepository,
    /// Version.
    pub version: semver::Version,
    /// sha256 (hex) of the .tgz at that repository and version; `None`: pinned on first use.
    pub digest: Option<String>,
}

/// How CRDs reach the cluster.
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

/// An object of ours, applied server-side with our field manager.
#[derive(Clone)]
pub struct OwnObject {
    /// The object as JSON, without secret data.
    pub manifest: Value,
    /// For Secrets: data that is added at apply time, key -> bytes.
    pub secret_data: BTreeMap<String, Secret<Vec<u8>>>,
}

impl std::fmt::Debug for OwnObject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OwnObject")
            .field("kind", &self.manifest["kind"])
            .field("name", &self.manifest["metadata"]["name"])
            .finish()
    }
}
