//! Files from flags and answers: regular files and inherited descriptors are read up to a limit. A named pipe, a
//! device, a terminal, a socket and a folder are errors, since reading them may never end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

/// Paths of inherited descriptors: a shell's `<(…)` is /dev/fd/63.
const DESCRIPTORS: [&str; 3] = ["/dev/fd/", "/proc/self/fd/", "/dev/stdin"];

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is not a regular file.
    #[error("it is {0}")]
    Other(&'static str),
    /// It exceeds the limit.
    #[error("it has more than {largest} bytes")]
    TooLarge {
        /// The limit.
        largest: u64,
        /// Its size, if known without reading.
        found: Option<u64>,
    },
}

impl InputError {
    /// As an I/O error.
    pub fn into_io(self) -> io::Error {
        match self {
            InputError::Unreadable(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
        }
    }
}

/// Reads a regular file or an inherited descriptor of at most `largest` bytes.
pub fn read(path: &Path, largest: u64) -> Result<Vec<u8>, InputError> {
    let facts = std::fs::metadata(path)?;
    if let Some(other) = other(path, &facts) {
        return Err(InputError::Other(other));
    }
    if facts.len() > largest {
        return Err(InputError::TooLarge { largest, found: Some(facts.len()) });
    }
    let file = File::open(path)?;
    if file.is_terminal() {
        return Err(InputError::Other("a terminal"));
    }
    let mut bytes = Vec::new();
    file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(InputError::TooLarge { largest, found: None });
    }
    Ok(bytes)
}

/// The same as UTF-8.
pub fn read_text(path: &Path, largest: u64) -> Result<String, InputError> {
    let text = String::from_utf8(read(path, largest)?);
    text.map_err(|_| InputError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")))
}

/// Whether others than the owner may read or write the file.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o077 != 0)
}

/// The kind of file, if it cannot be appended to.
pub fn unfit_for_appending(path: &Path) -> Option<&'static str> {
    let facts = std::fs::metadata(path).ok()?;
    match other(path, &facts)? {
        "a device" => None,
        other => Some(other),
    }
}

/// Opens a file for appending; only the owner may read one that this creates. A pipe without a reader is an error, and
/// writes to a full one are lost: a log never blocks a run (open(2), O_NONBLOCK).
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// The kind of file, unless it is readable.
fn other(path: &Path, facts: &Metadata) -> Option<&'static str> {
    let kind = facts.file_type();
    let is_inherited = DESCRIPTORS.iter().any(|place| path.to_string_lossy().starts_with(place));
    if kind.is_file() || (is_inherited && kind.is_fifo()) || path == Path::new("/dev/null") {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if is_inherited && kind.is_char_device() && File::open(path).is_ok_and(|file| file.is_terminal()) {
        Some("a terminal")
    } else {
        Some("a device")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn pipes_devices_and_folders_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "four").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, expected) in [
            (pipe.as_path(), "it is a named pipe"),
            (&link, "it is a named pipe"),
            (&socket, "it is a socket"),
            (folder.path(), "it is a folder"),
            (Path::new("/dev/zero"), "it is a device"),
            (&folder.path().join("missing"), "No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(path, 10).unwrap_err().to_string(), expected, "{}", path.display());
        }
        assert_eq!(read(Path::new("/dev/null"), 10).unwrap(), b"");
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert_eq!(read(&file, 3).unwrap_err().to_string(), "it has more than 3 bytes");
        assert!(is_open_to_others(&file) && !is_open_to_others(&pipe));
        assert_eq!(unfit_for_appending(&pipe), Some("a named pipe"));
        assert_eq!(unfit_for_appending(Path::new("/dev/null")), None);
        assert!(append(&pipe).is_err(), "a pipe without a reader");
    }

    #[test]
    fn an_inherited_descriptor_is_read_like_a_file() {
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"tailnet: x").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(read(Path::new(&path), 100).unwrap(), b"tailnet: x");
    }
}
