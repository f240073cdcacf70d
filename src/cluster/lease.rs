//! The lock: a Lease with holder, heartbeat and takeover when stale, so that two runs never work at once.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER};

/// How often a holder shows that it lives; a lock lasts several of these.
const HEARTBEATS: u32 = 3;
/// Pause between two looks at a lock that somebody holds.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// A lock as old as this belongs to a dead run, whatever the clocks of two machines say.
const LONG_DEAD: i64 = 300;

/// A held lock; its heartbeat ends with it.
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    holder: String,
    heartbeat: JoinHandle<()>,
}

/// Somebody who knows what else runs on this machine.
pub trait Witness: Sync {
    /// Name of the machine, as far as this knowledge reaches.
    fn identity(&self) -> &str;
    /// Whether no other run, and no helm that one left behind, is at work here; true from then on.
    fn is_alone(&self) -> bool;
}

/// Annotation of the lock: the witness' identity.
const MACHINE: &str = "tailwatch/machine";

/// Which lock, and for whom.
#[derive(Clone, Copy)]
pub struct LeaseRequest<'a> {
    /// Namespace of the Lease.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who takes it, e.g. `4711@host`.
    pub holder: &'a str,
    /// How long it lasts without a heartbeat.
    pub duration: Duration,
    /// Knows whether a holder of this machine is dead.
    pub witness: &'a dyn Witness,
}

impl Cluster {
    /// Takes the lock, or says who holds it. A holder is given the time to show a heartbeat: when it does, the lock
    /// is its; when none comes for the lock's duration, measured by our own clock, the run is dead and the lock is
    /// taken over. A holder of this machine is dead as soon as the witness is alone, and until then nothing is taken
    /// over, since a helm that the dead run left behind may still be at work. Of two takers only one succeeds, by the object's resourceVersion. `lost` is cancelled when
    /// somebody else takes the lock all the same.
    pub async fn acquire_lease(
        &self,
        request: LeaseRequest<'_>,
        lost: &CancellationToken,
    ) -> Result<Lease, ClusterError> {
        let api: Api<LeaseObject> = Api::namespaced(self.client.clone(), request.namespace);
        let failed = |error| ClusterError::from_kube(&format!("cannot take the lock {}", request.name), error);
        let mut first: Option<(Instant, Holding)> = None;
        loop {
            let standing = api.get_opt(request.name).await.map_err(failed)?;
            let now = jiff::Timestamp::now();
            let alone = request.witness.is_alone();
            if let Some(holding) = standing.as_ref().and_then(|lease| holding(lease, now)) {
                let (since, seen) = first.get_or_insert_with(|| (Instant::now(), holding.clone()));
                if *seen != holding {
                    return Err(ClusterError::Locked { holder: holding.holder, since: holding.since });
                }
                let is_here = holding.machine.as_deref() == Some(request.witness.identity());
                let is_dead = alone && (is_here || since.elapsed() >= request.duration);
                if !is_dead {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
            } else if !alone {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            return match take(&api, request, standing, now).await {
                Ok(taken) => Ok(Lease {
                    heartbeat: tokio::spawn(beat(api.clone(), taken, request.duration / HEARTBEATS, lost.clone())),
                    api,
                    name: request.name.to_owned(),
                    holder: request.holder.to_owned(),
                }),
                Err(kube::Error::Api(status)) if status.code == 409 => Err(ClusterError::Locked {
                    holder: "another run that started just now".into(),
                    since: now.to_string(),
                }),
                Err(error) => Err(failed(error)),
            };
        }
    }
}

async fn take(
    api: &Api<LeaseObject>,
    request: LeaseRequest<'_>,
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
    metadata.annotations = Some([(MACHINE.to_owned(), request.witness.identity().to_owned())].into());
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
    renewed: jiff::Timestamp,
    machine: Option<String>,
}

fn holding(lease: &LeaseObject, now: jiff::Timestamp) -> Option<Holding> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0;
    let since = spec.acquire_time.as_ref().map_or(renewed, |time| time.0).to_string();
    let machine = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MACHINE)).cloned();
    (now.as_second() - renewed.as_second() < LONG_DEAD).then_some(Holding { holder, since, renewed, machine })
}

/// Renews the lock. A missed beat is made up by the next one; a lock that somebody else took is lost.
async fn beat(api: Api<LeaseObject>, mut lease: LeaseObject, pause: Duration, lost: CancellationToken) {
    let name = lease.metadata.name.clone().unwrap_or_default();
    let holder = |lease: &LeaseObject| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    let own = holder(&lease);
    loop {
        tokio::time::sleep(pause).await;
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
        }
        match api.replace(&name, &PostParams::default(), &lease).await {
            Ok(renewed) => lease = renewed,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => match api.get_opt(&name).await {
                Ok(Some(standing)) if holder(&standing) == own => lease = standing,
                Ok(_) => return lost.cancel(),
                Err(_) => {}
            },
            Err(_) => {}
        }
    }
}

impl Lease {
    /// Lets the lock go at once, if it is still ours.
    pub async fn release(self) {
        self.heartbeat.abort();
        let test = json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": self.holder},
            {"op": "replace", "path": "/spec/holderIdentity", "value": ""},
        ]);
        let Ok(patch) = serde_json::from_value(test) else { return };
        // If this fails, the lock goes stale by itself.
        let _ = self.api.patch(&self.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
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
    }
}

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
    fn a_holder_is_named_and_one_long_dead_or_none_is_not() {
        let now = jiff::Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(holding(&lease("1@host", 999_980), now).map(|holding| holding.holder).as_deref(), Some("1@host"));
        assert!(holding(&lease("1@host", 999_700), now).is_none());
        assert!(holding(&lease("", 999_999), now).is_none());
    }
}
