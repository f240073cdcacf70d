//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT; the exit code is 130. Before the first change a signal ends the command at
//! once. During a run the first signal stops it in order: running steps finish, none starts. The second reports what is
//! pending. The third, or SIGQUIT, aborts: helm is killed, the lock is released. A signal that was ignored at the start
//! stays ignored (`nohup`, background jobs of a shell).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use nix::sys::signal::SigSet;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Lease, LeaseRelease};
use crate::engine::EngineContext;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::helm::Helm;
use crate::session::process_status::process_status;

/// Signals that end a command, by name and number (signal(7); the same on Linux and macOS).
const ENDING: [(i32, Step); 4] = [
    (nix::libc::SIGHUP, Step::Next),
    (nix::libc::SIGINT, Step::Next),
    (nix::libc::SIGTERM, Step::Next),
    (nix::libc::SIGQUIT, Step::Last),
];
/// How long the command may take to end before the process exits: it may block on a pipe, a plugin or a prompt.
const GRACE: Duration = Duration::from_millis(800);
/// Timeout for a killed helm process to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next stage.
    Next,
    /// Abort.
    Last,
}

/// What an abort of a changing run ends: helm's processes and the lock.
pub(crate) struct Abort {
    cluster: Cluster,
    helm: Helm,
    lock: Option<LeaseRelease>,
}

impl Abort {
    /// For a run that holds this lock.
    pub(crate) fn of(context: &EngineContext, lease: Option<&Lease>) -> Abort {
        let EngineContext { cluster, helm, .. } = context;
        let lock = lease.map(Lease::lease_release);
        Abort { cluster: cluster.clone(), helm: helm.clone(), lock }
    }
}

/// Exits the process when a command does not end after its signal.
pub(super) type ForceExit = Arc<dyn Fn(Error) + Send + Sync>;

/// Shared by the command and the signal task. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Stops the run in order.
    cancel: CancellationToken,
    /// Ends the command at once.
    end: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the cluster may have been changed.
    is_working: bool,
    signals: usize,
    events: Option<Events>,
    abort: Option<Arc<Abort>>,
    /// Labels of the processes that the abort killed.
    killed: Vec<String>,
}

impl Signals {
    /// From now on a signal cancels the returned token instead of ending the command.
    pub(crate) fn hold(&self) -> CancellationToken {
        self.state().is_working = true;
        self.inner.cancel.clone()
    }

    /// As [`Signals::hold`]; also sends notices about signals, and rejects Ctrl-Z: helm runs in its own process group
    /// and would continue while the lock's heartbeat is stopped.
    pub(crate) fn begin_run(&self, events: Events) -> CancellationToken {
        self.state().events = Some(events.clone());
        tokio::spawn(async move {
            let Ok(mut suspensions) = signal(SignalKind::from_raw(nix::libc::SIGTSTP)) else { return };
            while suspensions.recv().await.is_some() {
                let message = "a run that changes the cluster cannot be suspended; Ctrl-C stops it in order";
                events.send(Event::Notice { message: message.into(), hint: None });
            }
        });
        self.hold()
    }

    /// Sets what an abort ends.
    pub(crate) fn set_abort(&self, abort: Abort) {
        self.state().abort = Some(Arc::new(abort));
    }

    /// The error of a command that a signal ended.
    fn ended(&self) -> Error {
        let state = self.state();
        if state.is_working { Error::Aborted { killed: state.killed.clone() } } else { Error::Interrupted }
    }

    /// Handles a signal.
    async fn receive(&self, step: Step) {
        let (signals, is_working) = {
            let mut state = self.state();
            state.signals = if step == Step::Last { 3 } else { state.signals + 1 };
            (state.signals, state.is_working)
        };
        match signals {
            _ if !is_working => self.inner.end.cancel(),
            1 => {
                self.inner.cancel.cancel();
                self.emit("stopping: no further step starts; running helm processes finish their releases");
            }
            2 => self.emit(&format!(
                "still stopping: {}; another signal aborts: helm is killed, and the same command repairs its release",
                self.pending()
            )),
            _ => {
                self.abort().await;
                self.inner.end.cancel();
            }
        }
    }

