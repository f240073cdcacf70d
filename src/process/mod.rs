//! The one place that starts children: helm, `tailscale status`, the browser, credential helpers. Owns their
//! environment, process group, stdin, capture of output and end. Knows nothing of what they say.

mod browser;
mod capture;
mod environment;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

pub use browser::open;
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
}

/// How a child may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL to its whole group at the deadline, for too much output, and where the caller goes away.
    Killed {
        /// How long it may take.
        after: Duration,
    },
    /// Only by itself or by SIGTERM, which a cancel sends; then it is waited for, and where the caller goes away it
    /// runs to its end.
    Asked,
}

/// A child to run.
#[derive(Clone, Debug)]
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
    pub added: Vec<(&'static str, OsString)>,
    /// Its stdin.
    pub input: Input,
    /// Bytes of stdout that are kept.
    pub largest: usize,
    /// How it may be ended.
    pub ending: Ending,
}

/// How a child ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its end.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// The last of stderr.
    pub stderr: Vec<u8>,
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
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let overflow = CancellationToken::new();
    // The task owns the child, so that dropping this future leaves one that is only asked running to its end.
    let input = match call.input {
        Input::Text(text) => Some(text),
        Input::Nothing | Input::Held(_) => None,
    };
    let mut waiting = tokio::spawn(capture::collect(child, input, call.largest, overflow.clone()));
    let (guard, after) = match call.ending {
        Ending::Killed { after } => (KillOnDrop { group }, Some(after)),
        Ending::Asked => (KillOnDrop { group: None }, None),
    };
    let (is_killed, largest) = (after.is_some(), call.largest);
    let ended = tokio::select! {
        ended = &mut waiting => ended,
        () = cancel.cancelled() => {
            signal(group, Signal::SIGTERM);
            (&mut waiting).await
        }
        () = overflow.cancelled(), if is_killed => return Err(ProcessError::TooLarge { largest }),
        () = tokio::time::sleep(after.unwrap_or_default()), if is_killed => {
            return Err(ProcessError::Silent { after: after.unwrap_or_default() });
        }
    };
    guard.disarm();
    let output = ended.map_err(io::Error::other).flatten().map_err(local)?;
    if overflow.is_cancelled() && is_killed {
        return Err(ProcessError::TooLarge { largest });
    }
    Ok(output)
}

fn spawn(call: &Call) -> Result<Child, ProcessError> {
    let local = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::NotFound { program: call.program.clone() },
        _ => ProcessError::Local { program: call.program.clone(), source },
    };
    let stdin = match &call.input {
        Input::Nothing => Stdio::null(),
        Input::Text(_) => Stdio::piped(),
        Input::Held(file) => Stdio::from(
            file.try_clone().map_err(|source| ProcessError::Local { program: call.program.clone(), source })?,
        ),
    };
    let mut command = Command::new(&call.program);
    command.args(&call.arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    in_own_group(&mut command, &call.environment);
    for name in &call.removed {
        command.env_remove(name);
    }
    command.envs(call.added.iter().map(|(name, value)| (*name, value)));
    tokio::process::Command::from(command).spawn().map_err(local)
}

/// Ctrl-C of the terminal is ours to hand on; the environment is ours without our secrets.
fn in_own_group<'a>(command: &'a mut Command, environment: &Environment) -> &'a mut Command {
    for name in environment.withheld_names() {
        command.env_remove(name);
    }
    command.process_group(0)
}

/// Ends a child whose caller went away.
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
mod tests {
    use super::*;

    fn shell(script: &str, input: Input) -> Call {
        Call {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Environment::default(),
            removed: Vec::new(),
            added: Vec::new(),
            input,
            largest: 1000,
            ending: Ending::Killed { after: Duration::from_secs(60) },
        }
    }

    async fn output(call: Call) -> Result<String, ProcessError> {
        let output = run(call, &CancellationToken::new()).await?;
        Ok(String::from_utf8(output.stdout).unwrap())
    }

    #[tokio::test]
    async fn a_child_reads_what_it_is_given_and_no_more() {
        let text = Input::Text(b"registry.example".to_vec());
        assert_eq!(output(shell("cat; echo .", text)).await.unwrap(), "registry.example.\n");
        assert_eq!(output(shell("cat; echo .", Input::Nothing)).await.unwrap(), ".\n");
        let unread = Input::Text(vec![b'x'; 1 << 20]);
        assert_eq!(output(shell("echo .", unread)).await.unwrap(), ".\n");
    }

    #[tokio::test]
    async fn its_environment_is_ours_without_what_is_withheld_and_removed() {
        let mut call = shell("env", Input::Nothing);
        call.largest = 1 << 20;
        call.environment = Environment::without(["CARGO_PKG_NAME".to_owned()]);
        call.removed = vec!["CARGO_PKG_VERSION".into()];
        call.added = vec![("MADE_FOR_IT", "yes".into())];
        let seen = output(call).await.unwrap();
        let has = |name: &str| seen.lines().any(|line| line.starts_with(&format!("{name}=")));
        assert!(has("CARGO_MANIFEST_DIR") && has("MADE_FOR_IT"), "{seen}");
        assert!(!has("CARGO_PKG_NAME") && !has("CARGO_PKG_VERSION"), "{seen}");
    }

    #[tokio::test]
    async fn an_endless_child_is_killed_and_one_that_must_end_by_itself_is_read_to_its_end() {
        let endless = output(shell("while :; do echo yes; done", Input::Nothing)).await;
        assert!(matches!(endless, Err(ProcessError::TooLarge { largest: 1000 })), "{endless:?}");
        let mut long = shell("i=0; while [ $i -lt 1000 ]; do echo 1234567890; i=$((i+1)); done", Input::Nothing);
        long.ending = Ending::Asked;
        assert_eq!(output(long).await.unwrap().len(), 1000);
    }

    #[tokio::test]
    async fn of_stderr_the_end_is_kept() {
        let script = "i=0; while [ $i -lt 40000 ]; do echo 'a line of very many that it says'; i=$((i+1)); done >&2; echo last >&2";
        let said = run(shell(script, Input::Nothing), &CancellationToken::new()).await.unwrap().stderr;
        assert!(said.ends_with(b"last\n") && said.len() <= 256 << 10, "{}", said.len());
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_apart() {
        let missing = Call { program: "/nowhere/helm".into(), ..shell("", Input::Nothing) };
        assert!(matches!(output(missing).await, Err(ProcessError::NotFound { .. })));
        let folder = Call { program: "/".into(), ..shell("", Input::Nothing) };
        assert!(matches!(output(folder).await, Err(ProcessError::Local { .. })));
    }
}
