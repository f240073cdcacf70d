//! Runs helm as a child process: how a call may end, and the error of its end.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::helm::HelmError;
use crate::process::{self, Children, Ending, Environment, Input, Need, ProcessError};

/// Bytes of output, far above `helm list` of every namespace or a rendered chart.
const MAX_BYTES: usize = 256 << 20;
/// How long helm may take to fetch a chart or a repository's index.
pub(super) const FETCH: Duration = Duration::from_secs(300);

/// Whether a call changes the cluster.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// May be killed at any time.
    Reads,
    /// Ends by itself or by SIGTERM; is killed long after that, or at once if this is cancelled.
    Mutates(CancellationToken),
}

/// A call that is ready to run.
pub(super) struct Call {
    pub(super) arguments: Vec<OsString>,
    pub(super) effect: Effect,
    /// Its deadline.
    pub(super) deadline: Duration,
    /// Records a running call that changes the cluster.
    pub(super) children: Children,
    /// The environment of helm.
    pub(super) environment: Environment,
    /// Additional variables.
    pub(super) added: Vec<(OsString, OsString)>,
    /// Keeps the kubeconfig until helm has ended.
    pub(super) need: Option<Need>,
    /// A file that helm keeps open as its stdin, which it does not read: all values are in files.
    pub(super) held: Option<Arc<File>>,
}

/// The Go runtime collects garbage when the heap has grown by these percent (Go, package runtime); its default of 100 costs
/// helm, which works for a moment, a third of its processor time.
const GOGC: &str = "GOGC";

/// Runs it and returns stdout.
pub(super) async fn run(program: &Path, call: Call, cancel: &CancellationToken) -> Result<Vec<u8>, HelmError> {
    let command = describe(&call.arguments);
    let ending = match call.effect {
        Effect::Reads => Ending::Killed { after: call.deadline },
        Effect::Mutates(kill) => {
            let words = call.arguments.iter().map(|argument| argument.to_string_lossy());
            let words: Vec<_> = words.filter(|word| !word.starts_with('-')).take(2).collect();
            Ending::Terminated {
                after: call.deadline,
                kill,
                children: call.children,
                label: format!("helm {}", words.join(" ")),
            }
        }
    };
    let mut added = call.added;
    if std::env::var_os(GOGC).is_none() {
        added.push((GOGC.into(), "400".into()));
    }
    let call = process::Call {
        program: program.into(),
        arguments: call.arguments,
        environment: call.environment,
        removed: std::env::vars_os().map(|(name, _)| name).filter(|name| overrides_flags(name)).collect(),
        added,
        input: call.held.map_or(Input::Nothing, Input::Held),
        max_bytes: MAX_BYTES,
        ending,
        need: call.need,
    };
    let output = process::run(call, cancel).await.map_err(|error| failed(error, program, &command))?;
    let failure = index_failure(&command, &output.stdout);
    if output.status.success() && failure.is_none() {
        return Ok(output.stdout);
    }
    let stderr = failure.unwrap_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned());
    Err(HelmError::classify(command, end(output.status), &stderr))
}

/// Why `helm repo update` did not get an index: helm prints it to stdout, and helm 3 then succeeds
/// (helm pkg/cmd/repo_update.go).
fn index_failure(command: &str, stdout: &[u8]) -> Option<String> {
    const FAILED: &str = "...Unable to get an update from the ";
    let text = String::from_utf8_lossy(stdout);
    let (_, failure) = text.split_once(FAILED).filter(|_| command.starts_with("helm repo update"))?;
    let lines = failure.lines().skip(1).take_while(|line| line.starts_with('\t'));
    Some(lines.map(str::trim).collect::<Vec<_>>().join("\n"))
}

/// Variables that select another cluster or namespace than helm's flags, or change its output:
/// `HELM_KUBE*` are CONTEXT, TOKEN, ASUSER, ASGROUPS, APISERVER, CAFILE, INSECURE_SKIP_TLS_VERIFY and TLS_SERVER_NAME in
/// helm 3 and 4 (pkg/cli/environment.go); `KUBERNETES_MASTER` is client-go's default of a server (clientcmd).
fn overrides_flags(name: &OsStr) -> bool {
    const NAMES: [&str; 5] = ["KUBECONFIG", "KUBERNETES_MASTER", "HELM_NAMESPACE", "HELM_DEBUG", "HELM_COLOR"];
    let name = name.to_string_lossy();
    name.starts_with("HELM_KUBE") || NAMES.contains(&name.as_ref())
}

fn failed(error: ProcessError, program: &Path, command: &str) -> HelmError {
    match error {
        ProcessError::NotFound { .. } => HelmError::NotFound { path: Some(program.to_owned()) },
        ProcessError::Local { source, .. } => HelmError::Local { what: format!("run {}", program.display()), source },
        ProcessError::TimedOut { after } => {
            HelmError::TimedOut { command: command.to_owned(), seconds: after.as_secs() }
        }
        large @ ProcessError::TooLarge { .. } => {
            HelmError::Output { command: command.to_owned(), source: Box::new(large) }
        }
    }
}

fn describe(arguments: &[OsString]) -> String {
    let shown: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let words = shown.iter().take_while(|word| !word.starts_with("--")).take(4).cloned().collect::<Vec<_>>();
    format!("helm {}", words.join(" "))
}

fn end(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }
}

/// helm's list of repositories below our cache folder.
pub(super) fn repositories_file(cache: &Path) -> PathBuf {
    cache.join("repositories.yaml")
}

pub(super) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}
