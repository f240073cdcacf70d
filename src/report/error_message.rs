//! The only renderer of errors: `error:`, then the rows of a diagnosis, or causes and `hint:`.

use std::error::Error as _;

use crate::error::CommandError;
use crate::event::{Diagnosis, RunError, Severity};
use crate::redaction::without_secrets;
use crate::report::labelled_block::{Block, Row, Rows};
use crate::report::output::{width, write_stderr};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{Clock, UNBROKEN, one_line, wrap};

/// Writes the error, its causes and the next step to stderr.
pub(super) fn render(error: &CommandError, style: &Style) {
    write_stderr(&text(error, *style, width(), &Clock::local()));
}

pub(super) fn text(error: &CommandError, style: Style, width: usize, clock: &Clock) -> String {
    let headline = headline(&error.to_string(), style, width);
    let Some(diagnosis) = error.diagnosis() else {
        let next = [("hint:", error.hint()), ("safe:", error.safe())];
        return headline + &reasons(&chain(error), next, style, width);
    };
    let diagnosis = without_secrets(diagnosis.clone());
    let Rows { place, since, cause, log, next, docs } = Rows::of(&diagnosis, clock);
    let what = Row::new("what", &what(error, &diagnosis));
    let safe = Row::new("safe", &error.safe().unwrap_or_default());
    headline + &Block { style, width, indent: 2 }.text(&[what, place, since, cause, log, next, safe, docs])
}

/// The error of a recorded run. Its diagnosis is in an event of the failed step.
pub(super) fn recorded(error: &RunError, style: Style, width: usize) -> String {
    let next = [("hint:", error.hint.clone())];
    headline(&error.message, style, width) + &reasons(&error.causes, next, style, width)
}

/// The error as data for events and reports.
pub fn run_error(error: &CommandError) -> RunError {
    without_secrets(RunError {
        message: error.to_string(),
        causes: chain(error),
        hint: error.diagnosis().map(|found| found.hint.clone()).or_else(|| error.hint()),
        exit_code: error.exit_code(),
    })
}

/// The step's own message, without the cause and the evidence, which have their own rows.
fn what(error: &CommandError, diagnosis: &Diagnosis) -> String {
    let why = error.source().map(|source| one_line(&source.to_string())).unwrap_or_default();
    let (cause, evidence) = (one_line(&diagnosis.cause), one_line(&diagnosis.evidence));
    let what = why.strip_suffix(&cause).or_else(|| why.strip_suffix(&evidence)).unwrap_or(&why);
    let what = what.trim_end_matches([':', ' ']);
    if !what.is_empty() {
        return what.to_owned();
    }
    let subject = diagnosis.place.workload.as_ref().unwrap_or(&diagnosis.place.object);
    match diagnosis.severity {
        Severity::Fatal => format!("{subject} cannot become ready"),
        Severity::Deadline | Severity::Notice => format!("{subject} did not become ready"),
    }
}

/// The causes, outermost first, without repetitions.
pub(super) fn chain(error: &CommandError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // A transparent wrapper repeats the message of its source.
        if !last.contains(&message) {
            causes.push(message.clone());
            last = message;
        }
        source = cause.source();
    }
    causes
}

fn headline(error: &str, style: Style, width: usize) -> String {
    // Otherwise a path longer than the line would leave `error:` alone on it.
    let text = format!("{}{UNBROKEN}{error}", style.paint(Tone::Bad, "error:"));
    wrap(&text, "       ", width) + "\n"
}

