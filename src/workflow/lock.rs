//! The lock of runs that change the cluster, and the preconditions that are checked while it is held.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, Instant};

use backon::Retryable as _;
use futures::FutureExt as _;

use crate::check::preflight::conflicts;
use crate::cluster::{Cluster, ClusterError, HostLiveness, Lease, LeaseRequest};
use crate::engine::{self, EngineContext, EngineError, HostLock};
use crate::error::{self, Error};
use crate::plan::{Plan, PlanError, PlannedState, taken_by};
use crate::session::Session;
use crate::stack::{CLUSTER_LOCK, TAILWATCH};

/// Duration of the lease without a heartbeat.
const LOCK_TTL: Duration = Duration::from_secs(20);
/// Pause between two tries while another run holds the lock.
const AGAIN: Duration = Duration::from_secs(1);
/// Delay before waiting for the lock is reported.
const QUIET_WAIT: Duration = Duration::from_secs(3);

/// Retries while the API server does not answer, up to the timeout of a step.
pub(crate) async fn while_unreachable<T, F>(context: &EngineContext, work: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    work.retry(engine::pauses(context.timeout)).when(Error::is_unreachable).await
}

/// Acquires the locks of the stack's namespace, which exists, and of the cluster; retries while another run holds one, up
/// to the timeout.
pub(crate) async fn acquire(
    session: &Session,
    context: &EngineContext,
    namespace: &str,
    timeout: Duration,
) -> Result<Lease, Error> {
    // In containers every run may be 1@ci, so the identity has a random part.
    let holder = format!("{}@{}/{:08x}", std::process::id(), host_name(), rand::random::<u32>());
    let host = context.machine.as_ref();
    let wait_limit = context.timeout;
    let of_stack = LeaseRequest { namespace, name: TAILWATCH, holder: &holder, duration: LOCK_TTL, wait_limit, host };
    // The host lock is that of one namespace: it does not show that a run in another one has ended. The identity is known
    // after the first look.
    host.is_alone();
    let machine = InNamespace { host, identity: format!("{}/{namespace}", host.identity()) };
    let (place, name) = CLUSTER_LOCK;
    let holder = format!("{holder} for the stack in namespace {namespace}");
    let of_cluster = LeaseRequest { namespace: place, name, holder: &holder, host: &machine, ..of_stack };
    let until = Instant::now() + timeout;
    let mut reported = false;
    let try_once = async || {
        let acquired = acquire_both(context, of_stack, of_cluster).await;
        acquired.map_err(|source| Error::from(EngineError::Lock { namespace: namespace.to_owned(), source }))
    };
    loop {
        match while_unreachable(context, try_once).await {
            Err(error) if error.exit_code() == error::LOCKED && Instant::now() < until => {
                if !reported {
                    let seconds = timeout.as_secs();
                    let held = error.source().map(ToString::to_string).unwrap_or_default();
                    session.notice(format!("{held}; waiting up to {seconds} s for its end"));
                    reported = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
            ended => {
                let (lease, refusal) = ended?;
                if let Some(refusal) = refusal {
                    session.notice(format!(
                        "no lock of the cluster: a run on a stack in another namespace can change the cluster at the same \
                         time: {refusal}"
                    ));
                }
                return Ok(lease);
            }
        }
    }
}

/// Waits for both locks at once: each may have to wait until an expired one has expired for sure. Acquires that of the
/// stack first: of two runs on the same stack one acquires both. Also returns why the API server refuses that of the
/// cluster: a missing permission, or an admission policy for its namespace.
async fn acquire_both(
    EngineContext { cluster, cancel, .. }: &EngineContext,
    of_stack: LeaseRequest<'_>,
    of_cluster: LeaseRequest<'_>,
) -> Result<(Lease, Option<ClusterError>), ClusterError> {
    let waits = (cluster.until_free(of_stack), cluster.until_free(of_cluster).map(unless_refused));
    let (free, beside) = futures::try_join!(waits.0, waits.1)?;
    let lease = cluster.acquire_lease(of_stack, free, cancel).await?;
    let beside = match beside {
        Ok(free) => unless_refused(cluster.acquire_lease(of_cluster, free, cancel).await),
        Err(refusal) => Ok(Err(refusal)),
    };
    match beside {
        Ok(Ok(beside)) => Ok((lease.with(beside), None)),
        Ok(Err(refusal)) => Ok((lease, Some(refusal))),
        Err(error) => {
            lease.release().await;
            Err(error)
        }
    }
}

/// Keeps a refusal as a value.
fn unless_refused<T>(result: Result<T, ClusterError>) -> Result<Result<T, ClusterError>, ClusterError> {
    match result {
        Err(refusal @ (ClusterError::Forbidden { .. } | ClusterError::Rejected { .. })) => Ok(Err(refusal)),
        result => result.map(Ok),
    }
}

/// The host lock of one namespace.
struct InNamespace<'a> {
    host: &'a HostLock,
    identity: String,
}

impl HostLiveness for InNamespace<'_> {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn is_alone(&self) -> bool {
        self.host.is_alone()
    }
}

/// Reports a lock that is not acquired at once: its holder has some time to renew it.
pub(crate) async fn report_waiting<T>(
    session: &Session,
    context: &EngineContext,
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
        format!("the lock may be held by another run; waiting up to {seconds} s for its heartbeat")
    } else {
        let seconds = context.timeout.max(LOCK_TTL).as_secs();
        format!(
            "a previous run on this host, or its helm process, is still active; waiting up to {seconds} s for its end"
        )
    };
    session.notice(message);
    // A lock that was acquired at this moment expires by itself.
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Interrupted),
        locked = &mut locking => locked,
    }
}

/// An error if a release has changed since the plan.
pub(crate) async fn unchanged_since<'a>(
    context: &EngineContext,
    planned: impl Iterator<Item = PlannedState<'a>>,
) -> Result<(), Error> {
    let mut namespaces: BTreeMap<&str, Vec<PlannedState<'_>>> = BTreeMap::new();
    for release in planned {
        namespaces.entry(release.namespace).or_default().push(release);
    }
    for (namespace, planned) in namespaces {
        let records = context.cluster.revision_records(namespace, context.helm.driver()).await?;
        if let Some(changed) = planned.iter().find(|state| !state.holds(&records)) {
            return Err(PlanError::Stale { what: format!("release {}", changed.release) }.into());
        }
    }
    Ok(())
}

/// An error if a release would take over other objects than its plan: helm takes ownership for a whole release.
pub(crate) async fn takeovers_unchanged(cluster: &Cluster, plan: &Plan) -> Result<(), Error> {
    let mut incoming = plan.incoming();
    incoming.retain(|incoming| !plan.taken_by(incoming.release.component.as_str()).is_empty());
    let now = conflicts::takeovers(cluster, &incoming).await?;
    for incoming in incoming {
        let component = incoming.release.component.as_str();
        if taken_by(&now, component) != plan.taken_by(component) {
            return Err(PlanError::Stale { what: format!("what release {component} takes over") }.into());
        }
    }
    Ok(())
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown host".into())
}
