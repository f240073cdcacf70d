//! Check rows, their runner, and the checks of the installed stack. A check is a sentence that is true or false;
//! it only reads (Loki is asked, never written to). Must not print or prompt.

pub mod adoption;
mod door;
pub mod login;
mod logs;
mod metrics;
pub mod preflight;
mod rows;
mod runner;
mod workloads;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ForwardRequest, ForwardResponse, ForwardTarget};
use crate::config::{Settings, nearest};
use crate::event::Verdict;
use crate::stack::Release;

pub use runner::run;

/// How long one exchange with a component may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What checks look at.
pub struct CheckContext {
    /// The cluster.
    pub cluster: Cluster,
    /// What was asked.
    pub settings: Settings,
    /// Releases that should stand, with what to wait for.
    pub releases: Vec<Release>,
    /// Objects of each release's manifest, by release name.
    pub manifests: BTreeMap<String, Vec<Value>>,
}

/// What one try of a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// True; what was measured.
    Pass(String),
    /// Not true yet: tried again until the deadline.
    NotYet(String),
    /// False, and time will not mend it.
    Fail(String),
}

/// One check.
struct Row {
    id: &'static str,
    group: &'static str,
    statement: &'static str,
    /// Ids of the checks that must not fail before this one says anything.
    needs: &'static [&'static str],
    /// The component that it is about, where the stack may do without that.
    part: Option<&'static str>,
    /// Verdict where it is false: fail, or warn where nothing of the stack's own work depends on it.
    severity: Verdict,
    /// How long it may stay "not yet".
    deadline: Duration,
    hint: &'static str,
    docs: Option<&'static str>,
    run: for<'a> fn(&'a CheckContext) -> BoxFuture<'a, Finding>,
}

/// Ids of all stack checks, in the order of the report.
pub fn ids() -> Vec<&'static str> {
    rows::ROWS.iter().map(|row| row.id).collect()
}

/// The first id that no check has, with the nearest one that exists.
pub fn unknown(only: &[String]) -> Option<(String, Option<String>)> {
    let known = ids();
    let unknown = only.iter().find(|id| !known.contains(&id.as_str()))?;
    let near = nearest(unknown, known.iter().copied()).map(|id| id.to_string());
    Some((unknown.clone(), near))
}

impl CheckContext {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }

    /// Whether a component is part of the stack.
    fn has(&self, component: &str) -> bool {
        self.releases.iter().any(|release| release.component.as_str() == component)
    }

    /// A value of a release as it was wanted, by JSON pointer; the user's own `values:` are in it.
    fn value(&self, component: &str, pointer: &str) -> Option<&Value> {
        self.releases.iter().find(|release| release.component.as_str() == component)?.values.pointer(pointer)
    }

    /// GET through the port-forward of a Service.
    async fn get(&self, service: &str, port: u16, path: &str) -> Result<ForwardResponse, ClusterError> {
        self.exchange(ForwardTarget::Service { name: service.into(), port }, path, Vec::new()).await
    }

    async fn exchange(
        &self,
        target: ForwardTarget,
        path: &str,
        headers: Vec<(String, String)>,
    ) -> Result<ForwardResponse, ClusterError> {
        let request = ForwardRequest {
            namespace: self.namespace().to_owned(),
            target,
            path: path.to_owned(),
            method: http::Method::GET,
            headers,
            body: None,
            timeout: PATIENCE,
        };
        self.cluster.forward(&request).await
    }

    /// JSON of a 200 answer, or why there is none.
    async fn json<T: DeserializeOwned>(&self, service: &str, port: u16, path: &str) -> Result<T, String> {
        let response = self.get(service, port, path).await.map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(answered(service, &response));
        }
        serde_json::from_str(&response.body).map_err(|_| format!("{service} did not answer {path} with JSON"))
    }
}

/// `loki answers 503: Ingester not ready`
fn answered(service: &str, response: &ForwardResponse) -> String {
    let first: String = response.body.lines().next().unwrap_or_default().chars().take(160).collect();
    match first.trim() {
        "" => format!("{service} answers {}", response.status),
        text => format!("{service} answers {}: {text}", response.status),
    }
}

/// What did not answer may answer later.
fn not_yet(result: Result<Finding, String>) -> Finding {
    result.unwrap_or_else(Finding::NotYet)
}
