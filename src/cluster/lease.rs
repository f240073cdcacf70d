//! The lock: a Lease with a holder and a heartbeat; only one run holds it. An expired one is acquired by the next run.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::lease_renewal::{Heartbeat, LossReporter, holder, how_lost};
use crate::cluster::unresponsive::Answers;
use crate::cluster::write_fence::Fence;
use crate::cluster::{Cluster, ClusterError, ClusterIdentity, FIELD_MANAGER};

/// Renewals per duration of the lock.
const HEARTBEATS: u32 = 3;
/// Pause between two reads of a held lock.
const POLL: Duration = Duration::from_millis(300);
/// Timeout of the release; without it the lock expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// A held lock; its heartbeat ends with it.
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    holder: String,
    heartbeat: JoinHandle<()>,
    taken: Arc<OnceLock<String>>,
    /// Key of the lock in the fence.
    key: String,
    fence: Fence,
    answers: Answers,
    /// A lock that is released and deleted with this one.
    beside: Option<Box<Lease>>,
}

/// Knows the other runs on this machine.
pub trait HostLiveness: Sync {
    /// Identity of the machine.
    fn identity(&self) -> &str;
    /// Whether no other run and no helm process of an earlier one is running on this machine; then this run holds the
    /// host lock. To be called before `identity`, which is random if other runs are unknown.
    fn is_alone(&self) -> bool;
}

/// Annotation of the Lease: the machine's identity.
const MACHINE: &str = "tailwatch/machine";
/// Annotation of the Lease: the identity of the cluster.
const CLUSTER: &str = "tailwatch/cluster";

/// A lock to acquire.
#[derive(Clone, Copy)]
pub struct LeaseRequest<'a> {
    /// Namespace of the Lease.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Unique holder identity, e.g. `4711@host/9f3c2a11`.
    pub holder: &'a str,
    /// Duration without a heartbeat after which it expires.
    pub duration: Duration,
    /// Timeout of the wait for other processes on this machine without a heartbeat; at least the duration.
    pub wait_limit: Duration,
    /// Host lock: whether a holder on this machine has ended.
    pub host: &'a dyn HostLiveness,
}

/// What is known of a free lock.
pub struct FreeLease(Option<LeaseObject>);

