//! `tailwatch verify`: every check of the installed stack.

use std::time::Duration;

use serde::Serialize;

use crate::check::verify::{self, Installed, StackContext};
use crate::check::{Selection, login};
use crate::cli::VerifyArgs;
use crate::commands::connect::{self, Connected, Target};
use crate::commands::durations::duration;
use crate::commands::sign_in::{self, LoginRun};
use crate::commands::{report_files, saved_answers};
use crate::config::Settings;
use crate::error::{self, Checked, Error};
use crate::event::CheckResult;
use crate::helm::ReleaseStatus;
use crate::plan::{PlanError, cluster_facts, observe};
use crate::report;
use crate::session::Session;
use crate::stack;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

pub(super) async fn verify(session: &Session, arguments: &VerifyArgs) -> Result<u8, Error> {
    let selection = selection(arguments)?;
    // A port that is in use is reported before the checks run.
    let login_flow = match arguments.login.method {
        Some(method) => Some(sign_in::flow(method, arguments.login.port).await?),
        None => None,
    };
    let draft = saved_answers::load(session, &arguments.settings)?;
    let Connected { target, draft, .. } = connect::connect(session, &draft).await?;
    let checking = async {
        let answers = saved_answers::answers(&draft?, &arguments.settings)?;
        if login_flow.is_some() {
            // The sign-in sends the client secret to the issuer of the answers.
            answers.confirmed()?;
        }
        session.notices(&answers.notices);
        let cancel = session.signals.hold().child_token();
        let interrupted = || Error::InterruptedChecks { of: Checked::InstalledStack };
        let Target { cluster, helm, .. } = &target;
        let stack = installed(session, &target, answers.settings.clone(), selection).await?;
        let (events, reporter) = session.stream();
        let checks = cluster.cancelled_on_switch(&cancel, verify::run(&stack, &events, &cancel)).await;
        drop(events);
        let _ = reporter.await;
        let mut checks = checks.ok_or_else(interrupted)?;
        if let Some(flow) = login_flow {
            let login_run = LoginRun { session, cluster, settings: &answers.settings, environment: helm.environment() };
            checks.extend(tokio::select! {
                results = login_run.run(flow) => results?,
                () = cancel.cancelled() => return Err(interrupted()),
            });
        }
        Ok(checks)
    };
    let checks = connect::of_one_cluster(&target.cluster, checking).await?;
    let ended = error::verdict(&checks);
    session.ui.document(&VerifyDocument { version: 1, checks }, |document, style, width| {
        report::checks_table(&document.checks, style, width)
    });
    ended
}

/// The installed stack; an error if no release of it is deployed.
async fn installed(
    session: &Session,
    Target { cluster, helm, catalogue }: &Target,
    settings: Settings,
    selection: Selection,
) -> Result<StackContext, Error> {
    report_files::note_surroundings(&session.record, cluster, helm, &settings);
    let releases = stack::desired(catalogue, &settings, &cluster_facts(cluster, &settings).await?)?;
    let observed = observe(cluster, helm, &releases).await?;
    report_files::note_installed(&session.record, &observed, &releases);
    let is_deployed = |name: &str| observed.releases.get(name).is_some_and(|one| one.status == ReleaseStatus::Deployed);
    if !releases.iter().any(|release| is_deployed(release.component.as_str())) {
        return Err(PlanError::NothingInstalled { namespace: settings.namespace.to_string() }.into());
    }
    let installed = Installed { releases, manifests: observed.manifests };
    Ok(StackContext::new(cluster.clone(), settings, installed, selection))
}

fn selection(arguments: &VerifyArgs) -> Result<Selection, Error> {
    for ids in [&arguments.checks, &arguments.skipped] {
        if let Some((unknown, suggestion)) = verify::unknown(ids) {
            let known = match suggestion {
                _ if login::ids().contains(&unknown.as_str()) => "this check needs --login".to_owned(),
                Some(id) => format!("did you mean {id}?"),
                None => verify::ids().join(", "),
            };
            return Err(Error::Usage { message: format!("there is no check {unknown}"), hint: Some(known) });
        }
    }
    let within = arguments.within.as_deref();
    let wait_limit = within.map(|text| duration("--within", text, Duration::ZERO));
    Ok(Selection {
        only: arguments.checks.clone(),
        skipped: arguments.skipped.clone(),
        wait_limit: wait_limit.transpose()?,
        nodes: arguments.probe_nodes.into(),
        ..Selection::default()
    })
}
