//! `tailwatch install`: answers, plan, confirmation, run, verification.

use std::path::Path;

use crate::cli::InstallArgs;
use crate::cluster::KubeconfigOnce;
use crate::error::Error;
use crate::session::Session;
use crate::wizard::Scope;
use crate::workflow::execute::ExecuteOptions;
use crate::workflow::install_run::require_confirmation;
use crate::workflow::install_run::{Run, proceed};
use crate::workflow::{plan_file, saved_answers};

/// Prompts only for missing answers, and only on a terminal.
pub(super) async fn install(session: &Session, arguments: &InstallArgs, plan: Option<&Path>) -> Result<u8, Error> {
    let draft = saved_answers::load(session, &arguments.settings)?;
    let reviewed = plan.map(plan_file::Reviewed::read).transpose()?;
    // A reviewed plan is a confirmed plan.
    let arguments = &InstallArgs { yes: arguments.yes || reviewed.is_some(), ..arguments.clone() };
    require_confirmation(session, arguments)?;
    let options = ExecuteOptions { reviewed: reviewed.as_ref(), ..ExecuteOptions::of(arguments)? };
    proceed(session, draft, Run { scope: Scope::OnlyMissing, kubeconfig: KubeconfigOnce::default(), options }).await
}
