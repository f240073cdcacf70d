//! `tailwatch answers`: commands on the answers file, without a cluster.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::{AnswersCommand, GlobalArgs, Output, SettingsArgs};
use crate::commands::settings_sources::settings_sources;
use crate::config::{self, Entry};
use crate::error::{self, Error};
use crate::report;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswersDocument {
    version: u8,
    answers: Vec<Entry>,
    missing: Vec<&'static str>,
}

pub(super) fn run(global: &GlobalArgs, command: AnswersCommand) -> Result<u8, Error> {
    match command {
        AnswersCommand::Init => report::write_stdout(&config::template()),
        AnswersCommand::Schema => report::json_document(&config::schema()),
        AnswersCommand::Check { file } => return check(global, file),
        AnswersCommand::Show { settings } => return show(global, &settings),
    }
    Ok(error::OK)
}

/// Checks the file by itself, including the sources of its secrets.
fn check(global: &GlobalArgs, file: PathBuf) -> Result<u8, Error> {
    let arguments = SettingsArgs { answers: Some(file.clone()), ..SettingsArgs::default() };
    let draft = config::load(&settings_sources(global, &arguments))?;
    report::notices(draft.notices(), global);
    let settings = draft.finish()?;
    report::write_stdout(&format!("{} is valid\n\n", file.display()));
    report::write_stdout(&format!("  Grafana's address    https://{}/\n", settings.grafana_fqdn()));
    report::write_stdout(&format!("  callback URL         {}\n", settings.callback_url()));
    report::write_stdout("  The application in Auth0 must allow exactly this callback URL.\n");
    Ok(error::OK)
}

fn show(global: &GlobalArgs, arguments: &SettingsArgs) -> Result<u8, Error> {
    let draft = config::load(&settings_sources(global, arguments))?;
    let missing: Vec<&'static str> = draft.missing().iter().map(|row| row.key).collect();
    let answers = draft.entries();
    match global.output {
        Output::Json => report::json_document(&AnswersDocument { version: 1, answers, missing }),
        Output::Human => {
            let widest = answers.iter().map(|entry| entry.key.len()).max().unwrap_or_default();
            for entry in answers {
                report::write_stdout(&format!("{:widest$}  {}  ({})\n", entry.key, entry.value, entry.from));
            }
            for key in missing {
                report::write_stdout(&format!("{key:widest$}  (missing)\n"));
            }
        }
    }
    Ok(error::OK)
}
