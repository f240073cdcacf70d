//! `tailwatch verify`: every check of the installed stack.

use serde::Serialize;

use crate::check::{self, CheckContext};
use crate::cli::{GlobalArgs, Output, SettingsArgs};
use crate::commands::{connect, reports, saved, survey::wanted};
use crate::error::{self, Error};
use crate::event::{self, CheckResult, Verdict};
use crate::helm::ReleaseStatus;
use crate::plan::{PlanError, observe};
use crate::report::{self, Mode, Record, style::Style};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

pub(super) async fn verify(
    global: &GlobalArgs,
    arguments: &SettingsArgs,
    only: &[String],
    record: &Record,
) -> Result<u8, Error> {
    if let Some((unknown, suggestion)) = check::unknown(only) {
        let known = suggestion.map_or_else(|| check::ids().join(", "), |id| format!("did you mean {id}?"));
        return Err(Error::Usage { message: format!("there is no check {unknown}"), hint: Some(known) });
    }
    let draft = saved::judged(global, arguments)?;
    let (cluster, helm) = connect::connect(global).await?;
    let settings = saved::settings(draft, &cluster).await?;
    reports::note_surroundings(record, &cluster, &helm, &settings);
    let releases = wanted(global, &cluster, &settings).await?;
    let observed = observe(&cluster, &helm, &releases).await?;
    reports::note_standing(record, &observed, &releases);
    let missing: Vec<&str> = releases
        .iter()
        .map(|release| release.component.as_str())
        .filter(|name| observed.releases.get(*name).is_none_or(|info| info.status != ReleaseStatus::Deployed))
        .collect();
    if missing.len() == releases.len() {
        return Err(PlanError::NothingInstalled { namespace: settings.namespace.to_string() }.into());
    }
    let (events, stream) = event::channel();
    let style = Style::resolve(global);
    let reporter = tokio::spawn(report::drain(global.clone(), Mode::without_events(global), stream, record.clone()));
    let context = CheckContext { cluster, settings, releases, manifests: observed.manifests };
    let checks = check::run(&context, only, &events).await;
    drop(events);
    let _ = reporter.await;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    let total = checks.len();
    match global.output {
        Output::Json => report::json_document(&VerifyDocument { version: 1, checks }),
        Output::Human => report::write_stdout(&report::checks_table(&checks, &style, report::width())),
    }
    if failed > 0 { Err(Error::Verification { failed, total }) } else { Ok(error::OK) }
}
