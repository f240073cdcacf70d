//! Reporters: bars, lines, JSON; tables; report files; error rendering; style. Reads only events, the crate's error and
//! the display flags. Never fails: output to a broken terminal or pipe is dropped.

mod checks_table;
mod data_path;
mod diagnosis_table;
pub mod error_message;
mod explanation;
mod files;
#[cfg(test)]
mod golden_tests;
mod html;
mod junit;
mod labelled_block;
mod labels;
mod lines;
mod live;
mod output;
mod panic;
mod plan_table;
mod record;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod replay_tests;
mod reporter;
mod saved_terminal;
mod sign_in_prompt;
pub mod style;
mod summary_line;
mod uninstall_table;
mod upgrade_table;
mod wrap;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::cli::{GlobalArgs, Output};
use crate::event::{Event, EventStream, RunSummary, Stamped};
use crate::input_file;
use crate::redaction::{redacted_json, without_secrets};
use crate::report::live::region::Stderr;
use crate::report::reporter::{Reporter, TICK};
use crate::report::style::{Style, Tone};
use crate::report::wrap::wrap;

pub use checks_table::checks_table;
pub use diagnosis_table::{Examined, findings_table};
pub use explanation::explanations;
pub use files::{Files, judge_log, write_file};
pub use output::{json_document, width, write_stderr, write_stdout};
pub use panic::{keep_panics, last_panic};
pub use plan_table::{diff_text, plan_table, status_table};
pub use record::{Component, ComponentState, Record, Surroundings};
pub use saved_terminal::{SavedTerminal, is_in_foreground};
pub use sign_in_prompt::sign_in_prompt;
pub use uninstall_table::{kept_table, removal_table};
pub use upgrade_table::upgrade_table;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Live bars on a terminal.
    Bars,
    /// One plain line per transition.
    Lines,
    /// One JSON event per line on stdout.
    Json,
    /// Nothing but the final report.
    Quiet,
}

impl Mode {
    /// Bars need a terminal that can redraw, outside of CI.
    pub fn resolve(global: &GlobalArgs) -> Mode {
        if global.output == Output::Json {
            return Mode::Json;
        }
        Mode::for_people(global)
    }

    /// As [`Mode::resolve`], for commands that write one JSON document at the end.
    pub fn without_events(global: &GlobalArgs) -> Mode {
        if global.output == Output::Json { Mode::Quiet } else { Mode::for_people(global) }
    }

    fn for_people(global: &GlobalArgs) -> Mode {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match std::io::stderr().is_terminal() && !in_ci() && !dumb {
            _ if global.quiet => Mode::Quiet,
            true => Mode::Bars,
            false => Mode::Lines,
        }
    }
}

/// Whether a CI pipeline runs this.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

struct Json<W>(W);

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&mut self, stamped: &Stamped) {
        let line = json_of(stamped) + "\n";
        // A closed pipe is not an error.
        let _ = self.0.write_all(line.as_bytes()).and_then(|()| self.0.flush());
    }
}

struct Quiet;

impl Reporter for Quiet {
    fn event(&mut self, _: &Stamped) {}
}

/// Drains the stream to its end: shows and records each event, and appends it to the log file.
pub async fn drain(global: GlobalArgs, mode: Mode, mut stream: EventStream, record: Record) {
    let style = Style::resolve(&global);
    let mut reporter: Box<dyn Reporter> = match mode {
        Mode::Bars => Box::new(live::bars::Bars::new(style, Box::new(Stderr::new()))),
        Mode::Lines => Box::new(lines::Lines::new(style, Box::new(Stderr::new()))),
        Mode::Json => Box::new(Json(std::io::stdout())),
        Mode::Quiet => Box::new(Quiet),
    };
    let mut log = global.log_file.as_deref().and_then(|path| open_log(path, &style));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let stamped = tokio::select! {
            stamped = stream.next() => stamped,
            _ = ticks.tick() => {
                reporter.tick(Timestamp::now());
                continue;
            }
        };
        let Some(stamped) = stamped.map(without_secrets) else { return reporter.end() };
        if let Some(log) = &mut log {
            let _ = writeln!(log, "{}", json_of(&stamped));
        }
        record.event(&stamped);
        reporter.event(&stamped);
        if let Event::RunFinished(summary) = &stamped.event {
            reporter.end();
            if mode != Mode::Json {
                finish(summary, style);
            }
            if global.verbose {
                write_stderr(&cost(summary));
            }
            // The last event, even while a sender still exists.
            return;
        }
    }
}

/// Writes events, stamped now, to stdout, one JSON object per line, and to a log file. Needs no runtime.
pub fn write_events(log: Option<&Path>, events: impl IntoIterator<Item = Event>) {
    let mut json = Json(std::io::stdout());
    let mut log = log.and_then(|path| input_file::append(path).ok());
    for stamped in events.into_iter().map(Stamped::now) {
        json.event(&stamped);
        if let Some(log) = &mut log {
            let _ = writeln!(log, "{}", json_of(&stamped));
        }
    }
}

/// One line of JSON without the secrets of the run.
fn json_of(value: &impl Serialize) -> String {
    redacted_json(&serde_json::to_string(value).unwrap_or_default())
}

/// The run continues without a log file that cannot be opened.
fn open_log(path: &Path, style: &Style) -> Option<File> {
    let opened = input_file::append(path);
    let reported =
        |error| problem(&format!("cannot write the log file {}: {error}; the run continues", path.display()), style);
    opened.map_err(reported).ok()
}

/// `--verbose`: duration, memory and API requests.
fn cost(summary: &RunSummary) -> String {
    let verbs: Vec<String> = summary.api_requests.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
    let memory = summary.peak_rss_kib / 1024;
    format!("took {:.1} s and {memory} MiB; requests to the API server: {}\n", summary.seconds, verbs.join(", "))
}

/// The final report of a run: every verdict on stdout.
fn finish(summary: &RunSummary, style: Style) {
    if !summary.checks.is_empty() {
        write_stdout(&checks_table(&summary.checks, &style, width()));
    }
}

/// A notice on stderr; none with `--quiet`.
pub fn notice(message: &str, style: &Style) {
    if !style.quiet {
        problem(message, style);
    }
}

/// Notices on stderr, each as [`notice`] writes it.
pub fn notices(messages: &[String], global: &GlobalArgs) {
    let style = Style::resolve(global);
    messages.iter().for_each(|message| notice(message, &style));
}

/// A problem that does not change the outcome; also with `--quiet`.
fn problem(message: &str, style: &Style) {
    write_stderr(&(wrap(&format!("{} {message}", style.paint(Tone::Warning, "note:")), "      ", width()) + "\n"));
}
