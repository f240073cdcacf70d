//! Typed calls of helm.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::helm::fetch::is_plain;
use crate::helm::repositories::{self, Repository};
use crate::helm::run::{Call, Effect, FETCH, repositories_file, run, words};
use crate::helm::{Capabilities, Helm, HelmError, Limits, Ownership, ReleaseRequest, parse};
use crate::stack::{ChartSource, HelmDriver, LIMIT_LABEL, MACHINE_LABEL, RUN_LABEL};
use crate::yaml::json_line;

const READ: Duration = Duration::from_secs(60);
/// How long helm may take after its own `--timeout`, to record the failure.
const OVERTIME: Duration = Duration::from_secs(5);
/// The maximum time that it may still run after that.
const REMAINDER: Duration = Duration::from_secs(120);
/// Revisions per release (`--history-max`).
const HISTORY: &str = "10";

impl Helm {
    /// The chart's CRDs.
    pub async fn show_crds(&self, chart: &Path) -> Result<Vec<Value>, HelmError> {
        let arguments = vec!["show".into(), "crds".into(), chart.as_os_str().to_owned()];
        let output = self.call(arguments, Effect::Reads, READ, &CancellationToken::new()).await?;
        parse::documents(&output).map_err(|source| output_error("helm show crds", source))
    }

    /// Renders a chart with its hooks, without test pods and CRDs.
    pub async fn template(
        &self,
        request: &ReleaseRequest<'_>,
        capabilities: &Capabilities,
    ) -> Result<Vec<Value>, HelmError> {
        let values = self.values_file(request.values)?;
        let mut arguments = words(&["template", request.release]);
        arguments.push(request.chart.into());
        arguments.extend(words(&["-n", request.namespace, "--skip-tests", "-f"]));
        arguments.push(values.path().into());
        arguments.extend(words(&["--kube-version", &capabilities.kube_version]));
        if !capabilities.api_versions.is_empty() {
            arguments.extend(words(&["--api-versions", &capabilities.api_versions.join(",")]));
        }
        let output = self.call(arguments, Effect::Reads, READ, &CancellationToken::new()).await;
        let output = output.map_err(|error| error.without(request.secrets))?;
        parse::documents(&output).map_err(|source| output_error("helm template", source))
    }

    /// `helm upgrade --install` without waiting for workloads (it waits for hooks).
    pub async fn upgrade_install(&self, request: &ReleaseRequest<'_>, limits: &Limits) -> Result<(), HelmError> {
        let values = self.values_file(request.values)?;
        let mut arguments = words(&["upgrade", "--install", request.release]);
        arguments.push(request.chart.into());
        arguments.extend(words(&["-n", request.namespace, "--history-max", HISTORY]));
        match request.ownership {
            Ownership::Respect => {}
            // helm 4 applies server-side, where fields of other managers would conflict.
            Ownership::Take if self.version.major >= 4 => {
                arguments.extend(words(&["--take-ownership", "--force-conflicts"]));
            }
            Ownership::Take => arguments.extend(words(&["--take-ownership"])),
        }
        // Marks the revision as ours, if this run is killed.
        let run = format!("{RUN_LABEL}={:08x},{LIMIT_LABEL}={}", rand::random::<u32>(), limits.timeout.as_secs());
        let machine = self.machine.as_ref().map(|machine| format!(",{MACHINE_LABEL}={machine}"));
        arguments.extend(words(&["--labels", &format!("{run}{}", machine.unwrap_or_default())]));
        // CRDs in `crds/` of a chart are applied by tailwatch, server-side.
        // Without `--reset-values` helm keeps the old values if the new ones are empty.
        arguments.extend(words(&["--skip-crds", "--reset-values", "-f"]));
        arguments.push(values.path().into());
        self.change(arguments, limits).await.map_err(|error| error.without(request.secrets))
    }

    /// `helm rollback` to a revision.
    pub async fn rollback(
        &self,
        (release, namespace): (&str, &str),
        revision: u32,
        limits: &Limits,
    ) -> Result<(), HelmError> {
        let revision = revision.to_string();
        let arguments = words(&["rollback", release, &revision, "-n", namespace, "--history-max", HISTORY]);
        self.change(arguments, limits).await
    }

    /// `helm uninstall`, waiting until helm has deleted the release's objects from the API.
    pub async fn uninstall(&self, release: &str, namespace: &str, limits: &Limits) -> Result<(), HelmError> {
        let arguments = words(&["uninstall", release, "-n", namespace, "--ignore-not-found"]);
        self.change(arguments, limits).await
    }

