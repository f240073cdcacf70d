//! `tailwatch plan`: the steps of an install and their reasons, without changing anything.

use serde::Serialize;

use std::path::Path;

use crate::check::preflight::target::Proof;
use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::cluster::{Cluster, ClusterIdentity};
use crate::commands::connect::{self, Connected};
use crate::commands::planner::{self, Consent, Provider, Scope};
use crate::commands::{plan_file, saved_answers, secrets};
use crate::error::{self, Error};
use crate::event::{CheckResult, PlannedStep};
use crate::helm::Ownership;
use crate::plan::{self, StepDiff, diffs};
use crate::report::{self, style::Style};
use crate::write_record::Writes;

/// Options of the command.
#[derive(Clone, Copy)]
pub(super) struct PlanOptions<'a> {
    pub(super) diff: bool,
    pub(super) exit_code: bool,
    pub(super) ownership: Ownership,
    /// File to write for `install --plan`.
    pub(super) out: Option<&'a Path>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    version: u8,
    cluster: PlannedCluster,
    steps: Vec<PlannedStep>,
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

pub(super) async fn plan(
    global: &GlobalArgs,
    arguments: &SettingsArgs,
    options: PlanOptions<'_>,
    writes: &Writes,
) -> Result<u8, Error> {
    let draft = saved_answers::load(global, arguments)?;
    let Connected { target, draft, kept } = connect::connect(global, &draft, writes).await?;
    let cluster = &target.cluster;
    let read = async {
        let draft = draft?;
        let places = secrets::places([Some(&draft), kept.as_ref()]);
        let answers = saved_answers::answers(&draft, arguments)?;
        answers.repository_confirmed()?;
        let consent = Consent {
            ownership: options.ownership,
            proof: Proof::Checks,
            provider: Provider::Skip,
            scope: Scope::Changes,
        };
        let facts = plan::cluster_facts(cluster, &answers.settings).await?;
        let proposal = planner::propose(&target, &answers.settings, &facts, consent).await?;
        Ok((answers, proposal, places))
    };
    let (answers, proposal, places) = connect::of_one_cluster(cluster, read).await?;
    let failed: Vec<CheckResult> = proposal.failed().cloned().collect();
    let (plan, mut notices) = (proposal.plan, answers.notices);
    notices.extend(plan.notices.iter().cloned());
    if let Some(path) = options.out {
        planner::check_unmanaged(&plan, options.ownership)?;
        plan_file::write(path, &plan_file::reviewed(cluster, &answers.settings, &plan, options.ownership))?;
    }
    let diff = options.diff.then(|| diffs(&plan, &places));
    let style = Style::resolve(global);
    match global.output {
        Output::Json => report::json_document(&PlanDocument {
            version: 1,
            cluster: PlannedCluster::of(cluster),
            steps: plan.steps(),
            notices,
            failed,
            diff,
        }),
        Output::Human => {
            report::write_stdout(&report::plan_table(&plan.steps(), &style, report::width()));
            for step in diff.iter().flatten() {
                for text in std::iter::once(&step.diff).chain(step.objects.iter().map(|object| &object.diff)) {
                    report::write_stdout(&report::diff_text(text, &style));
                }
            }
            for notice in &notices {
                report::notice(notice, &style);
            }
            if !failed.is_empty() {
                report::write_stderr(&report::checks_table(&failed, &style, report::width()));
            }
        }
    }
    Ok(if options.exit_code && plan.has_changes() { error::CHANGES } else { error::OK })
}
