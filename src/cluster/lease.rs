//! The lock: a Lease with holder, heartbeat and takeover when stale, so that two runs never work at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::lease_renewal::{Heartbeat, Loss, holder, how_lost};
use crate::cluster::unresponsive::Answers;
use crate::cluster::write_fence::Fence;
use crate::cluster::{Cluster, ClusterError, ClusterIdentity, FIELD_MANAGER};

/// How often a holder shows that it lives; a lock lasts several of these.
const HEARTBEATS: u32 = 3;
/// Pause between two looks at a lock that somebody holds.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How long letting the lock go may take; otherwise it goes stale by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// A held lock; its heartbeat ends with it.
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    holder: String,
    heartbeat: JoinHandle<()>,
    taken: Arc<OnceLock<String>>,
    fence: Fence,
    answers: Answers,
}

/// Somebody who knows what else runs on this machine.
pub trait HostLiveness: Sync {
    /// Name of the machine, as far as this knowledge reaches.
    fn identity(&self) -> &str;
    /// Whether no other run, and no helm that one left behind, is at work here, as far as it can be known; true from
    /// then on. Asked before the identity, which tells of no other run where nothing can be known.
    fn is_alone(&self) -> bool;
}

/// Annotation of the lock: the witness' identity.
const MACHINE: &str = "tailwatch/machine";
/// Annotation of the lock: what the cluster is known by.
const CLUSTER: &str = "tailwatch/cluster";

/// Which lock, and for whom.
#[derive(Clone, Copy)]
pub struct LeaseRequest<'a> {
    /// Namespace of the Lease.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who takes it, unlike any other run, e.g. `4711@host/9f3c2a11`.
    pub holder: &'a str,
    /// How long it lasts without a heartbeat.
    pub duration: Duration,
    /// How long to wait for the end of what else is at work on this machine and shows no sign of life; at least the
    /// duration, in which a living run shows one.
    pub wait_limit: Duration,
    /// Knows whether a holder of this machine is dead.
    pub host: &'a dyn HostLiveness,
}

impl Cluster {
    /// Takes the lock, or says who holds it. A holder is given the time to show a heartbeat: when it does, the lock
    /// is its; when none comes for the lock's duration, measured by our own clock, the run is dead and the lock is
    /// taken over. The clock of another machine is never judged by ours. A holder of this machine is dead as soon as the
    /// witness is alone, and until then nothing is taken over, since a helm that the dead run left behind may still be
    /// at work; after the request's patience that is said instead. Of two takers only one succeeds, by the object's
    /// resourceVersion. `lost` is cancelled when someone else takes the lock all the same.
    pub async fn acquire_lease(
        &self,
        request: LeaseRequest<'_>,
        lost: &CancellationToken,
    ) -> Result<Lease, ClusterError> {
        let api: Api<LeaseObject> = Api::namespaced(self.client.clone(), request.namespace);
        let failed = |error| ClusterError::from_kube(&format!("cannot take the lock {}", request.name), error);
        let (started, began) = (Instant::now(), jiff::Timestamp::now());
        let mut first: Option<(Instant, Holding)> = None;
        loop {
            let standing = api.get_opt(request.name).await.map_err(failed)?;
            let alone = request.host.is_alone();
            let holding = standing.as_ref().and_then(holding);
            if !alone && started.elapsed() >= request.wait_limit.max(request.duration) {
                return Err(left_behind(holding, began));
            }
            if let Some(holding) = holding {
                let (since, seen) = first.get_or_insert_with(|| (Instant::now(), holding.clone()));
                // The answer to an earlier try may have been lost, so that the lock is held already.
                let is_own = holding.holder == request.holder;
                if *seen != holding && !is_own {
                    return Err(ClusterError::Locked { holder: holding.holder, since: holding.since });
                }
                let is_here = holding.machine.as_deref() == Some(request.host.identity());
                let silence = if is_here { one_heartbeat(request.duration) } else { request.duration };
                let is_dead = alone && since.elapsed() >= silence;
                if !is_dead && !is_own {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
            } else if !alone {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            let now = jiff::Timestamp::now();
            let sent = self.fence.now();
            return match take(&api, (request, &self.identity), standing, now).await {
                Ok(lease) => {
                    self.fence.hold(request.duration, sent);
                    Ok(held((api, self), (request, lease), lost))
                }
                Err(kube::Error::Api(status)) if status.code == 409 => Err(ClusterError::Locked {
                    holder: "another run that started just now".into(),
                    since: now.to_string(),
                }),
                Err(error) => Err(failed(error)),
            };
        }
    }
}

/// How long a holder that lives stays without a heartbeat, with some time for its request.
fn one_heartbeat(duration: Duration) -> Duration {
    duration / HEARTBEATS + duration / 10
}

/// A lock that was taken, with its heartbeat.
fn held(
    (api, cluster): (Api<LeaseObject>, &Cluster),
    (request, lease): (LeaseRequest<'_>, LeaseObject),
    lost: &CancellationToken,
) -> Lease {
    let taken = Arc::new(OnceLock::new());
    let loss = Loss { taken: taken.clone(), cancel: lost.clone() };
    let pause = request.duration / HEARTBEATS;
    let heartbeat = Heartbeat { api: api.clone(), lease, pause, fence: cluster.fence.clone(), loss };
    Lease {
        heartbeat: tokio::spawn(heartbeat.run()),
        api,
        name: request.name.to_owned(),
        holder: request.holder.to_owned(),
        taken,
        fence: cluster.fence.clone(),
        answers: cluster.answers.clone(),
    }
}

/// No heartbeat came, and yet something of this machine is still at work.
fn left_behind(holding: Option<Holding>, began: jiff::Timestamp) -> ClusterError {
    let (run, since) = match holding {
        Some(Holding { holder, since, .. }) => (format!(" ({holder})"), since),
        None => (String::new(), began.to_string()),
    };
    let holder = format!("a helm of an earlier run on this machine{run} is still running");
    ClusterError::Locked { holder, since }
}

async fn take(
    api: &Api<LeaseObject>,
    (request, cluster): (LeaseRequest<'_>, &ClusterIdentity),
    standing: Option<LeaseObject>,
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
    metadata.resource_version = standing.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
    let wanted = LeaseObject { metadata, spec: Some(spec) };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match standing {
        None => api.create(&parameters, &wanted).await,
        Some(_) => api.replace(request.name, &parameters, &wanted).await,
    }
}

/// Who holds a lock, and its last sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holding {
    holder: String,
    /// RFC 3339.
    since: String,
    renewed: Option<jiff::Timestamp>,
    machine: Option<String>,
}

fn holding(lease: &LeaseObject) -> Option<Holding> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref().map(|time| time.0);
    let since = spec.acquire_time.as_ref().map(|time| time.0).or(renewed);
    let since = since.map_or_else(|| "an unknown time".into(), |time| time.to_string());
    let machine = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MACHINE)).cloned();
    Some(Holding { holder, since, renewed, machine })
}

