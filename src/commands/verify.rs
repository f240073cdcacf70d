//! `tailwatch verify`: every check of the installed stack.

use serde::Serialize;

use crate::check::{self, CheckContext};
use crate::cli::{GlobalArgs, Output, VerifyArgs};
use crate::commands::{connect, reports, saved, sign_in, survey::wanted};
use crate::error::Error;
use crate::event::{self, CheckResult};
use crate::helm::ReleaseStatus;
use crate::plan::{PlanError, observe};
use crate::report::{self, Mode, Record, style::Style};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

pub(super) async fn verify(global: &GlobalArgs, arguments: &VerifyArgs, record: &Record) -> Result<u8, Error> {
    refuse_unknown(&arguments.checks)?;
    // A port that is taken is told before the checks take their time.
    let way = match arguments.login.way {
        Some(way) => Some(sign_in::way(way, arguments.login.port).await?),
        None => None,
    };
    let draft = saved::judged(global, &arguments.settings)?;
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
    let mut checks = check::run(&context, &arguments.checks, &events).await;
    drop(events);
    let _ = reporter.await;
    if let Some(way) = way {
        let walk = sign_in::Walk { global, cluster: &context.cluster, settings: &context.settings, record };
        checks.extend(walk.begin(way).await?);
    }
    let ended = sign_in::verdict(&checks);
    match global.output {
        Output::Json => report::json_document(&VerifyDocument { version: 1, checks }),
        Output::Human => report::write_stdout(&report::checks_table(&checks, &style, report::width())),
    }
    ended
}

fn refuse_unknown(only: &[String]) -> Result<(), Error> {
    let Some((unknown, suggestion)) = check::unknown(only) else { return Ok(()) };
    let hint = match suggestion {
        _ if check::login::ids().contains(&unknown.as_str()) => "add --login, which makes these rows".to_owned(),
        Some(id) => format!("did you mean {id}?"),
        None => check::ids().join(", "),
    };
    Err(Error::Usage { message: format!("there is no check {unknown}"), hint: Some(hint) })
}
