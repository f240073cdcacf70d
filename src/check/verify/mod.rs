//! The checks of the installed stack, with real requests: through the API server's port-forward, and over the tailnet
//! if this machine is on it.

mod alerts;
mod cached;
mod grafana;
mod log_pipeline;
mod logs;
mod metrics;
mod network;
mod oauth2_proxy;
mod probe_jobs;
mod scrape_targets;
mod service_monitors;
mod workloads;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::check::first_of;
use crate::check::row::Row;
use crate::check::runner::{self, Selection, Subject};
use crate::cluster::{Cluster, ClusterError, ForwardRequest, ForwardResponse, ForwardTarget, ObjectRef};
use crate::config::{Settings, nearest};
use crate::event::{CheckResult, Event, Events};
use crate::stack::Release;

use cached::Recent;
use log_pipeline::Writer;
use probe_jobs::Probes;
use scrape_targets::Target;

/// How long one exchange with a component may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the API server may not answer: long enough for a restart.
const SILENCE_LIMIT: Duration = Duration::from_secs(25);
/// How long the API server may take to answer after the checks, if it may be unreachable.
const ANSWER: Duration = Duration::from_secs(1);

/// The cluster, the settings and the installed stack that the checks read.
pub struct StackContext {
    cluster: Cluster,
    settings: Settings,
    installed: Installed,
    selection: Selection,
    targets: Recent<Vec<Target>>,
    expected: Recent<service_monitors::Expected>,
    probes: Probes,
    /// Nodes with a probe job that writes a line.
    nodes: OnceCell<Vec<String>>,
    writers: OnceLock<Vec<Writer>>,
    /// Set once the probe job of the unauthorized client was created.
    unauthorized_client: OnceCell<()>,
}

/// The expected releases and the manifests that helm installed.
pub struct Installed {
    /// The expected releases, with what to wait for.
    pub releases: Vec<Release>,
    /// The objects of each installed release's manifest, by release name.
    pub manifests: BTreeMap<String, Vec<Value>>,
}

/// The rows, in the order of the report.
pub(super) fn rows() -> Vec<&'static Row<StackContext>> {
    let groups =
        [workloads::ROWS, metrics::ROWS, alerts::ROWS, logs::ROWS, grafana::ROWS, oauth2_proxy::ROWS, network::ROWS];
    groups.into_iter().flatten().collect()
}

/// Runs the checks, sends `checks-started` and a `check-finished` for each, and returns the results in the order of
/// the report; `None` if it is cancelled. Deletes the probe jobs in any case.
pub async fn run(context: &StackContext, events: &Events, cancel: &CancellationToken) -> Option<Vec<CheckResult>> {
    let rows = rows();
    let checks = tokio::select! {
        checks = runner::run(&rows, context, Some(events)) => Some(checks),
        () = cancel.cancelled() => {
            events.send(Event::Notice { message: "stopping after the probe pods are removed".into(), hint: None });
            None
        }
    };
    // Deleting would wait again for an API server that does not answer.
    let may_be_silent = checks.is_none() || context.cluster.unresponsive_since().is_some();
    let is_silent = may_be_silent && !context.cluster.answers_within(ANSWER).await;
    let cleared = async {
        if is_silent {
            return Err(context.cluster.no_answer(ANSWER));
        }
        context.probes.clear(&context.cluster, context.namespace()).await
    };
    if let Err(error) = cleared.await {
        let message = format!(
            "the probe pods of this verification could not be removed; the cluster removes them within minutes: {error}"
        );
        events.send(Event::Notice { message, hint: None });
    }
    checks
}

/// The checks of a run that has changed nothing: those that create no object in the cluster.
pub fn unchanged() -> Selection {
    const CREATING: [&str; 3] = ["rules-admitted", "logs-written", "grafana-network-policy"];
    Selection {
        skipped: CREATING.map(str::to_owned).into(),
        because: "since nothing was changed; `tailwatch verify` runs it",
        ..Selection::default()
    }
}

/// Ids of all checks, in the order of the report.
pub fn ids() -> Vec<&'static str> {
    rows().iter().map(|row| row.id).collect()
}

/// The first unknown id, with the nearest known one.
pub fn unknown(only: &[String]) -> Option<(String, Option<String>)> {
    let known = ids();
    let unknown = only.iter().find(|id| !known.contains(&id.as_str()))?;
    let near = nearest(unknown, known.iter().copied()).map(|id| id.to_string());
    Some((unknown.clone(), near))
}

