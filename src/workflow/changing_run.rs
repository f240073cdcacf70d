//! A run that changes the cluster: its events, its lock, and the one `run-finished` at its end. Install, upgrade and
//! uninstall share it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::cluster::{HostLiveness as _, Lease};
use crate::engine::{EngineContext, HostLock, Journal, RunDeadline};
use crate::error::{CommandError, Error};
use crate::event::{Event, PlannedStep, RunSummary};
use crate::plan::PlanError;
use crate::session::{self, Abort, Session};
use crate::workflow::connect::{self, Target};
use crate::workflow::durations::{parse_deadline, parse_lock_timeout, parse_timeout};
use crate::workflow::lock;

/// How often a stale plan is computed again.
const PLANS: u32 = 3;

/// Timeouts of a run that changes the cluster.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// Time without progress after which a step fails.
    pub(crate) step: Duration,
    /// The deadline of the run, from its start.
    pub(crate) deadline: Option<Duration>,
    /// For a lock that another run holds.
    pub(crate) lock: Duration,
}

impl Timeouts {
    /// Of the flags.
    pub(crate) fn parse(step: &str, deadline: Option<&str>, lock: &str) -> Result<Timeouts, Error> {
        let (step, deadline) = (parse_timeout(step)?, parse_deadline(deadline)?);
        Ok(Timeouts { step, deadline, lock: parse_lock_timeout(lock)? })
    }
}

/// The run, from the moment at which signals no longer end the command at once.
pub(crate) struct ChangingRun<'a> {
    pub(crate) context: EngineContext,
    session: &'a Session,
    lock_timeout: Duration,
    namespace: &'a str,
    reporter: JoinHandle<()>,
    started: Instant,
}

impl<'a> ChangingRun<'a> {
    /// Starts the reporter; the namespace is the stack's.
    pub(crate) fn begin(
        session: &'a Session,
        Target { cluster, helm, .. }: &Target,
        namespace: &'a str,
        timeouts: Timeouts,
    ) -> ChangingRun<'a> {
        let (events, reporter) = session.stream();
        let machine = Arc::new(HostLock::open(cluster.identity(), namespace));
        let context = EngineContext {
            cluster: cluster.clone(),
            helm: helm.clone().holding(machine.lock(), machine.identity()),
            cancel: session.signals.begin_run(events.clone()),
            events,
            timeout: timeouts.step,
            deadline: timeouts.deadline.map(RunDeadline::starting_now),
            journal: Arc::new(Journal::open(cluster.identity(), namespace)),
            machine,
        };
        let (lock_timeout, started) = (timeouts.lock, Instant::now());
        ChangingRun { context, session, lock_timeout, namespace, reporter, started }
    }

    /// Acquires the lock of the namespace, and releases it again if a precondition fails.
    pub(crate) async fn lock<F>(&self, preconditions: impl Fn() -> F) -> Result<Lease, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let lease = lock::acquire(self.session, &self.context, self.namespace, self.lock_timeout).await?;
        match lock::while_unreachable(&self.context, preconditions).await {
            Ok(()) => Ok(lease),
            Err(error) => {
                lease.release().await;
                Err(error)
            }
        }
    }

    /// Waits for the lock, then sends `run-started`. An error ends the reporter, too.
    pub(crate) async fn start(
        self,
        locking: impl AsyncFnOnce(&ChangingRun<'a>) -> Result<Option<Lease>, Error>,
        steps: Vec<PlannedStep>,
    ) -> Result<(ChangingRun<'a>, Option<Lease>), Error> {
        let context = &self.context;
        let locking = lock::report_waiting(self.session, context, locking(&self));
        let lease = match connect::of_one_cluster(&context.cluster, locking).await {
            Ok(lease) => lease,
            Err(error) => {
                // The signals keep a sender, so that the stream does not end by itself.
                self.reporter.abort();
                let _ = self.reporter.await;
                return Err(error);
            }
        };
        self.session.signals.set_abort(Abort::of(context, lease.as_ref()));
        let steps = with_usual_seconds(steps, &context.journal);
        context.journal.begin(&steps);
        context.events.send(Event::RunStarted {
            command: self.session.command.into(),
            context: context.cluster.context().map(str::to_owned),
            namespace: Some(self.namespace.to_owned()),
            version: env!("CARGO_PKG_VERSION").into(),
            steps,
        });
        Ok((self, lease))
    }

    /// How the run ended, and its summary without steps and checks.
    pub(crate) fn summary(&self, ended: Result<u8, Error>) -> (Result<u8, CommandError>, RunSummary) {
        let ended = self.session.with_cluster_state(ended);
        let code = ended.as_ref().map(|code| *code);
        let summary = session::summary(code, self.started, self.session.writes.state());
        (ended, RunSummary { api_requests: self.context.cluster.request_counts(), ..summary })
    }

    /// Sends `run-finished` and waits until everything is reported.
    pub(crate) async fn finish(self, summary: RunSummary) {
        self.context.events.send(Event::RunFinished(summary.clone()));
        drop(self.context);
        let _ = self.reporter.await;
        self.session.ui.summary(&summary);
    }
}

/// Plans again for as long as the cluster changes between the plan and its lock.
pub(crate) async fn replanning(
    session: &Session,
    mut attempt: impl AsyncFnMut() -> Result<u8, Error>,
) -> Result<u8, Error> {
    for _ in 1..PLANS {
        match attempt().await {
            // The helm process of a killed run may have ended in the meantime.
            Err(Error::Plan(PlanError::Stale { what })) => {
                session.notice(format!("{what} changed in the meantime; planning again"));
            }
            ended => return ended,
        }
    }
    attempt().await
}

fn with_usual_seconds(mut steps: Vec<PlannedStep>, journal: &Journal) -> Vec<PlannedStep> {
    for step in &mut steps {
        step.usual_seconds = journal.usual_seconds(&step.component, step.action);
    }
    steps
}
