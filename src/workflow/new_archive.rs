//! Writes an archive of files that does not exist yet.

use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::Error;
use crate::workflow::new_folder::File;

/// Writes a .tar.gz with the files in one folder: all of them, or nothing. The folder has the name of the archive.
pub(crate) fn write<'a>(path: &Path, files: impl IntoIterator<Item = File<'a>>) -> Result<(), Error> {
    write_all(path, files).map_err(|error| {
        let (found, hint) = match error.kind() {
            io::ErrorKind::AlreadyExists => ("the file exists".to_owned(), "choose another name, or remove the file"),
            _ => (format!("cannot be written: {error}"), "choose a folder with write permission"),
        };
        Error::Usage { message: format!("--out {}: {found}", path.display()), hint: Some(hint.to_owned()) }
    })
}

fn write_all<'a>(path: &Path, files: impl IntoIterator<Item = File<'a>>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = name.trim_end_matches(".gz").trim_end_matches(".tar").trim_end_matches(".tgz");
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(".tailwatch-").tempfile_in(parent)?;
    let mut builder = tar::Builder::new(GzEncoder::new(temporary, Compression::default()));
    for (file, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if file.ends_with(".sh") { 0o755 } else { 0o644 });
        builder.append_data(&mut header, format!("{folder}/{file}"), content)?;
    }
    let temporary = builder.into_inner()?.finish()?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_all_files_in_one_folder_and_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let files = [("README.md", &b"a"[..]), ("copy.sh", b"b"), ("charts/one-1.0.0.tgz", b"c")];
        for name in ["bundle.tar.gz", "bundle.tgz"] {
            let path = home.path().join(name);
            write(&path, files).unwrap();
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()));
            let found: Vec<(String, u32)> = archive
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap()))
                .collect();
            let expected = [("README.md", 0o644), ("copy.sh", 0o755), ("charts/one-1.0.0.tgz", 0o644)];
            assert_eq!(found, expected.map(|(file, mode)| (format!("bundle/{file}"), mode)));
        }
        let path = home.path().join("bundle.tgz");
        let before = std::fs::read(&path).unwrap();
        let again = write(&path, [("other", &b""[..])]).unwrap_err();
        assert!(again.to_string().contains("exists"), "{again}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        write(&home.path().join("gone/bundle.tgz"), []).unwrap_err();
        assert_eq!(home.path().read_dir().unwrap().count(), 2, "nothing is left of the attempts");
    }
}
