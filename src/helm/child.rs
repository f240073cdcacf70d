//! The one choke point for child processes: own process group, nothing to read on stdin, captured output, SIGTERM then
//! wait. A mutating helm is never killed by a dropped future: it runs in a task of its own.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::helm::HelmError;

/// Whether a call changes the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// May be killed at any time; has a deadline.
    Reads,
    /// Must end by itself or by SIGTERM.
    Mutates,
}

/// A call that is ready to run.
pub(super) struct Call {
    pub(super) arguments: Vec<OsString>,
    pub(super) effect: Effect,
    /// For reading calls.
    pub(super) deadline: Duration,
    /// Variables beside those that helm may inherit.
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// A file that the child holds open: its stdin, which helm never reads since all values come from files, so that
    /// nothing it starts itself gets the file.
    pub(super) held: Option<Arc<File>>,
}

/// Runs it and returns stdout.
pub(super) async fn run(program: &Path, call: Call, cancel: &CancellationToken) -> Result<Vec<u8>, HelmError> {
    let command = describe(&call.arguments);
    let child = spawn(program, &call)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    // The task owns the child, so that dropping this future leaves a mutating helm running to its end.
    let mut waiting = tokio::spawn(child.wait_with_output());
    let deadline = match call.effect {
        Effect::Reads => call.deadline,
        Effect::Mutates => Duration::from_secs(u64::from(u32::MAX)),
    };
    let guard = KillOnDrop { group: group.filter(|_| call.effect == Effect::Reads) };
    let output = tokio::select! {
        output = &mut waiting => output,
        () = cancel.cancelled() => {
            signal(group, Signal::SIGTERM);
            (&mut waiting).await
        }
        () = tokio::time::sleep(deadline) => {
            return Err(HelmError::Silent { command, seconds: deadline.as_secs() });
        }
    };
    guard.disarm();
    let output = output
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|source| HelmError::Local { what: format!("wait for `{command}`"), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(HelmError::classify(command, end(output.status), &String::from_utf8_lossy(&output.stderr)))
}

fn spawn(program: &Path, call: &Call) -> Result<Child, HelmError> {
    let held = call.held.as_deref().map(File::try_clone).transpose();
    let held = held.map_err(|source| HelmError::Local { what: "hand the lock to helm".into(), source })?;
    let mut command = Command::new(program);
    command
        .args(&call.arguments)
        .stdin(held.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .envs(call.environment.iter().map(|(name, value)| (*name, value)));
    // Answers, and above all secrets, are none of helm's business.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy().to_uppercase();
        if shown.starts_with("TAILWATCH_") || shown.starts_with("AUTH0_") || shown.contains("SECRET") {
            command.env_remove(&name);
        }
    }
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => HelmError::NotFound { place: Some(program.to_owned()) },
        _ => HelmError::Local { what: format!("run {}", program.display()), source },
    })
}

/// Ends a reading helm whose caller went away.
struct KillOnDrop {
    group: Option<Pid>,
}

impl KillOnDrop {
    fn disarm(mut self) {
        self.group = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        signal(self.group, Signal::SIGKILL);
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // The group may have ended by itself in the meantime.
        let _ = killpg(group, signal);
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
