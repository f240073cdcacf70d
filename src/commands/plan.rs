//! `tailwatch plan`: the steps of an install and their reasons, without changing anything.

use serde::Serialize;

use crate::check::preflight::target::Proof;
use crate::cli::PlanArgs;
use crate::cluster::{Cluster, ClusterIdentity};
use crate::error::{self, Error};
use crate::event::{CheckResult, PlannedStep};
use crate::plan::{self, StepDiff, diffs};
use crate::report;
use crate::session::Session;
use crate::workflow::connect::{self, Connected};
use crate::workflow::planner::{self, Consent, Provider, Scope};
use crate::workflow::sign_in_plan::SignIn;
use crate::workflow::{plan_file, saved_answers, secrets};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    version: u8,
    cluster: PlannedCluster,
    steps: Vec<PlannedStep>,
    sign_in: SignIn,
    notices: Vec<String>,
    /// Checks that would fail `install`.
    failed: Vec<CheckResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Vec<StepDiff>>,
}

/// The cluster of the plan.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedCluster {
    context: Option<String>,
    server: String,
    /// UID of the namespace kube-system; null without permission to read it.
    uid: Option<String>,
}

impl PlannedCluster {
    fn of(cluster: &Cluster) -> PlannedCluster {
        let uid = match cluster.identity() {
            ClusterIdentity::Uid(uid) => Some(uid.clone()),
            ClusterIdentity::Address(_) => None,
        };
        PlannedCluster { context: cluster.context().map(str::to_owned), server: cluster.server().to_owned(), uid }
    }
}

pub(super) async fn plan(session: &Session, arguments: &PlanArgs) -> Result<u8, Error> {
    let draft = saved_answers::load(session, &arguments.settings)?;
    let Connected { target, draft, kept } = connect::connect(session, &draft).await?;
    let cluster = &target.cluster;
    let ownership = planner::ownership(arguments.adopt);
    let read = async {
        let draft = draft?;
        let places = secrets::places([Some(&draft), kept.as_ref()]);
        let answers = saved_answers::answers(&draft, &arguments.settings)?;
        answers.repository_confirmed()?;
        let consent = Consent { ownership, proof: Proof::Checks, provider: Provider::Skip, scope: Scope::Changes };
        let surroundings = plan::surroundings(cluster, &target.catalogue, &answers.settings).await?;
        let proposal = planner::propose(&target, &answers.settings, &surroundings, consent).await?;
        Ok((answers, proposal, places))
    };
    let (answers, proposal, places) = connect::of_one_cluster(cluster, read).await?;
    let failed: Vec<CheckResult> = proposal.failed().cloned().collect();
    let plan = proposal.plan;
    if let Some(path) = &arguments.out {
        planner::check_unmanaged(&plan, ownership)?;
        plan_file::write(path, &plan_file::reviewed(cluster, &answers.settings, &plan, ownership))?;
    }
    let document = PlanDocument {
        version: 1,
        cluster: PlannedCluster::of(cluster),
        steps: plan.steps(),
        sign_in: SignIn::of(&answers.settings),
        notices: [answers.notices, plan.notices.clone()].concat(),
        failed,
        diff: arguments.diff.then(|| diffs(&plan, &places)),
    };
    session.ui.document(&document, |PlanDocument { steps, diff, sign_in, .. }, style, width| {
        let diffs = diff.iter().flatten();
        let texts =
            diffs.flat_map(|step| [&step.diff].into_iter().chain(step.objects.iter().map(|object| &object.diff)));
        let diffs: String = texts.map(|text| report::diff_text(text, style)).collect();
        report::plan_table(steps, style, width) + &sign_in.planned(width) + &diffs
    });
    if !session.ui.writes_json() {
        session.notices(&document.notices);
        session.ui.failed_checks(&document.failed);
    }
    Ok(if arguments.exit_code && plan.has_changes() { error::CHANGES } else { error::OK })
}
