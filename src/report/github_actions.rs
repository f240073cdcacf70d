//! Output in a job of GitHub Actions: the lines of a wave in a group that can be folded, and an annotation for each check
//! of the stack that failed or warns. The runner reads workflow commands from stdout and stderr (actions/runner,
//! ActionCommandManager.cs).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::{CheckResult, Event, RunError, TimedEvent, Verdict};
use crate::foreign_text::workflow_command;
use crate::redaction::redacted;
use crate::report::lines::Lines;
use crate::report::live::region::Terminal;
use crate::report::reporter::Reporter;

/// Whether a job of GitHub Actions runs this.
pub(super) fn is_github_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// [`Lines`] with workflow commands.
pub(super) struct GithubActions {
    lines: Lines,
    terminal: Box<dyn Terminal>,
    components: BTreeMap<u8, Vec<String>>,
    is_open: bool,
}

impl GithubActions {
    /// Both write to the same terminal.
    pub(super) fn new(lines: Lines, terminal: Box<dyn Terminal>) -> GithubActions {
        GithubActions { lines, terminal, components: BTreeMap::new(), is_open: false }
    }

    fn write(&mut self, command: &str) {
        let _ = self.terminal.write_all(command.as_bytes());
    }

    fn open(&mut self, wave: u8) {
        let components = self.components.get(&wave).map(|names| names.join(", ")).unwrap_or_default();
        self.is_open = true;
        self.write(&workflow_command("group", "", &format!("wave {wave}: {components}")));
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.write(&workflow_command("endgroup", "", ""));
        }
    }
}

impl Reporter for GithubActions {
    fn event(&mut self, timed: &TimedEvent) {
        match &timed.event {
            Event::RunStarted { steps, .. } => {
                for step in steps {
                    self.components.entry(step.wave).or_default().push(step.component.clone());
                }
            }
            Event::WaveStarted { wave } => {
                self.close();
                self.open(*wave);
            }
            // A wave that fails does not finish.
            Event::ChecksStarted { .. }
            | Event::Diagnosed { .. }
            | Event::Retained { .. }
            | Event::WaveFinished { .. }
            | Event::RunFinished(_) => self.close(),
            _ => {}
        }
        self.lines.event(timed);
        if let Event::CheckFinished(check) = &timed.event {
            self.write(&of_check(check));
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.lines.tick(now);
    }

    fn end(&mut self) {
        self.close();
        self.lines.end();
    }
}

/// The annotation of a check; empty if it passed or was skipped.
pub(super) fn of_check(check: &CheckResult) -> String {
    let level = match check.verdict {
        Verdict::Fail => "error",
        Verdict::Warn => "warning",
        Verdict::Pass | Verdict::Skip => return String::new(),
    };
    annotation((level, &check.id), [&check.detail], check.hint.as_deref())
}

/// The annotation of the error that ends a command.
pub(super) fn of_error(error: &RunError) -> String {
    annotation(("error", "tailwatch"), [&error.message].into_iter().chain(&error.causes), error.hint.as_deref())
}

/// Without secrets: the escapes of a command would hide them from a later redaction.
fn annotation<'a>(
    (level, title): (&str, &str),
    found: impl IntoIterator<Item = &'a String>,
    next: Option<&str>,
) -> String {
    let next = next.map(|next| format!("next: {next}"));
    let lines: Vec<String> = found.into_iter().cloned().chain(next).collect();
    workflow_command(level, title, &redacted(&lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::foreign_text::assert_harmless;
    use crate::report::golden_tests::{hostile, names};
    use crate::report::live::layout::Size;
    use crate::report::replay_tests::{Memory, events, recorded, replay};
    use crate::report::style::Style;

    /// Starts of the workflow commands that a run has.
    const OWN: [&str; 4] = ["::group::wave ", "::endgroup::", "::error title=", "::warning title="];

    /// What a run writes to the log of a job.
    fn log_of(events: &[TimedEvent]) -> String {
        let terminal = Memory::new(Size { columns: 120, rows: 40 });
        let lines = Lines::new(Style { color: false }, Box::new(terminal.clone()));
        let mut reporter = GithubActions::new(lines, Box::new(terminal.clone()));
        replay(&mut reporter, &mut events.iter().peekable(), events.last().unwrap().time);
        reporter.end();
        terminal.written()
    }

    #[test]
    fn waves_are_groups() {
        let commands = |run: &str| {
            let log = log_of(&events(run));
            let commands: Vec<&str> = log.lines().map(str::trim_end).filter(|line| line.starts_with("::")).collect();
            format!("{run}\n{}", commands.join("\n"))
        };
        insta::assert_snapshot!(["good", "image-not-found", "uninstall"].map(commands).join("\n\n"));
    }

    #[test]
    fn failed_checks_and_warnings_are_annotations() {
        let check = |verdict| crate::report::checks_table::tests::check("loki-ready", "logs", verdict);
        assert_eq!(of_check(&check(Verdict::Pass)), "");
        assert!(of_check(&check(Verdict::Fail)).starts_with("::error title=loki-ready::"));
        assert!(of_check(&check(Verdict::Warn)).starts_with("::warning title=loki-ready::"));
        let error = RunError {
            message: "loki failed in wave 32".into(),
            causes: vec!["image x does not exist".into()],
            hint: Some("correct its tag".into()),
            exit_code: 5,
        };
        let annotation =
            "::error title=tailwatch::loki failed in wave 32%0Aimage x does not exist%0Anext: correct its tag\n";
        assert_eq!(of_error(&error), annotation);
    }

    #[test]
    fn a_secret_that_a_command_escapes_is_redacted() {
        let secret = "37% of\na-secret-of-two-lines";
        crate::redaction::hide([&Secret::new(secret.to_owned())]);
        let mut check = crate::report::checks_table::tests::check("loki-ready", "logs", Verdict::Fail);
        check.detail = format!("found {secret}");
        let error = RunError { message: "failed".into(), causes: vec![secret.into()], hint: None, exit_code: 5 };
        assert!(of_check(&check).starts_with("::error title=loki-ready::found ***"), "{}", of_check(&check));
        assert_eq!(of_error(&error), "::error title=tailwatch::failed%0A***\n");
    }

    #[test]
    fn hostile_text_is_no_workflow_command() {
        for run in names() {
            let parse = |line: &str| serde_json::from_str(&hostile(line.parse().unwrap()).to_string()).unwrap();
            let events: Vec<TimedEvent> = recorded(run).lines().map(parse).collect();
            let log = log_of(&events);
            let (own, rest): (Vec<&str>, Vec<&str>) =
                log.lines().partition(|line| OWN.iter().any(|command| line.starts_with(command)));
            assert_harmless(&rest.join("\n"));
            assert!(!own.is_empty(), "{run}: {log}");
        }
    }
}
