//! HTTP requests through the API server's port-forward. Errors are one sentence fragment.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::{Cluster, ForwardRequest, ForwardResponse, ForwardTarget, ForwardedJson};
use crate::stack::ChartNames;

/// How long one exchange with a component may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The Services and pods of a namespace.
#[derive(Clone, Copy)]
pub(in crate::check) struct PortForward<'a> {
    pub(in crate::check) cluster: &'a Cluster,
    pub(in crate::check) namespace: &'a str,
    /// The Services' names by the values.
    pub(in crate::check) names: &'a ChartNames,
}

/// Name of a Service without overrides, and its port.
pub(super) type Service = (&'static str, u16);

impl PortForward<'_> {
    /// GET with more headers.
    pub(in crate::check) async fn get_with(
        &self,
        target: ForwardTarget,
        path: &str,
        headers: Vec<(String, String)>,
    ) -> Result<ForwardResponse, String> {
        self.exchange(ForwardRequest { headers, ..self.request(target, path) }).await
    }

    /// GET from a Service.
    pub(super) async fn get(&self, service: Service, path: &str) -> Result<ForwardResponse, String> {
        self.exchange(self.request(self.target(service), path)).await
    }

    /// POST of JSON to a Service.
    pub(super) async fn post(
        &self,
        service: Service,
        path: &str,
        body: &impl Serialize,
    ) -> Result<ForwardResponse, String> {
        let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let request = self.request(self.target(service), path);
        self.exchange(ForwardRequest { method: http::Method::POST, headers, body: Some(body), ..request }).await
    }

    /// The JSON of a Service's 200 answer.
    pub(super) async fn json<T>(&self, service: Service, path: &str) -> Result<T, String>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let answer = self.cluster.forward_json(self.request(self.target(service), path)).await;
        match answer.map_err(|error| error.to_string())? {
            ForwardedJson::Parsed(value) => Ok(value),
            ForwardedJson::NotJson => Err(no_json(self.names.object(service.0))),
            ForwardedJson::Other(response) => Err(answered(self.names.object(service.0), &response)),
        }
    }

    /// A Service as the target of a request.
    pub(in crate::check) fn target(&self, (name, port): Service) -> ForwardTarget {
        ForwardTarget::Service { name: self.names.object(name).to_owned(), port: self.names.port(name, port) }
    }

    fn request(&self, target: ForwardTarget, path: &str) -> ForwardRequest {
        ForwardRequest {
            namespace: self.namespace.to_owned(),
            target,
            path: path.to_owned(),
            method: http::Method::GET,
            headers: Vec::new(),
            body: None,
            timeout: TIMEOUT,
        }
    }

    async fn exchange(&self, request: ForwardRequest) -> Result<ForwardResponse, String> {
        self.cluster.forward(&request).await.map_err(|error| error.to_string())
    }
}

/// The JSON of a 200 answer.
pub(super) fn json<T: DeserializeOwned>(from: &str, response: &ForwardResponse) -> Result<T, String> {
    expect(200, from, response)?;
    serde_json::from_str(&response.body).map_err(|_| no_json(from))
}

fn no_json(from: &str) -> String {
    format!("{from} did not answer with the expected JSON")
}

/// An error for another status.
pub(super) fn expect(status: u16, from: &str, response: &ForwardResponse) -> Result<(), String> {
    if response.status == status { Ok(()) } else { Err(answered(from, response)) }
}

/// `loki answers 503: Ingester not ready`
pub(in crate::check) fn answered(from: &str, response: &ForwardResponse) -> String {
    let first: String = response.body.lines().next().unwrap_or_default().chars().take(160).collect();
    match first.trim() {
        "" => format!("{from} answers {}", response.status),
        text => format!("{from} answers {}: {text}", response.status),
    }
}

/// A text as a query parameter's value.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
