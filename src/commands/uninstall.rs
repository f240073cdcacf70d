//! `tailwatch uninstall`: removes the stack.

use crate::cli::{SettingsArgs, UninstallArgs};
use crate::config;
use crate::error::Error;
use crate::plan::{self, UninstallOptions};
use crate::report::Interaction;
use crate::session::Session;
use crate::workflow::changing_run::{Timeouts, replanning};
use crate::workflow::connect::{self, Connected};
use crate::workflow::uninstall_run::Run;

/// Needs no answers: the plan is computed from the installed objects.
pub(super) async fn uninstall(session: &Session, arguments: &UninstallArgs) -> Result<u8, Error> {
    let timeouts = Timeouts::parse(&arguments.timeout, None, &arguments.lock_timeout)?;
    let audience = session.ui.interaction();
    if audience == Interaction::None && !arguments.yes {
        let hint = "add --yes; volumes, Secrets and saved answers are retained unless --delete-data is set";
        return Err(session.ui.cannot_prompt("cannot ask for confirmation of the removal", hint));
    }
    let draft = config::load(&session.sources(&SettingsArgs::default()))?;
    let namespace = draft.namespace();
    let Connected { target, .. } = connect::connect(session, &draft).await?;
    session.record.place(target.cluster.context(), &namespace);
    let rows = target.catalogue.overview(&namespace);
    session.notices(&plan::unidentified(&target.cluster));
    let requested = UninstallOptions { data: arguments.delete_data, crds: arguments.delete_crds };
    let confirmed = if arguments.yes { Interaction::None } else { audience };
    let run = Run { session, timeouts, interaction: confirmed };
    replanning(session, async || run.plan_and_execute(&target, (&namespace, &rows), requested).await).await
}
