//! `tailwatch`: the guided installation.

use crate::cli::InstallArgs;
use crate::cluster;
use crate::error::Error;
use crate::process::Environment;
use crate::report::Interaction;
use crate::session::Session;
use crate::wizard::{self, Scope};
use crate::workflow::execute::ExecuteOptions;
use crate::workflow::install_run::{Run, environment_flags, proceed};
use crate::workflow::{connect, saved_answers};

/// The guided installation; without a terminal it never prompts.
pub(super) async fn guided(session: &Session) -> Result<u8, Error> {
    if session.ui.interaction() == Interaction::None {
        let why = if session.global.quiet { "is interactive and does not support --quiet" } else { "needs a terminal" };
        return Err(Error::Usage {
            message: format!("the guided installation {why}"),
            hint: Some(
                "write the answers with `tailwatch answers init > answers.yaml`, then run \
                 `tailwatch install --answers answers.yaml --yes`"
                    .into(),
            ),
        });
    }
    let mut session = session.clone();
    let target = connect::target(&session.global, &Environment::default());
    if session.global.context.is_none() {
        let (contexts, current) = cluster::contexts(&target)?;
        let mut prompt = wizard::Terminal;
        session.global.context =
            tokio::task::block_in_place(|| wizard::choose_context(&mut prompt, &contexts, current.as_deref()))?;
    }
    let arguments: InstallArgs = environment_flags()?;
    let draft = saved_answers::load(&session, &arguments.settings)?;
    let run = Run { scope: Scope::Everything, kubeconfig: target.once, options: ExecuteOptions::of(&arguments)? };
    proceed(&session, draft, run).await
}
