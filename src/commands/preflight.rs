//! `tailwatch preflight`: all preflight checks.

use serde::Serialize;

use crate::check::preflight::target::Proof;
use crate::check::preflight::{oidc, prerequisites};
use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::cluster::Cluster;
use crate::commands::connect::{self, Connected};
use crate::commands::survey::survey;
use crate::commands::{install, preflight_conflicts, preflight_target, report_files, saved_answers};
use crate::config::Draft;
use crate::error::{self, Error};
use crate::event::{CheckResult, Verdict};
use crate::helm::{Helm, Ownership};
use crate::plan;
use crate::report::{self, Record, style::Style};
use crate::write_record::Writes;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreflightDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

pub(super) async fn preflight(
    global: &GlobalArgs,
    arguments: &SettingsArgs,
    ownership: Ownership,
    (record, writes): (&Record, &Writes),
) -> Result<u8, Error> {
    let draft = saved_answers::judged(global, arguments)?;
    let Connected { cluster, helm, draft, .. } = connect::connect(global, &draft, writes).await?;
    let made = checks((global, &cluster, &helm), (draft, arguments), ownership, record);
    let checks = connect::of_one_cluster(&cluster, made).await?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    let total = checks.len();
    match global.output {
        Output::Json => report::json_document(&PreflightDocument { version: 1, checks }),
        Output::Human => report::write_stdout(&report::checks_table(&checks, &Style::resolve(global), report::width())),
    }
    if failed > 0 { Err(Error::Preflight { failed, total }) } else { Ok(error::OK) }
}

async fn checks(
    (global, cluster, helm): (&GlobalArgs, &Cluster, &Helm),
    (draft, arguments): (Result<Draft, Error>, &SettingsArgs),
    ownership: Ownership,
    record: &Record,
) -> Result<Vec<CheckResult>, Error> {
    let answers = saved_answers::answers(&draft?, arguments)?;
    // No request to an issuer or chart repository of unconfirmed saved answers.
    answers.confirmed()?;
    install::emit_notices(&answers.notices, global);
    let settings = answers.settings;
    report_files::note_surroundings(record, cluster, helm, &settings);
    let operator = plan::tailscale_operator(cluster).await?;
    let (mut checks, client) =
        tokio::try_join!(prerequisites::run(cluster, helm, &settings, operator), oidc::client(cluster, &settings))?;
    checks.extend(oidc::run(&settings, client.ok()).await);
    record.checks(&checks);
    // Fetching and rendering the charts reports further problems as errors.
    let survey = survey(global, cluster, helm, &settings).await?;
    report_files::note_planned(record, &survey);
    checks.extend(prerequisites::charts_rendered(survey.plan.releases().count(), &survey.prepared.chart_notices).await);
    let (conflicts, target) = tokio::try_join!(
        preflight_conflicts::look(cluster, helm, &survey, ownership),
        preflight_target::look((cluster, helm), &settings, &survey, Proof::Checks),
    )?;
    checks.extend(target);
    checks.extend(conflicts.checks);
    record.checks(&checks);
    Ok(checks)
}
