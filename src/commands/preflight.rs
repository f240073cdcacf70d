//! `tailwatch preflight`: all preflight checks.

use serde::Serialize;

use crate::check::preflight::target::Proof;
use crate::check::preflight::{oidc, prerequisites};
use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::planner::{self, Consent, Provider, Scope};
use crate::commands::{report_files, saved_answers};
use crate::config::Draft;
use crate::error::{self, Error};
use crate::event::{CheckResult, Verdict};
use crate::helm::Ownership;
use crate::plan;
use crate::report::{self, Record, style::Style};
use crate::stack::OidcClient;
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
    let draft = saved_answers::load(global, arguments)?;
    let Connected { target, draft, .. } = connect::connect(global, &draft, writes).await?;
    let checking = checks((global, &target), (draft, arguments), ownership, record);
    let checks = connect::of_one_cluster(&target.cluster, checking).await?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    let total = checks.len();
    match global.output {
        Output::Json => report::json_document(&PreflightDocument { version: 1, checks }),
        Output::Human => report::write_stdout(&report::checks_table(&checks, &Style::resolve(global), report::width())),
    }
    if failed > 0 { Err(Error::Preflight { failed, total }) } else { Ok(error::OK) }
}

async fn checks(
    (global, target): (&GlobalArgs, &Target),
    (draft, arguments): (Result<Draft, Error>, &SettingsArgs),
    ownership: Ownership,
    record: &Record,
) -> Result<Vec<CheckResult>, Error> {
    let answers = saved_answers::answers(&draft?, arguments)?;
    // Unconfirmed saved answers: no request to their issuer or chart repository.
    answers.confirmed()?;
    report::notices(&answers.notices, global);
    let settings = answers.settings;
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(record, cluster, helm, &settings);
    let facts = plan::cluster_facts(cluster, &settings).await?;
    let mut checks = prerequisites::run(cluster, helm, &settings, &facts).await?;
    let client = OidcClient::resolve(&settings.auth0, facts.oauth2_proxy.as_ref());
    checks.extend(oidc::run(&settings, client.ok()).await);
    record.checks(&checks);
    // Fetching and rendering the charts reports further problems as errors.
    let consent = Consent { ownership, proof: Proof::Checks, provider: Provider::Skip, scope: Scope::Stack };
    let proposal = planner::propose(target, &settings, &facts, consent).await?;
    let plan = &proposal.plan;
    report_files::note_planned(record, plan);
    checks.extend(prerequisites::charts_rendered(plan.releases().count(), &plan.chart_notices).await);
    checks.extend(proposal.checks);
    record.checks(&checks);
    Ok(checks)
}
