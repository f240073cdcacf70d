//! `tailwatch verify`: every check of the installed stack.

use std::time::Duration;

use serde::Serialize;

use crate::check::verify::{self, Installed, StackContext};
use crate::check::{Selection, login};
use crate::cli::{GlobalArgs, Output, VerifyArgs};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::durations::duration;
use crate::commands::signals::Signals;
use crate::commands::{report_files, saved_answers, sign_in};
use crate::config::Draft;
use crate::error::{self, Checked, Error};
use crate::event::{self, CheckResult};
use crate::helm::ReleaseStatus;
use crate::plan::{PlanError, cluster_facts, observe};
use crate::report::{self, Mode, Record, style::Style};
use crate::stack;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifyDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

/// One `verify`.
pub(super) struct Verification<'a> {
    pub(super) signals: Signals,
    pub(super) record: &'a Record,
}

impl Verification<'_> {
    pub(super) async fn run(&self, global: &GlobalArgs, arguments: &VerifyArgs) -> Result<u8, Error> {
        let selection = selection(arguments)?;
        // A port that is in use is reported before the checks run.
        let login_flow = match arguments.login.method {
            Some(method) => Some(sign_in::flow(method, arguments.login.port).await?),
            None => None,
        };
        let draft = saved_answers::load(global, &arguments.settings)?;
        let Connected { target, draft, .. } = connect::connect(global, &draft, self.signals.writes()).await?;
        let checking = self.checks((global, &target), (draft, arguments), selection, login_flow);
        emit(global, connect::of_one_cluster(&target.cluster, checking).await?)
    }

    async fn checks(
        &self,
        (global, Target { cluster, helm, catalogue }): (&GlobalArgs, &Target),
        (draft, arguments): (Result<Draft, Error>, &VerifyArgs),
        selection: Selection,
        login_flow: Option<login::LoginFlow>,
    ) -> Result<Vec<CheckResult>, Error> {
        let answers = saved_answers::answers(&draft?, &arguments.settings)?;
        if login_flow.is_some() {
            // The sign-in sends the client secret to the issuer of the answers.
            answers.confirmed()?;
        }
        report::notices(&answers.notices, global);
        let settings = answers.settings;
        report_files::note_surroundings(self.record, cluster, helm, &settings);
        let releases = stack::desired(catalogue, &settings, &cluster_facts(cluster, &settings).await?)?;
        let observed = observe(cluster, helm, &releases).await?;
        report_files::note_installed(self.record, &observed, &releases);
        let is_deployed =
            |name: &str| observed.releases.get(name).is_some_and(|one| one.status == ReleaseStatus::Deployed);
        if !releases.iter().any(|release| is_deployed(release.component.as_str())) {
            return Err(PlanError::NothingInstalled { namespace: settings.namespace.to_string() }.into());
        }
        let (events, stream) = event::channel();
        let mode = Mode::without_events(global);
        let reporter = tokio::spawn(report::drain(global.clone(), mode, stream, self.record.clone()));
        let cancel = self.signals.hold().child_token();
        let installed = Installed { releases, manifests: observed.manifests };
        let context = StackContext::new(cluster.clone(), settings.clone(), installed, selection);
        let checks = cluster.cancelled_on_switch(&cancel, verify::run(&context, &events, &cancel)).await;
        drop(events);
        let _ = reporter.await;
        let Some(mut checks) = checks else { return Err(Error::InterruptedChecks { of: Checked::InstalledStack }) };
        if let Some(flow) = login_flow {
            let login_run = sign_in::LoginRun {
                global,
                cluster,
                settings: &settings,
                record: self.record,
                environment: helm.environment(),
            };
            checks.extend(tokio::select! {
                results = login_run.run(flow) => results?,
                () = cancel.cancelled() => return Err(Error::InterruptedChecks { of: Checked::InstalledStack }),
            });
        }
        Ok(checks)
    }
}

fn emit(global: &GlobalArgs, checks: Vec<CheckResult>) -> Result<u8, Error> {
    let style = Style::resolve(global);
    let ended = error::verdict(&checks);
    match global.output {
        Output::Json => report::json_document(&VerifyDocument { version: 1, checks }),
        Output::Human => report::write_stdout(&report::checks_table(&checks, &style, report::width())),
    }
    ended
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
