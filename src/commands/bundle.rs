//! `tailwatch bundle`: writes what a cluster without internet needs into a folder or an archive. Needs no cluster.

use serde::Serialize;

use crate::cli::BundleArgs;
use crate::config;
use crate::error::{self, Error};
use crate::export;
use crate::report;
use crate::session::Session;
use crate::stack::{PublishedImage, RecordedChart};
use crate::workflow::bundle::{self, Needed};
use crate::workflow::{connect, new_archive, new_folder};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleDocument {
    version: u8,
    /// The folder or the archive.
    path: String,
    /// Paths below its folder.
    files: Vec<String>,
    charts: Vec<RecordedChart>,
    images: Vec<PublishedImage>,
}

pub(super) async fn bundle(session: &Session, arguments: &BundleArgs) -> Result<u8, Error> {
    let draft = config::load(&session.sources(&arguments.settings))?;
    session.notices(draft.notices());
    let helm = connect::helm_without_cluster(session, &draft).await?;
    let catalogue = connect::catalogue(&session.global)?;
    let Needed { archives, charts, images } = bundle::needed(&helm, &catalogue, &draft).await?;
    let images = bundle::with_digests(&helm, images, !arguments.without_digests).await?;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for archive in &archives {
        let failed = |source| Error::Local { what: format!("read {}", archive.display()), source };
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        files.push((format!("charts/{name}"), std::fs::read(archive).map_err(failed)?));
    }
    let texts = export::bundle(&charts, &images).into_iter().map(|file| (file.path, file.text.into_bytes()));
    files.extend(texts);
    let path = arguments.out.display().to_string();
    let contents = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    if config::is_bundle(&path) {
        new_archive::write(&arguments.out, contents)?;
    } else {
        new_folder::write(&arguments.out, contents)?;
    }
    let files = files.into_iter().map(|(name, _)| name).collect();
    let document = BundleDocument { version: 1, path, files, charts, images };
    session.ui.document(&document, |BundleDocument { path, files, .. }, _, _| {
        const NEXT: &str = "README.md there says what to do with them";
        match config::is_bundle(path) {
            true => format!("{path}\n{NEXT}\n"),
            false => report::written_files(path, files, NEXT),
        }
    });
    Ok(error::OK)
}
