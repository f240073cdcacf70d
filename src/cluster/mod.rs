//! The cluster: client, discovery, server-side apply, watches, readiness (pure), port-forward HTTP, the lock.
//! Must not know of helm, print or prompt.

mod apply;
#[cfg(any(test, feature = "benchmarks"))]
pub(crate) mod benchmarks;
mod body;
mod client;
mod cluster_identity;
mod container_logs;
mod create;
mod deletion_reason;
mod diagnose;
mod discovery;
mod dry_run;
mod dynamic;
mod endpoints;
mod error;
mod field_conflicts;
mod find;
mod foreign_fields;
mod forwards;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod helm_revisions;
mod inspect;
mod kinds;
mod lease;
mod lease_renewal;
mod managed_by;
mod metadata;
mod nodes;
mod operators;
mod own_objects;
mod permissions;
mod pod_spec;
mod pods_by_node;
mod port_forward;
mod quantity;
mod readiness;
mod reconciler;
mod release_records;
mod request_metrics;
mod request_timeout;
mod saved_answers;
mod snapshot;
mod storage_classes;
mod tailscale;
mod unresponsive;
mod views;
mod watch;
mod webhooks;
mod write_fence;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::cluster_identity::Probe;
use crate::cluster::forwards::Forwards;
use crate::cluster::kinds::Kinds;
use crate::cluster::request_metrics::RequestCounts;
use crate::cluster::unresponsive::Answers;

pub use apply::{OPERATOR_VERSION, operator_version, uid_of};
pub use client::{ClusterTarget, KubeconfigOnce, KubeconfigSnapshot, contexts};
pub use cluster_identity::ClusterIdentity;
pub use deletion_reason::{DeletionReason, TerminatingCrd, UnavailableApi, deletion_reason};
pub use diagnose::{Cause, rule_texts};
pub use dry_run::{DryRun, DryRunContext, DryRunObject, RejectedBy, Rejection, SUBSTITUTE};
pub use dynamic::{data_of, default_class, namespace_of};
pub use endpoints::Endpoint;
pub use error::{ClusterError, permitted};
pub use foreign_fields::{PreviousOwner, surplus};
pub use helm_revisions::{RevisionRecord, current, installed_names, is_ours, revisions_of};
pub use inspect::Findings;
pub use lease::{FreeLease, HostLiveness, Lease, LeaseRelease, LeaseRequest};
pub use managed_by::{ManagedObject, containers, prometheus_operator};
pub use metadata::PartialObject;
pub use nodes::lacks_room;
pub use operators::Operators;
pub use permissions::{Permission, Resource};
pub use pod_spec::{Requests, requests_of};
pub use pods_by_node::{HostPort, PodsByNode, Used};
pub use port_forward::{ForwardRequest, ForwardResponse, ForwardTarget, ForwardedJson};
pub use quantity::{Quantity, holds_quantity, quantity, same_quantity};
pub use readiness::progress::{HighestCounts, Progress};
pub use readiness::{Readiness, ReleaseReadiness};
pub use reconciler::Reconciler;
pub use release_records::{ManifestObjects, RecordedRelease, ReleaseHead};
pub use storage_classes::{ClassFault, Storage};
pub use tailscale::OperatorDeployment;
pub use watch::release::TrackedRelease;
pub use watch::watcher::Tracker;
pub use webhooks::{AdmittedObject, BrokenWebhook, Labels};
pub use write_fence::Fence;

/// Field manager of every own object.
pub const FIELD_MANAGER: &str = "tailwatch";

/// Interval of the comparisons while helm or checks run.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of the last comparison of a command.
const LAST_COMPARISON: Duration = Duration::from_secs(1);

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
    forwards: Forwards,
    /// Number of requests before the last comparison of the identity; at first a number that is never reached.
    compared: Arc<AtomicU64>,
}

impl Cluster {
    /// Context in use; `None` for an in-cluster account.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// Kubeconfig for another program, such as helm, with this cluster and user.
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

    /// Write fence of the run.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Start of the API server's unresponsiveness; `None` if it answered or got no request.
    pub fn unresponsive_since(&self) -> Option<jiff::Timestamp> {
        self.answers.unresponsive_since()
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

    /// Resolves when the API server has not answered for this time; sends its own requests if there are no others.
    pub async fn unanswered_for(&self, limit: Duration) -> ClusterError {
        const POLL: Duration = Duration::from_secs(2);
        let began = jiff::Timestamp::now();
        loop {
            tokio::time::sleep(POLL).await;
            let last = self.answers.last_answer().unwrap_or(began);
            let age = || Duration::try_from(jiff::Timestamp::now().duration_since(last)).unwrap_or_default();
            // After a stop of the process or a sleep of the machine there was no answer either: ask again first.
            if age() >= POLL && !self.answers_within(POLL).await && age() >= limit {
                return self.no_answer(age());
            }
        }
    }

    /// The error of an unresponsive API server; `None` if it answered or got no request.
    pub fn unresponsive(&self) -> Option<ClusterError> {
        let since = self.unresponsive_since()?;
        Some(self.no_answer(Duration::try_from(jiff::Timestamp::now().duration_since(since)).unwrap_or_default()))
    }

    /// The error that it did not answer for this time.
    pub fn no_answer(&self, after: Duration) -> ClusterError {
        ClusterError::Unresponsive { server: self.server.clone(), seconds: after.as_secs() }
    }

    /// Requests so far by verb (get, list, watch, create, patch, update, delete, connect).
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        self.counts.by_verb()
    }

    /// Identity of the cluster at the start of this run.
    pub fn identity(&self) -> &ClusterIdentity {
        &self.identity
    }

    /// An error if another cluster is at the address than at the start of this run. To be called before each helm call
    /// that writes; [`SameCluster`](cluster_identity::SameCluster) checks the writes of the client.
    pub async fn confirm_identity(&self) -> Result<(), ClusterError> {
        self.probe.confirm(Duration::ZERO).await
    }

    /// Compares the UID a last time, unless the API server is unresponsive or no request was sent since the last
    /// comparison. Another cluster takes precedence over every other error of the command.
    pub async fn compare_identity(&self) -> Result<(), ClusterError> {
        let sent = self.counts.total();
        if self.unresponsive_since().is_none() && self.compared.load(Ordering::Relaxed) != sent {
            // Only recorded: the release of the lock then does not wait for an answer.
            let began = jiff::Timestamp::now();
            match tokio::time::timeout(LAST_COMPARISON, self.confirm_identity()).await {
                Ok(Ok(())) => self.compared.store(sent, Ordering::Relaxed),
                Ok(Err(_)) => {}
                Err(_) => self.answers.gave_up(began),
            }
        }
        self.other_cluster().map_or(Ok(()), Err)
    }

    /// Runs some work, and cancels its token as soon as the UID is that of another cluster.
    pub async fn cancelled_on_switch<T>(&self, cancel: &CancellationToken, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let compare = async {
            while self.other_cluster().is_none() {
                tokio::time::sleep(COMPARE_INTERVAL).await;
                let _ = self.probe.confirm(COMPARE_INTERVAL / 2).await;
            }
        };
        tokio::select! {
            done = &mut work => return done,
            () = compare => cancel.cancel(),
        }
        work.await
    }

    /// The error of [`Cluster::confirm_identity`], if it ever occurred.
    pub fn other_cluster(&self) -> Option<ClusterError> {
        self.probe.other_cluster()
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
    /// With the client of a test.
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
            forwards: Default::default(),
            compared: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}
