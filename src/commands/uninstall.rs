//! `tailwatch uninstall`: plan, confirmation, removal in reverse order, and the retained objects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::{GlobalArgs, Output, SettingsArgs, UninstallArgs};
use crate::cluster::{Lease, ObjectRef};
use crate::commands::connect::{self, Connected, Target, cluster_name};
use crate::commands::durations::{parse_lock_timeout, parse_timeout};
use crate::commands::execute::with_usual_seconds;
use crate::commands::interactive::Interaction;
use crate::commands::lock::Waiting;
use crate::commands::planner::PLANS;
use crate::commands::settings_sources::settings_sources;
use crate::commands::signals::{Abort, Signals};
use crate::commands::{lock, run_finished};
use crate::engine::{self, EngineContext, HostLock, Journal, RunResult};
use crate::error::{self, CommandError, Error};
use crate::event::{self, Event, Kept, RunSummary};
use crate::plan::{self, PlanError, Removal, Uninstall, UninstallOptions};
use crate::report::{self, Mode, Record, style::Style};
use crate::stack::CatalogueEntry;
use crate::wizard;

/// Options of the command.
struct Run<'a> {
    global: &'a GlobalArgs,
    signals: &'a Signals,
    record: &'a Record,
    style: Style,
    wave_timeout: Duration,
    lock_timeout: Duration,
    /// Whether to prompt for the confirmation.
    interaction: Interaction,
}

/// Needs no answers: the plan is computed from the installed objects.
pub(super) async fn uninstall(
    global: &GlobalArgs,
    arguments: &UninstallArgs,
    signals: &Signals,
    record: &Record,
) -> Result<u8, Error> {
    let wave_timeout = parse_timeout(&arguments.timeout)?;
    let lock_timeout = parse_lock_timeout(&arguments.lock_timeout)?;
    let audience = Interaction::of(global);
    if audience == Interaction::None && !arguments.yes {
        let hint = "add --yes; volumes, Secrets and saved answers are retained unless --delete-data is set";
        return Err(Interaction::usage_error(global, "cannot ask for confirmation of the removal", hint));
    }
    let draft = crate::config::load(&settings_sources(global, &SettingsArgs::default()))?;
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let Connected { target, .. } = connect::connect(global, &draft, signals.writes()).await?;
    record.place(target.cluster.context(), &namespace);
    let rows = target.catalogue.overview(&namespace);
    report::notices(plan::unidentified(&target.cluster).as_slice(), global);
    let requested = UninstallOptions { data: arguments.delete_data, crds: arguments.delete_crds };
    let confirmed = if arguments.yes { Interaction::None } else { audience };
    let style = Style::resolve(global);
    let run = Run { global, signals, record, style, wave_timeout, lock_timeout, interaction: confirmed };
    for _ in 1..PLANS {
        match run.plan_and_execute(&target, (&namespace, &rows), requested).await {
            Err(Error::Plan(PlanError::Stale { what })) => {
                report::notice(&format!("{what} changed in the meantime; planning again"), &run.style);
            }
            ended => return ended,
        }
    }
    run.plan_and_execute(&target, (&namespace, &rows), requested).await
}

