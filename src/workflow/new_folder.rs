//! Writes a folder of files that does not exist yet, or is empty.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::error::Error;

/// A file: its path below the folder, and its content. One that ends in `.sh` is executable.
pub(crate) type File<'a> = (&'a str, &'a [u8]);

/// Writes the files: all of them, or nothing.
pub(crate) fn write<'a>(folder: &Path, files: impl IntoIterator<Item = File<'a>>) -> Result<(), Error> {
    let rejected = |found: String, hint: &str| Error::Usage {
        message: format!("--out {}: {found}", folder.display()),
        hint: Some(hint.to_owned()),
    };
    match folder.read_dir().map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(rejected("the folder is not empty".into(), "choose a new or an empty folder")),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(rejected("it is not a folder".into(), "choose a new or an empty folder"));
        }
        _ => {}
    }
    write_all(folder, files)
        .map_err(|error| rejected(format!("cannot be written: {error}"), "choose a folder with write permission"))
}

fn write_all<'a>(folder: &Path, files: impl IntoIterator<Item = File<'a>>) -> io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(".tailwatch-").tempdir_in(parent)?;
    // The umask decides who may read it; a temporary folder is private.
    let complete = temporary.path().join("folder");
    for (name, content) in files {
        let path = complete.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, content)?;
        if name.ends_with(".sh") {
            std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
    }
    std::fs::rename(complete, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File<'_> {
        (path, b"a")
    }

    #[test]
    fn a_folder_has_all_files_or_is_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        for name in ["new", "empty"] {
            let folder = home.path().join(name);
            if name == "empty" {
                std::fs::create_dir(&folder).unwrap();
            }
            write(&folder, [file("README.md"), file("stack/a/b.yaml")]).unwrap();
            assert_eq!(std::fs::read_to_string(folder.join("stack/a/b.yaml")).unwrap(), "a");
            let again = write(&folder, [file("other.yaml")]).unwrap_err();
            assert!(again.to_string().contains("not empty"), "{again}");
            assert!(!folder.join("other.yaml").exists());
        }
        let taken = home.path().join("file");
        std::fs::write(&taken, "mine").unwrap();
        write(&taken, [file("README.md")]).unwrap_err();
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
        // A file where a folder has to be: nothing is left of the attempt.
        write(&home.path().join("broken"), [file("a"), file("a/b")]).unwrap_err();
        let mut left: Vec<_> = home.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["empty", "file", "new"]);
    }
}
