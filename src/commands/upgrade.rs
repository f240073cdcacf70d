//! `tailwatch upgrade`: lists newer chart versions and their changes, and installs the chosen ones.

use serde::Serialize;

use crate::cli::UpgradeArgs;
use crate::config::Draft;
use crate::error::{self, Error};
use crate::event::UpgradeRow;
use crate::report::{self, Interaction};
use crate::session::Session;
use crate::wizard::Scope;
use crate::workflow::available_versions::{self, Versions};
use crate::workflow::chosen_versions::{
    add_newest, checked_versions, choose, named_versions, queried, rows, set_versions,
};
use crate::workflow::connect::{self, Connected, Target};
use crate::workflow::execute::ExecuteOptions;
use crate::workflow::install_run::{require_confirmation, run_install};
use crate::workflow::prompts::{Secrets, ask};
use crate::workflow::saved_answers;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpgradeDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    components: Vec<UpgradeRow>,
}

pub(super) async fn upgrade(session: &Session, arguments: &UpgradeArgs) -> Result<u8, Error> {
    let named = named_versions(&arguments.to)?;
    let options = ExecuteOptions::of(&arguments.run)?;
    let draft = saved_answers::load(session, &arguments.run.settings)?;
    let is_requested = arguments.latest || !named.is_empty();
    if is_requested {
        require_confirmation(session, &arguments.run)?;
    }
    session.notices(draft.notices());
    let interaction = session.ui.interaction();
    let Connected { target, draft, .. } = connect::connect(session, &draft).await?;
    let mut draft = draft?;
    if is_requested || interaction == Interaction::Prompts {
        saved_answers::confirm(session, &arguments.run, &draft)?;
    } else if !arguments.run.settings.accept_saved {
        saved_answers::repository_confirmed(draft.unconfirmed())?;
    }
    let Target { cluster, helm, catalogue } = &target;
    let installed =
        connect::of_one_cluster(cluster, available_versions::installed((cluster, helm), catalogue, &draft)).await?;
    let offers = available_versions::offers(helm, catalogue, &draft, queried(&installed, &named, arguments)).await?;
    let mut chosen = checked_versions(&offers, named, &draft)?;
    if arguments.latest {
        add_newest(&mut chosen, &offers, arguments.run.allow_unverified);
    }
    let rows = rows(&offers, is_requested.then_some(&chosen));
    if !is_requested && interaction == Interaction::None {
        let (context, namespace) = (cluster.context().map(str::to_owned), draft.namespace());
        let document = UpgradeDocument { version: 1, context, namespace, components: rows };
        session
            .ui
            .document(&document, |document, style, width| report::upgrade_table(&document.components, style, width));
        return Ok(error::OK);
    }
    session.ui.preview(|style, width| report::upgrade_table(&rows, style, width));
    if !is_requested {
        chosen = choose(&offers)?;
        if chosen.is_empty() {
            session.notice("no upgrade selected, nothing was changed");
            return Ok(error::OK);
        }
    }
    note_outdated_file(session, &draft, &chosen, arguments);
    set_versions(&mut draft, catalogue, &installed, chosen);
    if interaction == Interaction::Prompts {
        ask((cluster, helm.environment()), &mut draft, Scope::OnlyMissing, Secrets::of(&arguments.run)).await?;
    }
    run_install(session, &target, &draft.finish()?, options).await
}

/// An answers file with an older version would fail as a downgrade in the next run.
fn note_outdated_file(session: &Session, draft: &Draft, chosen: &Versions, arguments: &UpgradeArgs) {
    let Some(file) = &arguments.run.settings.answers else { return };
    for (component, version) in chosen {
        if let Some(current) = draft.version(component).filter(|current| *current != version) {
            let file = file.display();
            session.notice(format!("{file} has {component} {current}; change it to {version}"));
        }
    }
}