impl Cluster {
    /// Waits until the lock is free, or returns its holder. With a heartbeat of the holder the lock stays its own;
    /// without one for the lock's duration, measured by the local clock, the lock has expired. Timestamps of another
    /// machine are never compared with the local clock. A holder on this machine has ended as soon as the host lock is
    /// free; until then the lock is not free, because a helm process of the killed run can still be running; after
    /// `wait_limit` that is the error.
    pub async fn until_free(&self, request: LeaseRequest<'_>) -> Result<FreeLease, ClusterError> {
        let (started, began) = (Instant::now(), jiff::Timestamp::now());
        let mut first: Option<(Instant, Holding)> = None;
        loop {
            let live = self.leases(request).get_opt(request.name).await.map_err(|error| failed(request, error))?;
            let alone = request.host.is_alone();
            let holding = live.as_ref().and_then(holding);
            if !alone && started.elapsed() >= request.wait_limit.max(request.duration) {
                return Err(left_behind(holding, began));
            }
            let Some(holding) = holding else {
                if alone {
                    return Ok(FreeLease(live));
                }
                tokio::time::sleep(POLL).await;
                continue;
            };
            let (since, seen) = first.get_or_insert_with(|| (Instant::now(), holding.clone()));
            // The response to an earlier attempt can be lost: this run already holds the lock.
            let is_own = holding.holder == request.holder;
            if *seen != holding && !is_own {
                return Err(ClusterError::Locked { holder: holding.holder, since: holding.since });
            }
            let is_here = holding.machine.as_deref() == Some(request.host.identity());
            let expiry = if is_here { one_heartbeat(request.duration) } else { request.duration };
            if is_own || (alone && since.elapsed() >= expiry) {
                return Ok(FreeLease(live));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Acquires a free lock. The resourceVersion ensures that only one of two runs acquires it. `lost` is cancelled when
    /// another client takes the lock.
    pub async fn acquire_lease(
        &self,
        request: LeaseRequest<'_>,
        FreeLease(live): FreeLease,
        lost: &CancellationToken,
    ) -> Result<Lease, ClusterError> {
        let api = self.leases(request);
        let now = jiff::Timestamp::now();
        let sent = self.fence.now();
        match acquire(&api, (request, &self.identity), live, now).await {
            Ok(lease) => {
                self.fence.hold(&key(request), request.duration, sent);
                Ok(held((api, self), (request, lease), lost))
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(ClusterError::Locked { holder: "another run that started just now".into(), since: now.to_string() })
            }
            Err(error) => Err(failed(request, error)),
        }
    }

    fn leases(&self, request: LeaseRequest<'_>) -> Api<LeaseObject> {
        Api::namespaced(self.client.clone(), request.namespace)
    }
}

fn failed(request: LeaseRequest<'_>, error: kube::Error) -> ClusterError {
    ClusterError::from_kube(&format!("cannot acquire the lock {}", request.name), error)
}

fn key(request: LeaseRequest<'_>) -> String {
    format!("{}/{}", request.namespace, request.name)
}

/// Longest pause between two heartbeats of a running holder, with time for its request.
fn one_heartbeat(duration: Duration) -> Duration {
    duration / HEARTBEATS + duration / 10
}

/// The acquired lock, with its heartbeat.
fn held(
    (api, cluster): (Api<LeaseObject>, &Cluster),
    (request, lease): (LeaseRequest<'_>, LeaseObject),
    lost: &CancellationToken,
) -> Lease {
    let taken = Arc::new(OnceLock::new());
    let loss = LossReporter { taken: taken.clone(), cancel: lost.clone() };
    let pause = request.duration / HEARTBEATS;
    let (key, fence) = (key(request), cluster.fence.clone());
    let heartbeat = Heartbeat { api: api.clone(), lease, pause, key: key.clone(), fence: fence.clone(), loss };
    Lease {
        heartbeat: tokio::spawn(heartbeat.run()),
        api,
        name: request.name.to_owned(),
        holder: request.holder.to_owned(),
        taken,
        key,
        fence,
        answers: cluster.answers.clone(),
        beside: None,
    }
}

/// The error of an expired lock with a process that is still running on this machine.
fn left_behind(holding: Option<Holding>, began: jiff::Timestamp) -> ClusterError {
    let (run, since) = match holding {
        Some(Holding { holder, since, .. }) => (format!(" ({holder})"), since),
        None => (String::new(), began.to_string()),
    };
    let holder = format!("a helm of an earlier run on this machine{run} is still running");
    ClusterError::Locked { holder, since }
}

async fn acquire(
    api: &Api<LeaseObject>,
    (request, cluster): (LeaseRequest<'_>, &ClusterIdentity),
    live: Option<LeaseObject>,
    now: jiff::Timestamp,
) -> Result<LeaseObject, kube::Error> {
    let spec = LeaseSpec {
        holder_identity: Some(request.holder.to_owned()),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: Some(i32::try_from(request.duration.as_secs()).unwrap_or(i32::MAX)),
        ..LeaseSpec::default()
    };
    let mut metadata = ObjectMeta { name: Some(request.name.to_owned()), ..ObjectMeta::default() };
    metadata.namespace = Some(request.namespace.to_owned());
    let known_by = [(MACHINE, request.host.identity().to_owned()), (CLUSTER, cluster.to_string())];
    metadata.annotations = Some(known_by.map(|(key, value)| (key.to_owned(), value)).into());
    metadata.resource_version = live.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
    let desired = LeaseObject { metadata, spec: Some(spec) };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match live {
        None => api.create(&parameters, &desired).await,
        Some(_) => api.replace(request.name, &parameters, &desired).await,
    }
}

/// Holder of a lock, and its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    holder: String,
    /// RFC 3339.
    since: String,
    renewed: Option<jiff::Timestamp>,
    machine: Option<String>,
}

pub(super) fn holding(lease: &LeaseObject) -> Option<Holding> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    let since = spec.acquire_time.as_ref().map(|time| time.0).or(renewed);
    let since = since.map_or_else(|| "an unknown time".into(), |time| time.to_string());
    let machine = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MACHINE)).cloned();
    Some(Holding { holder, since, renewed, machine })
}

impl Lease {
    /// Both locks: the other one is released and deleted with this one.
    #[must_use]
    pub fn with(mut self, other: Lease) -> Lease {
        self.beside = Some(Box::new(other));
        self
    }

    /// Releases the locks that this run still holds. Otherwise returns the state of one, e.g. `4711@host holds it now`,
    /// also if it was lost after the last heartbeat.
    pub async fn release(self) -> Option<String> {
        self.heartbeat.abort();
        let beside = self.beside.as_ref();
        beside.inspect(|beside| beside.heartbeat.abort());
        let known = self.taken.get().or_else(|| beside?.taken.get()).cloned();
        let found = self.lease_release().now().await;
        known.or(found)
    }

