//! `tailwatch status`: installed releases, versions, readiness, address; newer versions on request.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use crate::cli::{SettingsArgs, StatusArgs};
use crate::config::Draft;
use crate::error::{self, Error};
use crate::event::StatusRow;
use crate::plan::{self, PlanError};
use crate::report;
use crate::session::Session;
use crate::workflow::connect::{Connected, Stack, Target, connect, connect_to_stack, of_one_cluster};
use crate::workflow::{available_versions, saved_answers};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    address: Option<String>,
    releases: Vec<StatusRow>,
    /// The newest chart version of each installed release; `None`: not asked for.
    newest: Option<BTreeMap<String, Version>>,
}

pub(super) async fn status(session: &Session, arguments: &StatusArgs) -> Result<u8, Error> {
    if !arguments.check_updates {
        return show(session, connect_to_stack(session).await?, None).await;
    }
    let draft = saved_answers::load(session, &SettingsArgs::default())?;
    let Connected { target, draft, .. } = connect(session, &draft).await?;
    let draft = draft?;
    let newest = of_one_cluster(&target.cluster, newest(&target, &draft)).await?;
    let Target { cluster, helm, catalogue } = target;
    let namespace = draft.namespace();
    let rows = catalogue.overview(&namespace);
    show(session, Stack { cluster, driver: helm.driver(), namespace, rows }, Some(newest)).await
}

async fn newest(
    Target { cluster, helm, catalogue }: &Target,
    draft: &Draft,
) -> Result<BTreeMap<String, Version>, Error> {
    saved_answers::repository_confirmed(draft.unconfirmed())?;
    let installed = available_versions::installed((cluster, helm), catalogue, draft).await?;
    let offers = available_versions::offers(helm, catalogue, draft, installed).await?;
    let newest = offers.iter().map(|offer| Some((offer.component.to_string(), offer.newest()?.clone())));
    Ok(newest.flatten().collect())
}

async fn show(session: &Session, stack: Stack, newest: Option<BTreeMap<String, Version>>) -> Result<u8, Error> {
    let Stack { cluster, driver, namespace, rows } = stack;
    let stack = (namespace.as_str(), rows.as_slice());
    let read =
        async { Ok(tokio::try_join!(plan::status(&cluster, driver, stack), plan::address(&cluster, &namespace))?) };
    let (releases, address) = of_one_cluster(&cluster, read).await?;
    if releases.iter().all(|row| row.status.is_none()) && !session.ui.writes_json() {
        return Err(PlanError::NothingInstalled { namespace }.into());
    }
    let context = cluster.context().map(str::to_owned);
    let document = StatusDocument { version: 1, context, namespace, address, releases, newest };
    session.ui.document(&document, |StatusDocument { address, releases, newest, .. }, style, width| {
        let address = address.as_ref().map_or_else(|| "not assigned yet".into(), |host| format!("https://{host}/"));
        let updates = newest.as_ref().map(|newest| report::updates(releases, newest)).unwrap_or_default();
        format!("{}\n  Grafana  {address}\n{updates}", report::status_table(releases, style, width))
    });
    Ok(error::OK)
}
