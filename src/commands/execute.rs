//! Executes a plan: lock, waves, checks, and one `run-finished` event at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::check::Selection;
use crate::check::verify::{self as stack_checks, Installed, StackContext};
use crate::cli::GlobalArgs;
use crate::cluster::{ClusterError, Lease, TrackedRelease};
use crate::commands::connect::Target;
use crate::commands::lock::Waiting;
use crate::commands::plan_file::Reviewed;
use crate::commands::signals::{Abort, Signals};
use crate::commands::{connect, lock, run_finished};
use crate::config::Settings;
use crate::engine::{self, EngineContext, EngineError, HostLock, Journal, RunResult};
use crate::error::{self, Checked, CommandError, Error};
use crate::event::{self, CheckResult, Event, Events, PlannedStep, RunOutcome, RunSummary};
use crate::helm::Ownership;
use crate::plan::{self, Plan, Step};
use crate::report::{self, Mode, Record, style::Style};
use crate::stack;

/// Options of a run.
#[derive(Clone, Copy)]
pub(super) struct ExecuteOptions<'a> {
    /// The subcommand, for events.
    pub(super) command: &'static str,
    pub(super) signals: &'a Signals,
    /// Record for the report files.
    pub(super) record: &'a Record,
    pub(super) wave_timeout: Duration,
    /// How long to wait for a lock that another run holds.
    pub(super) lock_timeout: Duration,
    pub(super) skip_verify: bool,
    /// Which objects of other owners may be taken over.
    pub(super) ownership: Ownership,
    /// Whether untried major versions are accepted.
    pub(super) allow_unverified: bool,
    /// Whether the plan runs without a confirmation prompt.
    pub(super) yes: bool,
    /// The reviewed plan that the run's own plan must equal.
    pub(super) reviewed: Option<&'a Reviewed>,
}

/// Timeout of the diagnosis after a failure.
const DIAGNOSIS: Duration = Duration::from_secs(15);

