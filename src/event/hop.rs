//! The hops of the stack's data path: the ways on which logs, metrics and people travel from one part to the next.

use serde::{Deserialize, Serialize};

/// From one part of the data path to the next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The pods' logs are read on every node.
    PodsAlloy,
    /// Logs are sent to Loki.
    AlloyLoki,
    /// Grafana asks Loki.
    LokiGrafana,
    /// Prometheus scrapes its targets.
    TargetsPrometheus,
    /// Alerts reach Alertmanager.
    PrometheusAlertmanager,
    /// Grafana asks Prometheus.
    PrometheusGrafana,
    /// A person's browser finds the address on the tailnet.
    BrowserTailnet,
    /// The tailnet's Ingress leads to oauth2-proxy.
    TailnetOauth2Proxy,
    /// oauth2-proxy sends people to the identity provider and believes it.
    Oauth2ProxyIssuer,
    /// oauth2-proxy leads to Grafana.
    Oauth2ProxyGrafana,
}

impl Hop {
    /// Every hop: logs, metrics, people.
    pub const ALL: [Hop; 10] = [
        Hop::PodsAlloy,
        Hop::AlloyLoki,
        Hop::LokiGrafana,
        Hop::TargetsPrometheus,
        Hop::PrometheusAlertmanager,
        Hop::PrometheusGrafana,
        Hop::BrowserTailnet,
        Hop::TailnetOauth2Proxy,
        Hop::Oauth2ProxyIssuer,
        Hop::Oauth2ProxyGrafana,
    ];

    /// The parts at its two ends, in the direction in which data or people go.
    pub fn ends(self) -> (&'static str, &'static str) {
        match self {
            Hop::PodsAlloy => ("pods", "Alloy"),
            Hop::AlloyLoki => ("Alloy", "Loki"),
            Hop::LokiGrafana => ("Loki", "Grafana"),
            Hop::TargetsPrometheus => ("targets", "Prometheus"),
            Hop::PrometheusAlertmanager => ("Prometheus", "Alertmanager"),
            Hop::PrometheusGrafana => ("Prometheus", "Grafana"),
            Hop::BrowserTailnet => ("browser", "tailnet"),
            Hop::TailnetOauth2Proxy => ("tailnet", "oauth2-proxy"),
            Hop::Oauth2ProxyIssuer => ("oauth2-proxy", "identity provider"),
            Hop::Oauth2ProxyGrafana => ("oauth2-proxy", "Grafana"),
        }
    }

    /// `Alloy → Loki`
    pub fn title(self) -> String {
        let (from, to) = self.ends();
        format!("{from} → {to}")
    }

    /// `between Alloy and Loki`
    pub fn between(self) -> String {
        let (from, to) = self.ends();
        format!("between {from} and {to}")
    }
}