    /// A handle that releases the locks without owning them.
    pub fn lease_release(&self) -> LeaseRelease {
        let Lease { api, name, holder, answers, beside, .. } = self;
        LeaseRelease {
            api: api.clone(),
            name: name.clone(),
            holder: holder.clone(),
            answers: answers.clone(),
            beside: beside.as_ref().map(|beside| Box::new(beside.lease_release())),
        }
    }
}

/// Releases locks without owning them.
#[derive(Clone)]
pub struct LeaseRelease {
    api: Api<LeaseObject>,
    name: String,
    holder: String,
    answers: Answers,
    beside: Option<Box<LeaseRelease>>,
}

impl LeaseRelease {
    /// Releases the locks that this run still holds, otherwise returns the state of one. If the API server does not
    /// answer at once, they expire.
    pub async fn now(&self) -> Option<String> {
        let beside = async {
            match &self.beside {
                Some(beside) => beside.this().await,
                None => None,
            }
        };
        let (this, beside) = tokio::join!(self.this(), beside);
        this.or(beside)
    }

    async fn this(&self) -> Option<String> {
        let test = json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": self.holder},
            {"op": "replace", "path": "/spec/holderIdentity", "value": ""},
        ]);
        let patch = serde_json::from_value(test).ok()?;
        let (parameters, patch) = (PatchParams::default(), Patch::Json::<()>(patch));
        // An unresponsive API server would only delay the end.
        if self.answers.unresponsive_since().is_some() {
            return None;
        }
        let released = timeout(RELEASE_TIMEOUT, self.api.patch(&self.name, &parameters, &patch)).await.ok()?;
        match released {
            // A JSON patch with a failed `test` is 422 (apiserver, handlers/patch.go).
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => {
                let live = timeout(RELEASE_TIMEOUT, self.api.get_opt(&self.name)).await.ok()?.ok()?;
                let holder = live.as_ref().and_then(holder);
                (holder.as_ref() != Some(&self.holder)).then(|| how_lost(holder))
            }
            _ => None,
        }
    }
}

impl Lease {
    /// Deletes the Leases that this run still holds; the other one may remain if this context may not delete it.
    pub async fn delete(mut self) -> Result<(), ClusterError> {
        let beside = self.beside.take();
        self.delete_one().await?;
        let Some(beside) = beside else { return Ok(()) };
        let release = beside.lease_release();
        match beside.delete_one().await {
            Err(ClusterError::Forbidden { .. }) => {
                release.now().await;
                Ok(())
            }
            ended => ended,
        }
    }

    async fn delete_one(self) -> Result<(), ClusterError> {
        self.heartbeat.abort();
        let failed = |error| ClusterError::from_kube(&format!("cannot delete the lock {}", self.name), error);
        loop {
            let Some(live) = self.api.get_opt(&self.name).await.map_err(failed)? else { return Ok(()) };
            if live.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) != Some(&self.holder) {
                return Ok(());
            }
            let seen = Preconditions { resource_version: live.metadata.resource_version, uid: live.metadata.uid };
            match self.api.delete(&self.name, &DeleteParams::default().preconditions(seen)).await {
                // A heartbeat changed it meanwhile.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                ended => return ended.map(drop).map_err(failed),
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
        self.fence.leave(&self.key);
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod behaviour;

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: i64) -> LeaseObject {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(jiff::Timestamp::from_second(renewed).unwrap())),
            lease_duration_seconds: Some(30),
            ..LeaseSpec::default()
        };
        LeaseObject { metadata: ObjectMeta::default(), spec: Some(spec) }
    }

    #[test]
    fn the_clock_of_a_holder_is_ignored() {
        let holder = |lease: &LeaseObject| holding(lease).map(|holding| holding.holder);
        for renewed in [0, 1_000_000, 99_999_999_999] {
            assert_eq!(holder(&lease("1@host", renewed)).as_deref(), Some("1@host"));
        }
        let mut without_time = lease("1@host", 0);
        without_time.spec.as_mut().unwrap().renew_time = None;
        assert_eq!(holder(&without_time).as_deref(), Some("1@host"));
        assert_eq!(holder(&lease("", 1_000_000)), None);
    }

    #[test]
    fn a_helm_process_of_a_killed_run_is_reported() {
        let began = jiff::Timestamp::from_second(1_000_000).unwrap();
        let said = left_behind(holding(&lease("1@host", 7)), began).to_string();
        let expected = "a helm of an earlier run on this machine (1@host) is still running";
        assert!(said.contains(expected) && said.ends_with("since 1970-01-01T00:00:07Z"), "{said}");
        assert!(left_behind(None, began).to_string().contains("on this machine is still running"));
    }
}
