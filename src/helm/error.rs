//! What can go wrong with helm, classified from its stderr by rows.

use std::path::PathBuf;

/// A helm call failed.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// There is no helm.
    #[error("helm was not found{}", place.as_ref().map(|path| format!(" at {}", path.display())).unwrap_or_default())]
    NotFound {
        /// Where `--helm` pointed.
        place: Option<PathBuf>,
    },
    /// helm is older than we can work with.
    #[error("helm {found} is too old, {oldest} or later is needed")]
    TooOld {
        /// Its version.
        found: semver::Version,
        /// The oldest that works.
        oldest: semver::Version,
    },
    /// The program answers like no helm.
    #[error("{} does not answer like helm: {answer}", program.display())]
    NotHelm {
        /// The program.
        program: PathBuf,
        /// The beginning of its answer.
        answer: String,
    },
    /// helm ended with an error whose cause is known.
    #[error("{cause}: {stderr}")]
    Known {
        /// In plain words.
        cause: &'static str,
        /// What to do.
        hint: &'static str,
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
    /// helm did not answer in time.
    #[error("`{command}` did not answer within {seconds} s")]
    Silent {
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
    /// helm ended well and fetched nothing.
    #[error("helm fetched no {file} from {repository}")]
    NotFetched {
        /// Address of the repository.
        repository: String,
        /// The archive's name.
        file: String,
    },
    /// The archive is not in the folder.
    #[error("the folder {} has no {file}", folder.display())]
    NoArchive {
        /// The folder.
        folder: PathBuf,
        /// The archive's name.
        file: String,
    },
    /// The same chart version came with other bytes than before.
    #[error("{0}")]
    DigestChanged(Box<DigestChange>),
}

/// What a digest was and is.
#[derive(Debug)]
pub struct DigestChange {
    /// Chart.
    pub chart: String,
    /// Version.
    pub version: String,
    /// Repository.
    pub repository: String,
    /// The lock.
    pub locked: String,
    /// What came.
    pub found: String,
}

impl std::fmt::Display for DigestChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DigestChange { chart, version, repository, locked, found } = self;
        write!(formatter, "chart {chart} {version} from {repository} has sha256 {found}, locked is {locked}")
    }
}

/// Phrase of helm's stderr -> cause in plain words, and what to do.
const CLASSES: [(&str, &str, &str); 15] = [
    (
        "another operation (install/upgrade/rollback) is in progress",
        "another helm works on this release, or was killed while it did",
        "if no helm is running, run the same command again: it repairs the release",
    ),
    (
        "invalid ownership metadata",
        "an object of the chart belongs to another release",
        "remove or rename that object, or install the stack into another namespace",
    ),
    (
        "cannot re-use a name that is still in use",
        "a release of this name stands already",
        "run the same command again; it plans from what stands",
    ),
    (
        "field is immutable",
        "a field of an existing object cannot be changed",
        "delete that object (volumes stay), then run the same command again",
    ),
    (
        "updates to statefulset spec for fields other than",
        "a field of an existing StatefulSet cannot be changed",
        "delete it with --cascade=orphan (volumes stay), then run the same command again",
    ),
    (
        "failed calling webhook",
        "an admission webhook could not be called",
        "see whether the webhook's Service has ready pods and whether the API server can reach it",
    ),
    (
        "denied the request",
        "an admission webhook refused an object",
        "read the webhook's message; the object or the policy has to change",
    ),
    (
        "exceeded quota",
        "a ResourceQuota refuses an object",
        "raise the quota of the namespace, or lower the requests in `values:`",
    ),
    (
        "is forbidden: User",
        "this user may not do that in the cluster",
        "ask for the right named above, or use another --context",
    ),
    (
        "Kubernetes cluster unreachable",
        "helm cannot reach the cluster",
        "see whether `kubectl get nodes` works with the same kubeconfig and context",
    ),
    (
        "timed out waiting for the condition",
        "a hook of the chart did not end in time",
        "look at the Jobs and pods of the namespace",
    ),
    (
        "context deadline exceeded",
        "helm's time was over",
        "look at the Jobs and pods of the namespace, or give more time with --timeout",
    ),
    (
        "execution error at",
        "the chart refuses these values",
        "correct the answer or the key below `values:` that the message names",
    ),
    (
        "values don't meet the specifications of the schema",
        "the chart's schema refuses these values",
        "correct the key below `values:` that the message names",
    ),
    (
        "conflict occurred while applying",
        "another field manager owns a field of the chart's objects",
        "see who with `kubectl get … --show-managed-fields`, and let it go there",
    ),
];

