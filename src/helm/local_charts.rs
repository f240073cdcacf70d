//! Chart archives on this machine: the .tgz files of a folder, or of `charts/` in a bundle (`tailwatch bundle`).

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::config::ChartRepository;
use crate::helm::HelmError;
use crate::input_file::{self, InputError};

/// Bytes of an archive, and of all that a bundle has.
pub(super) const MAX_BYTES: u64 = 256 << 20;

/// The names of the archives.
pub(super) fn names(repository: &ChartRepository) -> Result<Vec<String>, HelmError> {
    let place = Path::new(repository.as_str());
    if repository.is_bundle() {
        let mut names = Vec::new();
        let read = each_chart(place, |name, _| {
            names.push(name);
            Ok(())
        });
        return read.map(|()| names).map_err(|source| unreadable(place, source));
    }
    let failed = |source| HelmError::Local { what: format!("read the folder {}", place.display()), source };
    let entries = place.read_dir().map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The archive with this name.
pub(super) fn read(repository: &ChartRepository, file: &str) -> Result<Vec<u8>, HelmError> {
    let place = Path::new(repository.as_str());
    let absent = || HelmError::NoArchive { place: place.to_owned(), file: file.to_owned() };
    if !repository.is_bundle() {
        return archive_of(&place.join(file)).map_err(|_| absent());
    }
    let mut found = None;
    let read = each_chart(place, |name, entry| {
        if name == file {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found = Some(bytes);
        }
        Ok(())
    });
    read.map_err(|source| unreadable(place, source))?;
    found.ok_or_else(absent)
}

pub(super) fn archive_of(path: &Path) -> io::Result<Vec<u8>> {
    input_file::read(path, MAX_BYTES).map_err(InputError::into_io)
}

fn unreadable(place: &Path, source: io::Error) -> HelmError {
    HelmError::Bundle { path: place.to_owned(), source }
}

type Entry<'a> = tar::Entry<'a, io::Take<GzDecoder<&'a [u8]>>>;

/// Calls a function with each file of `charts/` in the bundle's folder.
fn each_chart(bundle: &Path, mut each: impl FnMut(String, &mut Entry) -> io::Result<()>) -> io::Result<()> {
    let packed = archive_of(bundle)?;
    for entry in tar::Archive::new(GzDecoder::new(packed.as_slice()).take(MAX_BYTES)).entries()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        if let Ok(name) = path.strip_prefix("charts")
            && entry.header().entry_type().is_file()
        {
            each(name.to_string_lossy().into_owned(), &mut entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_folder_are_those_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("loki-6.46.0.tgz"), "").unwrap();
        let repository = |path: &Path| path.display().to_string().parse::<ChartRepository>().unwrap();
        assert_eq!(names(&repository(folder.path())).unwrap(), ["loki-6.46.0.tgz"]);
        for gone in ["gone", "gone.tar.gz"] {
            let error = names(&repository(&folder.path().join(gone))).unwrap_err();
            assert!(error.to_string().contains(gone), "{error}");
        }
    }
}
