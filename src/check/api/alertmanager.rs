//! Alertmanager (API v2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::api::port_forward::{PortForward, Service, encoded, expect, json};
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

impl Alertmanager<'_> {
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
