//! A run that changes the cluster: its events, its lock, and the one `run-finished` at its end. Install, upgrade and
//! uninstall share it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::cli::GlobalArgs;
use crate::cluster::Lease;
use crate::commands::connect::{self, Target};
use crate::commands::lock;
use crate::commands::run_finished;
use crate::commands::signals::{Abort, Signals};
use crate::engine::{EngineContext, HostLock, Journal, RunDeadline};
use crate::error::{CommandError, Error};
use crate::event::{self, Event, PlannedStep, RunSummary};
use crate::plan::PlanError;
use crate::report::{self, Mode, Record, style::Style};

/// How often a stale plan is computed again.
const PLANS: u32 = 3;

/// Options of a run that changes the cluster.
#[derive(Clone, Copy)]
pub(super) struct RunOptions<'a> {
    /// The subcommand, for events.
    pub(super) command: &'static str,
    pub(super) signals: &'a Signals,
    /// Record for the report files.
    pub(super) record: &'a Record,
    /// Time without progress after which a step fails.
    pub(super) timeout: Duration,
    /// The deadline of the run, from its start.
    pub(super) deadline: Option<Duration>,
    /// How long to wait for a lock that another run holds.
    pub(super) lock_timeout: Duration,
}

/// The run, from the moment at which signals no longer end the command at once.
pub(super) struct ChangingRun<'a> {
    pub(super) context: EngineContext,
    pub(super) mode: Mode,
    options: RunOptions<'a>,
    namespace: &'a str,
    style: Style,
    reporter: JoinHandle<()>,
    started: Instant,
}

impl<'a> ChangingRun<'a> {
    /// Starts the reporter; the namespace is the stack's.
    pub(super) fn begin(
        global: &GlobalArgs,
        Target { cluster, helm, .. }: &Target,
        namespace: &'a str,
        options: RunOptions<'a>,
    ) -> ChangingRun<'a> {
        let (events, stream) = event::channel();
        let mode = Mode::resolve(global);
        let reporter = tokio::spawn(report::drain(global.clone(), mode, stream, options.record.clone()));
        let machine = Arc::new(HostLock::open(cluster.identity(), namespace));
        let context = EngineContext {
            cluster: cluster.clone(),
            helm: helm.clone().holding(machine.lock()),
            cancel: options.signals.begin_run(events.clone()),
            events,
            timeout: options.timeout,
            deadline: options.deadline.map(RunDeadline::starting_now),
            journal: Arc::new(Journal::open(cluster.identity(), namespace)),
            machine,
        };
        let (style, started) = (Style::resolve(global), Instant::now());
        ChangingRun { context, mode, options, namespace, style, reporter, started }
    }

    /// Acquires the lock of the namespace, and releases it again if a precondition fails.
    pub(super) async fn lock<F>(&self, preconditions: impl Fn() -> F) -> Result<Lease, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let waiting = lock::Waiting { timeout: self.options.lock_timeout, style: &self.style };
        let lease = lock::acquire(&self.context, self.namespace, waiting).await?;
        match lock::while_unreachable(&self.context, preconditions).await {
            Ok(()) => Ok(lease),
            Err(error) => {
                lease.release().await;
                Err(error)
            }
        }
    }

    /// Waits for the lock, then sends `run-started`. An error ends the reporter, too.
    pub(super) async fn start(
        self,
        locking: impl AsyncFnOnce(&ChangingRun<'a>) -> Result<Option<Lease>, Error>,
        steps: Vec<PlannedStep>,
    ) -> Result<(ChangingRun<'a>, Option<Lease>), Error> {
        let context = &self.context;
        let locking = lock::report_waiting(context, &self.style, locking(&self));
        let lease = match connect::of_one_cluster(&context.cluster, locking).await {
            Ok(lease) => lease,
            Err(error) => {
                // The signals keep a sender, so that the stream does not end by itself.
                self.reporter.abort();
                let _ = self.reporter.await;
                return Err(error);
            }
        };
        self.options.signals.set_abort(Abort::of(context, lease.as_ref()));
        let steps = with_usual_seconds(steps, &context.journal);
        context.journal.begin(&steps);
        context.events.send(Event::RunStarted {
            command: self.options.command.into(),
            context: context.cluster.context().map(str::to_owned),
            namespace: Some(self.namespace.to_owned()),
            version: env!("CARGO_PKG_VERSION").into(),
            steps,
        });
        Ok((self, lease))
    }

    /// How the run ended, and its summary without steps and checks.
    pub(super) fn summary(&self, ended: Result<u8, Error>) -> (Result<u8, CommandError>, RunSummary) {
        let writes = self.options.signals.writes();
        let ended = ended.map_err(|error| CommandError::new(error, writes.state()));
        let summary = run_finished::summary(&ended, (self.started, &self.context.cluster), writes);
        (ended, summary)
    }

    /// Sends `run-finished` and waits until everything is reported.
    pub(super) async fn finish(self, summary: RunSummary) {
        self.context.events.send(Event::RunFinished(summary));
        drop(self.context);
        let _ = self.reporter.await;
    }
}

/// Plans again for as long as the cluster changes between the plan and its lock.
pub(super) async fn replanning(
    style: &Style,
    mut attempt: impl AsyncFnMut() -> Result<u8, Error>,
) -> Result<u8, Error> {
    for _ in 1..PLANS {
        match attempt().await {
            // The helm process of a killed run may have ended in the meantime.
            Err(Error::Plan(PlanError::Stale { what })) => {
                report::notice(&format!("{what} changed in the meantime; planning again"), style);
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
