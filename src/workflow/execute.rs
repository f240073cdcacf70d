//! Executes a plan: lock, waves, checks, and one `run-finished` event at the end.

use std::time::Duration;

use tokio::time::timeout;

use crate::check::Selection;
use crate::check::verify::{self as stack_checks, Installed, StackContext};
use crate::cli::InstallArgs;
use crate::cluster::{ClusterError, Lease, ObjectRef};
use crate::config::Settings;
use crate::engine::{self, EngineContext, EngineError, RunResult};
use crate::error::{self, Checked, Error};
use crate::event::{CheckResult, Event, RunOutcome, RunSummary};
use crate::helm::Ownership;
use crate::plan::{self, Plan, Step};
use crate::session::Session;
use crate::stack;
use crate::workflow::changing_run::{ChangingRun, Timeouts};
use crate::workflow::connect::Target;
use crate::workflow::lock;
use crate::workflow::plan_file::Reviewed;
use crate::workflow::planner;
use crate::workflow::sign_in_plan::SignIn;

/// Options of an install.
#[derive(Clone, Copy)]
pub(crate) struct ExecuteOptions<'a> {
    pub(crate) arguments: &'a InstallArgs,
    pub(crate) timeouts: Timeouts,
    /// The reviewed plan that the run's own plan must equal.
    pub(crate) reviewed: Option<&'a Reviewed>,
}

impl ExecuteOptions<'_> {
    /// From the flags.
    pub(crate) fn of(arguments: &InstallArgs) -> Result<ExecuteOptions<'_>, Error> {
        let timeouts = Timeouts::parse(&arguments.timeout, arguments.deadline.as_deref(), &arguments.lock_timeout)?;
        Ok(ExecuteOptions { arguments, timeouts, reviewed: None })
    }

    /// Which objects of other owners may be taken over.
    pub(crate) fn ownership(&self) -> Ownership {
        planner::ownership(self.arguments.adopt)
    }
}

/// Timeout of the diagnosis after a failure.
const DIAGNOSIS: Duration = Duration::from_secs(15);

/// Runs the plan and verifies. Returns the exit code, or the error that is rendered last.
pub(crate) async fn execute(
    session: &Session,
    target: &Target,
    settings: &Settings,
    (plan, options): (&Plan, ExecuteOptions<'_>),
) -> Result<u8, Error> {
    let run = ChangingRun::begin(session, target, settings.namespace.as_str(), options.timeouts);
    let (run, lease) = run.start(async |run| lock(run, settings, plan).await, plan.steps()).await?;
    let EngineContext { cluster, events, cancel, .. } = &run.context;
    let mut result = engine::run(&run.context, plan).await;
    let checks = if result.failure.is_none() && !options.arguments.skip_verify {
        let installed = Installed { releases: plan.releases().cloned().collect(), manifests: plan.manifests() };
        let selection = if plan.has_changes() { Selection::default() } else { stack_checks::unchanged() };
        let stack = StackContext::new(cluster.clone(), settings.clone(), installed, selection);
        let checks = stack_checks::run(&stack, events, cancel);
        cluster.cancelled_on_switch(cancel, checks).await
    } else {
        Some(Vec::new())
    };
    result.note_other_cluster(cluster).await;
    if let Some(lease) = lease {
        result.note_lost_lock(lease.release().await.as_deref());
    }
    let RunResult { steps, failure } = result;
    let (ended, summary) = run.summary(ended(failure, checks.as_deref()));
    if matches!(summary.outcome, RunOutcome::Failed | RunOutcome::VerificationFailed) {
        emit_diagnosis(&run.context, plan).await;
    }
    let took = Duration::from_secs_f64(summary.seconds);
    run.finish(RunSummary { steps, checks: checks.unwrap_or_default(), ..summary }).await;
    if ended.is_ok() && plan.has_changes() {
        session.ui.preview(|_, width| SignIn::of(settings).reached(took, width));
    }
    ended.map_err(|error| *error.error)
}

/// Acquires the lock if the plan changes anything, and checks that the plan is not stale.
async fn lock(run: &ChangingRun<'_>, settings: &Settings, plan: &Plan) -> Result<Option<Lease>, Error> {
    if !plan.has_changes() {
        return Ok(None);
    }
    let context = &run.context;
    let namespace = settings.namespace.as_str();
    let failed = |source| Error::from(EngineError::Lock { namespace: namespace.to_owned(), source });
    let own = plan.releases().flat_map(|release| &release.objects);
    let place =
        own.filter(|own| ObjectRef::of(&own.manifest) == ObjectRef::of_namespace(namespace)).collect::<Vec<_>>();
    let placing = async || {
        for place in &place {
            context.cluster.apply(place, &plan.adopted()).await.map_err(failed)?;
        }
        Ok(())
    };
    lock::while_unreachable(context, placing).await?;
    let preconditions = async || {
        lock::unchanged_since(context, plan.each_step().map(Step::planned_state)).await?;
        plan::check_preconditions(&context.cluster, plan).await?;
        lock::takeovers_unchanged(&context.cluster, plan).await?;
        save_answers(context, settings, plan).await.map_err(failed)
    };
    run.lock(preconditions).await.map(Some)
}

/// The record is written first: a run that ends between the two writes leaves the older answers, and the record still
/// confirms those that did not change.
async fn save_answers(context: &EngineContext, settings: &Settings, plan: &Plan) -> Result<(), ClusterError> {
    let salt = context.cluster.answers_salt(settings.namespace.as_str()).await?;
    context.cluster.record_run(settings, &salt, plan.charts()).await?;
    let mut answers = stack::saved_answers_object(settings);
    answers.secret_data.insert(stack::SALT.to_owned(), salt);
    context.cluster.apply(&answers, &plan.adopted()).await.map(drop)
}

/// `checks`: `None` where they were interrupted.
fn ended(failure: Option<EngineError>, checks: Option<&[CheckResult]>) -> Result<u8, Error> {
    match (failure, checks) {
        (Some(failure), _) => Err(failure.into()),
        (None, None) => Err(Error::InterruptedChecks { of: Checked::Install }),
        (None, Some(checks)) => error::verdict(checks),
    }
}

/// Reports the diagnosis of the installed stack; without an answer of the cluster nothing is reported.
async fn emit_diagnosis(context: &EngineContext, plan: &Plan) {
    if context.cluster.unresponsive_since().is_some() {
        return;
    }
    let releases = engine::tracked(plan);
    let diagnosing = timeout(DIAGNOSIS, context.cluster.diagnose(&releases));
    let found = tokio::select! {
        found = diagnosing => found,
        () = context.cancel.cancelled() => return,
    };
    if let Ok(Ok(found)) = found {
        context.events.send(Event::Diagnosed { findings: found.diagnoses });
    }
}
