//! The source of a secret. The secret itself is never part of an answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::Secret;
use crate::input_file;

/// Name and text of the environment variables, some of which are secrets: no copy outlives its use.
pub type EnvironmentVariables = BTreeMap<String, Zeroizing<String>>;

/// Bytes of a file with a secret.
const MAX_BYTES: u64 = 64 << 10;

/// Source of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretSource {
    /// An environment variable.
    Environment(String),
    /// A file; one newline at its end is ignored.
    File(PathBuf),
    /// Typed at a prompt.
    Typed(Secret<String>),
}

/// How many lines a secret may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// A client secret.
    One,
    /// For example a PEM key.
    Many,
}

impl SecretSource {
    /// Its environment variable.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            SecretSource::Environment(name) => Some(name),
            SecretSource::File(_) | SecretSource::Typed(_) => None,
        }
    }

    /// Describes the source, never the secret.
    pub(super) fn describe(&self) -> String {
        match self {
            SecretSource::Environment(name) => format!("{{ env: {name} }}"),
            SecretSource::File(path) => format!("{{ file: {} }}", path.display()),
            SecretSource::Typed(_) => "[typed]".into(),
        }
    }

    /// A warning about the file's permissions.
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            SecretSource::File(path) if input_file::is_open_to_others(path) => {
                let path = path.display();
                Some(format!("the secret in {path} is readable by other users; run `chmod 600 {path}`"))
            }
            _ => None,
        }
    }

    /// Reads it; the error is (found, expected).
    pub(super) fn read(
        &self,
        environment: &EnvironmentVariables,
        lines: Lines,
    ) -> Result<Secret<String>, (String, String)> {
        let is_invalid = |c: char| c.is_control() && !(lines == Lines::Many && matches!(c, '\n' | '\r' | '\t'));
        let text = match self {
            SecretSource::Environment(name) => environment.get(name).cloned().ok_or_else(|| {
                (format!("no variable {name} in the environment"), format!("export {name} before the run"))
            })?,
            SecretSource::File(path) => read_file(path)?,
            SecretSource::Typed(secret) => return Ok(secret.clone()),
        };
        if text.trim().is_empty() {
            return Err((format!("an empty secret in {}", self.describe()), "expected the secret".into()));
        }
        if text.chars().any(is_invalid) {
            let found = format!("line breaks or control characters in {}", self.describe());
            return Err((found, "expected the secret alone on one line".into()));
        }
        Ok(text.into())
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, (String, String)> {
    let text = input_file::read_text(path, MAX_BYTES).map_err(|error| {
        let expected = "expected a readable text file of at most 64 KiB".into();
        (format!("a file {} that cannot be read ({error})", path.display()), expected)
    })?;
    let text = Zeroizing::new(text);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_variables_and_files_and_are_never_shown() {
        let environment =
            [("A", "s3cret"), ("E", " ")].map(|(name, text)| (name.to_owned(), text.to_owned().into())).into();
        let read = |source: SecretSource| source.read(&environment, Lines::One);
        assert_eq!(read(SecretSource::Environment("A".into())).unwrap().expose(), "s3cret");
        assert!(read(SecretSource::Environment("B".into())).unwrap_err().0.contains("no variable B"));
        assert!(read(SecretSource::Environment("E".into())).is_err());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(read(SecretSource::File(file.clone())).unwrap().expose(), "s3cret");
        std::fs::write(&file, "two\nlines\n").unwrap();
        assert_eq!(SecretSource::File(file.clone()).read(&environment, Lines::Many).unwrap().expose(), "two\nlines");
        let (found, _) = read(SecretSource::File(file)).unwrap_err();
        assert!(!found.contains("two"), "{found}");
        assert!(!format!("{:?}", SecretSource::Typed(Secret::new("s3cret".into()))).contains("s3cret"));
    }
}