impl Subject for StackContext {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }

    fn has(&self, component: &str) -> bool {
        self.installed.releases.iter().any(|release| release.component.as_str() == component)
    }

    fn selection(&self) -> &Selection {
        &self.selection
    }

    fn silence(&self) -> Option<String> {
        Some(self.cluster.unresponsive()?.to_string())
    }

    fn unreachable(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.cluster.unanswered_for(SILENCE_LIMIT).await.to_string() })
    }
}

impl StackContext {
    /// A context without any answers yet.
    pub fn new(cluster: Cluster, settings: Settings, installed: Installed, selection: Selection) -> StackContext {
        StackContext {
            cluster,
            settings,
            installed,
            selection,
            targets: Recent::default(),
            expected: Recent::default(),
            probes: Probes::default(),
            nodes: OnceCell::new(),
            writers: OnceLock::new(),
            unauthorized_client: OnceCell::new(),
        }
    }

    /// An expected value of a release, by JSON pointer; includes the user's `values:`.
    fn value(&self, component: &str, pointer: &str) -> Option<&Value> {
        let mut releases = self.installed.releases.iter();
        releases.find(|release| release.component.as_str() == component)?.values.pointer(pointer)
    }

    /// Objects of a kind in the manifests, each with its namespace.
    fn objects(&self, kind: &str) -> Vec<(&str, &Value)> {
        let mut found = Vec::new();
        for release in &self.installed.releases {
            let objects = self.installed.manifests.get(release.component.as_str()).into_iter().flatten();
            for object in objects.filter(|object| object["kind"] == kind) {
                let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
                found.push((namespace.unwrap_or(&release.namespace), object));
            }
        }
        found
    }

    /// GET through the port-forward of a Service.
    async fn get(&self, service: &str, port: u16, path: &str) -> Result<ForwardResponse, ClusterError> {
        self.exchange(self.request(ForwardTarget::Service { name: service.into(), port }, path)).await
    }

    /// A GET that the caller may change before it is sent.
    fn request(&self, target: ForwardTarget, path: &str) -> ForwardRequest {
        ForwardRequest {
            namespace: self.namespace().to_owned(),
            target,
            path: path.to_owned(),
            method: http::Method::GET,
            headers: Vec::new(),
            body: None,
            timeout: TIMEOUT,
        }
    }

    /// POST of JSON through the port-forward of a Service.
    async fn post(&self, (service, port): (&str, u16), path: &str, body: &Value) -> Result<ForwardResponse, String> {
        let mut request = self.request(ForwardTarget::Service { name: service.into(), port }, path);
        request.method = http::Method::POST;
        request.headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        request.body = Some(body.to_string());
        self.exchange(request).await.map_err(|error| error.to_string())
    }

    /// A live object of the stack's namespace.
    async fn live(&self, api_version: &str, kind: &str, name: &str) -> Result<Option<Value>, ClusterError> {
        let reference = ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(self.namespace().to_owned()),
            name: name.into(),
        };
        self.cluster.get(&reference).await
    }

    async fn exchange(&self, request: ForwardRequest) -> Result<ForwardResponse, ClusterError> {
        self.cluster.forward(&request).await
    }

    /// The JSON of a 200 answer, or an error message.
    async fn json<T: DeserializeOwned>(&self, service: &str, port: u16, path: &str) -> Result<T, String> {
        let response = self.get(service, port, path).await.map_err(|error| error.to_string())?;
        read(service, &response)
    }
}

/// The JSON of a 200 answer, or an error message.
fn read<T: DeserializeOwned>(service: &str, response: &ForwardResponse) -> Result<T, String> {
    if response.status != 200 {
        return Err(answered(service, response));
    }
    serde_json::from_str(&response.body).map_err(|_| format!("{service} did not answer with the expected JSON"))
}

/// `loki answers 503: Ingester not ready`
fn answered(service: &str, response: &ForwardResponse) -> String {
    let first: String = response.body.lines().next().unwrap_or_default().chars().take(160).collect();
    match first.trim() {
        "" => format!("{service} answers {}", response.status),
        text => format!("{service} answers {}: {text}", response.status),
    }
}

/// The first five, and how many more there are.
fn some_of<T: AsRef<str>>(all: &[T]) -> String {
    first_of(all, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skipped_checks_of_an_unchanged_stack_exist() {
        assert_eq!(unknown(&unchanged().skipped), None);
    }

    #[test]
    fn ids_are_unique_and_needs_exist() {
        let rows = rows();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        for (position, row) in rows.iter().enumerate() {
            assert!(!ids[..position].contains(&row.id), "{} twice", row.id);
            assert!(row.needs.iter().all(|need| ids.contains(need)), "{}", row.id);
            assert!(!row.hint.is_empty(), "{} has no hint", row.id);
        }
    }
}