    /// Kills helm, releases the lock, and records what was killed.
    pub(super) async fn abort(&self) {
        self.inner.cancel.cancel();
        let Some(abort) = self.state().abort.take() else { return };
        let children = abort.helm.children();
        let killed = children.kill();
        let ended = async {
            while !children.running().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // While a helm process is still running, the lock is kept until it expires.
        let has_ended = tokio::time::timeout(KILL_TIMEOUT, ended).await.is_ok();
        if let Some(lock) = abort.lock.as_ref().filter(|_| has_ended) {
            lock.now().await;
        }
        self.state().killed = killed;
    }

    fn pending(&self) -> String {
        let Some(abort) = self.state().abort.clone() else { return "waiting for the lock".into() };
        let seconds = |since: jiff::Timestamp| jiff::Timestamp::now().as_second() - since.as_second();
        let running = abort.helm.children().running();
        let helms: Vec<String> = running
            .iter()
            .map(|helm| format!("{} (process {}) has been running for {} s", helm.label, helm.pid, seconds(helm.since)))
            .collect();
        match abort.cluster.unresponsive_since() {
            Some(since) => {
                let server = abort.cluster.server();
                let silence = format!("the API server {server} has not answered for {} s", seconds(since));
                helms.into_iter().chain([silence]).collect::<Vec<_>>().join(", ")
            }
            None if helms.is_empty() => "waiting for the API server".into(),
            None => helms.join(", "),
        }
    }

    fn emit(&self, message: &str) {
        if let Some(events) = &self.state().events {
            events.send(Event::Notice { message: message.into(), hint: None });
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a command until it ends or a signal ends it.
pub(super) async fn interruptible(
    signals: &Signals,
    abandon: ForceExit,
    command: impl Future<Output = Result<u8, Error>>,
) -> Result<u8, Error> {
    let failed = |source| Error::Local { what: "listen for signals".into(), source };
    let mut received = listen().map_err(failed)?;
    let listening = signals.clone();
    // A separate task: the command may block its thread.
    tokio::spawn(async move {
        while let Some(step) = received.next().await {
            listening.receive(step).await;
            if listening.inner.end.is_cancelled() {
                sleep(GRACE).await;
                return abandon(listening.ended());
            }
        }
    });
    tokio::select! {
        biased;
        () = signals.inner.end.cancelled() => Err(signals.ended()),
        ended = command => ended,
    }
}

fn listen() -> std::io::Result<BoxStream<'static, Step>> {
    let ignored = ignored();
    let mut streams = Vec::new();
    for (number, step) in ENDING.into_iter().filter(|(number, _)| ignored & (1 << (number - 1)) == 0) {
        let stream = signal(SignalKind::from_raw(number))?;
        let stream = futures::stream::unfold(stream, |mut stream| async { stream.recv().await.map(|()| ((), stream)) });
        streams.push(stream.map(move |()| step).boxed());
    }
    // Without any of them the future never resolves.
    streams.push(futures::stream::pending().boxed());
    Ok(select_all(streams).boxed())
}

/// Signals that are already ignored, as bits (proc(5), SigIgn); 0 without /proc.
fn ignored() -> u64 {
    process_status("SigIgn:").and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or_default()
}

/// Blocks SIGTTOU: a background job that writes to its terminal or restores its settings is not stopped (termios(3),
/// TOSTOP). To be called before threads start, which inherit it; children do not.
pub(super) fn continue_in_background() {
    let mut stopping = SigSet::empty();
    stopping.add(nix::sys::signal::Signal::SIGTTOU);
    // If that is not possible, the shell reports the job as stopped.
    let _ = stopping.thread_block();
}
