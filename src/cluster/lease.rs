//! The lock: a Lease with holder, heartbeat and takeover when stale, so that two runs never work at once.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER};

/// A held lock; its heartbeat ends with it.
pub struct Lease {
    api: Api<LeaseObject>,
    name: String,
    heartbeat: JoinHandle<()>,
}

impl Cluster {
    /// Takes the lock, or says who holds it. A lock whose heartbeat is older than its duration is taken over; of
    /// two takers only one succeeds, by the object's resourceVersion.
    pub async fn acquire_lease(
        &self,
        namespace: &str,
        name: &str,
        holder: &str,
        duration: Duration,
    ) -> Result<Lease, ClusterError> {
        let api: Api<LeaseObject> = Api::namespaced(self.client.clone(), namespace);
        let failed = |error| ClusterError::from_kube(&format!("cannot take the lock {name}"), error);
        let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let now = jiff::Timestamp::now();
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        };
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..Default::default() };
        let mut wanted = LeaseObject { metadata, spec: Some(spec) };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let taken = match api.get_opt(name).await.map_err(failed)? {
            None => api.create(&parameters, &wanted).await,
            Some(standing) => {
                if let Some(locked) = held(&standing, now) {
                    return Err(locked);
                }
                wanted.metadata.resource_version = standing.metadata.resource_version;
                api.replace(name, &parameters, &wanted).await
            }
        };
        match taken {
            Ok(_) => Ok(Lease { heartbeat: heartbeat(api.clone(), name, duration), api, name: name.to_owned() }),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(ClusterError::Locked { holder: "another run that started just now".into(), since: now.to_string() })
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn held(lease: &LeaseObject, now: jiff::Timestamp) -> Option<ClusterError> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0;
    let duration = i64::from(spec.lease_duration_seconds.unwrap_or(0));
    if now.as_second() - renewed.as_second() > duration {
        return None;
    }
    let since = spec.acquire_time.as_ref().map_or(renewed, |time| time.0).to_string();
    Some(ClusterError::Locked { holder, since })
}

fn heartbeat(api: Api<LeaseObject>, name: &str, duration: Duration) -> JoinHandle<()> {
    let name = name.to_owned();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(duration / 3).await;
            let patch = json!({"spec": {"renewTime": MicroTime(jiff::Timestamp::now())}});
            // A missed beat is made up by the next one; the lock lasts three of them.
            let _ = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        }
    })
}

impl Lease {
    /// Lets the lock go at once.
    pub async fn release(self) {
        self.heartbeat.abort();
        let patch = json!({"spec": {"holderIdentity": ""}});
        // If this fails, the lock goes stale by itself.
        let _ = self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await;
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
    fn a_live_holder_is_named_and_a_stale_or_empty_one_is_not() {
        let now = jiff::Timestamp::from_second(1_000_000).unwrap();
        assert!(
            matches!(held(&lease("1@host", 999_980), now), Some(ClusterError::Locked { holder, .. }) if holder == "1@host")
        );
        assert!(held(&lease("1@host", 999_960), now).is_none());
        assert!(held(&lease("", 999_999), now).is_none());
    }
}
