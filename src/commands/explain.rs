//! `tailwatch explain`: meaning and next step of a check, a diagnosis or an exit code. Needs no cluster.

use serde::Serialize;

use crate::error::{self, Error};
use crate::event::Explanation;
use crate::explanations::meanings_of;
use crate::report;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainDocument {
    version: u8,
    meanings: Vec<Explanation>,
}

pub(super) fn explain(session: &Session, id: &str) -> Result<u8, Error> {
    let document = ExplainDocument { version: 1, meanings: meanings_of(id)? };
    session.ui.document(&document, |document, style, width| report::explanations(&document.meanings, style, width));
    Ok(error::OK)
}
