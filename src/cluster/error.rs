//! Errors of requests to the cluster.

use std::path::PathBuf;

use crate::cluster::request_timeout::{Fenced, NoAnswer};
use crate::known_errors::{self, API_ERRORS, KnownError};

/// A request to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no kubeconfig.
    #[error("no kubeconfig found at {}", places.join(", "))]
    NoKubeconfig {
        /// Paths that were tried.
        places: Vec<String>,
    },
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {place} cannot be used: {reason}")]
    BadKubeconfig {
        /// Its file, or its files.
        place: String,
        /// Cause.
        reason: String,
        /// What to do.
        next: String,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context {context}")]
    UnknownContext {
        /// Requested name.
        context: String,
        /// Existing names.
        known: Vec<String>,
    },
    /// No connection to the API server.
    #[error("the API server {server} cannot be reached: {reason}")]
    Unreachable {
        /// Its URL, and the proxy.
        server: String,
        /// Cause.
        reason: String,
        /// What to do, if known.
        next: Option<String>,
    },
    /// The API server accepted a connection and did not answer in time.
    #[error("the API server {server} did not answer within {seconds} s")]
    Unresponsive {
        /// Its URL.
        server: String,
        /// The timeout of the request or of the step.
        seconds: u64,
    },
    /// The write fence blocked a change.
    #[error("the lock could not be renewed for {seconds} s; no further change is made")]
    Unrenewed {
        /// Since the last renewal.
        seconds: u64,
    },
    /// A record of helm cannot be decoded.
    #[error("{object}, a release record of helm, cannot be read: {reason}")]
    UnreadableRecord {
        /// Namespace.
        namespace: String,
        /// `Secret sh.helm.release.v1.loki.v1`
        object: String,
        /// Cause.
        reason: String,
    },
    /// A signal ended the run during the request.
    #[error("interrupted")]
    Interrupted,
    /// The API server's address is another cluster than at the start of the run.
    #[error(
        "the kubeconfig's server is another cluster now: the UID of namespace kube-system at {server} is {found}, it was {expected}"
    )]
    OtherCluster {
        /// The address.
        server: String,
        /// The UID at the start.
        expected: String,
        /// The UID now, or why there is none.
        found: String,
    },
    /// The credentials are not accepted.
    #[error("the API server does not accept the credentials of this context")]
    Unauthorized,
    /// A permission is missing.
    #[error("not allowed: {message}")]
    Forbidden {
        /// The API server's message.
        message: String,
    },
    /// The API server rejected a request.
    #[error("{what}: {message}")]
    Rejected {
        /// The operation.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// The connection failed, or the API server could not handle the request at that moment.
    #[error("{what}: {message}")]
    Broken {
        /// The operation.
        what: String,
        /// The innermost cause, or the API server's message.
        message: String,
    },
    /// An object of that name has another owner, or was created during the run.
    #[error("{object} has another owner: {owner}")]
    Foreign {
        /// `Ingress grafana in namespace monitoring`.
        object: String,
        /// Its release or its field managers.
        owner: String,
    },
    /// Another run holds the lock.
    #[error("another run holds the lock: {holder}, since {since}")]
    Locked {
        /// Its holder.
        holder: String,
        /// RFC 3339.
        since: String,
    },
    /// Newer CRDs are installed.
    #[error("CRD {name} is newer (operator version {live}) than the chart's ({chart})")]
    CrdDowngrade {
        /// CRD.
        name: String,
        /// Version of the live CRD.
        live: String,
        /// Version in the chart.
        chart: String,
    },
    /// A CRD of the same name is still being deleted.
    #[error("CRD {name} is being deleted and still exists: {why}")]
    CrdTerminating {
        /// CRD.
        name: String,
        /// What its deletion waits for.
        why: String,
        /// The next step, if it does not end by itself.
        next: Option<String>,
    },
    /// CRDs were not established in time.
    #[error("CRD {name} was not established in time")]
    CrdNotEstablished {
        /// The first one.
        name: String,
    },
    /// A Service has no ready pod, or a pod does not exist.
    #[error("{target} has no ready pod")]
    NoPod {
        /// Service or pod.
        target: String,
    },
    /// A request through the port-forward failed.
    #[error("{target} does not answer: {reason}")]
    NoAnswer {
        /// Service or pod and port.
        target: String,
        /// Cause.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// `None` if this context lacks the permission.
pub fn permitted<T>(read: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
    match read {
        Err(ClusterError::Forbidden { .. }) => Ok(None),
        read => read.map(Some),
    }
}

impl ClusterError {
    /// Whether another run holds the lock.
    pub fn is_locked(&self) -> bool {
        matches!(self, ClusterError::Locked { .. })
    }

    /// The known error that the API server's message matches, and the message.
    pub fn known_error(&self) -> Option<(&'static KnownError, &str)> {
        let message = match self {
            ClusterError::Rejected { message, .. }
            | ClusterError::Broken { message, .. }
            | ClusterError::Forbidden { message } => message,
            _ => return None,
        };
        known_errors::find(API_ERRORS, message).map(|row| (row, message.as_str()))
    }

    /// Whether the API server was unreachable: a retry can succeed.
    pub fn is_unreachable(&self) -> bool {
        let known = self.known_error().is_some_and(|(row, _)| row.id == "cluster-unreachable");
        use ClusterError::{Broken, Unreachable, Unrenewed, Unresponsive};
        known || matches!(self, Broken { .. } | Unreachable { .. } | Unresponsive { .. } | Unrenewed { .. })
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ClusterError::NoKubeconfig { .. } | ClusterError::File { .. } => {
                "set one with --kubeconfig FILE or the variable KUBECONFIG".into()
            }
            ClusterError::BadKubeconfig { next, .. } => next.clone(),
            ClusterError::UnreadableRecord { namespace, object, .. } => format!(
                "if a newer helm wrote it, use a newer tailwatch; if it is damaged, delete it: \
                 `kubectl -n {namespace} delete {}`",
                object.to_lowercase()
            ),
            ClusterError::UnknownContext { context, known } => {
                match crate::config::nearest(context, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean --context {near}?"),
                    None => format!("it has: {}", known.join(", ")),
                }
            }
            ClusterError::Unreachable { next: Some(next), .. } => next.clone(),
            ClusterError::Unreachable { next: None, .. } | ClusterError::Broken { .. } => {
                "see whether the cluster runs and this machine reaches it: `kubectl get --raw /version`".into()
            }
            ClusterError::Unresponsive { .. } | ClusterError::Unrenewed { .. } => {
                "see why it does not answer: `kubectl get --raw /readyz`; then run the same command again".into()
            }
            ClusterError::Interrupted => "run the same command again; it continues from the current state".into(),
            ClusterError::OtherCluster { .. } => {
                "correct the target of the address (a tunnel, a proxy, an entry of the hosts file), then run the \
                 same command again"
                    .into()
            }
            ClusterError::Unauthorized => "log in again, or use another --context".into(),
            ClusterError::Forbidden { message } => match known_errors::find(API_ERRORS, message) {
                Some(row) => row.hint.into(),
                None => "use a context with cluster-admin, or request the permission above".into(),
            },
            ClusterError::Foreign { .. } => {
                "remove or rename it, or adopt it with --adopt; `tailwatch preflight --adopt` shows what that would \
                 change"
                    .into()
            }
            ClusterError::Locked { .. } => "wait for it to end, then run the same command again".into(),
            ClusterError::CrdDowngrade { .. } => {
                "set a chart version that is at least as new with `versions:` in the answers".into()
            }
            ClusterError::CrdTerminating { name, next, .. } => {
                next.clone().unwrap_or_else(|| format!("wait until `kubectl get crd {name}` no longer shows it"))
            }
            ClusterError::CrdNotEstablished { name } => format!("see `kubectl describe crd {name}`"),
            ClusterError::NoPod { .. } | ClusterError::NoAnswer { .. } => {
                "see `tailwatch status`, and the pod's log".into()
            }
            ClusterError::Rejected { message, .. } => {
                return known_errors::find(API_ERRORS, message).map(|row| row.hint.into());
            }
        })
    }

    /// The error of a failed request; `what` is a fragment such as "cannot list Secrets".
    pub(super) fn from_kube(what: &str, error: kube::Error) -> ClusterError {
        if let Some(NoAnswer { server, after }) = cause(&error) {
            return ClusterError::Unresponsive { server: server.to_string(), seconds: after.as_secs() };
        }
        if let Some(ClusterError::OtherCluster { server, expected, found }) = cause(&error) {
            let (server, expected, found) = (server.clone(), expected.clone(), found.clone());
            return ClusterError::OtherCluster { server, expected, found };
        }
        if let Some(ClusterError::Unreachable { server, reason, next }) = cause(&error) {
            return ClusterError::Unreachable { server: server.clone(), reason: reason.clone(), next: next.clone() };
        }
        if let Some(Fenced { since }) = cause(&error) {
            return ClusterError::Unrenewed { seconds: since.as_secs() };
        }
        match error {
            kube::Error::Api(status) if status.code == 401 => ClusterError::Unauthorized,
            kube::Error::Api(status) if status.code == 403 && status.reason == "Forbidden" => {
                ClusterError::Forbidden { message: status.message }
            }
            kube::Error::Api(status) if UNABLE.contains(&status.code) => {
                ClusterError::Broken { what: what.into(), message: status.message }
            }
            kube::Error::Api(status) => ClusterError::Rejected { what: what.into(), message: status.message },
            other if is_transport(&other) => ClusterError::Broken { what: what.into(), message: innermost(&other) },
            other => ClusterError::Rejected { what: what.into(), message: innermost(&other) },
        }
    }
}

