//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT. Before anything is changed the first one ends the command at once. Afterwards
//! the first lets what runs finish and starts nothing new, the second says what is waited for, and the third, or SIGQUIT,
//! leaves: helm is killed and the lock is let go. A signal that was ignored when the program started stays ignored, as
//! `nohup` and a shell's background jobs want it. Whichever signal it was, the exit code is 130.

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
use crate::write_record::Writes;

/// Signals that end a command, by name and number (signal(7); the same on Linux and macOS).
const ENDING: [(i32, Step); 4] = [
    (nix::libc::SIGHUP, Step::Next),
    (nix::libc::SIGINT, Step::Next),
    (nix::libc::SIGTERM, Step::Next),
    (nix::libc::SIGQUIT, Step::Last),
];
/// How long the command may take to notice that it is ended, before the program ends under it: it may read a pipe that
/// nobody writes, wait for a plugin, or show a prompt.
const NOTICED: Duration = Duration::from_millis(800);
/// Timeout for a killed helm process to end.
const GONE: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One step further than the last one did.
    Next,
    /// To leave.
    Last,
}

/// What a run that changes the cluster leaves behind when it is left.
pub(super) struct Leaving {
    cluster: Cluster,
    helm: Helm,
    lock: Option<LeaseRelease>,
}

impl Leaving {
    /// Of a run that holds this lock.
    pub(super) fn of(context: &EngineContext, lease: Option<&Lease>) -> Leaving {
        let EngineContext { cluster, helm, .. } = context;
        let lock = lease.map(Lease::lease_release);
        Leaving { cluster: cluster.clone(), helm: helm.clone(), lock }
    }
}

/// Ends the program from outside a command that does not notice its signal.
pub(super) type Abandon = Arc<dyn Fn(Error) + Send + Sync>;

/// Shared by the command and the task that listens. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Signals {
    inner: Arc<Inner>,
    writes: Writes,
}

#[derive(Default)]
struct Inner {
    /// Ends what runs in order.
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
    leaving: Option<Arc<Leaving>>,
    /// What was killed by leaving.
    killed: Vec<String>,
}

impl Signals {
    /// For a run whose writes are recorded there.
    pub(super) fn new(writes: Writes) -> Signals {
        Signals { writes, ..Signals::default() }
    }

    /// Where the run records its writes.
    pub(super) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// From here on a signal cancels the returned token instead of ending the command.
    pub(super) fn hold(&self) -> CancellationToken {
        self.state().is_working = true;
        self.inner.cancel.clone()
    }

    /// Likewise, it is told what a signal does, and Ctrl-Z is refused: helm has a process group of its own and would work
    /// on while the lock's heartbeat is stopped.
    pub(super) fn take_over(&self, events: Events) -> CancellationToken {
        self.state().events = Some(events.clone());
        tokio::spawn(async move {
            let Ok(mut suspensions) = signal(SignalKind::from_raw(nix::libc::SIGTSTP)) else { return };
            while suspensions.recv().await.is_some() {
                let message = "a run that changes the cluster cannot be suspended; Ctrl-C ends it in order";
                events.send(Event::Notice { message: message.into(), hint: None });
            }
        });
        self.hold()
    }

    /// From here on leaving takes this with it.
    pub(super) fn leaving(&self, leaving: Leaving) {
        self.state().leaving = Some(Arc::new(leaving));
    }

    /// The error of a command that a signal ended.
    fn ended(&self) -> Error {
        let state = self.state();
        if state.is_working { Error::Left { killed: state.killed.clone() } } else { Error::Interrupted }
    }

    /// One signal came.
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
                self.emit("stopping: no further step starts; helm ends its release first, so that nothing is half-done");
            }
            2 => self.emit(&format!(
                "still stopping: {}; once more leaves at once: helm is killed, and the same command repairs its release",
                self.waited_for()
            )),
            _ => {
                self.leave().await;
                self.inner.end.cancel();
            }
        }
    }

    /// Kills helm, lets the lock go, and notes it.
    pub(super) async fn leave(&self) {
        self.inner.cancel.cancel();
        let Some(leaving) = self.state().leaving.take() else { return };
        let children = leaving.helm.children();
        let killed = children.kill();
        let gone = async {
            while !children.running().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // A helm that is still there keeps the lock, as far as it lasts.
        let is_gone = tokio::time::timeout(GONE, gone).await.is_ok();
        if let Some(lock) = leaving.lock.as_ref().filter(|_| is_gone) {
            lock.now().await;
        }
        self.state().killed = killed;
    }

    fn waited_for(&self) -> String {
        let Some(leaving) = self.state().leaving.clone() else { return "the lock is waited for".into() };
        let seconds = |since: jiff::Timestamp| jiff::Timestamp::now().as_second() - since.as_second();
        let running = leaving.helm.children().running();
        let helms: Vec<String> = running
            .iter()
            .map(|helm| format!("{} (process {}) works for {} s", helm.label, helm.pid, seconds(helm.since)))
            .collect();
        match leaving.cluster.unresponsive_since() {
            Some(since) => {
                let server = leaving.cluster.server();
                let silence = format!("the API server {server} has not answered for {} s", seconds(since));
                helms.into_iter().chain([silence]).collect::<Vec<_>>().join(", ")
            }
            None if helms.is_empty() => "the API server is asked for what is left".into(),
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
    abandon: Abandon,
    command: impl Future<Output = Result<u8, Error>>,
) -> Result<u8, Error> {
    let failed = |source| Error::Local { what: "listen for signals".into(), source };
    let mut received = listen().map_err(failed)?;
    let listening = signals.clone();
    // A task of its own, since the command may block its thread.
    tokio::spawn(async move {
        while let Some(step) = received.next().await {
            listening.receive(step).await;
            if listening.inner.end.is_cancelled() {
                sleep(NOTICED).await;
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

/// Signals that are ignored already, as bits (proc(5), SigIgn); none where there is no /proc.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// A background job that writes to its terminal, or puts its settings back, continues instead of being stopped
/// (termios(3), TOSTOP). To be called before there are threads, which inherit it; children do not.
pub(super) fn go_on_in_the_background() {
    let mut stopping = SigSet::empty();
    stopping.add(nix::sys::signal::Signal::SIGTTOU);
    // If that is not possible, the shell reports the job as stopped.
    let _ = stopping.thread_block();
}
