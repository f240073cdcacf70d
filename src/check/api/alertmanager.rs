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

    pub(in crate::check) async fn post(&self, alert: &NewAlert<'_>) -> Result<(), String> {
        expect(200, NAME, &self.0.post(SERVICE, "/api/v2/alerts", &[alert]).await?)
    }
}