/// Temporary status codes of an API server or a proxy: Too Many Requests, Bad Gateway, Service Unavailable, Gateway
/// Timeout.
const UNABLE: [u16; 4] = [429, 502, 503, 504];

/// Whether the connection failed before the end of the response. The types decide: hyper has many messages for it
/// ("connection closed before message completed", "operation was canceled").
fn is_transport(error: &kube::Error) -> bool {
    cause::<hyper::Error>(error).is_some() || cause::<hyper_util::client::legacy::Error>(error).is_some()
}

/// The first cause of this type in the chain.
fn cause<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref::<E>())
}

/// The innermost cause: "Connection refused" rather than "tcp connect error".
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request fails with at a server that does this to its connection.
    async fn failed(serve: impl AsyncFn(tokio::net::TcpStream)) -> ClusterError {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let answer = async {
            loop {
                serve(listener.accept().await.unwrap().0).await;
            }
        };
        tokio::select! {
            version = client.apiserver_version() => ClusterError::from_kube("cannot read it", version.unwrap_err()),
            never = answer => never,
        }
    }

    async fn answer(mut connection: tokio::net::TcpStream, text: &str) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let _ = connection.read(&mut [0; 1024]).await;
        let _ = connection.write_all(text.as_bytes()).await;
    }

    #[tokio::test]
    async fn failed_connections_and_temporary_statuses_are_retried() {
        let body = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
        for text in ["", "HTTP/1.1 2", body] {
            let error = failed(async |connection| answer(connection, text).await).await;
            assert!(error.is_unreachable(), "{text:?}: {error:?}");
        }
        for (code, is_unreachable) in [(429, true), (502, true), (503, true), (504, true), (500, false), (409, false)] {
            let status = kube::core::Status { code, ..kube::core::Status::default() };
            let error = ClusterError::from_kube("cannot read it", kube::Error::Api(Box::new(status)));
            assert_eq!(error.is_unreachable(), is_unreachable, "{code}");
        }
    }
}
