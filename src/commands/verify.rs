//! `tailwatch verify`: every check of the installed stack.

use crate::check::verify;
use crate::cli::VerifyArgs;
use crate::error::{self, Checked, Error};
use crate::session::Session;
use crate::workflow::connect::{self, Connected, Target};
use crate::workflow::saved_answers;
use crate::workflow::sign_in::{self, LoginRun};
use crate::workflow::verification::{installed, selection};

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
    session.ui.checks(checks);
    ended
}