/// Phrases about fetching.
const FETCH_CLASSES: [(&str, &str, &str); 4] = [
    (
        "not found in",
        "the repository does not have this chart version",
        "see `versions:` in the answers and the repository's index",
    ),
    (
        "no such host",
        "the repository's host name does not resolve",
        "see the network or proxy, or name a mirror with charts.repository",
    ),
    (
        "connection refused",
        "the repository refuses connections",
        "see whether its address is right, or name a mirror with charts.repository",
    ),
    (
        "401 Unauthorized",
        "the repository asks for credentials",
        "log in with `helm registry login` or `helm repo add --username`",
    ),
];

impl HelmError {
    /// Classifies a failed call.
    pub(super) fn classify(command: String, end: String, stderr: &str) -> HelmError {
        let tail = tail(stderr);
        let class = CLASSES.iter().chain(&FETCH_CLASSES).find(|(phrase, ..)| stderr.contains(phrase));
        match class {
            Some((_, cause, hint)) => HelmError::Known { cause, hint, stderr: tail },
            None => HelmError::Failed { command, end, stderr: tail },
        }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            HelmError::NotFound { .. } => {
                "install helm 3.14 or later (https://helm.sh/docs/intro/install/), or name it with --helm PATH".into()
            }
            HelmError::TooOld { .. } | HelmError::NotHelm { .. } => {
                "install a current helm (https://helm.sh/docs/intro/install/), or name another with --helm PATH".into()
            }
            HelmError::Known { hint, .. } => (*hint).into(),
            HelmError::NotFetched { .. } => {
                "see which chart versions the repository has, and `versions:` in the answers".into()
            }
            HelmError::NoArchive { .. } => "put the archive there, or correct charts.repository".into(),
            HelmError::DigestChanged(_) => "somebody replaced the archive of a released version: find out who and \
                why; only if that is right, remove the line from digests.json in tailwatch's cache folder"
                .into(),
            HelmError::Silent { .. } => "see whether the cluster and the chart repository can be reached".into(),
            HelmError::Local { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                "restore the file, or remove it: charts are then pinned anew when they are fetched next".into()
            }
            HelmError::Local { .. } => {
                "see whether you may read, write or run it; --helm PATH and the variable TAILWATCH_CACHE name other \
                 places"
                    .into()
            }
            HelmError::Failed { .. } | HelmError::Output { .. } => return None,
        })
    }
}

/// The last lines without helm's log noise, on one line each; warnings go first when there is too much.
fn tail(stderr: &str) -> String {
    const LINES: usize = 6;
    const CHARACTERS: usize = 1500;
    let told: Vec<&str> = stderr
        .lines()
        .map(|line| line.strip_prefix("Error: ").unwrap_or(line).trim_end())
        .filter(|line| !line.is_empty() && !line.starts_with("level=WARN") && !line.starts_with("WARNING:"))
        .collect();
    let text = told[told.len().saturating_sub(LINES)..].join("; ");
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None if text.is_empty() => "(helm said nothing)".into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_causes_are_said_in_plain_words() {
        let stderr =
            "level=WARN msg=x\nError: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n";
        let error = HelmError::classify("helm upgrade".into(), "exit code 1".into(), stderr);
        assert!(error.to_string().starts_with("another helm works on this release"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn unknown_ones_show_command_end_and_tail() {
        let error = HelmError::classify("helm x".into(), "signal 9".into(), "level=WARN a\nError: odd\nmore\n");
        assert_eq!(error.to_string(), "`helm x` ended with signal 9: odd; more");
        let long = HelmError::classify("h".into(), "e".into(), &"x".repeat(9000)).to_string();
        assert!(long.chars().count() < 1600);
    }
}
