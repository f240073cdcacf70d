//! `tailwatch answers`: commands on the answers file, without a cluster.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::{AnswersCommand, SettingsArgs};
use crate::config::{self, CHARTS_LOCK, Entry};
use crate::error::{self, Error};
use crate::report;
use crate::session::Session;
use crate::stack::RecordedChart;
use crate::workflow::{bundle, connect};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswersDocument {
    version: u8,
    answers: Vec<Entry>,
    missing: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LockDocument {
    version: u8,
    file: String,
    charts: Vec<RecordedChart>,
}

pub(super) fn answers(session: &Session, command: AnswersCommand) -> Result<u8, Error> {
    match command {
        AnswersCommand::Init => report::write_stdout(&config::template()),
        AnswersCommand::Schema => session.ui.json(&config::schema()),
        AnswersCommand::Check { file } => return check(session, file),
        AnswersCommand::Show { settings } => return show(session, &settings),
        AnswersCommand::Lock { file } => return session.drive(lock(session, file)),
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

/// Fetches the charts of the answers; those that a lock file names may have changed.
async fn lock(session: &Session, file: PathBuf) -> Result<u8, Error> {
    let path = file.with_file_name(CHARTS_LOCK);
    let arguments = SettingsArgs { answers: Some(file), ..SettingsArgs::default() };
    let mut draft = config::load(&session.sources(&arguments))?;
    draft.unlock_charts();
    session.notices(draft.notices());
    let helm = connect::helm_without_cluster(session, &draft).await?;
    let charts = bundle::charts(&helm, &connect::catalogue(&session.global)?, &draft).await?;
    write(&path, &charts).map_err(|source| Error::Local { what: format!("write {}", path.display()), source })?;
    let document = LockDocument { version: 1, file: path.display().to_string(), charts };
    session.ui.document(&document, |LockDocument { file, charts, .. }, _, _| {
        format!("{file} has the sha256 of {} charts; commit it with the answers\n", charts.len())
    });
    Ok(error::OK)
}

/// The whole file or nothing, with the permissions of the umask.
fn write(path: &Path, charts: &[RecordedChart]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mut file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    writeln!(file, "{}", serde_json::to_string_pretty(charts)?)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
