//! The heartbeat of a held lock: renews it, opens the fence with each renewal, and reports its loss to another run.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterError;
use crate::cluster::write_fence::Fence;

/// Pause after a failed renewal.
const AGAIN: Duration = Duration::from_secs(1);

/// Reports that this run lost the lock.
#[derive(Clone)]
pub(super) struct LossReporter {
    pub(super) taken: Arc<OnceLock<String>>,
    pub(super) cancel: CancellationToken,
}

impl LossReporter {
    fn emit(&self, holder: Option<String>) {
        let _ = self.taken.set(how_lost(holder));
        self.cancel.cancel();
    }
}

/// The state of a lost lock.
pub(super) fn how_lost(holder: Option<String>) -> String {
    let holder = holder.filter(|holder| !holder.is_empty());
    holder.map_or_else(|| "another client released it".into(), |holder| format!("{holder} holds it now"))
}

/// Renews a lock.
pub(super) struct Heartbeat {
    pub(super) api: Api<LeaseObject>,
    /// The Lease as it was acquired or last renewed.
    pub(super) lease: LeaseObject,
    /// Pause between two renewals; a renewal has three quarters of it as its timeout.
    pub(super) pause: Duration,
    /// Key of the lock in the fence.
    pub(super) key: String,
    pub(super) fence: Fence,
    pub(super) loss: LossReporter,
}

/// Result of one renewal.
enum Renewal {
    Done,
    /// The lock is still held, but the object has a newer resourceVersion: it can be renewed at once.
    Outdated,
    Failed,
    Lost(Option<String>),
    /// The address is another cluster.
    OtherCluster,
}

impl Heartbeat {
    /// Renews the lock until this is dropped or the lock is lost. A failed renewal is repeated.
    pub(super) async fn run(mut self) {
        let mut pause = self.pause;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.fence.renewal_requested() => {}
            }
            let limit = self.pause * 3 / 4;
            let renewal = timeout(limit, self.renew()).await.unwrap_or(Renewal::Failed);
            pause = match renewal {
                Renewal::Done => self.pause,
                Renewal::Outdated => Duration::ZERO,
                Renewal::Failed => {
                    // Limits the rate of renewals that waiting writes trigger.
                    sleep(AGAIN.min(self.pause) / 4).await;
                    AGAIN.min(self.pause)
                }
                Renewal::Lost(holder) => return self.loss.emit(holder),
                Renewal::OtherCluster => return self.loss.cancel.cancel(),
            };
        }
    }

    async fn renew(&mut self) -> Renewal {
        let name = self.lease.metadata.name.clone().unwrap_or_default();
        let sent = self.fence.now();
        let mut desired = self.lease.clone();
        if let Some(spec) = &mut desired.spec {
            spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
        }
        match self.api.replace(&name, &PostParams::default(), &desired).await {
            Ok(renewed) => {
                self.lease = renewed;
                self.fence.renewed(&self.key, sent);
                Renewal::Done
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => match self.api.get_opt(&name).await {
                Ok(Some(live)) if holder(&live) == holder(&self.lease) => {
                    self.lease = live;
                    Renewal::Outdated
                }
                Ok(live) => Renewal::Lost(live.as_ref().and_then(holder)),
                Err(_) => Renewal::Failed,
            },
            Err(error) => match ClusterError::from_kube("cannot renew the lock", error) {
                ClusterError::OtherCluster { .. } => Renewal::OtherCluster,
                _ => Renewal::Failed,
            },
        }
    }
}

pub(super) fn holder(lease: &LeaseObject) -> Option<String> {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone())
}
