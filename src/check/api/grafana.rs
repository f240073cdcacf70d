//! Grafana (Grafana HTTP API).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::check::api::port_forward::{PortForward, Service, json};
use crate::cluster::ForwardResponse;
use crate::stack::{self, GRAFANA_SECRET};

/// Its Service, which is also the name of its Deployment.
pub(in crate::check) const SERVICE: Service = (stack::GRAFANA, 80);
const NAME: &str = "Grafana";
const ORGANISATION: &str = "/api/org";

pub(in crate::check) struct Grafana<'a>(pub(in crate::check) PortForward<'a>);

#[derive(Deserialize)]
struct Health {
    database: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::check) struct DataSource {
    pub(in crate::check) uid: String,
    pub(in crate::check) name: String,
    /// Id of its plugin, e.g. `alertmanager`.
    #[serde(rename = "type")]
    pub(in crate::check) kind: String,
    pub(in crate::check) url: String,
    pub(in crate::check) is_default: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct DataSourceHealth {
    /// `OK` or `ERROR`.
    pub(in crate::check) status: String,
    pub(in crate::check) message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Dashboard {
    title: String,
}

/// The answer of `POST /api/ds/query`: a frame holds its columns, all of one length.
#[derive(Deserialize)]
struct Queried {
    results: BTreeMap<String, QueryResult>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QueryResult {
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    data: Columns,
}

#[derive(Deserialize)]
struct Columns {
    values: Vec<Vec<IgnoredAny>>,
}

/// The effective settings, by section and key.
#[derive(Deserialize)]
pub(in crate::check) struct GrafanaSettings(BTreeMap<String, BTreeMap<String, String>>);

impl GrafanaSettings {
    /// Empty for a setting that this version does not have.
    pub(in crate::check) fn get(&self, section: &str, key: &str) -> &str {
        self.0.get(section).and_then(|section| section.get(key)).map_or("", String::as_str)
    }
}

impl Grafana<'_> {
    /// State of its database, e.g. `ok`.
    pub(in crate::check) async fn database(&self) -> Result<Option<String>, String> {
        self.0.json(SERVICE, "/api/health").await.map(|health: Health| health.database)
    }

    /// The organisation, without credentials. 401: anonymous access is off.
    pub(in crate::check) async fn organisation(&self) -> Result<ForwardResponse, String> {
        self.0.get(SERVICE, ORGANISATION).await
    }

    /// The organisation as the admin user. 401: another password is set.
    pub(in crate::check) async fn organisation_as_admin(&self) -> Result<ForwardResponse, String> {
        self.as_admin(ORGANISATION).await
    }

    pub(in crate::check) async fn settings(&self) -> Result<GrafanaSettings, String> {
        json(NAME, &self.as_admin("/api/admin/settings").await?)
    }

    pub(in crate::check) async fn data_sources(&self) -> Result<Vec<DataSource>, String> {
        json(NAME, &self.as_admin("/api/datasources").await?)
    }

    /// Grafana's health request of a data source, which includes a request to the backend.
    pub(in crate::check) async fn data_source_health(
        &self,
        uid: &str,
    ) -> Result<(ForwardResponse, DataSourceHealth), String> {
        let response = self.0.get(SERVICE, &format!("/api/datasources/uid/{uid}/health")).await?;
        let health = serde_json::from_str(&response.body).unwrap_or_default();
        Ok((response, health))
    }

    /// Titles of all dashboards.
    pub(in crate::check) async fn dashboards(&self) -> Result<Vec<String>, String> {
        let found: Vec<Dashboard> = self.0.json(SERVICE, "/api/search?type=dash-db&limit=5000").await?;
        Ok(found.into_iter().map(|dashboard| dashboard.title).collect())
    }

    /// The number of lines that Grafana's Loki data source finds, as its pages query it.
    pub(in crate::check) async fn lines_in_loki(&self, selector: &str, text: &str) -> Result<usize, String> {
        let query = json!({"refId": "A", "datasource": {"type": "loki", "uid": "loki"}, "queryType": "range",
            "expr": format!("{selector} |= \"{text}\""), "maxLines": 1000});
        let body = json!({"queries": [query], "from": "now-10m", "to": "now"});
        let found: Queried = json(NAME, &self.0.post(SERVICE, "/api/ds/query", &body).await?)?;
        let frames = found.results.values().flat_map(|result| &result.frames);
        Ok(frames.map(|frame| frame.data.values.first().map_or(0, Vec::len)).sum())
    }

    /// Grafana's answer to a push without lines through the proxy of the Loki data source.
    pub(in crate::check) async fn push_to_loki(&self) -> Result<ForwardResponse, String> {
        let path = "/api/datasources/proxy/uid/loki/loki/api/v1/push";
        self.0.post(SERVICE, path, &json!({"streams": []})).await
    }

    /// Grafana's answer to a silence through the proxy of a data source. Alertmanager rejects it: it lacks every field.
    pub(in crate::check) async fn invalid_silence(&self, uid: &str) -> Result<ForwardResponse, String> {
        let path = format!("/api/datasources/proxy/uid/{uid}/api/v2/silences");
        self.0.post(SERVICE, &path, &json!({})).await
    }

    /// GET as the admin user.
    async fn as_admin(&self, path: &str) -> Result<ForwardResponse, String> {
        let PortForward { cluster, namespace, .. } = self.0;
        let secret = cluster.secret(namespace, GRAFANA_SECRET).await.map_err(|error| error.to_string())?;
        let secret = secret.ok_or_else(|| format!("there is no Secret {GRAFANA_SECRET}"))?;
        let part = |key: &str| secret.get(key).map(|value| value.expose().clone()).unwrap_or_default();
        let credentials = [part("admin-user"), b":".to_vec(), part("admin-password")].concat();
        let headers = vec![("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(credentials)))];
        self.0.get_with(self.0.target(SERVICE), path, headers).await
    }
}
