//! The receiver of every event of a command: shows it, records it, and appends it to the log file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::event::{Event, EventStream, TimedEvent};
use crate::foreign_text::printable_json;
use crate::input_file;
use crate::redaction::{redacted_json, without_secrets};
use crate::report::github_actions::GithubActions;
use crate::report::lines::Lines;
use crate::report::live::bars::Bars;
use crate::report::live::region::Stderr;
use crate::report::record::Record;
use crate::report::reporter::{Reporter, TICK};
use crate::report::ui::{Mode, Ui};

/// Cheap to clone; every clone is the same receiver.
#[derive(Clone)]
pub struct EventReporter(Arc<Mutex<Inner>>);

struct Inner {
    ui: Ui,
    record: Record,
    log: Log,
    /// From the first step or check of the stack to the last.
    reporter: Option<Box<dyn Reporter>>,
    /// With one JSON event per line: what was sent before `run-started`, the first line.
    held: Vec<TimedEvent>,
}

/// The log file, opened with the first event.
enum Log {
    Closed(PathBuf),
    Open(File),
    None,
}

impl EventReporter {
    /// Records into `record`; `log` is the file of `--log-file`.
    pub fn new(ui: Ui, log: Option<PathBuf>, record: Record) -> EventReporter {
        let log = log.map_or(Log::None, Log::Closed);
        EventReporter(Arc::new(Mutex::new(Inner { ui, record, log, reporter: None, held: Vec::new() })))
    }

    /// Receives an event of this moment.
    pub fn send(&self, event: Event) {
        self.inner().receive(TimedEvent::now(event));
    }

    /// Receives the events of a run until its last one, or until every sender is dropped.
    pub async fn drain(self, mut stream: EventStream) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let timed = tokio::select! {
                timed = stream.next() => timed,
                _ = ticks.tick() => {
                    if let Some(reporter) = &mut self.inner().reporter {
                        reporter.tick(Timestamp::now());
                    }
                    continue;
                }
            };
            let Some(timed) = timed else { return self.inner().end() };
            let is_last = matches!(timed.event, Event::RunFinished(_));
            self.inner().receive(timed);
            // Even while a sender still exists.
            if is_last {
                return;
            }
        }
    }

    /// Receives the events of a recorded run; on live bars, `speed` times as fast as they happened.
    pub async fn replay(&self, run: &[TimedEvent], speed: u16) {
        let is_live = self.inner().ui.mode == Mode::Bars;
        let mut now = run.first().map(|first| first.time);
        for timed in run {
            while let Some(before) = now.filter(|now| is_live && *now < timed.time) {
                let (pause, later) = next_tick((before, timed.time), speed);
                tokio::time::sleep(pause).await;
                if let Some(reporter) = &mut self.inner().reporter {
                    reporter.tick(later);
                }
                now = Some(later);
            }
            self.inner().receive(timed.clone());
        }
        self.inner().end();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn receive(&mut self, timed: TimedEvent) {
        let timed = without_secrets(timed);
        self.log.append(&timed, &self.ui);
        self.record.event(&timed);
        match (&mut self.reporter, &timed.event) {
            (Some(reporter), _) => reporter.event(&timed),
            (None, Event::RunStarted { .. } | Event::ChecksStarted { .. }) => {
                let mut reporter = reporter(&self.ui);
                reporter.event(&timed);
                self.held.drain(..).for_each(|held| reporter.event(&held));
                self.reporter = Some(reporter);
            }
            (None, event) => {
                if let Event::Notice { message, hint } = event {
                    let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                    self.ui.notice(&format!("{message}{hint}"));
                }
                self.hold(&timed);
            }
        }
        if matches!(timed.event, Event::RunFinished(_)) {
            self.end();
        }
    }

    /// A plan that is computed again sends its notices and verdicts again.
    fn hold(&mut self, timed: &TimedEvent) {
        if self.ui.mode == Mode::Json {
            self.held.retain(|held| match (&held.event, &timed.event) {
                (Event::CheckFinished(before), Event::CheckFinished(now)) => before.id != now.id,
                (Event::Notice { message: before, .. }, Event::Notice { message: now, .. }) => before != now,
                _ => true,
            });
            self.held.push(timed.clone());
        }
    }

    fn end(&mut self) {
        if let Some(mut reporter) = self.reporter.take() {
            reporter.end();
        }
    }
}

/// How long a replay waits, and the recorded time after it: a tick, or less if the next event is nearer.
fn next_tick((now, next): (Timestamp, Timestamp), speed: u16) -> (Duration, Timestamp) {
    let speed = u32::from(speed);
    let left = next.duration_since(now).unsigned_abs();
    match left > TICK * speed {
        true => (TICK, now.saturating_add(TICK * speed).unwrap_or(next)),
        false => (left / speed, next),
    }
}

fn reporter(ui: &Ui) -> Box<dyn Reporter> {
    let lines = || Lines::new(ui.style(), Box::new(Stderr::new()));
    match ui.mode {
        Mode::Bars => Box::new(Bars::new(ui.style(), Box::new(Stderr::new()))),
        Mode::Lines if ui.in_github_actions => Box::new(GithubActions::new(lines(), Box::new(Stderr::new()))),
        Mode::Lines => Box::new(lines()),
        Mode::Json => Box::new(Json(std::io::stdout())),
        Mode::Quiet => Box::new(Quiet),
    }
}

impl Log {
    fn append(&mut self, timed: &TimedEvent, ui: &Ui) {
        if let Log::Closed(path) = self {
            *self = Log::open(path, ui);
        }
        if let Log::Open(file) = self {
            let _ = writeln!(file, "{}", json_of(timed));
        }
    }

    /// The run continues without a log file that cannot be opened.
    fn open(path: &Path, ui: &Ui) -> Log {
        input_file::append(path).map_or_else(
            |error| {
                ui.problem(&format!("cannot write the log file {}: {error}; the run continues", path.display()));
                Log::None
            },
            Log::Open,
        )
    }
}

pub(super) struct Json<W>(pub(super) W);

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, timed: &TimedEvent) {
        let line = json_of(timed) + "\n";
        // A closed pipe is not an error.
        let _ = self.0.write_all(line.as_bytes()).and_then(|()| self.0.flush());
    }
}

struct Quiet;

impl Reporter for Quiet {
    fn event(&mut self, _: &TimedEvent) {}
}

/// One line of JSON without the secrets of the run.
fn json_of(value: &impl Serialize) -> String {
    printable_json(&redacted_json(&serde_json::to_string(value).unwrap_or_default())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_waits_as_long_as_the_run_did_or_a_part_of_it() {
        let start = Timestamp::UNIX_EPOCH;
        for (gap, speed, pause, passed) in
            [(3, 1, 3, 3), (250, 1, 100, 100), (1000, 20, 50, 1000), (9000, 20, 100, 2000)]
        {
            let after = |milliseconds| start + Duration::from_millis(milliseconds);
            let found = next_tick((start, after(gap)), speed);
            assert_eq!(found, (Duration::from_millis(pause), after(passed)), "{gap} ms, {speed} times as fast");
        }
    }
}
