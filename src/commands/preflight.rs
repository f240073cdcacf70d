//! `tailwatch preflight`: all preflight checks.

use serde::Serialize;

use crate::check::preflight::target::Proof;
use crate::check::preflight::{oidc, prerequisites};
use crate::cli::SettingsArgs;
use crate::commands::connect::{self, Connected, Target};
use crate::commands::planner::{self, Consent, Provider, Scope};
use crate::commands::report_files;
use crate::commands::saved_answers::{self, Answers};
use crate::error::{self, Error};
use crate::event::{CheckResult, Verdict};
use crate::helm::Ownership;
use crate::plan;
use crate::report;
use crate::session::Session;
use crate::stack::OidcClient;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreflightDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

pub(super) async fn preflight(session: &Session, arguments: &SettingsArgs, ownership: Ownership) -> Result<u8, Error> {
    let draft = saved_answers::load(session, arguments)?;
    let Connected { target, draft, .. } = connect::connect(session, &draft).await?;
    let checking = async {
        let answers = saved_answers::answers(&draft?, arguments)?;
        checks(session, &target, &answers, ownership).await
    };
    let checks = connect::of_one_cluster(&target.cluster, checking).await?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    let total = checks.len();
    session.ui.document(&PreflightDocument { version: 1, checks }, |document, style, width| {
        report::checks_table(&document.checks, style, width)
    });
    if failed > 0 { Err(Error::Preflight { failed, total }) } else { Ok(error::OK) }
}

async fn checks(
    session: &Session,
    target: &Target,
    answers: &Answers,
    ownership: Ownership,
) -> Result<Vec<CheckResult>, Error> {
    // Unconfirmed saved answers: no request to their issuer or chart repository.
    answers.confirmed()?;
    session.notices(&answers.notices);
    let settings = &answers.settings;
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(&session.record, cluster, helm, settings);
    let facts = plan::cluster_facts(cluster, settings).await?;
    let mut checks = prerequisites::run(cluster, helm, settings, &facts).await?;
    let client = OidcClient::resolve(&settings.auth0, facts.oauth2_proxy.as_ref());
    checks.extend(oidc::run(settings, client.ok()).await);
    session.verdicts(&checks);
    // Fetching and rendering the charts reports further problems as errors.
    let consent = Consent { ownership, proof: Proof::Checks, provider: Provider::Skip, scope: Scope::Stack };
    let proposal = planner::propose(target, settings, &facts, consent).await?;
    let plan = &proposal.plan;
    report_files::note_planned(&session.record, plan);
    let mut of_plan = prerequisites::charts_rendered(plan.releases().count(), &plan.chart_notices).await;
    of_plan.extend(proposal.checks);
    session.verdicts(&of_plan);
    Ok([checks, of_plan].concat())
}
