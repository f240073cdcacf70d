//! `tailwatch` and `tailwatch install`: answers, plan, confirmation, run, verification.

use std::io::IsTerminal;
use std::time::Duration;

use crate::check;
use crate::cli::{GlobalArgs, InstallArgs, Output};
use crate::cluster::{self, Cluster};
use crate::commands::execute::{ExecuteOptions, Target, execute};
use crate::commands::signals::Signals;
use crate::commands::survey::survey;
use crate::commands::{connect, saved};
use crate::config::{Draft, Settings};
use crate::error::Error;
use crate::event::Verdict;
use crate::plan::PlanError;
use crate::report::{self, style::Style};
use crate::stack::DOOR_SECRET;
use crate::wizard::{self, Detected, Scope};

/// Whether somebody can be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Person,
    Nobody,
}

impl Audience {
    pub(super) fn of(global: &GlobalArgs) -> Audience {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if terminal && global.output == Output::Human { Audience::Person } else { Audience::Nobody }
    }
}

/// The guided installation; without a terminal it never prompts.
pub(super) async fn guided(global: &GlobalArgs, signals: &Signals) -> Result<u8, Error> {
    if Audience::of(global) == Audience::Nobody {
        return Err(Error::Usage {
            message: "the guided installation needs a terminal".into(),
            hint: Some(
                "write the answers with `tailwatch answers init > answers.yaml`, then run \
                 `tailwatch install --answers answers.yaml --yes`"
                    .into(),
            ),
        });
    }
    let mut global = global.clone();
    if global.context.is_none() {
        let (contexts, current) = cluster::contexts(&connect::target(&global))?;
        let mut prompt = wizard::Terminal;
        global.context =
            tokio::task::block_in_place(|| wizard::choose_context(&mut prompt, &contexts, current.as_deref()))?;
    }
    let arguments = InstallArgs::from_environment()
        .map_err(|error| Error::Usage { message: error.to_string().trim().to_owned(), hint: None })?;
    let draft = saved::judged(&global, &arguments.settings)?;
    proceed(&global, &arguments, draft, Run { scope: Scope::Everything, signals }).await
}

/// The same from answers; asks only what is missing, and only a person.
pub(super) async fn install(global: &GlobalArgs, arguments: &InstallArgs, signals: &Signals) -> Result<u8, Error> {
    let draft = saved::judged(global, &arguments.settings)?;
    if Audience::of(global) == Audience::Nobody && !arguments.yes {
        return Err(Error::Usage {
            message: "nobody can confirm the plan without a terminal".into(),
            hint: Some("add --yes, or look at the plan first with `tailwatch plan`".into()),
        });
    }
    proceed(global, arguments, draft, Run { scope: Scope::OnlyMissing, signals }).await
}

/// How often it is planned afresh when what stands changes under the plan.
pub(super) const PLANS: u32 = 3;

struct Run<'a> {
    scope: Scope,
    signals: &'a Signals,
}

async fn proceed(global: &GlobalArgs, arguments: &InstallArgs, draft: Draft, run: Run<'_>) -> Result<u8, Error> {
    let wave_timeout = parse_timeout(&arguments.timeout)?;
    let style = Style::resolve(global);
    for notice in draft.notices() {
        report::notice(notice, &style);
    }
    let (cluster, helm) = connect::connect(global).await?;
    let mut draft = saved::add(draft, &cluster).await?;
    let audience = Audience::of(global);
    if audience == Audience::Person {
        ask(&cluster, &mut draft, run.scope).await?;
    }
    let settings = draft.finish()?;
    preflight(&cluster, &settings, &style).await?;
    let target = Target { cluster, helm };
    let options = ExecuteOptions { wave_timeout, skip_verify: arguments.skip_verify, signals: run.signals };
    let confirmed = if arguments.yes { Audience::Nobody } else { audience };
    for _ in 1..PLANS {
        match plan_and_execute(global, &target, &settings, confirmed, options).await {
            // A helm that outlived its killed run may have ended in the meantime.
            Err(Error::Plan(PlanError::Stale { release })) => {
                report::notice(&format!("release {release} changed in the meantime; planning again"), &style);
            }
            ended => return ended,
        }
    }
    plan_and_execute(global, &target, &settings, confirmed, options).await
}

/// The plan that is shown, and confirmed where somebody is asked, is the one that is executed.
async fn plan_and_execute(
    global: &GlobalArgs,
    target: &Target,
    settings: &Settings,
    asked: Audience,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let style = Style::resolve(global);
    let survey = survey(global, &target.cluster, &target.helm, settings).await?;
    if global.output == Output::Human && !global.quiet {
        report::write_stderr(&report::plan_table(&survey.plan.steps(), &style, report::width()));
        for notice in &survey.prepared.notices {
            report::notice(notice, &style);
        }
    }
    if asked == Audience::Person && survey.plan.has_changes() {
        let mut prompt = wizard::Terminal;
        let question = format!("Change the cluster {}as planned?", cluster_name(&target.cluster));
        if !tokio::task::block_in_place(|| wizard::confirm(&mut prompt, &question))? {
            return Err(Error::Declined);
        }
    }
    execute(global, target.clone(), settings, survey, options).await
}

/// What would fail later is told before the first change.
async fn preflight(cluster: &Cluster, settings: &Settings, style: &Style) -> Result<(), Error> {
    let checks = check::preflight::run(cluster, settings).await?;
    let total = checks.len();
    let failed: Vec<_> = checks.into_iter().filter(|check| check.verdict == Verdict::Fail).collect();
    if failed.is_empty() {
        return Ok(());
    }
    report::write_stderr(&report::checks_table(&failed, style, report::width()));
    Err(Error::Preflight { failed: failed.len(), total })
}

pub(super) fn cluster_name(cluster: &Cluster) -> String {
    cluster.context().map(|context| format!("{context} ")).unwrap_or_default()
}

async fn ask(cluster: &Cluster, draft: &mut Draft, scope: Scope) -> Result<(), Error> {
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let (storage_classes, ingress_classes, secret) = tokio::try_join!(
        cluster.storage_classes(),
        cluster.ingress_classes(),
        cluster.secret(&namespace, DOOR_SECRET)
    )?;
    tokio::task::block_in_place(|| {
        let detected = Detected {
            tailnet: wizard::detect_tailnet(),
            storage_classes,
            ingress_classes,
            client_secret_in_cluster: secret.is_some(),
        };
        wizard::ask(draft, &detected, scope, &mut wizard::Terminal)
    })?;
    Ok(())
}

/// `10m`, `1h30m`, `90s`
pub(super) fn parse_timeout(text: &str) -> Result<Duration, Error> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    match parsed.ok().and_then(|duration| Duration::try_from(duration).ok()) {
        Some(duration) if duration >= Duration::from_secs(10) => Ok(duration),
        _ => Err(Error::Usage {
            message: format!("--timeout {text} is not a duration of at least 10 s"),
            hint: Some("write it like 10m, 90s or 1h".into()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_people_write_them() {
        assert_eq!(parse_timeout("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(parse_timeout("1h30m").unwrap(), Duration::from_secs(5400));
        for wrong in ["", "10", "ten minutes", "-5m", "1s"] {
            assert!(matches!(parse_timeout(wrong), Err(Error::Usage { .. })), "{wrong}");
        }
    }
}
