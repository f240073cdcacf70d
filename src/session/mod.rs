//! What every command works with, built once for a command line: flags, display, events, record, signals, writes. It
//! also runs the command, and reports its end.

mod last_event;
mod process_status;
mod signals;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::cli::{Command, GlobalArgs, SettingsArgs};
use crate::config::Sources;
use crate::error::{CommandError, Error};
use crate::event::{self, CheckResult, Event, Events, TimedEvent, Verdict};
use crate::report::{self, EventReporter, Files, Format, Record, Reports, SavedTerminal, Ui};
use crate::write_record::Writes;

pub use last_event::report_usage_error;
pub(crate) use last_event::summary;
pub(crate) use signals::{Abort, Signals};

/// Cheap to clone; clones share everything but the flags.
#[derive(Clone)]
pub struct Session {
    /// Flags of every subcommand.
    pub(crate) global: GlobalArgs,
    /// The only reader of the display flags.
    pub(crate) ui: Ui,
    /// Data of the report files.
    pub(crate) record: Record,
    pub(crate) signals: Signals,
    /// Whether the run has written to the cluster.
    pub(crate) writes: Writes,
    /// The subcommand; `install` for the guided installation.
    pub(crate) command: &'static str,
    reporter: EventReporter,
    files: Option<Files>,
    started: Instant,
}

/// Name of a subcommand, and what it writes.
fn outputs(command: Option<&Command>) -> (&'static str, Format, Reports) {
    match command {
        // The guided installation prompts and has no JSON output.
        None => ("install", Format::Document, Reports::Written),
        Some(Command::Install { .. }) => ("install", Format::Events, Reports::Written),
        Some(Command::Upgrade(_)) => ("upgrade", Format::Events, Reports::Written),
        Some(Command::Uninstall(_)) => ("uninstall", Format::Events, Reports::None),
        Some(Command::Replay { .. }) => ("replay", Format::Events, Reports::None),
        Some(Command::Preflight { .. }) => ("preflight", Format::Document, Reports::Written),
        Some(Command::Verify(_)) => ("verify", Format::Document, Reports::Written),
        Some(_) => ("tailwatch", Format::Document, Reports::None),
    }
}

impl Session {
    /// Runs a command to its exit code. The error of unusable report files is reported as its own.
    pub fn run(
        global: GlobalArgs,
        command: Option<Command>,
        work: impl FnOnce(&Session, Option<Command>) -> Result<u8, Error>,
    ) -> u8 {
        let (name, format, reports) = outputs(command.as_ref());
        let (ui, record) = (Ui::new(&global, format), Record::new(name));
        let files = report::judge_log(&global).and_then(|()| Files::of(&global, reports));
        let (files, unusable) = files.map_or_else(|error| (None, Some(error)), |files| (files, None));
        let session = Session {
            reporter: EventReporter::new(ui, global.log_file.clone(), record.clone()),
            signals: Signals::default(),
            writes: Writes::default(),
            started: Instant::now(),
            command: name,
            global,
            ui,
            record,
            files,
        };
        let ended = match unusable {
            Some(error) => Err(error),
            None => work(&session, command),
        };
        session.finish(ended)
    }

    /// Runs the future of a command that needs a cluster. A signal before the first change ends it; a panic ends it
    /// and releases the lock.
    pub(crate) fn drive(&self, command: impl Future<Output = Result<u8, Error>>) -> Result<u8, Error> {
        signals::continue_in_background();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|source| Error::Local { what: "start the runtime".into(), source })?;
        let terminal = Arc::new(SavedTerminal::save());
        let abandon: signals::ForceExit = {
            let (session, terminal) = (self.clone(), Arc::clone(&terminal));
            Arc::new(move |error| {
                terminal.restore();
                exit_process(session.finish(Err(error)))
            })
        };
        let run = || runtime.block_on(signals::interruptible(&self.signals, abandon, command));
        let ended = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            runtime.block_on(self.signals.abort());
            Err(Error::Bug { message: report::last_panic() })
        });
        // A blocking prompt or a resolver thread must not delay the exit.
        runtime.shutdown_background();
        terminal.restore();
        ended
    }

    /// Writes the reports, sends the last event unless the run did, and renders the error; returns the exit code.
    fn finish(&self, ended: Result<u8, Error>) -> u8 {
        let ended = self.with_cluster_state(ended);
        if let Some(files) = &self.files {
            self.record.conclude(&ended);
            files.write(&self.record, &self.ui);
        }
        match ended {
            Ok(code) => code,
            Err(error) => {
                self.send_last_event(&error);
                self.ui.error(&error);
                error.exit_code()
            }
        }
    }

    /// The sources of the answers that the command line and the environment name.
    pub(crate) fn sources(&self, arguments: &SettingsArgs) -> Sources {
        Sources {
            answers: arguments.answers.clone(),
            set: arguments.set.clone(),
            namespace_flag: self.global.namespace.clone(),
            bundle: arguments.bundle.as_deref().map(charts_of),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?.into())))
                .collect(),
        }
    }

    /// The end of the command or of its run so far.
    pub(crate) fn with_cluster_state(&self, ended: Result<u8, Error>) -> Result<u8, CommandError> {
        ended.map_err(|error| CommandError::new(error, self.writes.state()))
    }

    /// Sends an event that no run sends: before or after it, or in a command without one.
    pub(crate) fn send(&self, event: Event) {
        self.reporter.send(event);
    }

    /// Shows the events of a recorded run.
    pub(crate) async fn replay(&self, run: &[TimedEvent], speed: u16) {
        self.reporter.replay(run, speed).await;
    }

    /// Sends a notice.
    pub(crate) fn notice(&self, message: impl Into<String>) {
        self.send(Event::Notice { message: message.into(), hint: None });
    }

    /// Sends notices.
    pub(crate) fn notices<'a>(&self, messages: impl IntoIterator<Item = &'a String>) {
        messages.into_iter().for_each(|message| self.notice(message));
    }

    /// Sends the verdicts of checks that no run sends.
    pub(crate) fn verdicts(&self, checks: &[CheckResult]) {
        checks.iter().for_each(|check| self.send(Event::CheckFinished(check.clone())));
    }

    /// As [`Session::verdicts`], for checks that precede a change: an error if one failed.
    pub(crate) fn require_passed(&self, checks: &[CheckResult]) -> Result<(), Error> {
        self.verdicts(checks);
        let failed: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Fail).cloned().collect();
        if failed.is_empty() {
            return Ok(());
        }
        self.ui.failed_checks(&failed);
        Err(Error::Preflight { failed: failed.len(), total: checks.len() })
    }

    /// Events of a run, and the task that ends with the last one.
    pub(crate) fn stream(&self) -> (Events, JoinHandle<()>) {
        let (events, stream) = event::channel();
        (events, tokio::spawn(self.reporter.clone().drain(stream)))
    }
}

/// The place of the charts of a bundle: the archive itself, or a folder in it. Absolute, since later runs read the saved
/// answer in other folders.
fn charts_of(bundle: &Path) -> String {
    let bundle = std::path::absolute(bundle).unwrap_or_else(|_| bundle.to_owned());
    let charts = bundle.join("charts");
    if charts.is_dir() { charts } else { bundle }.display().to_string()
}

#[expect(clippy::exit, reason = "the command blocks its thread and cannot return")]
fn exit_process(code: u8) {
    std::process::exit(code.into());
}
