//! `tailwatch uninstall`: plan, confirmation, removal in reverse order, and the retained objects.

use crate::cli::{SettingsArgs, UninstallArgs};
use crate::cluster::{Lease, ObjectRef};
use crate::commands::changing_run::{ChangingRun, Timeouts, replanning};
use crate::commands::connect::{self, Connected, Target, cluster_name};
use crate::commands::lock;
use crate::commands::settings_sources::settings_sources;
use crate::engine::{self, EngineContext, RunResult};
use crate::error::{self, Error};
use crate::event::{Event, Kept, RunSummary};
use crate::plan::{self, PlanError, Removal, Uninstall, UninstallOptions};
use crate::report::{self, Interaction};
use crate::session::Session;
use crate::stack::CatalogueEntry;
use crate::wizard;

/// Options of the command.
struct Run<'a> {
    session: &'a Session,
    timeouts: Timeouts,
    /// Who confirms.
    interaction: Interaction,
}

/// Needs no answers: the plan is computed from the installed objects.
pub(super) async fn uninstall(session: &Session, arguments: &UninstallArgs) -> Result<u8, Error> {
    let timeouts = Timeouts::parse(&arguments.timeout, None, &arguments.lock_timeout)?;
    let audience = session.ui.interaction();
    if audience == Interaction::None && !arguments.yes {
        let hint = "add --yes; volumes, Secrets and saved answers are retained unless --delete-data is set";
        return Err(session.ui.cannot_prompt("cannot ask for confirmation of the removal", hint));
    }
    let draft = crate::config::load(&settings_sources(session, &SettingsArgs::default()))?;
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let Connected { target, .. } = connect::connect(session, &draft).await?;
    session.record.place(target.cluster.context(), &namespace);
    let rows = target.catalogue.overview(&namespace);
    session.notices(&plan::unidentified(&target.cluster));
    let requested = UninstallOptions { data: arguments.delete_data, crds: arguments.delete_crds };
    let confirmed = if arguments.yes { Interaction::None } else { audience };
    let run = Run { session, timeouts, interaction: confirmed };
    replanning(session, async || run.plan_and_execute(&target, (&namespace, &rows), requested).await).await
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
        if plan.has_work() {
            self.session.ui.preview(|style, width| {
                let removed = report::removal_table(&plan.deletions(), &plan.kept(), style, width);
                report::plan_table(&plan.steps(), style, width) + &removed
            });
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
        let run = ChangingRun::begin(self.session, target, plan.scope.namespace.as_str(), self.timeouts);
        let (run, lease) = run.start(async |run| lock(run, plan).await, plan.steps()).await?;
        let RunResult { steps, failure } = engine::uninstall(&run.context, plan, lease).await;
        let (ended, summary) = run.summary(failure.map_or(Ok(error::OK), |failure| Err(failure.into())));
        let kept = match ended {
            // Objects remain that were to be removed.
            Err(_) => None,
            Ok(_) => retained_objects(&run.context, plan).await,
        };
        if let Some(kept) = &kept {
            run.context.events.send(Event::Kept { objects: kept.clone() });
        }
        run.finish(RunSummary { steps, ..summary }).await;
        if let Some(kept) = kept {
            self.session.ui.data(|style, width| report::kept_table(&kept, style, width));
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
async fn lock(run: &ChangingRun<'_>, plan: &Uninstall) -> Result<Option<Lease>, Error> {
    let context = &run.context;
    let name = plan.scope.namespace.clone();
    let reference = ObjectRef { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name };
    let standing = lock::while_unreachable(context, async || Ok(context.cluster.get(&reference).await?)).await?;
    let stays = standing.is_some_and(|found| found.pointer("/metadata/deletionTimestamp").is_none());
    if !plan.has_work() || !stays {
        return Ok(None);
    }
    let planned = || plan.removals.iter().map(Removal::planned_state);
    run.lock(async || lock::unchanged_since(&context.helm, planned()).await).await.map(Some)
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