impl Lease {
    /// Releases the lock at once, if it is still ours. Otherwise what became of it, e.g. `4711@host holds it now`, also
    /// where it was taken after the last heartbeat.
    pub async fn release(self) -> Option<String> {
        self.heartbeat.abort();
        let known = self.taken.get().cloned();
        let found = self.lease_release().now().await;
        known.or(found)
    }

    /// How to let it go for whoever does not own it.
    pub fn lease_release(&self) -> LeaseRelease {
        let Lease { api, name, holder, answers, .. } = self;
        LeaseRelease { api: api.clone(), name: name.clone(), holder: holder.clone(), answers: answers.clone() }
    }
}

/// Lets a lock go, apart from its owner.
#[derive(Clone)]
pub struct LeaseRelease {
    api: Api<LeaseObject>,
    name: String,
    holder: String,
    answers: Answers,
}

impl LeaseRelease {
    /// Releases it if it is still ours, otherwise tells what became of it; where the API server does not answer at once,
    /// the lock goes stale by itself.
    pub async fn now(&self) -> Option<String> {
        let test = json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": self.holder},
            {"op": "replace", "path": "/spec/holderIdentity", "value": ""},
        ]);
        let patch = serde_json::from_value(test).ok()?;
        let (parameters, patch) = (PatchParams::default(), Patch::Json::<()>(patch));
        // One that is silent would only keep the person waiting.
        if self.answers.unresponsive_since().is_some() {
            return None;
        }
        let released = timeout(RELEASE_TIMEOUT, self.api.patch(&self.name, &parameters, &patch)).await.ok()?;
        match released {
            // A JSON patch whose `test` fails is 422 (apiserver, handlers/patch.go).
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 422) => {
                let standing = timeout(RELEASE_TIMEOUT, self.api.get_opt(&self.name)).await.ok()?.ok()?;
                let holder = standing.as_ref().and_then(holder);
                (holder.as_ref() != Some(&self.holder)).then(|| how_lost(holder))
            }
            _ => None,
        }
    }
}

impl Lease {
    /// Deletes the lock together with letting it go, if it is still ours: nothing is left to lock.
    pub async fn delete(self) -> Result<(), ClusterError> {
        self.heartbeat.abort();
        let failed = |error| ClusterError::from_kube(&format!("cannot delete the lock {}", self.name), error);
        loop {
            let Some(standing) = self.api.get_opt(&self.name).await.map_err(failed)? else { return Ok(()) };
            if standing.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) != Some(&self.holder) {
                return Ok(());
            }
            let seen =
                Preconditions { resource_version: standing.metadata.resource_version, uid: standing.metadata.uid };
            match self.api.delete(&self.name, &DeleteParams::default().preconditions(seen)).await {
                // The last heartbeat came in between.
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
        self.fence.leave();
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
    fn a_holder_holds_whatever_its_clock_says() {
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
    fn what_a_dead_run_left_behind_is_said_as_what_it_is() {
        let began = jiff::Timestamp::from_second(1_000_000).unwrap();
        let said = left_behind(holding(&lease("1@host", 7)), began).to_string();
        let expected = "a helm of an earlier run on this machine (1@host) is still running";
        assert!(said.contains(expected) && said.ends_with("since 1970-01-01T00:00:07Z"), "{said}");
        assert!(left_behind(None, began).to_string().contains("on this machine is still running"));
    }
}
