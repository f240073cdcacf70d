//! HTTP through the API server's port-forward, which needs no route, no Service proxy and no Ingress.

use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams, Portforwarder};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;

use crate::cluster::forwards::PodPort;
use crate::cluster::request_timeout::{TimedBody, WHOLE};
use crate::cluster::{Cluster, ClusterError, body};

/// How long the pod of a Service is used again.
const RESOLVED: Duration = Duration::from_secs(2);

type ForwardedBody = TimedBody<Incoming>;

/// A request through the API server's port-forward.
#[derive(Clone, Debug)]
pub struct ForwardRequest {
    /// Namespace of the Service or pod.
    pub namespace: String,
    /// Its target.
    pub target: ForwardTarget,
    /// Path and query, e.g. `/api/v1/targets?state=active`.
    pub path: String,
    /// `GET` or `POST`.
    pub method: http::Method,
    /// Extra headers, with `Host` if it must differ.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<String>,
    /// Timeout of the response's headers, and between two chunks of its body.
    pub timeout: Duration,
}

/// Target of a forwarded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTarget {
    /// A Service and one of its ports: resolved to a ready pod and its container port.
    Service {
        /// Service name.
        name: String,
        /// Service port number.
        port: u16,
    },
    /// A pod and a container port.
    Pod {
        /// Pod name.
        name: String,
        /// Container port.
        port: u16,
    },
}

impl std::fmt::Display for ForwardTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ForwardTarget::Service { name, port } => write!(formatter, "Service {name}:{port}"),
            ForwardTarget::Pod { name, port } => write!(formatter, "pod {name}:{port}"),
        }
    }
}

/// A response through the port-forward; redirects are not followed.
#[derive(Clone, Debug)]
pub struct ForwardResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

/// A response with its JSON, parsed while it arrived.
#[derive(Debug)]
pub enum ForwardedJson<T> {
    /// Status 200, with this JSON.
    Parsed(T),
    /// Status 200, without the JSON of a `T`.
    NotJson,
    /// Another status.
    Other(ForwardResponse),
}

impl ForwardResponse {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Cluster {
    /// One HTTP exchange through the API server's port-forward.
    pub async fn forward(&self, request: &ForwardRequest) -> Result<ForwardResponse, ClusterError> {
        self.exchange(request, whole).await
    }

    /// The same for JSON of any size: of Prometheus' targets of a large cluster only the fields of `T` are kept.
    pub async fn forward_json<T>(&self, mut request: ForwardRequest) -> Result<ForwardedJson<T>, ClusterError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let read = async |response: Response<ForwardedBody>| match response.status() {
            StatusCode::OK => {
                let parsed = body::json(response).await?;
                Ok(parsed.map_or(ForwardedJson::NotJson, ForwardedJson::Parsed))
            }
            _ => whole(response).await.map(ForwardedJson::Other),
        };
        request.headers.push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
        self.exchange(&request, read).await
    }

    async fn exchange<R>(
        &self,
        request: &ForwardRequest,
        read: impl AsyncFnOnce(Response<ForwardedBody>) -> Result<R, String>,
    ) -> Result<R, ClusterError> {
        let no_answer = |reason: String| ClusterError::NoAnswer { target: request.target.to_string(), reason };
        let broken = |error: hyper::Error| no_answer(super::error::innermost(&error));
        let late = |_| no_answer(format!("no answer within {} s", request.timeout.as_secs()));
        let deadline = tokio::time::Instant::now() + request.timeout;
        let (mut forwarded, port, stream) = timeout_at(deadline, self.open(request)).await.map_err(late)??;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = timeout_at(deadline, handshake).await.map_err(late)?.map_err(broken)?;
        let connection = tokio::spawn(connection);
        if !request.method.is_safe() {
            self.counts.writes().begin();
        }
        let answered = async {
            let response = timeout_at(deadline, sender.send_request(build(request)?)).await;
            let response = response.map_err(late)?.map_err(broken)?;
            let target = request.target.to_string().into();
            let timed = |body| TimedBody::new(body, Some(request.timeout), Some(WHOLE), target);
            read(response.map(timed)).await.map_err(no_answer)
        };
        let answered = answered.await;
        connection.abort();
        // The error of the port-forward explains more than "connection closed".
        match (answered, forwarded.take_error(port)) {
            (Err(ClusterError::NoAnswer { target, reason }), Some(said)) => {
                let said = tokio::time::timeout(Duration::from_millis(200), said).await.ok().flatten();
                Err(ClusterError::NoAnswer { target, reason: said.unwrap_or(reason) })
            }
            (answered, _) => answered,
        }
    }