impl Run<'_> {
    async fn plan_and_execute(
        &self,
        target: &Target,
        (namespace, rows): (&str, &[CatalogueEntry]),
        requested: UninstallOptions,
    ) -> Result<u8, Error> {
        let Target { cluster, helm, .. } = target;
        let planning = async { Ok(plan::uninstall(cluster, helm, (namespace, rows.to_vec()), requested).await?) };
        let plan = connect::of_one_cluster(cluster, planning).await?;
        if !plan.has_work() && plan.owned_objects.kept.is_empty() && plan.also_retained.is_empty() {
            return Err(PlanError::NothingInstalled { namespace: namespace.to_owned() }.into());
        }
        let is_human = self.global.output == Output::Human;
        if is_human && !self.global.quiet && plan.has_work() {
            let (deleted, retained, width) = (plan.deletions(), plan.kept(), report::width());
            report::write_stderr(&report::plan_table(&plan.steps(), &self.style, width));
            report::write_stderr(&report::removal_table(&deleted, &retained, &self.style, width));
        }
        if self.interaction == Interaction::Prompts && plan.has_work() {
            let question = question(&plan, &cluster_name(&target.cluster));
            if !tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, &question))? {
                return Err(Error::Declined);
            }
        }
        self.execute(target, &plan).await
    }

    async fn execute(&self, target: &Target, plan: &Uninstall) -> Result<u8, Error> {
        let (events, stream) = event::channel();
        let mode = Mode::resolve(self.global);
        let reporter = tokio::spawn(report::drain(self.global.clone(), mode, stream, self.record.clone()));
        let started = Instant::now();
        let Target { cluster, helm, .. } = target;
        let namespace = plan.scope.namespace.as_str();
        let cancel = self.signals.begin_run(events.clone());
        let journal = Arc::new(Journal::open(cluster.identity(), namespace));
        let machine = Arc::new(HostLock::open(cluster.identity(), namespace));
        let context = EngineContext {
            cluster: cluster.clone(),
            helm: helm.clone().holding(machine.lock()),
            events: events.clone(),
            cancel,
            wave_timeout: self.wave_timeout,
            journal: journal.clone(),
            machine,
        };
        let waiting = Waiting { timeout: self.lock_timeout, style: &self.style };
        let locking = lock::report_waiting(&context, &self.style, lock(&context, plan, waiting));
        let locked = connect::of_one_cluster(cluster, locking).await;
        let lease = match locked {
            Ok(lease) => lease,
            Err(error) => return Err(run_finished::discard_reporter(reporter, error).await),
        };
        self.signals.set_abort(Abort::of(&context, lease.as_ref()));
        let steps = with_usual_seconds(plan.steps(), &journal);
        journal.begin(&steps);
        events.send(Event::RunStarted {
            command: "uninstall".into(),
            context: cluster.context().map(str::to_owned),
            namespace: Some(namespace.to_owned()),
            version: env!("CARGO_PKG_VERSION").into(),
            steps,
        });
        let RunResult { steps, failure } = engine::uninstall(&context, plan, lease).await;
        let writes = self.signals.writes();
        let ended = failure.map_or(Ok(error::OK), |failure| Err(failure.into()));
        let ended = ended.map_err(|error| CommandError::new(error, writes.state()));
        let kept = match ended {
            // Objects remain that were to be removed.
            Err(_) => None,
            Ok(_) => retained_objects(&context, plan).await,
        };
        if let Some(kept) = &kept {
            events.send(Event::Kept { objects: kept.clone() });
        }
        let summary = RunSummary { steps, ..run_finished::summary(&ended, (started, cluster), writes) };
        events.send(Event::RunFinished(summary));
        drop((events, context));
        let _ = reporter.await;
        if let Some(kept) = kept.filter(|_| self.global.output == Output::Human) {
            report::write_stdout(&report::kept_table(&kept, &self.style, report::width()));
        }
        ended.map_err(|error| *error.error)
    }
}

/// Reads the retained objects from the cluster; an error is reported as a notice.
async fn retained_objects(context: &EngineContext, plan: &Uninstall) -> Option<Vec<Kept>> {
    let found = tokio::select! {
        found = plan::owned_objects(&context.cluster, &plan.scope) => found,
        () = context.cancel.cancelled() => return None,
    };
    match found {
        Ok(owned_objects) => Some(plan.retained(owned_objects)),
        Err(error) => {
            let message = format!("the removal is complete, but the retained objects cannot be listed: {error}");
            context.events.send(Event::Notice { message, hint: error.hint() });
            None
        }
    }
}

/// Acquires the lock if something will change. A deleted or terminating namespace cannot hold one and needs none: no
/// install can run in it.
async fn lock(context: &EngineContext, plan: &Uninstall, waiting: Waiting<'_>) -> Result<Option<Lease>, Error> {
    let namespace = plan.scope.namespace.as_str();
    let reference =
        ObjectRef { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: namespace.to_owned() };
    let namespace_object =
        lock::while_unreachable(context, async || Ok(context.cluster.get(&reference).await?)).await?;
    let exists = namespace_object.is_some_and(|found| found.pointer("/metadata/deletionTimestamp").is_none());
    if !plan.has_work() || !exists {
        return Ok(None);
    }
    let lease = lock::acquire(context, namespace, waiting).await?;
    let planned = || plan.removals.iter().map(Removal::planned_state);
    match lock::while_unreachable(context, || lock::unchanged_since(&context.helm, planned())).await {
        Ok(()) => Ok(Some(lease)),
        Err(error) => {
            lease.release().await;
            Err(error)
        }
    }
}

/// Names the data that cannot be restored.
fn question(plan: &Uninstall, cluster: &str) -> String {
    let namespace = &plan.scope.namespace;
    match (plan.deleted_claims(), plan.scope.options.data) {
        (0, false) => format!("Remove the stack in namespace {namespace} from the cluster {cluster}as planned?"),
        (claims, _) => format!(
            "Remove the stack in namespace {namespace} from the cluster {cluster}and DELETE ITS DATA permanently \
             ({claims} volumes with metrics, logs and dashboards)?"
        ),
    }
}
