//! Ctrl-C, SIGTERM and a closed terminal: before anything is changed they end the command at once; afterwards they
//! let what runs finish and start nothing new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::event::{Event, Events};
use crate::writes::Writes;

/// Shared by the command and the loop that listens. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Signals {
    cancel: CancellationToken,
    /// Set once the cluster may have been changed.
    working: Arc<AtomicBool>,
    writes: Writes,
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
        self.working.store(true, Ordering::SeqCst);
        self.cancel.clone()
    }

    /// Likewise, and it is told that helm ends its release first.
    pub(super) fn take_over(&self, events: Events) -> CancellationToken {
        let cancel = self.hold();
        tokio::spawn(async move {
            cancel.cancelled().await;
            let message = "stopping: no further step starts; helm ends its release first, so that nothing is half-done";
            events.send(Event::Notice { message: message.into(), hint: None });
        });
        self.cancel.clone()
    }
}

/// Runs a command until it ends or is interrupted.
pub(super) async fn interruptible(
    signals: &Signals,
    command: impl Future<Output = Result<u8, Error>>,
) -> Result<u8, Error> {
    let listen = |kind| signal(kind).map_err(|source| Error::Local { what: "listen for signals".into(), source });
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::pin!(command);
    loop {
        tokio::select! {
            ended = &mut command => return ended,
            () = any(&mut interrupt, &mut terminate, &mut hangup) => {}
        }
        if !signals.working.load(Ordering::SeqCst) {
            return Err(Error::Interrupted);
        }
        signals.cancel.cancel();
    }
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal, hangup: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
