//! Alertmanager (API v2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::api::port_forward::{PortForward, Service, encoded, expect, json};
use crate::cluster::ForwardTarget;
use crate::stack::ALERTMANAGER;

const SERVICE: Service = (ALERTMANAGER, 9093);
const NAME: &str = "Alertmanager";

pub(in crate::check) struct Alertmanager<'a>(pub(in crate::check) PortForward<'a>);

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Alert {
    pub(in crate::check) labels: BTreeMap<String, String>,
    pub(in crate::check) status: AlertStatus,
}

/// What keeps an alert from receivers: ids of silences, fingerprints of alerts that inhibit it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::check) struct AlertStatus {
    pub(in crate::check) silenced_by: Vec<String>,
    pub(in crate::check) inhibited_by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::check) struct Silence {
    matchers: Vec<Matcher>,
    ends_at: jiff::Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "is_equal")]
    is_equal: bool,
}

fn is_equal() -> bool {
    true
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let matchers: Vec<String> = self
            .matchers
            .iter()
            .map(|matcher| {
                let operator = match (matcher.is_equal, matcher.is_regex) {
                    (true, false) => "=",
                    (true, true) => "=~",
                    (false, false) => "!=",
                    (false, true) => "!~",
                };
                format!("{}{operator}{:?}", matcher.name, matcher.value)
            })
            .collect();
        write!(f, "{{{}}} until {}", matchers.join(", "), self.ends_at)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::check) struct NewAlert<'a> {
    pub(in crate::check) labels: BTreeMap<&'a str, &'a str>,
    pub(in crate::check) annotations: BTreeMap<&'a str, &'a str>,
    pub(in crate::check) starts_at: jiff::Timestamp,
    /// The alert is resolved from this time.
    pub(in crate::check) ends_at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Status {
    config: StatusConfig,
}

#[derive(Deserialize)]
struct StatusConfig {
    /// The loaded configuration as YAML, without secrets.
    original: String,
}

#[derive(Deserialize)]
struct Configuration {
    route: Route,
}

#[derive(Deserialize)]
struct Route {
    receiver: String,
}

/// Requests to receivers since the start, and those of them that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::check) struct Notifications {
    pub(in crate::check) requests: f64,
    pub(in crate::check) failed: f64,
}

impl Notifications {
    /// Of an integration, e.g. `slack`, in the text format of the metrics (alertmanager, notify/notify.go).
    fn read(metrics: &str, integration: &str) -> Notifications {
        let label = format!("integration=\"{integration}\"");
        let sum = |name: &str| {
            let samples =
                metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "));
            let samples = samples.filter(|(labels, _)| labels.split(',').any(|one| one == label));
            samples.filter_map(|(_, value)| value.trim().parse::<f64>().ok()).sum()
        };
        Notifications {
            requests: sum("alertmanager_notification_requests_total"),
            failed: sum("alertmanager_notification_requests_failed_total"),
        }
    }
}

impl Alertmanager<'_> {
    /// The receiver of the loaded configuration's root route.
    pub(in crate::check) async fn receiver(&self) -> Result<String, String> {
        let status: Status = self.0.json(SERVICE, "/api/v2/status").await?;
        let loaded: Configuration = serde_yaml::from_str(&status.config.original)
            .map_err(|_| format!("{NAME} shows no configuration with a route"))?;
        Ok(loaded.route.receiver)
    }

    /// Of all these pods: one of them sends an alert to the receiver, and a Service leads to any.
    pub(in crate::check) async fn notifications(
        &self,
        pods: &[String],
        integration: &str,
    ) -> Result<Notifications, String> {
        let mut sum = Notifications::default();
        for pod in pods {
            let target = ForwardTarget::Pod { name: pod.clone(), port: SERVICE.1 };
            let answer = self.0.get_with(target, "/metrics", Vec::new()).await?;
            expect(200, &format!("pod {pod}"), &answer)?;
            let of_pod = Notifications::read(&answer.body, integration);
            sum = Notifications { requests: sum.requests + of_pod.requests, failed: sum.failed + of_pod.failed };
        }
        Ok(sum)
    }

    pub(in crate::check) async fn alerts(&self) -> Result<Vec<Alert>, String> {
        json(NAME, &self.0.get(SERVICE, "/api/v2/alerts").await?)
    }

    /// Alerts with this `alertname`.
    pub(in crate::check) async fn alerts_of(&self, name: &str) -> Result<Vec<Alert>, String> {
        let filter = encoded(&format!("alertname=\"{name}\""));
        self.0.json(SERVICE, &format!("/api/v2/alerts?filter={filter}")).await
    }

    pub(in crate::check) async fn silence(&self, id: &str) -> Result<Silence, String> {
        self.0.json(SERVICE, &format!("/api/v2/silence/{}", encoded(id))).await
    }

    pub(in crate::check) async fn post(&self, alert: &NewAlert<'_>) -> Result<(), String> {
        expect(200, NAME, &self.0.post(SERVICE, "/api/v2/alerts", &[alert]).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_those_of_the_integration() {
        let metrics = "# TYPE alertmanager_notification_requests_total counter\n\
                       alertmanager_notification_requests_total{integration=\"slack\",receiver_name=\"a\"} 2\n\
                       alertmanager_notification_requests_total{integration=\"slack\",receiver_name=\"b\"} 1\n\
                       alertmanager_notification_requests_total{integration=\"webhook\"} 5\n\
                       alertmanager_notification_requests_failed_total{integration=\"slack\"} 1\n";
        assert_eq!(Notifications::read(metrics, "slack"), Notifications { requests: 3.0, failed: 1.0 });
        assert_eq!(Notifications::read(metrics, "webhook"), Notifications { requests: 5.0, failed: 0.0 });
        assert_eq!(Notifications::read("", "webhook"), Notifications::default());
    }
}
