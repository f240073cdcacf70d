//! `tailwatch status`: installed releases, versions, readiness, address.

use serde::Serialize;

use crate::error::{self, Error};
use crate::event::StatusRow;
use crate::plan::{self, PlanError};
use crate::report;
use crate::session::Session;
use crate::workflow::connect::{Stack, connect_to_stack, of_one_cluster};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    address: Option<String>,
    releases: Vec<StatusRow>,
}

pub(super) async fn status(session: &Session) -> Result<u8, Error> {
    let Stack { cluster, driver, namespace, rows } = connect_to_stack(session).await?;
    let stack = (namespace.as_str(), rows.as_slice());
    let read =
        async { Ok(tokio::try_join!(plan::status(&cluster, driver, stack), plan::address(&cluster, &namespace))?) };
    let (releases, address) = of_one_cluster(&cluster, read).await?;
    if releases.iter().all(|row| row.status.is_none()) && !session.ui.writes_json() {
        return Err(PlanError::NothingInstalled { namespace }.into());
    }
    let context = cluster.context().map(str::to_owned);
    let document = StatusDocument { version: 1, context, namespace, address, releases };
    session.ui.document(&document, |StatusDocument { address, releases, .. }, style, width| {
        let address = address.as_ref().map_or_else(|| "not assigned yet".into(), |host| format!("https://{host}/"));
        format!("{}\n  Grafana  {address}\n", report::status_table(releases, style, width))
    });
    Ok(error::OK)
}
