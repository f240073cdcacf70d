//! The one place that starts children: helm, `tailscale status`, the browser, credential helpers. Owns their
//! environment, process group, stdin, capture of output and end. Knows nothing of what they say.

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

/// What a child reads.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing.
    Nothing,
    /// These bytes, then the end.
    Text(Vec<u8>),
    /// Nothing that matters: an open file that the child holds until it ends, for a file lock that tells of it. Only
    /// the child itself gets it, since what it starts gets a stdin of its own.
    Held(Arc<File>),
    /// The person's terminal, with stderr on it: the child may ask. It stays in our process group, since the terminal is
    /// read only from there, gets a Ctrl-C by itself, and is never killed.
    Terminal,
}

/// How a child may be ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// SIGKILL to its whole group at the deadline, for too much output, and if the caller is dropped.
    Killed {
        /// How long it may take.
        after: Duration,
    },
    /// By itself, or by SIGTERM, which a cancel or the end of its time sends. Where it has not ended [`GRACE`] later, or
    /// once `kill` is cancelled after that, its group gets SIGKILL. It continues if the caller is dropped.
    Terminated {
        /// How long it may take.
        after: Duration,
        /// There is no use in waiting for what it does upon SIGTERM.
        kill: CancellationToken,
        /// Where it is recorded while it runs.
        children: Children,
        /// What it does, e.g. `helm upgrade loki`.
        label: String,
    },
}

/// How long a child may take to end upon SIGTERM: helm marks its release as failed.
pub const GRACE: Duration = Duration::from_secs(15);
/// How long what a killed child left open may keep us.
const LEFT_OPEN: Duration = Duration::from_secs(2);

/// A child to run.
#[derive(Debug)]
pub struct Call {
    /// Path, or a name on PATH.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// What it gets of our environment.
    pub environment: Environment,
    /// Variables that it does not get though the environment has them, besides the withheld ones.
    pub removed: Vec<OsString>,
    /// Variables that it gets besides.
    pub added: Vec<(OsString, OsString)>,
    /// Its stdin.
    pub input: Input,
    /// Bytes of stdout that are kept.
    pub largest: usize,
    /// How it may be ended.
    pub ending: Ending,
    /// The kubeconfig that it must find until it has ended.
    pub need: Option<Need>,
}

/// A child could not be run to its end.
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
    Silent {
        /// The deadline.
        after: Duration,
    },
    /// It wrote more than is kept.
    #[error("more than {largest} bytes of output")]
    TooLarge {
        /// What is kept.
        largest: usize,
    },
}

/// Runs it to its end.
pub async fn run(call: Call, cancel: &CancellationToken) -> Result<Output, ProcessError> {
    let local = |source| ProcessError::Local { program: call.program.clone(), source };
    let child = spawn(&call)?;
    let is_own_group = !matches!(call.input, Input::Terminal);
    let group = child.id().filter(|_| is_own_group).and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let overflow = CancellationToken::new();
    // The task owns the child, so that dropping this future leaves one that is only asked running to its end.
    let input = match call.input {
        Input::Text(text) => Some(text),
        Input::Nothing | Input::Held(_) | Input::Terminal => None,
    };
    let (need, collected) = (call.need, capture::collect(child, input, call.largest, overflow.clone()));
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
    let (is_killed, largest) = (matches!(call.ending, Ending::Killed { .. }), call.largest);
    let mut is_late = false;
    let ended = tokio::select! {
        ended = &mut waiting => ended,
        () = cancel.cancelled() => end(group, &mut waiting, &call.ending).await?,
        () = overflow.cancelled(), if is_killed => return Err(ProcessError::TooLarge { largest }),
        () = sleep(after) => {
            is_late = true;
            end(group, &mut waiting, &call.ending).await?
        }
    };
    guard.disarm();
    if is_late {
        return Err(ProcessError::Silent { after });
    }
    let output = ended.map_err(io::Error::other).flatten().map_err(local)?;
    if overflow.is_cancelled() && is_killed {
        return Err(ProcessError::TooLarge { largest });
    }
    Ok(output)
}

type Waiting = JoinHandle<io::Result<Output>>;

/// Ends a child as its ending says, and waits for it.
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
    timeout(LEFT_OPEN, waiting).await.map_err(|_| ProcessError::Silent { after: LEFT_OPEN })
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

/// Ctrl-C of the terminal is ours to hand on; the environment is ours without our secrets.
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
