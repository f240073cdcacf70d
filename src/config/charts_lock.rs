//! `charts.lock` beside the answers file: the archives that the charts must have, to be committed with the answers.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::Problem;
use crate::input_file::{self, InputError};

/// Its name.
pub const CHARTS_LOCK: &str = "charts.lock";
/// Bytes; a larger file is rejected unread.
const MAX_BYTES: u64 = 1 << 20;

/// An archive that a chart must have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedChart {
    /// Chart name.
    pub chart: String,
    /// Chart version.
    pub version: String,
    /// The repository from which it was fetched; not compared.
    pub repository: String,
    /// sha256 of the .tgz, hex.
    pub sha256: String,
}

/// The archives of a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartsLock {
    /// The file.
    pub path: PathBuf,
    /// Its archives.
    pub charts: Vec<LockedChart>,
}

impl ChartsLock {
    /// The one in the folder of an answers file; `None`: there is none.
    pub(super) fn beside(answers: &Path) -> Result<Option<ChartsLock>, Problem> {
        let path = answers.with_file_name(CHARTS_LOCK);
        let problem = |place: String, found: String| Problem {
            place,
            key: String::new(),
            found,
            expected: "expected a file of `tailwatch answers lock`: remove it, and write it again".into(),
        };
        let text = match input_file::read_text(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(InputError::Unreadable(source)) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(path.display().to_string(), error.into_io().to_string())),
        };
        match serde_json::from_str(&text) {
            Ok(charts) => Ok(Some(ChartsLock { path, charts })),
            Err(error) => {
                let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
                Err(problem(place, error.to_string()))
            }
        }
    }

    /// The sha256 of this version, from whichever repository: a mirror has the same archives.
    pub fn sha256(&self, chart: &str, version: &str) -> Option<&str> {
        let found = self.charts.iter().find(|known| known.chart == chart && known.version == version);
        found.map(|known| known.sha256.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(text: &str) -> Result<Option<ChartsLock>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CHARTS_LOCK), text).unwrap();
        let found = ChartsLock::beside(&folder.path().join("answers.yaml"));
        found.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "."))
    }

    #[test]
    fn an_archive_is_known_by_chart_and_version() {
        let text = r#"[{"chart": "loki", "version": "1.0.0", "repository": "https://one.example", "sha256": "0a"}]"#;
        let lock = lock(text).unwrap().unwrap();
        assert_eq!(lock.sha256("loki", "1.0.0"), Some("0a"));
        assert_eq!((lock.sha256("loki", "1.0.1"), lock.sha256("alloy", "1.0.0")), (None, None));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ChartsLock::beside(&folder.path().join("answers.yaml")).unwrap(), None);
    }

    #[test]
    fn another_content_is_rejected_with_its_place() {
        for text in ["", "{}", "[{\"chart\": \"loki\"}]", "[{\"chart\":\n 1}]", "[{\"chart\": \"a\", \"more\": 1}]"] {
            let error = lock(text).unwrap_err();
            assert!(error.starts_with("./charts.lock:") && error.contains("answers lock"), "{error}");
        }
    }
}
