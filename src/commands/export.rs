//! `tailwatch export`: writes the stack as files for another tool. Changes nothing in the cluster.

use serde::Serialize;

use crate::cli::ExportArgs;
use crate::error::{self, Error};
use crate::plan;
use crate::report;
use crate::session::Session;
use crate::stack::OwnSecret;
use crate::workflow::connect::{self, Connected};
use crate::workflow::{export, new_folder, saved_answers, secrets};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportDocument<'a> {
    version: u8,
    folder: String,
    /// Paths below the folder.
    files: Vec<&'a str>,
    /// The Secrets that the stack needs.
    secrets: Vec<&'a OwnSecret>,
    notices: Vec<String>,
}

pub(super) async fn export(session: &Session, arguments: &ExportArgs) -> Result<u8, Error> {
    let draft = saved_answers::load(session, &arguments.settings)?;
    let Connected { target, draft, kept } = connect::connect(session, &draft).await?;
    let reading = async {
        let draft = draft?;
        let places = secrets::places([Some(&draft), kept.as_ref()]);
        let answers = saved_answers::answers(&draft, &arguments.settings)?;
        answers.repository_confirmed()?;
        let read = plan::surroundings(&target.cluster, &target.catalogue, &answers.settings).await?;
        let releases = export::releases(&target, (&answers.settings, &read.facts), &places, arguments.tool).await?;
        Ok((answers, releases))
    };
    let (answers, releases) = connect::of_one_cluster(&target.cluster, reading).await?;
    let files = export::files(arguments.tool, arguments.secrets, &releases)?;
    new_folder::write(&arguments.out, files.iter().map(|file| (file.path.as_str(), file.text.as_bytes())))?;
    let secrets: Vec<&OwnSecret> = releases.iter().flat_map(|release| &release.secrets).collect();
    let missing = secrets.iter().filter(|secret| !secret.exists).map(|secret| {
        format!("Secret {} in namespace {} has to be created before the stack", secret.name, secret.namespace)
    });
    let document = ExportDocument {
        version: 1,
        folder: arguments.out.display().to_string(),
        files: files.iter().map(|file| file.path.as_str()).collect(),
        notices: answers.notices.into_iter().chain(missing).collect(),
        secrets,
    };
    session.ui.document(&document, |ExportDocument { folder, files, .. }, _, _| {
        report::written_files(folder, files, "README.md there says what to do with them")
    });
    if !session.ui.writes_json() {
        session.notices(&document.notices);
    }
    Ok(error::OK)
}
