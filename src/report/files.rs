//! The reports of `--junit` and `--html`: a file that cannot be written is an error before any change, and files are
//! written atomically.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::GlobalArgs;
use crate::error::Error;
use crate::input_file;
use crate::report::record::Record;
use crate::report::ui::Ui;
use crate::report::{html, junit};

/// Paths of the reports.
#[derive(Clone, Debug)]
pub struct Files {
    junit: Option<PathBuf>,
    html: Option<PathBuf>,
}

/// Whether a command writes `--junit` and `--html`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reports {
    /// It does.
    Written,
    /// It does not.
    None,
}

/// `--log-file` must be a file or a device: a write into a FIFO or socket would block or be lost.
pub fn judge_log(global: &GlobalArgs) -> Result<(), Error> {
    let Some(path) = &global.log_file else { return Ok(()) };
    match input_file::unfit_for_appending(path) {
        None | Some("a folder") => Ok(()),
        Some(other) => Err(Error::Usage {
            message: format!("--log-file {} cannot be written: it is {other}", path.display()),
            hint: Some("name a file in a folder that exists and can be written to".into()),
        }),
    }
}

impl Files {
    /// The files of a command that writes reports. A flag of another command is an error; its environment variable may
    /// be set for other commands.
    pub fn of(global: &GlobalArgs, reports: Reports) -> Result<Option<Files>, Error> {
        if reports == Reports::Written {
            return Files::open(global).map(Some);
        }
        let flags = [("--junit", &global.junit, "TAILWATCH_JUNIT"), ("--html", &global.html, "TAILWATCH_HTML")];
        match flags.iter().find(|(_, path, variable)| path.is_some() && std::env::var_os(variable).is_none()) {
            None => Ok(None),
            Some((flag, ..)) => Err(Error::Usage {
                message: format!("{flag} has no effect: this command writes no report"),
                hint: Some("verify, preflight, install, upgrade and the guided installation write reports".into()),
            }),
        }
    }

    /// The files of `--junit` and `--html`; an error if one of them cannot be written.
    fn open(global: &GlobalArgs) -> Result<Files, Error> {
        let open = |flag: &str, path: &Option<PathBuf>| -> Result<Option<PathBuf>, Error> {
            let Some(path) = path else { return Ok(None) };
            let target = target(path).and_then(|target| temporary_file(&target).map(|_| target));
            let unwritable = |error| Error::Usage {
                message: format!("{flag} {} cannot be written: {error}", path.display()),
                hint: Some("name a file in a folder that exists and can be written to".into()),
            };
            target.map(Some).map_err(unwritable)
        };
        let files = Files { junit: open("--junit", &global.junit)?, html: open("--html", &global.html)? };
        if files.junit.is_some() && files.junit == files.html {
            return Err(Error::Usage {
                message: "--junit and --html name the same file".into(),
                hint: Some("name two files".into()),
            });
        }
        Ok(files)
    }

    /// Writes the reports. A failed write is reported and does not change the exit code.
    pub fn write(&self, record: &Record, ui: &Ui) {
        let facts = record.facts();
        let junit = || junit::document(&facts).map_err(io::Error::other);
        let page = || Ok(html::page(&facts));
        for (path, document) in [(&self.junit, &junit as Document<'_>), (&self.html, &page)] {
            let Some(path) = path else { continue };
            if let Err(error) = document().and_then(|text| replace(path, &text)) {
                ui.problem(&format!("the report {} cannot be written: {error}", path.display()));
            }
        }
    }
}

/// Writes the file of a flag atomically. A link is kept; anything but a regular file is an error.
pub fn write_file(path: &Path, text: &str) -> io::Result<()> {
    replace(&target(path)?, text)
}

/// Renders a report.
type Document<'a> = &'a dyn Fn() -> io::Result<String>;

/// The file that the path or its link points to: replacing it keeps the link.
fn target(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(existing) if existing.is_file() => Ok(existing),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
            Ok(folder(path).canonicalize()?.join(name))
        }
        Err(error) => Err(error),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in the folder of the target, deleted unless persisted. The umask limits who may read it, and so do the
/// permissions of the file that it replaces.
fn temporary_file(target: &Path) -> io::Result<NamedTempFile> {
    let mode = std::fs::metadata(target).map_or(0o666, |replaced| replaced.permissions().mode() & 0o666);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tailwatch-").permissions(Permissions::from_mode(mode)).tempfile_in(folder(target))
}

fn replace(target: &Path, text: &str) -> io::Result<()> {
    let mut file = temporary_file(target)?;
    file.write_all(text.as_bytes())?;
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn open(arguments: &[&str]) -> Result<Files, Error> {
        let line = ["tailwatch", "verify"].iter().chain(arguments);
        Files::open(&crate::cli::Cli::try_parse_from(line).unwrap().global)
    }

    #[test]
    fn a_file_that_cannot_be_written_is_a_usage_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, reason) in [("missing/report.xml", "No such file"), ("", "not a regular file")] {
            let error = open(&["--junit", &path(name)]).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::USAGE);
            let message = error.to_string();
            assert!(message.contains(&path(name)) && message.contains(reason), "{message}");
        }
        let message = open(&["--html", "/dev/null"]).unwrap_err().to_string();
        assert_eq!(message, "--html /dev/null cannot be written: it is not a regular file");
        assert!(open(&["--html", &path("x"), "--junit", &path("x")]).is_err());
    }

    #[test]
    fn a_report_is_replaced_atomically() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        let link = folder.path().join("link.xml");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let page = folder.path().join("page.html");
        let arguments = ["--junit", link.to_str().unwrap(), "--html", page.to_str().unwrap()];
        let files = open(&arguments).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert!(!page.exists(), "it is created at the end");
        files.write(&Record::new("verify"), &Ui::of_events());
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("<?xml"));
        assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
        assert!(link.is_symlink());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