/// Runs the plan and verifies. Returns the exit code, or the error that is rendered last.
pub(super) async fn execute(
    global: &GlobalArgs,
    Target { cluster, helm, .. }: &Target,
    settings: &Settings,
    (plan, options): (&Plan, ExecuteOptions<'_>),
) -> Result<u8, Error> {
    let (events, stream) = event::channel();
    let style = Style::resolve(global);
    let mode = Mode::resolve(global);
    let reporter = tokio::spawn(report::drain(global.clone(), mode, stream, options.record.clone()));
    let started = Instant::now();
    let cancel = options.signals.begin_run(events.clone());
    let journal = Arc::new(Journal::open(cluster.identity(), settings.namespace.as_str()));
    let machine = Arc::new(HostLock::open(cluster.identity(), settings.namespace.as_str()));
    let context = EngineContext {
        cluster: cluster.clone(),
        helm: helm.clone().holding(machine.lock()),
        events: events.clone(),
        cancel,
        wave_timeout: options.wave_timeout,
        journal: journal.clone(),
        machine,
    };
    let waiting = Waiting { timeout: options.lock_timeout, style: &style };
    let locking = lock::report_waiting(&context, &style, lock(&context, settings, plan, waiting));
    let locked = connect::of_one_cluster(cluster, locking).await;
    let lease = match locked {
        Ok(lease) => lease,
        Err(error) => return Err(run_finished::discard_reporter(reporter, error).await),
    };
    options.signals.set_abort(Abort::of(&context, lease.as_ref()));
    let steps = with_usual_seconds(plan.steps(), &journal);
    journal.begin(&steps);
    events.send(Event::RunStarted {
        command: options.command.into(),
        context: cluster.context().map(str::to_owned),
        namespace: Some(settings.namespace.to_string()),
        version: env!("CARGO_PKG_VERSION").into(),
        steps,
    });
    if mode == Mode::Json {
        // In the other modes they were shown with the plan.
        for message in plan.notices.iter().cloned() {
            events.send(Event::Notice { message, hint: None });
        }
    }
    let mut result = engine::run(&context, plan).await;
    let diagnosed = Diagnosed { releases: engine::tracked(plan) };
    let checks = if result.failure.is_none() && !options.skip_verify {
        let installed = Installed { releases: plan.releases().cloned().collect(), manifests: plan.manifests() };
        let selection = if plan.has_changes() { Selection::default() } else { stack_checks::unchanged() };
        let stack = StackContext::new(cluster.clone(), settings.clone(), installed, selection);
        let checks = stack_checks::run(&stack, &events, &context.cancel);
        cluster.cancelled_on_switch(&context.cancel, checks).await
    } else {
        Some(Vec::new())
    };
    result.note_other_cluster(cluster).await;
    if let Some(lease) = lease {
        result.note_lost_lock(lease.release().await.as_deref());
    }
    let RunResult { steps, failure } = result;
    let writes = options.signals.writes();
    let ended = ended(failure, checks.as_deref()).map_err(|error| CommandError::new(error, writes.state()));
    let took = (started, cluster);
    let summary =
        RunSummary { steps, checks: checks.unwrap_or_default(), ..run_finished::summary(&ended, took, writes) };
    if matches!(summary.outcome, RunOutcome::Failed | RunOutcome::VerificationFailed) {
        diagnosed.emit(&context, &events).await;
    }
    events.send(Event::RunFinished(summary));
    drop((events, context));
    let _ = reporter.await;
    ended.map_err(|error| *error.error)
}

/// Acquires the lock if the plan changes anything, and checks that the plan is not stale.
async fn lock(
    context: &EngineContext,
    settings: &Settings,
    plan: &Plan,
    waiting: Waiting<'_>,
) -> Result<Option<Lease>, Error> {
    if !plan.has_changes() {
        return Ok(None);
    }
    let namespace = settings.namespace.as_str();
    let failed = |source| Error::from(EngineError::Lock { namespace: namespace.to_owned(), source });
    let object = stack::namespace(settings);
    let applying = async || context.cluster.apply(&object, &plan.adopted()).await.map_err(failed);
    lock::while_unreachable(context, applying).await?;
    let lease = lock::acquire(context, namespace, waiting).await?;
    let saving = async || {
        unchanged_since(context, plan).await?;
        plan::check_preconditions(&context.cluster, plan).await?;
        lock::takeovers_unchanged(&context.cluster, plan).await?;
        save_answers(context, settings, plan).await.map_err(failed)
    };
    match lock::while_unreachable(context, saving).await {
        Ok(_) => Ok(Some(lease)),
        Err(error) => {
            lease.release().await;
            Err(error)
        }
    }
}

/// The record is written first: a run that ends between the two writes leaves the older answers, and the record still
/// confirms those that did not change.
async fn save_answers(context: &EngineContext, settings: &Settings, plan: &Plan) -> Result<(), ClusterError> {
    let salt = context.cluster.answers_salt(settings.namespace.as_str()).await?;
    context.cluster.record_answers(settings, &salt).await?;
    let mut answers = stack::saved_answers_object(settings);
    answers.secret_data.insert(stack::SALT.to_owned(), salt);
    context.cluster.apply(&answers, &plan.adopted()).await.map(drop)
}

async fn unchanged_since(context: &EngineContext, plan: &Plan) -> Result<(), Error> {
    lock::unchanged_since(&context.helm, plan.each_step().map(Step::planned_state)).await
}

/// `checks`: `None` where they were interrupted.
fn ended(failure: Option<EngineError>, checks: Option<&[CheckResult]>) -> Result<u8, Error> {
    match (failure, checks) {
        (Some(failure), _) => Err(failure.into()),
        (None, None) => Err(Error::InterruptedChecks { of: Checked::Install }),
        (None, Some(checks)) => error::verdict(checks),
    }
}

pub(super) fn with_usual_seconds(mut steps: Vec<PlannedStep>, journal: &Journal) -> Vec<PlannedStep> {
    for step in &mut steps {
        step.usual_seconds = journal.usual_seconds(&step.component, step.action);
    }
    steps
}

/// The scope of the diagnosis after a failure.
struct Diagnosed {
    releases: Vec<TrackedRelease>,
}

impl Diagnosed {
    /// Reports the diagnosis of the installed stack, if the cluster answers.
    async fn emit(&self, context: &EngineContext, events: &Events) {
        if context.cluster.unresponsive_since().is_some() {
            return;
        }
        let diagnosing = timeout(DIAGNOSIS, context.cluster.diagnose(&self.releases));
        let found = tokio::select! {
            found = diagnosing => found,
            () = context.cancel.cancelled() => return,
        };
        if let Ok(Ok(found)) = found {
            events.send(Event::Diagnosed { findings: found.diagnoses });
        }
    }
}
