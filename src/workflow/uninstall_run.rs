//! The run of `uninstall`: plan, confirmation, removal in reverse order, and the retained objects.

use crate::cluster::{Lease, ObjectRef};
use crate::engine::{self, EngineContext, RunResult};
use crate::error::{self, Error};
use crate::event::{Event, RetainedObject, RunSummary};
use crate::plan::{self, PlanError, Removal, Uninstall, UninstallOptions};
use crate::report::{self, Interaction};
use crate::session::Session;
use crate::stack::CatalogueEntry;
use crate::workflow::changing_run::{ChangingRun, Timeouts};
use crate::workflow::connect::{self, Target, cluster_name};
use crate::workflow::lock;
use crate::workflow::prompts::require_yes;

/// Options of the command.
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) timeouts: Timeouts,
    /// Who confirms.
    pub(crate) interaction: Interaction,
}

impl Run<'_> {
    /// The plan that is shown and confirmed is the plan that is executed.
    pub(crate) async fn plan_and_execute(
        &self,
        target: &Target,
        (namespace, rows): (&str, &[CatalogueEntry]),
        requested: UninstallOptions,
    ) -> Result<u8, Error> {
        let Target { cluster, helm, .. } = target;
        let planning =
            async { Ok(plan::uninstall(cluster, helm.driver(), (namespace, rows.to_vec()), requested).await?) };
        let plan = connect::of_one_cluster(cluster, planning).await?;
        if !plan.has_work() && plan.owned_objects.retained.is_empty() && plan.also_retained.is_empty() {
            return Err(PlanError::NothingInstalled { namespace: namespace.to_owned() }.into());
        }
        if plan.has_work() {
            self.session.ui.preview(|style, width| {
                let removed = report::removal_table(&plan.deletions(), &plan.retained_objects(), style, width);
                report::plan_table(&plan.steps(), style, width) + &removed
            });
        }
        if self.interaction == Interaction::Prompts && plan.has_work() {
            require_yes(&question(&plan, &cluster_name(&target.cluster)))?;
        }
        self.execute(target, &plan).await
    }

    async fn execute(&self, target: &Target, plan: &Uninstall) -> Result<u8, Error> {
        let run = ChangingRun::begin(self.session, target, plan.scope.namespace.as_str(), self.timeouts);
        let (run, lease) = run.start(async |run| lock(run, plan).await, plan.steps()).await?;
        let RunResult { steps, failure } = engine::uninstall(&run.context, plan, lease).await;
        let (ended, summary) = run.summary(failure.map_or(Ok(error::OK), |failure| Err(failure.into())));
        let retained = match ended {
            // Objects remain that were to be removed.
            Err(_) => None,
            Ok(_) => retained_objects(&run.context, plan).await,
        };
        if let Some(retained) = &retained {
            run.context.events.send(Event::Retained { objects: retained.clone() });
        }
        run.finish(RunSummary { steps, ..summary }).await;
        if let Some(retained) = retained {
            self.session.ui.data(|style, width| report::retained_table(&retained, style, width));
        }
        ended.map_err(|error| *error.error)
    }
}

/// Reads the retained objects from the cluster; an error is reported as a notice.
async fn retained_objects(context: &EngineContext, plan: &Uninstall) -> Option<Vec<RetainedObject>> {
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
    let reference = ObjectRef::of_namespace(&name);
    let live = lock::while_unreachable(context, async || Ok(context.cluster.get(&reference).await?)).await?;
    let remains = live.is_some_and(|found| found.pointer("/metadata/deletionTimestamp").is_none());
    if !plan.has_work() || !remains {
        return Ok(None);
    }
    let planned = || plan.removals.iter().map(Removal::planned_state);
    run.lock(async || lock::unchanged_since(context, planned()).await).await.map(Some)
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
