//! What the checks of the installed stack read.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::check::api::alertmanager::Alertmanager;
use crate::check::api::alloy::Alloy;
use crate::check::api::grafana::{Grafana, GrafanaSettings};
use crate::check::api::loki::Loki;
use crate::check::api::port_forward::PortForward;
use crate::check::api::prometheus::{Prometheus, Target};
use crate::check::runner::{Selection, Subject};
use crate::check::verify::cached::Recent;
use crate::check::verify::probe_jobs::{Probes, Writer};
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::config::{ALLOY, Settings};
use crate::stack::{ChartNames, NodeStates, Release};

/// How long the API server may not answer: long enough for a restart.
const SILENCE_LIMIT: Duration = Duration::from_secs(25);

/// How long an answer is used again for several checks: less than the pause between two tries.
const SHARED: Duration = Duration::from_millis(400);
/// How long the expected targets are used again: they take many requests, and a check that fails computes them again.
const EXPECTED: Duration = Duration::from_secs(5);

/// Address -> name of the target, of each scrape pool (`serviceMonitor/<namespace>/<name>/<endpoint>`).
pub(super) type ExpectedTargets = BTreeMap<String, BTreeMap<String, String>>;

/// The targets that Prometheus should have.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) targets: ExpectedTargets,
    /// Addresses on nodes that do not run pods at the moment -> a sentence about the node.
    pub(super) absent: BTreeMap<String, String>,
}

/// The cluster, the settings and the installed stack that the checks read.
pub struct StackContext {
    pub(super) cluster: Cluster,
    pub(super) settings: Settings,
    pub(super) installed: Installed,
    /// Names of the charts' objects.
    pub(super) names: ChartNames,
    pub(super) selection: Selection,
    pub(super) targets: Recent<Vec<Target>>,
    pub(super) expected: Recent<Expected>,
    pub(super) grafana_settings: Recent<GrafanaSettings>,
    pub(super) probes: Probes,
    /// Nodes with a probe job that writes a line.
    pub(super) nodes: OnceCell<Vec<String>>,
    /// Every node, read once.
    node_states: OnceCell<NodeStates>,
    pub(super) writers: OnceLock<Vec<Writer>>,
    /// Set once the probe job of the unauthorized client was created.
    pub(super) unauthorized_client: OnceCell<()>,
}

/// The expected releases and the manifests that helm installed.
pub struct Installed {
    /// The expected releases, with what to wait for.
    pub releases: Vec<Release>,
    /// The objects of each installed release's manifest, by release name.
    pub manifests: BTreeMap<String, Vec<Value>>,
}

impl Subject for StackContext {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }

    fn has(&self, component: &str) -> bool {
        self.installed.releases.iter().any(|release| release.component.as_str() == component)
    }

    fn lacks(&self, part: &str) -> bool {
        self.installed.releases.iter().any(|release| {
            let key = part.strip_prefix(release.component.as_str()).and_then(|rest| rest.strip_prefix('.'));
            key.is_some_and(|key| release.switched_off.iter().any(|off| off == key))
        })
    }

    fn named(&self, hint: &str) -> String {
        self.names.in_hint(&hint.replace("NAMESPACE", self.namespace()))
    }

    fn selection(&self) -> &Selection {
        &self.selection
    }

    fn no_response_reason(&self) -> Option<String> {
        Some(self.cluster.unresponsive()?.to_string())
    }

    fn unreachable(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.cluster.unanswered_for(SILENCE_LIMIT).await.to_string() })
    }
}

impl StackContext {
    /// A context without any answers yet.
    pub fn new(cluster: Cluster, settings: Settings, installed: Installed, selection: Selection) -> StackContext {
        let values = |component: &str| {
            let mut releases = installed.releases.iter();
            releases.find(|release| release.component.as_str() == component).map(|release| &release.values)
        };
        let names = ChartNames::of(values);
        StackContext {
            names,
            cluster,
            settings,
            installed,
            selection,
            targets: Recent::within(SHARED),
            expected: Recent::within(EXPECTED),
            grafana_settings: Recent::within(SHARED),
            probes: Probes::default(),
            nodes: OnceCell::new(),
            node_states: OnceCell::new(),
            writers: OnceLock::new(),
            unauthorized_client: OnceCell::new(),
        }
    }

    /// Every node, as it was at the first call.
    pub(super) async fn node_states(&self) -> Result<&NodeStates, ClusterError> {
        self.node_states.get_or_try_init(|| self.cluster.node_states_for(self.settings.namespace.as_str())).await
    }

    /// An expected value of a release, by JSON pointer; includes the user's `values:`.
    pub(super) fn value(&self, component: &str, pointer: &str) -> Option<&Value> {
        let mut releases = self.installed.releases.iter();
        releases.find(|release| release.component.as_str() == component)?.values.pointer(pointer)
    }

    /// Objects of a kind in the manifests, each with its namespace.
    pub(super) fn objects(&self, kind: &str) -> Vec<(&str, &Value)> {
        let mut found = Vec::new();
        for release in &self.installed.releases {
            let objects = self.installed.manifests.get(release.component.as_str()).into_iter().flatten();
            for object in objects.filter(|object| object["kind"] == kind) {
                let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
                found.push((namespace.unwrap_or(&release.namespace), object));
            }
        }
        found
    }

    pub(super) fn port_forward(&self) -> PortForward<'_> {
        PortForward { cluster: &self.cluster, namespace: self.namespace(), names: &self.names }
    }

    pub(super) fn prometheus(&self) -> Prometheus<'_> {
        Prometheus(self.port_forward())
    }

    pub(super) fn alertmanager(&self) -> Alertmanager<'_> {
        Alertmanager(self.port_forward())
    }

    pub(super) fn loki(&self) -> Loki<'_> {
        Loki(self.port_forward())
    }

    pub(super) fn alloy(&self) -> Alloy<'_> {
        Alloy(self.port_forward())
    }

    /// The label selector of Alloy's pods.
    pub(super) fn alloy_pods(&self) -> String {
        format!("app.kubernetes.io/name={},app.kubernetes.io/instance={ALLOY}", self.names.label(ALLOY))
    }

    pub(super) fn grafana(&self) -> Grafana<'_> {
        Grafana(self.port_forward())
    }

    /// A live object of the stack's namespace.
    pub(super) async fn live(&self, api_version: &str, kind: &str, name: &str) -> Result<Option<Value>, ClusterError> {
        let reference = ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(self.namespace().to_owned()),
            name: name.into(),
        };
        self.cluster.get(&reference).await
    }
}
