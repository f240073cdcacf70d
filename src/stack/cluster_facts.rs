//! Facts of the cluster that the desired state depends on.

use std::collections::BTreeSet;

use crate::config::{IngressClass, OperatorMode, OperatorPlan, TailscaleOperator};
use crate::stack::{NodeStates, RecordedCharts, SecretData, TAILSCALE_NAMESPACE};

/// Facts from the cluster that the desired state depends on.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// What is done about the Tailscale operator.
    pub tailscale_operator: OperatorPlan,
    /// The IngressClass of Grafana's Ingress.
    pub ingress_class: IngressClass,
    /// Namespaces with a Tailscale operator and its proxies; never empty.
    pub tailscale_namespaces: Vec<String>,
    /// Data of [`OAUTH2_PROXY_SECRET`].
    pub oauth2_proxy: Option<SecretData>,
    /// Data of [`GRAFANA_SECRET`].
    pub grafana: Option<SecretData>,
    /// Data of [`ALERTS_SECRET`](crate::stack::ALERTS_SECRET).
    pub alerts: Option<SecretData>,
    /// Data of [`WEBHOOK_SECRET`].
    pub webhook: Option<SecretData>,
    /// Data of [`TAILSCALE_SECRET`].
    pub tailscale: Option<SecretData>,
    /// The charts of earlier runs; empty if the namespace cannot be read.
    pub charts: RecordedCharts,
    /// (namespace, label) of each Pod Security level of [`LEVELS`](crate::stack::LEVELS) that another field manager has set.
    pub foreign_levels: BTreeSet<(String, String)>,
    /// Every node; empty if they cannot be listed.
    pub nodes: NodeStates,
    /// Whether the cluster's first IP family is IPv6.
    pub is_ipv6_first: bool,
    /// Now, for the certificate's age.
    pub now: jiff::Timestamp,
}

impl ClusterFacts {
    /// Of a cluster that cannot be read, with nothing installed.
    pub fn unknown(operator: OperatorMode) -> ClusterFacts {
        ClusterFacts {
            tailscale_operator: operator.plan(TailscaleOperator { has_class: false, is_ours: false }),
            ingress_class: IngressClass::choose(None, &[]),
            tailscale_namespaces: vec![TAILSCALE_NAMESPACE.into()],
            oauth2_proxy: None,
            grafana: None,
            alerts: None,
            webhook: None,
            tailscale: None,
            charts: RecordedCharts::default(),
            foreign_levels: BTreeSet::new(),
            nodes: NodeStates::default(),
            is_ipv6_first: false,
            now: jiff::Timestamp::now(),
        }
    }
}
