//! `tailwatch plan`: what install would do and why, without changing anything.

use serde::Serialize;

use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::cluster::{Cluster, ClusterIdentity};
use crate::commands::connect::{self, Connected};
use crate::commands::{saved, secrets, survey::survey};
use crate::error::{self, Error};
use crate::event::PlannedStep;
use crate::plan::{StepDiff, diffs};
use crate::report::{self, style::Style};
use crate::writes::Writes;

/// What to show.
#[derive(Clone, Copy)]
pub(super) struct PlanOptions {
    pub(super) diff: bool,
    pub(super) exit_code: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    version: u8,
    cluster: PlannedCluster,
    steps: Vec<PlannedStep>,
    notices: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Vec<StepDiff>>,
}

/// Which cluster the plan is for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedCluster {
    context: Option<String>,
    server: String,
    /// UID of the namespace kube-system; null where it may not be read.
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
    options: PlanOptions,
    writes: &Writes,
) -> Result<u8, Error> {
    let draft = saved::judged(global, arguments)?;
    let Connected { cluster, helm, draft, kept } = connect::connect(global, &draft, writes).await?;
    let read = async {
        let draft = draft?;
        let places = secrets::places([Some(&draft), kept.as_ref()]);
        let answers = saved::answers(&draft, arguments)?;
        answers.repository_confirmed()?;
        let survey = survey(global, &cluster, &helm, &answers.settings).await?;
        Ok((answers.notices, survey, places))
    };
    let (mut notices, mut survey, places) = connect::of_one_cluster(&cluster, read).await?;
    let foreign = survey.foreign_objects().into_iter();
    let told = foreign.map(|object| format!("{object}: of another owner; install stops there unless --adopt is given"));
    survey.prepared.notices.extend(told.collect::<Vec<_>>());
    notices.extend(survey.prepared.notices);
    let diff = options.diff.then(|| diffs(&survey.plan, &survey.observed, &survey.prepared.manifests, &places));
    let style = Style::resolve(global);
    match global.output {
        Output::Json => report::json_document(&PlanDocument {
            version: 1,
            cluster: PlannedCluster::of(&cluster),
            steps: survey.plan.steps(),
            notices,
            diff,
        }),
        Output::Human => {
            report::write_stdout(&report::plan_table(&survey.plan.steps(), &style, report::width()));
            for step in diff.iter().flatten() {
                for text in std::iter::once(&step.diff).chain(step.objects.iter().map(|object| &object.diff)) {
                    report::write_stdout(&report::diff_text(text, &style));
                }
            }
            for notice in &notices {
                report::notice(notice, &style);
            }
        }
    }
    Ok(if options.exit_code && survey.plan.has_changes() { error::CHANGES } else { error::OK })
}
