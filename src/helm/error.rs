//! Errors of helm calls, classified by known phrases of helm's stderr.

use std::path::PathBuf;

use crate::config::Secret;
use crate::helm::helm_errors::{CLASSES, FETCHING, SCHEMA_INVALID, VAGUE};
use crate::helm::schema;
use crate::known_errors::{self, API_ERRORS, KnownError};
use crate::stack::{CHARTS_RECORD, DigestSource, KnownDigest};

/// A helm call failed.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// There is no helm.
    #[error("helm was not found{}", path.as_ref().map(|path| format!(" at {}", path.display())).unwrap_or_default())]
    NotFound {
        /// The path of `--helm`.
        path: Option<PathBuf>,
    },
    /// helm is older than the oldest supported version.
    #[error("helm {found} is too old, {oldest} or later is needed")]
    TooOld {
        /// Its version.
        found: semver::Version,
        /// The oldest supported version.
        oldest: semver::Version,
    },
    /// `HELM_DRIVER` is not a storage driver in the cluster.
    #[error("HELM_DRIVER is {found:?}, with which helm does not store its releases in the cluster")]
    Driver {
        /// The variable's text.
        found: String,
    },
    /// The output of `version` is not helm's.
    #[error("{} is not helm: `version` {answer}", program.display())]
    NotHelm {
        /// The program.
        program: PathBuf,
        /// What it did: `printed …`, `ended with …`.
        answer: String,
    },
    /// helm ended with an error of known cause.
    #[error("{}: {stderr}", row.cause)]
    Known {
        /// The row that matched.
        row: &'static KnownError,
        /// End of helm's stderr.
        stderr: String,
    },
    /// helm ended with an error.
    #[error("`{command}` ended with {end}: {stderr}")]
    Failed {
        /// The command without values.
        command: String,
        /// Exit code or signal.
        end: String,
        /// End of helm's stderr.
        stderr: String,
    },
    /// The tags of a registry could not be listed.
    #[error("cannot list the versions in {repository}: {message}")]
    Registry {
        /// Its address.
        repository: String,
        /// Why.
        message: String,
    },
    /// The digest of an image cannot be read.
    #[error("the registry reports no digest of {image}: {message}")]
    Image {
        /// The image.
        image: String,
        /// Why.
        message: String,
    },
    /// helm did not end in time.
    #[error("`{command}` did not answer within {seconds} s")]
    TimedOut {
        /// The command.
        command: String,
        /// The deadline.
        seconds: u64,
    },
    /// helm's output is not what was expected.
    #[error("cannot read the output of `{command}`")]
    Output {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A local file operation failed.
    #[error("cannot {what}")]
    Local {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of the answer `charts.caFile` cannot be read.
    #[error("cannot read the file {} of charts.caFile", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// helm does not see a file that exists.
    #[error("helm cannot read {}, which exists: {stderr}", file.display())]
    Sandboxed {
        /// The file.
        file: PathBuf,
        /// End of helm's stderr.
        stderr: String,
    },
    /// helm succeeded, but the archive is missing.
    #[error("helm did not fetch {file} from {repository}")]
    NotFetched {
        /// Address of the repository.
        repository: String,
        /// The archive's name.
        file: String,
    },
    /// The archive is not in the folder or the bundle.
    #[error("{} has no {file}", place.display())]
    NoArchive {
        /// The folder or the bundle.
        place: PathBuf,
        /// The archive's name.
        file: String,
    },
    /// A bundle cannot be read.
    #[error("cannot read the bundle {}", path.display())]
    Bundle {
        /// The archive of `tailwatch bundle`.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The archive has another chart, or another version of it.
    #[error("{repository} has {found} as {requested}")]
    OtherChart {
        /// Its address.
        repository: String,
        /// e.g. `chart loki 6.46.0`
        requested: String,
        /// The same of the archive, or why it is no chart.
        found: String,
    },
    /// Another user could change the charts in the cache.
    #[error("the cache folder {} {why}", folder.display())]
    ForeignCache {
        /// The folder.
        folder: PathBuf,
        /// Owner or mode.
        why: String,
    },
    /// The lock file beside the answers has no archive of a chart.
    #[error("{} has no sha256 of {chart}", lock.display())]
    NotLocked {
        /// The lock file.
        lock: PathBuf,
        /// e.g. `chart loki 6.46.0 from https://grafana.github.io/helm-charts`
        chart: String,
    },
    /// The archive of a chart version has another digest than the known one.
    #[error("{0}")]
    DigestChanged(Box<DigestChange>),
}

/// The expected and the actual digest of an archive, sha256 (hex).
#[derive(Debug)]
pub struct DigestChange {
    /// Chart.
    pub chart: String,
    /// Version.
    pub version: String,
    /// Repository.
    pub repository: String,
    /// Expected digest.
    pub expected: KnownDigest,
    /// Digest of the fetched archive.
    pub found: String,
}

impl std::fmt::Display for DigestChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DigestChange { chart, version, repository, expected: KnownDigest { sha256, source }, found } = self;
        write!(formatter, "chart {chart} {version} from {repository} has sha256 {found}, expected {sha256}, ")?;
        match source {
            DigestSource::Catalogue => formatter.write_str("that of its publisher"),
            DigestSource::Cluster { namespace } => {
                write!(formatter, "recorded by an earlier run in annotation {CHARTS_RECORD} of namespace {namespace}")
            }
            DigestSource::Lock { path } => write!(formatter, "that in {}", path.display()),
            DigestSource::Machine => formatter.write_str("recorded at its first use on this machine"),
        }
    }
}