    /// A port-forward to the target, with its port and the stream.
    async fn open(
        &self,
        request: &ForwardRequest,
    ) -> Result<(Portforwarder, u16, impl AsyncRead + AsyncWrite + Unpin + use<>), ClusterError> {
        let (pod, port) = self.resolve(request).await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &request.namespace);
        let forwarded = pods.portforward(&pod, &[port]).await;
        let mut forwarded = forwarded
            .map_err(|error| ClusterError::from_kube(&format!("cannot forward a port to pod {pod}"), error))?;
        let stream = forwarded.take_stream(port).ok_or_else(|| ClusterError::NoAnswer {
            target: request.target.to_string(),
            reason: "the API server opened no stream".into(),
        })?;
        Ok((forwarded, port, stream))
    }

    /// Pod and container port of a target.
    async fn resolve(&self, request: &ForwardRequest) -> Result<PodPort, ClusterError> {
        let (name, port) = match &request.target {
            ForwardTarget::Pod { name, port } => return Ok((name.clone(), *port)),
            ForwardTarget::Service { name, port } => (name, *port),
        };
        let latest = self.forwards.of(&request.namespace, name, port);
        let mut latest = latest.lock().await;
        if let Some((_, found)) = latest.as_ref().filter(|(resolved, _)| resolved.elapsed() < RESOLVED) {
            return Ok(found.clone());
        }
        let found = self.pod_of_service(request, (name, port)).await?;
        *latest = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// A ready pod of a Service, and the container port.
    async fn pod_of_service(
        &self,
        request: &ForwardRequest,
        (name, port): (&str, u16),
    ) -> Result<PodPort, ClusterError> {
        let no_pod = || ClusterError::NoPod { target: request.target.to_string() };
        let services: Api<Service> = Api::namespaced(self.client.clone(), &request.namespace);
        let service = services.get_opt(name).await;
        let service =
            service.map_err(|error| ClusterError::from_kube(&format!("cannot read Service {name}"), error))?;
        let service = service.ok_or_else(no_pod)?;
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).ok_or_else(no_pod)?;
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &request.namespace);
        let pods = pods.list(&ListParams::default().labels(&labels.join(","))).await;
        let pods = pods.map_err(|error| ClusterError::from_kube("cannot list Pod objects", error))?.items;
        let pod = pods.iter().find(|pod| is_ready(pod)).ok_or_else(no_pod)?;
        let target = target_port(&service, port, pod).ok_or_else(no_pod)?;
        Ok((pod.metadata.name.clone().unwrap_or_default(), target))
    }
}

async fn whole(response: Response<ForwardedBody>) -> Result<ForwardResponse, String> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(ForwardResponse { status, headers, body: body::text(response).await? })
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The container port of a Service's port, by number or by name.
fn target_port(service: &Service, port: u16, pod: &Pod) -> Option<u16> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let entry = ports.iter().find(|entry| entry.port == i32::from(port))?;
    let number = match &entry.target_port {
        None => entry.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let mut ports = pod.spec.as_ref()?.containers.iter().flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    u16::try_from(number).ok()
}

fn build(request: &ForwardRequest) -> Result<http::Request<Full<Bytes>>, ClusterError> {
    let mut built = http::Request::builder().method(request.method.clone()).uri(&request.path);
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        built = built.header("host", "localhost");
    }
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    built
        .body(body)
        .map_err(|error| ClusterError::NoAnswer { target: request.target.to_string(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_services_port_is_resolved_by_number_or_name() {
        let pod = json!({"spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 4180}]}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let service = |target: Value| -> Service {
            serde_json::from_value(json!({"spec": {"ports": [{"port": 80, "targetPort": target}]}})).unwrap()
        };
        assert_eq!(target_port(&service(json!("http")), 80, &pod), Some(4180));
        assert_eq!(target_port(&service(json!(3000)), 80, &pod), Some(3000));
        assert_eq!(target_port(&service(json!("other")), 80, &pod), None);
        assert_eq!(target_port(&service(json!(3000)), 81, &pod), None);
    }
}
