//! helm as a child: which of its calls may be killed, and what its end means.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::helm::HelmError;
use crate::process::{self, Children, Ending, Environment, Input, Need, ProcessError};

/// More than `helm list` of every namespace or a rendered chart ever takes.
const LARGEST: usize = 256 << 20;

/// Whether a call changes the cluster.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// May be killed at any time.
    Reads,
    /// Ends by itself or by SIGTERM; is killed long after that, or at once where this is cancelled.
    Mutates(CancellationToken),
}

/// A call that is ready to run.
pub(super) struct Call {
    pub(super) arguments: Vec<OsString>,
    pub(super) effect: Effect,
    /// How long it may take.
    pub(super) deadline: Duration,
    /// Where a running call that changes the cluster is recorded.
    pub(super) children: Children,
    /// What helm gets of our environment.
    pub(super) environment: Environment,
    /// Variables besides those that helm may inherit.
    pub(super) added: Vec<(OsString, OsString)>,
    /// The kubeconfig that it must find until it has ended.
    pub(super) need: Option<Need>,
    /// A file that helm holds open: its stdin, which it never reads since all values come from files.
    pub(super) held: Option<Arc<File>>,
}

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
    let call = process::Call {
        program: program.into(),
        arguments: call.arguments,
        environment: call.environment,
        removed: std::env::vars_os().map(|(name, _)| name).filter(|name| leads_astray(name)).collect(),
        added: call.added,
        input: call.held.map_or(Input::Nothing, Input::Held),
        largest: LARGEST,
        ending,
        need: call.need,
    };
    let output = process::run(call, cancel).await.map_err(|error| failed(error, program, &command))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(HelmError::classify(command, end(output.status), &String::from_utf8_lossy(&output.stderr)))
}

/// Variables that would lead helm to another cluster or namespace than its flags, or change what it writes:
/// `HELM_KUBE*` are CONTEXT, TOKEN, ASUSER, ASGROUPS, APISERVER, CAFILE, INSECURE_SKIP_TLS_VERIFY and TLS_SERVER_NAME in
/// helm 3 and 4 (pkg/cli/environment.go); `KUBERNETES_MASTER` is client-go's default of a server (clientcmd).
fn leads_astray(name: &OsStr) -> bool {
    const NAMES: [&str; 5] = ["KUBECONFIG", "KUBERNETES_MASTER", "HELM_NAMESPACE", "HELM_DEBUG", "HELM_COLOR"];
    let name = name.to_string_lossy();
    name.starts_with("HELM_KUBE") || NAMES.contains(&name.as_ref())
}

fn failed(error: ProcessError, program: &Path, command: &str) -> HelmError {
    match error {
        ProcessError::NotFound { .. } => HelmError::NotFound { place: Some(program.to_owned()) },
        ProcessError::Local { source, .. } => HelmError::Local { what: format!("run {}", program.display()), source },
        ProcessError::Silent { after } => HelmError::Silent { command: command.to_owned(), seconds: after.as_secs() },
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
