//! Prometheus (prometheus.io, HTTP API and Management API).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::check::api::port_forward::{PortForward, Service, encoded, expect};
use crate::stack::PROMETHEUS;

const SERVICE: Service = (PROMETHEUS, 9090);

pub(in crate::check) struct Prometheus<'a>(pub(in crate::check) PortForward<'a>);

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    #[serde(default)]
    storage_retention: String,
    reload_config_success: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

/// One active target, without the unused fields: a large cluster has thousands of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::check) struct Target {
    /// `serviceMonitor/<namespace>/<name>/<endpoint>`, `podMonitor/…` likewise.
    pub(in crate::check) scrape_pool: String,
    pub(in crate::check) scrape_url: String,
    pub(in crate::check) labels: TargetLabels,
    pub(in crate::check) health: String,
    #[serde(default)]
    pub(in crate::check) last_error: String,
    #[serde(default)]
    pub(in crate::check) scrape_interval: String,
}

#[derive(Deserialize)]
pub(in crate::check) struct TargetLabels {
    #[serde(default)]
    pub(in crate::check) job: String,
    #[serde(default)]
    pub(in crate::check) instance: String,
}

#[derive(Deserialize)]
struct RuleGroups {
    #[serde(default)]
    groups: Vec<RuleGroup>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct RuleGroup {
    pub(in crate::check) name: String,
    pub(in crate::check) file: String,
    pub(in crate::check) rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::check) struct Rule {
    pub(in crate::check) name: String,
    /// `ok`, `err` or `unknown`.
    pub(in crate::check) health: String,
    pub(in crate::check) last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alertmanagers {
    #[serde(default)]
    active_alertmanagers: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Alerts {
    #[serde(default)]
    alerts: Vec<Alert>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Alert {
    pub(in crate::check) labels: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub(in crate::check) state: String,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: TargetLabels,
    /// Time and value.
    value: (f64, String),
}

impl Prometheus<'_> {
    /// `/-/ready` is 200 once the write-ahead log is replayed.
    pub(in crate::check) async fn ready(&self) -> Result<(), String> {
        expect(200, "Prometheus", &self.0.get(SERVICE, "/-/ready").await?)
    }

    /// `15d or 45GiB`; durations are normalised (14d prints 2w).
    pub(in crate::check) async fn storage_retention(&self) -> Result<String, String> {
        self.data("/api/v1/status/runtimeinfo").await.map(|information: RuntimeInfo| information.storage_retention)
    }

    /// False: the last reload failed, and the configuration before it is still in effect.
    pub(in crate::check) async fn config_is_loaded(&self) -> Result<bool, String> {
        self.data("/api/v1/status/runtimeinfo").await.map(|information: RuntimeInfo| information.reload_config_success)
    }

    pub(in crate::check) async fn active_targets(&self) -> Result<Vec<Target>, String> {
        self.data("/api/v1/targets?state=active").await.map(|targets: Targets| targets.active_targets)
    }

    pub(in crate::check) async fn rule_groups(&self) -> Result<Vec<RuleGroup>, String> {
        self.data("/api/v1/rules").await.map(|rules: RuleGroups| rules.groups)
    }

    /// The number of Alertmanagers that get alerts.
    pub(in crate::check) async fn active_alertmanagers(&self) -> Result<usize, String> {
        self.data("/api/v1/alertmanagers").await.map(|known: Alertmanagers| known.active_alertmanagers.len())
    }

    pub(in crate::check) async fn alerts(&self) -> Result<Vec<Alert>, String> {
        self.data("/api/v1/alerts").await.map(|answer: Alerts| answer.alerts)
    }

    /// An instant query by target: labels and value of each result.
    pub(in crate::check) async fn query(&self, expression: &str) -> Result<Vec<(TargetLabels, f64)>, String> {
        let vector: Vector = self.data(&format!("/api/v1/query?query={}", encoded(expression))).await?;
        let samples = vector.result.into_iter();
        Ok(samples.filter_map(|sample| Some((sample.metric, sample.value.1.parse().ok()?))).collect())
    }

    async fn data<T: DeserializeOwned + Send + 'static>(&self, path: &str) -> Result<T, String> {
        self.0.json(SERVICE, path).await.map(|answer: Answer<T>| answer.data)
    }
}
