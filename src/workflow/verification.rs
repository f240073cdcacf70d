//! What `verify` checks: the installed stack, and the checks that the flags select.

use std::time::Duration;

use crate::check::verify::{self, Installed, StackContext};
use crate::check::{Selection, login};
use crate::cli::VerifyArgs;
use crate::config::Settings;
use crate::error::Error;
use crate::helm::ReleaseStatus;
use crate::plan::{PlanError, Surroundings, observe_releases, surroundings};
use crate::session::Session;
use crate::stack;
use crate::workflow::connect::Target;
use crate::workflow::durations::duration;
use crate::workflow::report_files;

/// The installed stack; an error if no release of it is deployed.
pub(crate) async fn installed(
    session: &Session,
    Target { cluster, helm, catalogue }: &Target,
    settings: Settings,
    selection: Selection,
) -> Result<StackContext, Error> {
    report_files::note_surroundings(&session.record, cluster, helm, &settings);
    let Surroundings { facts, .. } = surroundings(cluster, catalogue, &settings).await?;
    let releases = stack::desired(catalogue, &settings, &facts)?;
    let observed = observe_releases(cluster, helm.driver(), &releases).await?;
    report_files::note_installed(&session.record, &observed, &releases);
    let is_deployed = |name: &str| observed.releases.get(name).is_some_and(|one| one.status == ReleaseStatus::Deployed);
    if !releases.iter().any(|release| is_deployed(release.component.as_str())) {
        return Err(PlanError::NothingInstalled { namespace: settings.namespace.to_string() }.into());
    }
    let installed = Installed { releases, manifests: observed.manifests };
    Ok(StackContext::new(cluster.clone(), settings, installed, selection))
}

/// The checks of the flags.
pub(crate) fn selection(arguments: &VerifyArgs) -> Result<Selection, Error> {
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
