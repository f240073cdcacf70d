//! Alloy's HTTP server, by pod: the Service would always select the same one.

use serde::Deserialize;

use crate::check::api::port_forward::{PortForward, expect};
use crate::cluster::ForwardTarget;
use crate::config::ALLOY;

pub(in crate::check) struct Alloy<'a>(pub(in crate::check) PortForward<'a>);

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Component {
    #[serde(rename = "localID")]
    pub(in crate::check) local_id: String,
    pub(in crate::check) health: Health,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::check) struct Health {
    /// `healthy`, `unhealthy`, `unknown` or `exited`.
    pub(in crate::check) state: String,
    pub(in crate::check) message: String,
}

impl Alloy<'_> {
    pub(in crate::check) async fn ready(&self, pod: &str) -> Result<(), String> {
        self.get(pod, "/-/ready").await.map(drop)
    }

    pub(in crate::check) async fn components(&self, pod: &str) -> Result<Vec<Component>, String> {
        let answer = self.get(pod, "/api/v0/web/components").await?;
        serde_json::from_str(&answer).map_err(|_| format!("pod {pod} lists no components"))
    }

    /// Its metrics in Prometheus' text format.
    pub(in crate::check) async fn metrics(&self, pod: &str) -> Result<String, String> {
        self.get(pod, "/metrics").await
    }

    async fn get(&self, pod: &str, path: &str) -> Result<String, String> {
        let target = ForwardTarget::Pod { name: pod.to_owned(), port: self.0.names.port(ALLOY, 12345) };
        let response = self.0.get_with(target, path, Vec::new()).await?;
        expect(200, &format!("pod {pod}"), &response)?;
        Ok(response.body)
    }
}
