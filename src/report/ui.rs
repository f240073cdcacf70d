//! How a command is shown. Only this file reads `--output`, `--quiet`, `--color`, `--verbose` and the terminals' state.

use std::io::IsTerminal as _;

use serde::Serialize;

use crate::cli::{ColorChoice, GlobalArgs, Output};
use crate::error::{CommandError, Error};
use crate::event::{CheckResult, RunError, RunSummary};
use crate::report::checks_table::{checks_overview, checks_table};
use crate::report::error_message::{self, run_error};
use crate::report::github_actions;
use crate::report::output::{json_document, width, write_stderr, write_stdout, write_workflow_command};
use crate::report::saved_terminal::is_in_foreground;
use crate::report::steps_summary::steps_summary;
use crate::report::style::{Style, Tone};
use crate::report::wrap::wrap;
use crate::terminal::is_sequential;

/// What `--output json` of a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One event per line.
    Events,
    /// One document at the end.
    Document,
}

/// How the events of a run are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Live bars, on a terminal that can redraw, outside of CI.
    Bars,
    /// One plain line per transition.
    Lines,
    /// One JSON event per line on stdout.
    Json,
    /// Nothing but the final report.
    Quiet,
}

/// The display of a command.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    style: Style,
    output: Output,
    quiet: bool,
    verbose: bool,
    pub(super) mode: Mode,
    /// Whether annotations are read.
    pub(super) in_github_actions: bool,
}

#[derive(Serialize)]
struct ChecksDocument {
    version: u8,
    checks: Vec<CheckResult>,
}

/// Whether a command prompts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// The user sees the plan on a terminal and answers.
    Prompts,
    /// No prompts.
    None,
}

impl Ui {
    /// From the flags, the environment and the terminals.
    pub fn new(global: &GlobalArgs, format: Format) -> Ui {
        let mode = match (global.output, format) {
            (Output::Json, Format::Events) => Mode::Json,
            (Output::Json, Format::Document) => Mode::Quiet,
            (Output::Human, _) if global.quiet => Mode::Quiet,
            (Output::Human, _) if std::io::stderr().is_terminal() && !in_ci() && !is_sequential() => Mode::Bars,
            (Output::Human, _) => Mode::Lines,
        };
        Ui {
            style: Style { color: is_coloured(global.color) },
            output: global.output,
            quiet: global.quiet,
            verbose: global.verbose,
            mode,
            in_github_actions: github_actions::is_github_actions(),
        }
    }

    /// For a command line that clap rejected: its flags are unknown.
    pub fn of_events() -> Ui {
        Ui {
            style: Style { color: false },
            output: Output::Json,
            quiet: false,
            verbose: false,
            mode: Mode::Json,
            in_github_actions: github_actions::is_github_actions(),
        }
    }

    /// Whether stdout has one event per line.
    pub fn writes_events(&self) -> bool {
        self.mode == Mode::Json
    }

    /// Whether stdout has JSON.
    pub fn writes_json(&self) -> bool {
        self.output == Output::Json
    }

    /// The result of a command on stdout: the document as JSON, or else as text.
    pub fn document<T: Serialize>(&self, document: &T, text: impl FnOnce(&T, &Style, usize) -> String) {
        match self.output {
            Output::Json => json_document(document),
            Output::Human => write_stdout(&text(document, &self.style, width())),
        }
    }

    /// The verdicts of a command, its result on stdout.
    pub fn checks(&self, checks: Vec<CheckResult>) {
        self.document(&ChecksDocument { version: 1, checks }, |document, style, width| {
            checks_table(&document.checks, style, width)
        });
    }

    /// A JSON document on stdout, with any format.
    pub fn json(&self, document: &impl Serialize) {
        json_document(document);
    }

    /// Data for people on stdout; none with `--output json`.
    pub fn data(&self, text: impl FnOnce(&Style, usize) -> String) {
        if self.output == Output::Human {
            write_stdout(&text(&self.style, width()));
        }
    }

    /// What precedes a prompt or a run, on stderr; none with `--quiet` or `--output json`.
    pub fn preview(&self, text: impl FnOnce(&Style, usize) -> String) {
        if self.output == Output::Human && !self.quiet {
            self.message(text);
        }
    }

    /// A part of an error or of a question, on stderr.
    pub fn message(&self, text: impl FnOnce(&Style, usize) -> String) {
        write_stderr(&text(&self.style, width()));
    }

