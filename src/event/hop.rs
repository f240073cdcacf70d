//! The hops of the data path: how logs, metrics and requests of users travel from one part to the next.

use serde::{Deserialize, Serialize};

/// From one part of the data path to the next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The pods' logs are read on every node.
    PodsAlloy,
    /// Logs are sent to Loki.
    AlloyLoki,
    /// Grafana queries Loki.
    LokiGrafana,
    /// Prometheus scrapes its targets.
    TargetsPrometheus,
    /// Alerts reach Alertmanager.
    PrometheusAlertmanager,
    /// Grafana queries Prometheus.
    PrometheusGrafana,
    /// The browser reaches the address on the tailnet.
    BrowserTailnet,
    /// The Ingress forwards to oauth2-proxy.
    TailnetOauth2Proxy,
    /// oauth2-proxy redirects to the identity provider and accepts its tokens.
    Oauth2ProxyIssuer,
    /// oauth2-proxy forwards to Grafana.
    Oauth2ProxyGrafana,
}

impl Hop {
    /// Every hop: logs, metrics, sign-in.
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

    /// The parts at its ends, in the direction of the data or request.
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