impl DigestChange {
    fn hint(&self) -> String {
        let record = match &self.expected.source {
            DigestSource::Catalogue => {
                return "fetch the chart from its publisher, or set charts.repacked: true if charts.repository has \
                        archives of its own"
                    .into();
            }
            DigestSource::Cluster { namespace } => {
                format!("record with `kubectl annotate namespace {namespace} {CHARTS_RECORD}-`")
            }
            DigestSource::Lock { path } => format!("entry from {}", path.display()),
            DigestSource::Machine => "line from digests.json in tailwatch's cache folder".into(),
        };
        format!(
            "the archive of a released version was replaced: ask its publisher why; if the change is legitimate, \
             remove the {record}"
        )
    }
}

/// Lines of stderr in a message.
const LINES: usize = 6;
const SCHEMA_LINES: usize = 40;

impl HelmError {
    /// The error with these secrets masked, which helm may have quoted from the values.
    pub(super) fn without(mut self, secrets: &[Secret<String>]) -> HelmError {
        const MIN_LENGTH: usize = 4;
        if let HelmError::Known { stderr, .. } | HelmError::Failed { stderr, .. } = &mut self {
            let parts = secrets
                .iter()
                .map(Secret::expose)
                .flat_map(|secret| std::iter::once(secret.trim()).chain(secret.lines().map(str::trim)));
            for part in parts.filter(|part| part.len() >= MIN_LENGTH) {
                *stderr = stderr.replace(part, "***");
            }
        }
        self
    }

    /// Classifies a failed call.
    pub(super) fn classify(command: String, end: String, stderr: &str) -> HelmError {
        let fetches = command.starts_with("helm pull") || command.starts_with("helm repo");
        let tables: &[_] = if fetches { &[FETCHING] } else { &[CLASSES, API_ERRORS, VAGUE] };
        let known = tables.iter().find_map(|rows| known_errors::find(rows, stderr));
        match known {
            // Each line is about another key.
            Some(row) if row.id == SCHEMA_INVALID => HelmError::Known { row, stderr: tail(stderr, SCHEMA_LINES) },
            Some(row) => HelmError::Known { row, stderr: tail(stderr, LINES) },
            None => HelmError::Failed { command, end, stderr: tail(stderr, LINES) },
        }
    }

    /// The same, or that helm does not see one of these files: each exists for this process.
    pub(super) fn of_sandbox(self, files: &[PathBuf]) -> HelmError {
        const MISSING: [&str; 3] = ["no such file or directory", "permission denied", "not found"];
        let (HelmError::Known { stderr, .. } | HelmError::Failed { stderr, .. }) = &self else { return self };
        let is_unseen = |file: &&PathBuf| {
            let missing = MISSING.iter().any(|missing| stderr.contains(missing));
            missing && stderr.contains(&*file.to_string_lossy()) && file.exists()
        };
        match files.iter().find(is_unseen) {
            Some(file) => HelmError::Sandboxed { file: file.clone(), stderr: stderr.clone() },
            None => self,
        }
    }

    /// Classifies the error of a registry.
    pub(super) fn of_registry(repository: String, message: String) -> HelmError {
        match known_errors::find(FETCHING, &message) {
            Some(row) => HelmError::Known { row, stderr: message },
            None => HelmError::Registry { repository, message },
        }
    }

    /// The row of a known error, and helm's stderr.
    pub fn known_error(&self) -> Option<(&'static KnownError, &str)> {
        match self {
            HelmError::Known { row, stderr } => Some((row, stderr)),
            _ => None,
        }
    }

