//! helm as a child process: one function for all calls, typed calls; output of helm 3 and helm 4; chart fetch,
//! digest lock, cache. Must not use the cluster module, print or prompt.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

mod archive;
mod commands;
mod credentials;
mod error;
mod fetch;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod helm_errors;
mod local_charts;
mod parse;
mod registry;
mod release_info;
mod repositories;
mod run;
mod schema;
mod versions;

use crate::config::Secret;
use crate::process::{Children, ClusterAccess, Environment};
use crate::stack::{HelmDriver, Release};
use crate::write_record::Writes;

pub use archive::{app_version, default_values};
pub use error::{DigestChange, HelmError};
pub use helm_errors::rows;
pub use release_info::{ReleaseInfo, ReleaseStatus};

/// A helm of a supported version (3.14 or later, 4.x), without a cluster.
#[derive(Debug)]
pub struct HelmProgram {
    program: PathBuf,
    version: semver::Version,
    options: HelmOptions,
}

/// helm for one cluster: every call gets the kubeconfig of the run, and no variable that selects another cluster.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    version: semver::Version,
    access: ClusterAccess,
    driver: HelmDriver,
    cache: PathBuf,
    log_file: Option<PathBuf>,
    environment: Environment,
    held: Option<Arc<File>>,
    machine: Option<String>,
    writes: Writes,
    children: Children,
}

/// The options of all helm calls.
#[derive(Clone, Debug, Default)]
pub struct HelmOptions {
    /// `--helm`; `None`: `helm` on PATH.
    pub program: Option<PathBuf>,
    /// The storage driver of its releases.
    pub driver: HelmDriver,
    /// The folder of fetched charts and the digest lock; `None`: the user's cache folder.
    pub cache: Option<PathBuf>,
    /// The log file of all calls, redacted.
    pub log_file: Option<PathBuf>,
    /// The record of calls that change the cluster, written before they start.
    pub writes: Writes,
    /// The environment of helm.
    pub environment: Environment,
}

/// Limits of a call that changes the cluster. A dropped future never kills helm; it first gets SIGTERM and then marks its
/// release as failed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// helm's `--timeout`; soon after it, helm gets SIGTERM.
    pub timeout: Duration,
    /// Sends SIGTERM to helm.
    pub cancel: CancellationToken,
    /// After SIGTERM: kills helm without waiting for its end.
    pub kill: CancellationToken,
}

/// A chart archive on disk, its digest checked against the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedChart {
    /// The .tgz
    pub path: PathBuf,
    /// sha256 of the .tgz, hex.
    pub digest: String,
}

/// What to render or apply.
#[derive(Clone, Debug)]
pub struct ReleaseRequest<'a> {
    /// Release name.
    pub release: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Chart archive.
    pub chart: &'a Path,
    /// Values; written to a 0600 temporary file.
    pub values: &'a Value,
    /// Texts to mask in helm's output.
    pub secrets: &'a [Secret<String>],
    /// How to treat existing objects; only for apply.
    pub ownership: Ownership,
}

impl<'a> ReleaseRequest<'a> {
    /// The request for a release with its chart archive.
    pub fn new(release: &'a Release, chart: &'a FetchedChart) -> ReleaseRequest<'a> {
        ReleaseRequest {
            release: release.component.as_str(),
            namespace: &release.namespace,
            chart: &chart.path,
            values: &release.values,
            secrets: &release.secrets,
            ownership: Ownership::Respect,
        }
    }
}

/// How helm treats existing objects that do not belong to the release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// helm rejects the release.
    #[default]
    Respect,
    /// They become part of the release.
    Take,
}

/// The API server's version and APIs, for rendering.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// e.g. `1.36.1`
    pub kube_version: String,
    /// `group/version` and `group/version/Kind`
    pub api_versions: Vec<String>,
}

/// The oldest helm with all flags that we use.
pub const OLDEST_HELM: semver::Version = semver::Version::new(3, 14, 0);
/// The oldest helm that has `--take-ownership` for upgrades and installs.
pub const OLDEST_WITH_TAKE_OWNERSHIP: semver::Version = semver::Version::new(3, 17, 0);

impl HelmProgram {
    /// Finds helm and checks its version.
    pub async fn discover(options: HelmOptions) -> Result<HelmProgram, HelmError> {
        let program = options.program.clone().unwrap_or_else(|| "helm".into());
        let call = run::Call {
            arguments: ["version", "--template", "{{.Version}}"].map(Into::into).to_vec(),
            effect: run::Effect::Reads,
            deadline: Duration::from_secs(15),
            children: Children::default(),
            environment: options.environment.clone(),
            added: Vec::new(),
            need: None,
            held: None,
        };
        let answer = run::run(&program, call, &CancellationToken::new()).await.map_err(|error| match error {
            HelmError::NotFound { .. } => HelmError::NotFound { path: options.program.clone() },
            HelmError::Failed { end, stderr, .. } => {
                HelmError::NotHelm { program: program.clone(), answer: format!("ended with {end}: {stderr}") }
            }
            other => other,
        })?;
        let answer = String::from_utf8_lossy(&answer);
        let Some(version) = parse::version(&answer) else {
            let answer = match answer.trim() {
                "" => "printed nothing".to_owned(),
                text => format!("printed {}", text.chars().take(80).collect::<String>()),
            };
            return Err(HelmError::NotHelm { program, answer });
        };
        if version < OLDEST_HELM {
            return Err(HelmError::TooOld { found: version, oldest: OLDEST_HELM });
        }
        Ok(HelmProgram { program, version, options })
    }

    /// helm for the cluster of this kubeconfig.
    pub fn on(self, access: ClusterAccess) -> Helm {
        let HelmProgram { program, version, options } = self;
        let HelmOptions { driver, log_file, environment, writes, .. } = options;
        let cache = options.cache.or_else(cache_folder).unwrap_or_else(|| access.folder().join("cache"));
        let children = Children::default();
        Helm {
            program,
            version,
            access,
            driver,
            cache,
            log_file,
            environment,
            held: None,
            machine: None,
            writes,
            children,
        }
    }

    /// Its version.
    pub fn version(&self) -> &semver::Version {
        &self.version
    }
}

/// The driver in `HELM_DRIVER`; an error if it does not store releases in the cluster.
pub fn driver() -> Result<HelmDriver, HelmError> {
    let found = std::env::var_os(HelmDriver::VARIABLE).unwrap_or_default().to_string_lossy().into_owned();
    HelmDriver::of(&found).ok_or(HelmError::Driver { found })
}

impl Helm {
    /// The same helm with a file that each call that changes the cluster keeps open until it ends, even after this process
    /// has ended, and with the name of this machine for the labels of revisions.
    #[must_use]
    pub fn holding(self, file: Option<Arc<File>>, machine: &str) -> Helm {
        Helm { held: file, machine: Some(machine.to_owned()), ..self }
    }

    /// The running calls that change the cluster.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// The environment of every child of this run.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The storage driver of its releases.
    pub fn driver(&self) -> HelmDriver {
        self.driver
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its version.
    pub fn version(&self) -> &semver::Version {
        &self.version
    }
}

/// `$TAILWATCH_CACHE`, or the platform's cache folder.
fn cache_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    std::env::var_os("TAILWATCH_CACHE")
        .map(PathBuf::from)
        .or_else(|| etcetera::choose_base_strategy().ok().map(|base| base.cache_dir().join("tailwatch")))
}