    /// A notice on stderr; none with `--quiet`.
    pub fn notice(&self, message: &str) {
        if !self.quiet {
            self.problem(message);
        }
    }

    /// A problem that does not change the outcome; also with `--quiet`.
    pub(super) fn problem(&self, message: &str) {
        let note = format!("{} {message}", self.style.paint(Tone::Warning, "note:"));
        self.message(|_, width| wrap(&note, "      ", width) + "\n");
    }

    /// Failed checks on stderr.
    pub fn failed_checks(&self, checks: &[CheckResult]) {
        if !checks.is_empty() {
            self.message(|style, width| checks_table(checks, style, width));
        }
        if self.in_github_actions {
            checks.iter().for_each(|check| write_workflow_command(&github_actions::of_check(check)));
        }
    }

    /// The end of a run: the verdicts on stdout by group; with `--verbose` each, and duration, memory and API requests. On
    /// stderr what became of the components, unless all are installed.
    pub fn summary(&self, summary: &RunSummary) {
        if !summary.checks.is_empty() {
            let table = if self.verbose { checks_table } else { checks_overview };
            self.data(|style, width| table(&summary.checks, style, width));
        }
        if self.verbose {
            let verbs: Vec<String> =
                summary.api_requests.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
            let (memory, verbs) = (summary.peak_rss_kib / 1024, verbs.join(", "));
            let cost = format!("took {:.1} s and {memory} MiB; requests to the API server: {verbs}\n", summary.seconds);
            self.message(|_, _| cost);
        }
        self.preview(|_, width| steps_summary(summary, width));
    }

    /// The error that ends a command.
    pub fn error(&self, error: &CommandError) {
        error_message::render(error, &self.style);
        if self.in_github_actions {
            write_workflow_command(&github_actions::of_error(&run_error(error)));
        }
    }

    /// The error that ended a recorded run.
    pub fn recorded_error(&self, error: &RunError) {
        self.message(|style, width| error_message::recorded(error, *style, width));
    }

    /// A prompt needs a terminal that shows the plan: not with `--quiet` or `--output json`.
    pub fn interaction(&self) -> Interaction {
        if self.obstacle(TerminalState::now()).is_none() { Interaction::Prompts } else { Interaction::None }
    }

    /// The error of a command that needs a prompt; `what` is a fragment such as "cannot ask for a secret".
    pub fn cannot_prompt(&self, what: &str, hint: &str) -> Error {
        let obstacle = self.obstacle(TerminalState::now()).unwrap_or("without a terminal");
        Error::Usage { message: format!("{what} {obstacle}"), hint: Some(hint.to_owned()) }
    }

    /// Why a prompt is not possible.
    fn obstacle(&self, terminal: TerminalState) -> Option<&'static str> {
        match (terminal, self.output) {
            (TerminalState::Missing, _) => Some("without a terminal"),
            (TerminalState::Background, _) => Some("in the background of a terminal"),
            (_, Output::Json) => Some("with --output json"),
            (_, Output::Human) if self.quiet => Some("with --quiet, which does not show it"),
            (_, Output::Human) => None,
        }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }
}

/// `--color`, NO_COLOR, TERM and whether both streams are terminals.
fn is_coloured(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            // The same for both streams: a redirected stdout is data and has no colours.
            wanted && !dumb && std::io::stderr().is_terminal() && std::io::stdout().is_terminal()
        }
    }
}

/// Whether a CI pipeline runs this.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// State of the terminal.
#[derive(Clone, Copy)]
enum TerminalState {
    Present,
    Missing,
    /// Present, but reading it would stop this background job.
    Background,
}

impl TerminalState {
    fn now() -> TerminalState {
        let present = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        match present {
            true if is_in_foreground() => TerminalState::Present,
            true => TerminalState::Background,
            false => TerminalState::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_prompt_needs_a_terminal_that_shows_the_plan() {
        for (line, terminal, expected) in [
            (&["tailwatch"][..], TerminalState::Present, None),
            (&["tailwatch"], TerminalState::Missing, Some("without a terminal")),
            (&["tailwatch"], TerminalState::Background, Some("in the background of a terminal")),
            (&["tailwatch", "-q"], TerminalState::Present, Some("with --quiet, which does not show it")),
            (&["tailwatch", "--output", "json"], TerminalState::Present, Some("with --output json")),
        ] {
            let ui = Ui::new(&Cli::parse_from(line).global, Format::Document);
            assert_eq!(ui.obstacle(terminal), expected, "{line:?}");
        }
    }
}