    /// Value paths that the schema of `chart` or of its subcharts rejects; empty for any other failure.
    pub fn rejected_paths(&self, chart: &str) -> Vec<Vec<String>> {
        match self {
            HelmError::Known { row, stderr } if row.id == SCHEMA_INVALID => schema::rejected_paths(stderr, chart),
            _ => Vec::new(),
        }
    }

    /// The API server did not answer helm; a retry may succeed.
    pub fn is_unreachable(&self) -> bool {
        let known = self.known_error().is_some_and(|(row, _)| row.id == "cluster-unreachable");
        known || matches!(self, HelmError::TimedOut { .. })
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            HelmError::NotFound { .. } => {
                "install helm 3.14 or later (https://helm.sh/docs/intro/install/), or set its path with --helm PATH"
                    .into()
            }
            HelmError::Driver { .. } => {
                "unset HELM_DRIVER, or set it to secret or configmap, as when the stack was installed".into()
            }
            HelmError::TooOld { .. } | HelmError::NotHelm { .. } => {
                "install a current helm (https://helm.sh/docs/intro/install/), or select another with --helm PATH"
                    .into()
            }
            HelmError::Known { row, .. } => row.hint.into(),
            HelmError::NotFetched { .. } => {
                "compare `versions:` in the answers with the versions in the repository".into()
            }
            HelmError::CaFile { .. } => "correct charts.caFile in the answers, or the permissions of that file".into(),
            HelmError::Sandboxed { .. } => {
                "this helm runs in a sandbox with other files (snap, container): set TAILWATCH_CACHE, TAILWATCH_STATE \
                 and XDG_RUNTIME_DIR to folders that it can read, or select another helm with --helm PATH"
                    .into()
            }
            HelmError::ForeignCache { .. } => {
                "set TAILWATCH_CACHE to a folder that only you can write; tailwatch creates one that does not exist"
                    .into()
            }
            HelmError::OtherChart { .. } => {
                "ask the administrator of the repository to correct its index or the archive, or set \
                 charts.repository to another"
                    .into()
            }
            HelmError::NoArchive { .. } => {
                "copy the archive there, write the bundle again for these versions, or correct charts.repository".into()
            }
            HelmError::Bundle { .. } => "correct the path, copy the bundle again, or write it again".into(),
            HelmError::NotLocked { .. } => "`tailwatch answers lock FILE` adds it: FILE is the answers file".into(),
            HelmError::DigestChanged(change) => change.hint(),
            HelmError::TimedOut { .. } => "check that the cluster and the chart repository are reachable".into(),
            HelmError::Local { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                "restore the file, or remove it: charts are then pinned again at the next fetch".into()
            }
            HelmError::Local { .. } => {
                "check its permissions (read, write, execute); --helm PATH and TAILWATCH_CACHE select other \
                 paths"
                    .into()
            }
            HelmError::Registry { .. } => {
                "check the address and that the registry is reachable, or set charts.repository to another".into()
            }
            HelmError::Image { .. } => {
                "check that this machine reaches the registry, log in with `helm registry login` or `docker login` if it \
                 asks for credentials, or use --without-digests"
                    .into()
            }
            HelmError::Failed { .. } | HelmError::Output { .. } => return None,
        })
    }
}

/// The last lines, without warnings and empty lines, joined.
fn tail(stderr: &str, lines: usize) -> String {
    const CHARACTERS: usize = 1500;
    let reported: Vec<String> = stderr
        .lines()
        .map(|line| line.strip_prefix("Error: ").unwrap_or(line).trim_end().replace(" (try 'helm repo update')", ""))
        .filter(|line| !line.is_empty() && !line.starts_with("level=WARN") && !line.starts_with("WARNING:"))
        .collect();
    let text = reported[reported.len().saturating_sub(lines)..].join("; ");
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None if text.is_empty() => "(helm printed nothing)".into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_errors_have_a_cause_and_a_hint() {
        let stderr =
            "level=WARN msg=x\nError: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n";
        let error = HelmError::classify("helm upgrade".into(), "exit code 1".into(), stderr);
        assert!(error.to_string().starts_with("another helm operation on this release"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn unknown_errors_have_command_end_and_tail() {
        let error = HelmError::classify("helm x".into(), "signal 9".into(), "level=WARN a\nError: odd\nmore\n");
        assert_eq!(error.to_string(), "`helm x` ended with signal 9: odd; more");
        let long = HelmError::classify("h".into(), "e".into(), &"x".repeat(9000)).to_string();
        assert!(long.chars().count() < 1600);
    }
}
