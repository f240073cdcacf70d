//! `tailwatch answers`: commands on the answers file, without a cluster.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::{AnswersCommand, SettingsArgs};
use crate::config::{self, Entry};
use crate::error::{self, Error};
use crate::report;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswersDocument {
    version: u8,
    answers: Vec<Entry>,
    missing: Vec<&'static str>,
}

pub(super) fn answers(session: &Session, command: AnswersCommand) -> Result<u8, Error> {
    match command {
        AnswersCommand::Init => report::write_stdout(&config::template()),
        AnswersCommand::Schema => session.ui.json(&config::schema()),
        AnswersCommand::Check { file } => return check(session, file),
        AnswersCommand::Show { settings } => return show(session, &settings),
    }
    Ok(error::OK)
}

/// Checks the file by itself, including the sources of its secrets.
fn check(session: &Session, file: PathBuf) -> Result<u8, Error> {
    let arguments = SettingsArgs { answers: Some(file.clone()), ..SettingsArgs::default() };
    let draft = config::load(&session.sources(&arguments))?;
    session.notices(draft.notices());
    let settings = draft.finish()?;
    report::write_stdout(&format!("{} is valid\n\n", file.display()));
    report::write_stdout(&format!(
        "Grafana's address: https://{}/\nThe application in Auth0:\n",
        settings.grafana_fqdn()
    ));
    for (setting, value) in config::application_settings(&settings.grafana_fqdn()) {
        report::write_stdout(&format!("  {setting:<21}  {value}\n"));
    }
    Ok(error::OK)
}

fn show(session: &Session, arguments: &SettingsArgs) -> Result<u8, Error> {
    let draft = config::load(&session.sources(arguments))?;
    let missing = draft.missing().iter().map(|row| row.key).collect();
    session.ui.document(&AnswersDocument { version: 1, answers: draft.entries(), missing }, |document, _, _| {
        let widest = document.answers.iter().map(|entry| entry.key.len()).max().unwrap_or_default();
        let answers = document.answers.iter().map(|entry| {
            let Entry { key, value, from, .. } = entry;
            format!("{key:widest$}  {value}  ({from})\n")
        });
        answers.chain(document.missing.iter().map(|key| format!("{key:widest$}  (missing)\n"))).collect()
    });
    Ok(error::OK)
}
