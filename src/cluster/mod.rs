//! The cluster: client, discovery, server-side apply, watches, readiness (pure), port-forward HTTP, the lock.
//! Must not know of helm, print or prompt.

mod apply;
mod client;
mod cluster_identity;
mod container_logs;
mod create;
mod diagnose;
mod discovery;
mod dynamic;
mod error;
mod field_conflicts;
mod foreign_fields;
mod helm_revisions;
mod host_ports;
mod inspect;
mod lease;
mod lease_renewal;
mod managed_by;
mod metadata;
mod nodes;
mod own_objects;
mod permissions;
mod port_forward;
mod quantity;
mod readiness;
mod request_metrics;
mod request_timeout;
mod saved_answers;
mod unresponsive;
mod views;
mod watch;
mod write_fence;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use kube::discovery::Scope;
use tokio::sync::RwLock;

use crate::cluster::cluster_identity::Probe;
use crate::cluster::request_metrics::RequestCounts;
use crate::cluster::unresponsive::Answers;
use crate::config::Secret;
use crate::write_record::Writes;

pub use apply::{OPERATOR_VERSION, operator_version, uid_of};
pub use client::{KubeconfigOnce, contexts};
pub use cluster_identity::ClusterIdentity;
pub use diagnose::{Cause, rule_texts};
pub use dynamic::namespace_of;
pub use error::ClusterError;
pub use foreign_fields::{Before, surplus};
pub use helm_revisions::{RevisionRecord, installed_names, is_ours};
pub use host_ports::HostPort;
pub use inspect::Findings;
pub use lease::{HostLiveness, Lease, LeaseRelease, LeaseRequest};
pub use managed_by::Held;
pub use metadata::Found;
pub use permissions::{Resource, Right};
pub use port_forward::{ForwardRequest, ForwardResponse, ForwardTarget};
pub use quantity::{Quantity, holds_quantity, quantity, same_quantity};
pub use readiness::{Readiness, ReleaseReadiness};
pub use watch::release::TrackedRelease;
pub use watch::watcher::Tracker;
pub use write_fence::Fence;

/// Field manager of every object we apply.
pub const FIELD_MANAGER: &str = "tailwatch";

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterTarget {
    /// `--kubeconfig`; `None`: `$KUBECONFIG`, then `~/.kube/config`, then in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`; `None`: the current one.
    pub context: Option<String>,
    /// What the kubeconfig held, once it was read; the targets of one run share it.
    pub once: KubeconfigOnce,
    /// Where the client records what it writes.
    pub writes: Writes,
    /// Variables of our environment that no exec plugin may get.
    pub withheld: BTreeSet<String>,
}

/// How kinds are served, by (apiVersion, kind).
type Kinds = Arc<RwLock<HashMap<(String, String), (ApiResource, Scope)>>>;

/// A kubeconfig with one context, cluster and user: the server, proxy, trust and credentials that the client uses.
/// Paths are absolute; what is a file or an exec plugin stays one, so that credentials can rotate.
#[derive(Clone, Debug)]
pub struct KubeconfigSnapshot {
    /// The name of its context.
    pub context: String,
    /// The kubeconfig in JSON, which is YAML.
    pub document: Secret<String>,
}

#[cfg(test)]
impl KubeconfigSnapshot {
    fn none() -> KubeconfigSnapshot {
        KubeconfigSnapshot { context: String::new(), document: Secret::new(String::new()) }
    }
}

/// A reachable cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    counts: RequestCounts,
    context: Option<String>,
    snapshot: KubeconfigSnapshot,
    server: String,
    version: String,
    kinds: Kinds,
    fence: Fence,
    answers: Answers,
    identity: ClusterIdentity,
    probe: Probe,
}

impl Cluster {
    /// Context in use, when it came from a kubeconfig.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// What makes another program, such as helm, reach this cluster as this user.
    pub fn kubeconfig(&self) -> &KubeconfigSnapshot {
        &self.snapshot
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// `1.36.1`
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What keeps a run without its lock from changing anything.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Since when the API server has answered nothing; `None` where it did, or nothing was asked.
    pub fn silent_since(&self) -> Option<jiff::Timestamp> {
        self.answers.silent_since()
    }

    /// Whether the API server answers within a time.
    pub async fn answers_within(&self, limit: Duration) -> bool {
        let began = jiff::Timestamp::now();
        let answer = tokio::time::timeout(limit, self.client.apiserver_version()).await;
        if answer.is_err() {
            self.answers.gave_up(began);
        }
        matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_))))
    }

    /// Resolves when the API server has answered nothing for so long; it is asked where nothing else asks it.
    pub async fn unanswered_for(&self, limit: Duration) -> ClusterError {
        const OFTEN: Duration = Duration::from_secs(2);
        let began = jiff::Timestamp::now();
        loop {
            tokio::time::sleep(OFTEN).await;
            let last = self.answers.last_answer().unwrap_or(began);
            let age = || Duration::try_from(jiff::Timestamp::now().duration_since(last)).unwrap_or_default();
            // A process that was stopped, or a machine that slept, has had no answer either: it asks before it judges.
            if age() >= OFTEN && !self.answers_within(OFTEN).await && age() >= limit {
                return self.silent(age());
            }
        }
    }

    /// That the API server has answered nothing for a while; `None` where it did, or nothing was asked.
    pub fn silence(&self) -> Option<ClusterError> {
        let since = self.silent_since()?;
        Some(self.silent(Duration::try_from(jiff::Timestamp::now().duration_since(since)).unwrap_or_default()))
    }

    /// That it did not answer for so long.
    pub fn silent(&self, after: Duration) -> ClusterError {
        ClusterError::Silent { server: self.server.clone(), seconds: after.as_secs() }
    }

    /// Requests so far by verb (get, list, watch, create, patch, update, delete, connect).
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.counts.by_verb()
    }
}

/// A kind, a namespace (None: cluster-scoped), a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// e.g. `apps/v1`
    pub api_version: String,
    /// e.g. `Deployment`
    pub kind: String,
    /// Namespace, `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

#[cfg(test)]
impl Cluster {
    /// One that a test answers for.
    fn for_tests(client: kube::Client, fence: write_fence::Fence, answers: unresponsive::Answers) -> Cluster {
        Cluster {
            client,
            counts: RequestCounts::default(),
            context: None,
            snapshot: KubeconfigSnapshot::none(),
            server: "https://test".into(),
            version: "1.36.1".into(),
            kinds: Default::default(),
            fence,
            answers,
            identity: ClusterIdentity::Uid("u1".into()),
            probe: cluster_identity::Probe::none(),
        }
    }
}
