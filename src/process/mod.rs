//! Starts all child processes: helm, `tailscale status`, the browser, credential helpers. Owns their environment, process
//! group, stdin, captured output and end, but not the meaning of the output.

mod browser;
mod capture;
mod children;
mod cluster_access;
mod environment;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use browser::open;
pub use capture::Output;
pub use children::{Children, Running};
pub use cluster_access::{ClusterAccess, Need};
pub use environment::Environment;

/// This process and its children leave no core dump: it would hold the secrets.
pub fn forbid_core_dumps() {
    // To lower a limit needs no permission.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // A program that collects dumps gets one despite the limit (core(5), "Piping core dumps to a program").
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// A child's stdin.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing.
    Nothing,
    /// These bytes, then the end.
    Text(Vec<u8>),
    /// An open file that the child keeps until it ends, for a file lock. The child's own children get another stdin.
    Held(Arc<File>),
    /// The user's terminal with stderr: the child may prompt. It stays in our process group to read the terminal, gets
    /// Ctrl-C itself, and is never killed.
    Terminal,
}

/// How a child ends.
#[derive(Clone, Debug)]
pub enum Ending {
    /// SIGKILL to its group at the deadline, on too much output, and if the caller is dropped.
    Killed {
        /// Its deadline.
        after: Duration,
    },
    /// By itself, or by SIGTERM on cancellation or at the deadline. SIGKILL to its group after another [`GRACE`], or once
    /// `kill` is cancelled after SIGTERM. It continues if the caller is dropped.
    Terminated {
        /// Its deadline.
        after: Duration,
        /// Kills it after SIGTERM without waiting for [`GRACE`].
        kill: CancellationToken,
        /// Its record while it runs.
        children: Children,
        /// Its operation, e.g. `helm upgrade loki`.
        label: String,
    },
}

/// How long a child may run after SIGTERM: helm marks its release as failed.
pub const GRACE: Duration = Duration::from_secs(15);
/// How long to wait for pipes that a killed child's children keep open.
const PIPE_TIMEOUT: Duration = Duration::from_secs(2);

/// A child to run.
#[derive(Debug)]
pub struct Call {
    /// Path, or a name on PATH.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// Its environment.
    pub environment: Environment,
    /// Variables to remove in addition to the withheld ones.
    pub removed: Vec<OsString>,
    /// Additional variables.
    pub added: Vec<(OsString, OsString)>,
    /// Its stdin.
    pub input: Input,
    /// The maximum size of stdout in bytes.
    pub max_bytes: usize,
    /// How it ends.
    pub ending: Ending,
    /// Keeps the kubeconfig until it has ended.
    pub need: Option<Need>,
}

/// Errors of running a child.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error("there is no {}", program.display())]
    NotFound {
        /// The program.
        program: OsString,
    },
    /// It could not be started, or waited for.
    #[error("cannot run {}", program.display())]
    Local {
        /// The program.
        program: OsString,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The deadline passed.
    #[error("no end within {} s", after.as_secs())]
    TimedOut {
        /// The deadline.
        after: Duration,
    },
    /// Its output exceeds the limit.
    #[error("more than {max_bytes} bytes of output")]
    TooLarge {
        /// The limit in bytes.
        max_bytes: usize,
    },
}

/// Runs it to its end.
pub async fn run(call: Call, cancel: &CancellationToken) -> Result<Output, ProcessError> {
    let local = |source| ProcessError::Local { program: call.program.clone(), source };
    let child = spawn(&call)?;
    let is_own_group = !matches!(call.input, Input::Terminal);
    let group = child.id().filter(|_| is_own_group).and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let overflow = CancellationToken::new();
    // The task owns the child: an [`Ending::Terminated`] one continues if this future is dropped.
    let input = match call.input {
        Input::Text(text) => Some(text),
        Input::Nothing | Input::Held(_) | Input::Terminal => None,
    };
    let (need, collected) = (call.need, capture::collect(child, input, call.max_bytes, overflow.clone()));
    let (guard, entry, after) = match &call.ending {
        Ending::Killed { after } => (KillOnDrop { group }, None, *after),
        Ending::Terminated { after, children, label, .. } => {
            (KillOnDrop { group: None }, Some(children.enter(group, label.clone())), *after)
        }
    };
    let mut waiting = tokio::spawn(async move {
        let output = collected.await;
        drop(entry);
        need.into_iter().for_each(Need::over);
        output
    });
    let (is_killed, max_bytes) = (matches!(call.ending, Ending::Killed { .. }), call.max_bytes);
    let mut is_late = false;
    let ended = tokio::select! {
        ended = &mut waiting => ended,
        () = cancel.cancelled() => end(group, &mut waiting, &call.ending).await?,
        () = overflow.cancelled(), if is_killed => return Err(ProcessError::TooLarge { max_bytes }),
        () = sleep(after) => {
            is_late = true;
            end(group, &mut waiting, &call.ending).await?
        }
    };
    guard.disarm();
    if is_late {
        return Err(ProcessError::TimedOut { after });
    }
    let output = ended.map_err(io::Error::other).flatten().map_err(local)?;
    if overflow.is_cancelled() && is_killed {
        return Err(ProcessError::TooLarge { max_bytes });
    }
    Ok(output)
}

type Waiting = JoinHandle<io::Result<Output>>;

/// Ends a child by its [`Ending`], and waits for it.
async fn end(
    group: Option<Pid>,
    waiting: &mut Waiting,
    ending: &Ending,
) -> Result<Result<io::Result<Output>, JoinError>, ProcessError> {
    if let Ending::Terminated { kill, .. } = ending {
        signal(group, Signal::SIGTERM);
        tokio::select! {
            ended = &mut *waiting => return Ok(ended),
            () = kill.cancelled() => {}
            () = sleep(GRACE) => {}
        }
    }
    signal(group, Signal::SIGKILL);
    timeout(PIPE_TIMEOUT, waiting).await.map_err(|_| ProcessError::TimedOut { after: PIPE_TIMEOUT })
}

fn spawn(call: &Call) -> Result<Child, ProcessError> {
    let local = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::NotFound { program: call.program.clone() },
        _ => ProcessError::Local { program: call.program.clone(), source },
    };
    let stdin = match &call.input {
        Input::Nothing => Stdio::null(),
        Input::Text(_) => Stdio::piped(),
        Input::Terminal => Stdio::inherit(),
        Input::Held(file) => Stdio::from(
            file.try_clone().map_err(|source| ProcessError::Local { program: call.program.clone(), source })?,
        ),
    };
    let mut command = Command::new(&call.program);
    command.args(&call.arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    match call.input {
        Input::Terminal => {
            without_secrets(&mut command, &call.environment).stderr(Stdio::inherit());
        }
        _ => {
            in_own_group(&mut command, &call.environment);
        }
    }
    for name in &call.removed {
        command.env_remove(name);
    }
    command.envs(call.added.iter().map(|(name, value)| (name, value)));
    tokio::process::Command::from(command).spawn().map_err(local)
}

/// In an own group, which gets no Ctrl-C of the terminal; without our secrets.
fn in_own_group<'a>(command: &'a mut Command, environment: &Environment) -> &'a mut Command {
    without_secrets(command, environment).process_group(0)
}

fn without_secrets<'a>(command: &'a mut Command, environment: &Environment) -> &'a mut Command {
    for name in environment.withheld_names() {
        command.env_remove(name);
    }
    command
}

/// Kills the child of a dropped caller.
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

#[cfg(test)]
mod tests;
