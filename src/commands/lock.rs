//! The lock that every run that changes something holds, and what must still be so once it is held.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, Instant};

use backon::Retryable as _;

use crate::cluster::{HostLiveness as _, Lease, LeaseRequest};
use crate::engine::{self, EngineContext, EngineError};
use crate::error::{self, Error};
use crate::helm::Helm;
use crate::plan::{InstalledRelease, PlanError};
use crate::report::{self, style::Style};
use crate::stack::TAILWATCH;

/// How long a lock stays ours without a heartbeat.
const LOCK_TTL: Duration = Duration::from_secs(20);
/// Pause between two tries while another run holds the lock.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the lock may take before a person is told that it does.
const QUIET_WAIT: Duration = Duration::from_secs(3);

/// How long to wait for a lock that another run holds, and how that is reported.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) timeout: Duration,
    pub(super) style: &'a Style,
}

/// A release as a plan found it.
pub(super) struct Planned<'a> {
    pub(super) namespace: &'a str,
    pub(super) release: &'a str,
    /// `None`: it did not stand.
    pub(super) from: Option<&'a InstalledRelease>,
}

/// Does something again while the API server does not answer, as long as the wave may take.
pub(super) async fn while_unreachable<T, F>(context: &EngineContext, work: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    work.retry(engine::pauses(context.wave_timeout)).when(Error::is_unreachable).await
}

/// Takes the lock of a namespace that stands; where another run holds it, tries again for so long.
pub(super) async fn take(context: &EngineContext, namespace: &str, waiting: Waiting<'_>) -> Result<Lease, Error> {
    // In containers every run may be 1@ci; no two are the same all the same.
    let holder = format!("{}@{}/{:08x}", std::process::id(), host_name(), rand::random::<u32>());
    let host = context.machine.as_ref();
    let wait_limit = context.wave_timeout;
    let request = LeaseRequest { namespace, name: TAILWATCH, holder: &holder, duration: LOCK_TTL, wait_limit, host };
    let until = Instant::now() + waiting.timeout;
    let mut reported = false;
    let acquire = async || {
        let taken = context.cluster.acquire_lease(request, &context.cancel).await;
        taken.map_err(|source| Error::from(EngineError::Lock { namespace: namespace.to_owned(), source }))
    };
    loop {
        match while_unreachable(context, acquire).await {
            Err(error) if error.exit_code() == error::LOCKED && Instant::now() < until => {
                if !reported {
                    let seconds = waiting.timeout.as_secs();
                    let held = error.source().map(ToString::to_string).unwrap_or_default();
                    report::notice(&format!("{held}; waiting for its end, up to {seconds} s"), waiting.style);
                    reported = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
            taken => return taken,
        }
    }
}

/// A lock that is not had at once is reported, since its holder is given time to show that it lives.
pub(super) async fn retry_unreachable<T>(
    context: &EngineContext,
    style: &Style,
    locking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut locking = std::pin::pin!(locking);
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(Error::Interrupted),
        locked = &mut locking => return locked,
        () = tokio::time::sleep(QUIET_WAIT) => {}
    }
    let message = if context.machine.is_alone() {
        let seconds = LOCK_TTL.as_secs();
        format!("another run may hold the lock; waiting up to {seconds} s for a sign of life of it")
    } else {
        let seconds = context.wave_timeout.max(LOCK_TTL).as_secs();
        format!(
            "an earlier run of this machine, or the helm that it left behind, is at work; waiting up to {seconds} s for its end"
        )
    };
    report::notice(&message, style);
    // A lock that was taken in this very moment goes stale by itself.
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Interrupted),
        locked = &mut locking => locked,
    }
}

/// An error where a release is not as it was planned from.
pub(super) async fn unchanged_since<'a>(helm: &Helm, planned: impl Iterator<Item = Planned<'a>>) -> Result<(), Error> {
    let mut namespaces: BTreeMap<&str, Vec<Planned<'_>>> = BTreeMap::new();
    for release in planned {
        namespaces.entry(release.namespace).or_default().push(release);
    }
    for (namespace, planned) in namespaces {
        let listed = helm.list(namespace).await;
        let listed = listed.map_err(|source| PlanError::Helm { what: "cannot list the releases".into(), source })?;
        for Planned { release, from, .. } in planned {
            let now = listed.iter().find(|info| info.name == release).map(|info| (info.revision, info.status));
            if now != from.map(|standing| (standing.revision, standing.status)) {
                return Err(PlanError::Stale { what: format!("release {release}") }.into());
            }
        }
    }
    Ok(())
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown host".into())
}