/// The causes, and the labelled lines below them.
fn reasons<const N: usize>(causes: &[String], next: [(&str, Option<String>); N], style: Style, width: usize) -> String {
    let because = |cause: &String| wrap(&format!("  because: {cause}"), "           ", width) + "\n";
    let mut lines: String = causes.iter().map(because).collect();
    for (label, text) in next {
        if let Some(text) = text {
            lines += &(wrap(&format!("{} {text}", style.paint(Tone::Strong, label)), "      ", width) + "\n");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineError, StepError};
    use crate::error::{Checked, Error};
    use crate::report::diagnosis_table::tests::{clock, crash_loop};
    use crate::write_record::ClusterState;

    fn of_step(source: StepError) -> String {
        let error = Error::from(EngineError::Step { component: "loki".into(), wave: 32, rollback: None, source });
        reported(error, ClusterState::Changed)
    }

    fn reported(error: Error, cluster: ClusterState) -> String {
        text(&CommandError::new(error, cluster), Style { color: false }, 80, &clock())
    }

    #[test]
    fn an_error_its_causes_and_its_hint_are_not_repeated() {
        let (why, after) = ("Deployment x: 0/1 pods".into(), std::time::Duration::from_secs(60));
        insta::assert_snapshot!(of_step(StepError::Timeout { why, after, diagnosis: None }), @r"
        error: loki failed in wave 32
          because: not ready, without progress for 60 s: Deployment x: 0/1 pods
        hint: fix what it waits for, or raise --timeout, then run the same command again
        safe: waves before wave 32 are installed and running; later waves were not
              started; the same command continues from the current state
        ");
    }

    #[test]
    fn a_diagnosis_is_reported_with_the_sanitised_end_of_the_log() {
        let finding = crash_loop();
        let source = StepError::NotReady { diagnosis: Box::new(finding) };
        insta::assert_snapshot!(of_step(source), @r#"
        error: loki failed in wave 32
          what    StatefulSet loki cannot become ready
          where   namespace monitoring, StatefulSet loki, Pod loki-0, container loki
          since   14:03:12, for 2m 5s
          cause   container loki of Pod loki-0 crashes repeatedly with exit code 1
                  back-off 1m20s restarting failed container=loki pod=loki-0_monitoring
          log     level=info msg="line 3"
                  level=info msg="line 4"
                  level=info msg="line 5"
                  level=info msg="line 6"
                  level=info msg="line 7"
                  level=info msg="line 8"
                  level=error caller=main.go:66 msg="error initialising"
                  panic: invalid schema, invalid schema, invalid schema, invalid schema…
          next    read all of it: `kubectl -n monitoring logs loki-0 -c loki --previous`
          safe    waves before wave 32 are installed and running; later waves were not
                  started; the same command continues from the current state
          docs    tailwatch explain crash-loop
        "#);
    }

    #[test]
    fn an_error_before_any_change_has_no_rows() {
        let error = Error::Usage { message: "wrong".into(), hint: None };
        assert_eq!(reported(error, ClusterState::Unchanged), "error: wrong\n");
    }

    #[test]
    fn whether_the_cluster_was_changed_comes_from_the_record_of_writes() {
        use ClusterState::{Changed, Unchanged};
        let checks = |of| Error::InterruptedChecks { of };
        let first_line = |error, cluster| reported(error, cluster).lines().next().unwrap_or_default().to_owned();
        for (error, cluster, expected) in [
            (Error::Interrupted, Unchanged, "error: interrupted, nothing was changed"),
            (Error::Interrupted, Changed, "error: interrupted; the cluster was changed"),
            (Error::Declined, Unchanged, "error: declined, nothing was changed"),
            (Error::Declined, Changed, "error: declined; the cluster was changed"),
            (Error::Preflight { failed: 1, total: 2 }, Unchanged, "error: 1 of 2 checks failed, nothing was changed"),
            (Error::Preflight { failed: 1, total: 2 }, Changed, "error: 1 of 2 checks failed; the cluster was changed"),
            (
                checks(Checked::Install),
                Changed,
                "error: interrupted during the verification; the stack is installed, but not",
            ),
            (
                checks(Checked::InstalledStack),
                Changed,
                "error: interrupted during the verification; only the objects of its checks were",
            ),
            (
                checks(Checked::InstalledStack),
                Unchanged,
                "error: interrupted during the verification, nothing was changed",
            ),
        ] {
            assert_eq!(first_line(error, cluster), expected);
        }
    }
}
