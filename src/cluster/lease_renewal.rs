//! The heartbeat of a held lock: renews it, opens the fence with each renewal, and tells when another run has taken it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterError;
use crate::cluster::write_fence::Fence;

/// Pause after a heartbeat that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Where it is told that the lock is no longer ours.
#[derive(Clone)]
pub(super) struct Loss {
    pub(super) taken: Arc<OnceLock<String>>,
    pub(super) cancel: CancellationToken,
}

impl Loss {
    fn emit(&self, holder: Option<String>) {
        let _ = self.taken.set(how_lost(holder));
        self.cancel.cancel();
    }
}

/// What became of a lock that is not ours any more.
pub(super) fn how_lost(holder: Option<String>) -> String {
    let holder = holder.filter(|holder| !holder.is_empty());
    holder.map_or_else(|| "another client released it".into(), |holder| format!("{holder} holds it now"))
}

/// What renews a lock.
pub(super) struct Heartbeat {
    pub(super) api: Api<LeaseObject>,
    /// As it was taken.
    pub(super) lease: LeaseObject,
    /// Between two renewals; a renewal without an answer for three quarters of it is given up.
    pub(super) pause: Duration,
    pub(super) fence: Fence,
    pub(super) loss: Loss,
}

/// How one renewal ended.
enum Renewal {
    Done,
    /// It is ours, but it was changed since: with what stands it can be renewed at once.
    Outdated,
    Failed,
    Lost(Option<String>),
    /// The address leads to another cluster, where there is nothing of ours.
    Elsewhere,
}

impl Heartbeat {
    /// Renews the lock until this is dropped or the lock is lost. A renewal that failed is made up by the next one.
    pub(super) async fn run(mut self) {
        let mut pause = self.pause;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.fence.wants_renewal() => {}
            }
            let limit = self.pause * 3 / 4;
            let renewal = timeout(limit, self.renew()).await.unwrap_or(Renewal::Failed);
            pause = match renewal {
                Renewal::Done => self.pause,
                Renewal::Outdated => Duration::ZERO,
                Renewal::Failed => {
                    // So that whoever waits for a renewal does not make it one request after the other.
                    sleep(AGAIN.min(self.pause) / 4).await;
                    AGAIN.min(self.pause)
                }
                Renewal::Lost(holder) => return self.loss.emit(holder),
                Renewal::Elsewhere => return self.loss.cancel.cancel(),
            };
        }
    }

    async fn renew(&mut self) -> Renewal {
        let name = self.lease.metadata.name.clone().unwrap_or_default();
        let sent = self.fence.now();
        let mut wanted = self.lease.clone();
        if let Some(spec) = &mut wanted.spec {
            spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
        }
        match self.api.replace(&name, &PostParams::default(), &wanted).await {
            Ok(renewed) => {
                self.lease = renewed;
                self.fence.renewed(sent);
                Renewal::Done
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => match self.api.get_opt(&name).await {
                Ok(Some(standing)) if holder(&standing) == holder(&self.lease) => {
                    self.lease = standing;
                    Renewal::Outdated
                }
                Ok(standing) => Renewal::Lost(standing.as_ref().and_then(holder)),
                Err(_) => Renewal::Failed,
            },
            Err(error) => match ClusterError::from_kube("cannot renew the lock", error) {
                ClusterError::OtherCluster { .. } => Renewal::Elsewhere,
                _ => Renewal::Failed,
            },
        }
    }
}

pub(super) fn holder(lease: &LeaseObject) -> Option<String> {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone())
}