    /// helm's own `--timeout` is per hook; the whole call has a slightly longer deadline.
    async fn change(&self, mut arguments: Vec<OsString>, limits: &Limits) -> Result<(), HelmError> {
        let Limits { timeout, cancel, kill } = limits;
        arguments.extend(words(&["--timeout", &format!("{}s", timeout.as_secs().max(1))]));
        let deadline = timeout.saturating_add(OVERTIME);
        self.call(arguments, Effect::Mutates(kill.clone()), deadline, cancel).await.map(drop)
    }

    /// `helm pull` into a folder.
    pub(super) async fn pull(&self, source: &ChartSource, folder: &Path) -> Result<(), HelmError> {
        let (address, access) = (source.repository.as_str(), &source.access);
        if let Some(file) = &access.ca_file {
            std::fs::File::open(file).map_err(|source| HelmError::CaFile { path: file.clone(), source })?;
        }
        let settings = self.fresh_folder()?;
        let mut arguments = words(&["pull"]);
        let mut helm = self.clone();
        if address.starts_with("oci://") {
            arguments.push(format!("{address}/{}", source.name).into());
            if is_plain(address, access) {
                arguments.push("--plain-http".into());
            }
            if let Some(file) = &access.ca_file {
                arguments.extend(["--ca-file".into(), file.into()]);
            }
            if access.login().is_some() {
                let path = settings.path().join("registry.json");
                repositories::write_login(&path, address, access)?;
                arguments.extend(["--registry-config".into(), path.into()]);
            }
        } else {
            let repository = Repository::new(address, access);
            if repository.is_private() {
                helm = self.knowing(&repository, settings.path()).await?;
                arguments.push(format!("{}/{}", repository.name(), source.name).into());
            } else {
                arguments.extend(words(&[&source.name, "--repo", address]));
            }
        }
        arguments.extend(words(&["--version", &source.version.to_string(), "-d"]));
        arguments.push(folder.into());
        helm.call(arguments, Effect::Reads, FETCH, &CancellationToken::new()).await.map(drop)
    }

    pub(super) async fn read(&self, arguments: &[&str]) -> Result<Vec<u8>, HelmError> {
        self.call(words(arguments), Effect::Reads, READ, &CancellationToken::new()).await
    }

    pub(super) async fn call(
        &self,
        mut arguments: Vec<OsString>,
        effect: Effect,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, HelmError> {
        arguments.extend(["--kubeconfig".into(), self.access.path().into()]);
        arguments.extend(words(&["--kube-context", self.access.context()]));
        self.log(&arguments);
        // Index files of our pulls stay in our own folder, apart from the user's repositories.
        let added = vec![
            ("HELM_REPOSITORY_CACHE".into(), index_folder(&self.cache).into()),
            ("HELM_REPOSITORY_CONFIG".into(), repositories_file(&self.cache).into()),
            (HelmDriver::VARIABLE.into(), self.driver.name().into()),
        ];
        let changes = matches!(effect, Effect::Mutates(_));
        let held = self.held.clone().filter(|_| changes);
        let need = changes.then(|| self.access.needed_for(deadline + REMAINDER));
        if changes {
            self.writes.begin();
        }
        let children = self.children.clone();
        let environment = self.environment.clone();
        let files: Vec<PathBuf> = arguments.iter().map(PathBuf::from).filter(|path| path.is_absolute()).collect();
        let call = Call { arguments, effect, deadline, children, environment, added, need, held };
        run(&self.program, call, cancel).await.map_err(|error| error.of_sandbox(&files))
    }

    /// JSON, which helm 3 and helm 4 read with the same types. Mode 0600 by tempfile's default; deleted when dropped.
    /// Beside the kubeconfig: a helm in a sandbox of its own, which may have another /tmp, reads that folder anyway.
    fn values_file(&self, values: &Value) -> Result<tempfile::NamedTempFile, HelmError> {
        let failed = |source| HelmError::Local { what: "write the values to a temporary file".into(), source };
        let mut builder = tempfile::Builder::new();
        let mut file = builder.prefix("values-").suffix(".json").tempfile_in(self.access.folder()).map_err(failed)?;
        // helm's reader of lines drops a last line of a multiple of 4096 bytes that no line break ends, and then takes
        // the chart's defaults (LineReader of k8s.io/apimachinery/pkg/util/yaml).
        writeln!(file, "{}", json_line(values)).and_then(|()| file.flush()).map_err(failed)?;
        Ok(file)
    }

    fn log(&self, arguments: &[OsString]) {
        let Some(path) = &self.log_file else { return };
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        let line = serde_json::json!({"time": jiff::Timestamp::now(), "helm": words});
        // A failure of the log must not fail the call.
        let file = crate::input_file::append(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// The folder of repository indexes below our cache folder.
pub(super) fn index_folder(cache: &Path) -> PathBuf {
    cache.join("index")
}

fn output_error(command: &str, source: Box<dyn std::error::Error + Send + Sync>) -> HelmError {
    HelmError::Output { command: command.into(), source }
}
