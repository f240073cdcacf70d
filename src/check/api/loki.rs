//! Loki (Loki HTTP API).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::check::api::port_forward::{self, PortForward, Service, encoded, expect};
use crate::config::LOKI;

const SERVICE: Service = (LOKI, 3100);
const NAME: &str = "Loki";

pub(in crate::check) struct Loki<'a>(pub(in crate::check) PortForward<'a>);

#[derive(Deserialize)]
struct Ring {
    /// `null` in an empty ring.
    shards: Option<Vec<Ingester>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Ingester {
    pub(in crate::check) id: String,
    /// `ACTIVE`, `JOINING`, `LEAVING` or `UNHEALTHY`.
    pub(in crate::check) state: String,
}

/// The answer of a query.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Logs {
    data: Streams,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Streams {
    result: Vec<Stream>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stream {
    stream: Labels,
    /// Time, line and perhaps structured metadata of each entry.
    values: Vec<Vec<Value>>,
}

pub(in crate::check) type Labels = BTreeMap<String, String>;

impl Logs {
    /// The labels of each line.
    pub(in crate::check) fn lines(&self) -> Vec<&Labels> {
        let streams = self.data.result.iter();
        streams
            .flat_map(|stream| {
                let lines = stream.values.iter().filter(|entry| entry.get(1).is_some_and(Value::is_string));
                lines.map(|_| &stream.stream)
            })
            .collect()
    }
}

/// Part of `/config`; durations are normalised (168h prints 1w).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Config {
    pub(in crate::check) limits_config: Limits,
    pub(in crate::check) compactor: Compactor,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Limits {
    pub(in crate::check) retention_period: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Compactor {
    pub(in crate::check) retention_enabled: bool,
    pub(in crate::check) delete_request_store: String,
}

impl Loki<'_> {
    /// `/ready` is 503 until the ingester has been ready for 15 s.
    pub(in crate::check) async fn ready(&self) -> Result<(), String> {
        expect(200, NAME, &self.0.get(SERVICE, "/ready").await?)
    }

    /// `/ring` returns JSON for `Accept: application/json` (dskit, ring/http.go).
    pub(in crate::check) async fn ingesters(&self) -> Result<Vec<Ingester>, String> {
        let accept = vec![("Accept".to_owned(), "application/json".to_owned())];
        let response = self.0.get_with(self.0.target(SERVICE), "/ring", accept).await?;
        port_forward::json(NAME, &response).map(|ring: Ring| ring.shards.unwrap_or_default())
    }

    /// Pushes a line of now, with the label `app`.
    pub(in crate::check) async fn push(&self, app: &str, line: &str) -> Result<(), String> {
        let now = jiff::Timestamp::now().as_nanosecond().to_string();
        let stream = json!({"stream": {"app": app}, "values": [[now, line]]});
        let response = self.0.post(SERVICE, "/loki/api/v1/push", &json!({"streams": [stream]})).await?;
        expect(204, NAME, &response)
    }

    /// Lines of the last 10 minutes that contain a text.
    pub(in crate::check) async fn query(&self, selector: &str, text: &str) -> Result<Logs, String> {
        let expression = encoded(&format!("{selector} |= \"{text}\""));
        let path = format!("/loki/api/v1/query_range?query={expression}&since=10m&limit=1000&direction=forward");
        self.0.json(SERVICE, &path).await
    }

    pub(in crate::check) async fn config(&self) -> Result<Config, String> {
        let response = self.0.get(SERVICE, "/config").await?;
        expect(200, NAME, &response)?;
        serde_yaml::from_str(&response.body).map_err(|_| "Loki's /config is no YAML".to_owned())
    }
}
