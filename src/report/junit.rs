//! JUnit XML: a suite for the waves, one per group of checks, and one for an error of no step and no check.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::event::{CheckResult, StepOutcome, Verdict};
use crate::report::checks_table::groups;
use crate::report::record::{Ending, Facts, Failure, StepFacts};
use crate::report::wrap::one_line;

/// The document. quick_junit removes characters that XML does not allow.
pub(super) fn document(facts: &Facts) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(format!("tailwatch {}", facts.command));
    let took = facts.ended.duration_since(facts.begun);
    report.set_time(Duration::try_from(took).unwrap_or_default());
    if let Some(begun) = chrono::DateTime::from_timestamp(facts.begun.as_second(), 0) {
        report.set_timestamp(begun);
    }
    if let Ending::Failed(failure) | Ending::Interrupted(failure) = &facts.ending
        && facts.failed_step().is_none()
    {
        let mut case = case(&format!("tailwatch {} succeeds", facts.command), "run", failed(failure));
        case.set_time(Duration::ZERO);
        report.add_test_suite(suite("run", [case]));
    }
    if !facts.steps.is_empty() {
        report.add_test_suite(suite("waves", facts.steps.iter().map(step)));
    }
    for (group, checks) in groups(&facts.ordered_checks()) {
        report.add_test_suite(suite(group, checks.into_iter().map(check)));
    }
    report.to_string()
}

fn suite(name: &str, cases: impl IntoIterator<Item = TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.add_test_cases(cases);
    let took = suite.test_cases.iter().filter_map(|case| case.time).sum();
    suite.set_time(took);
    suite
}

fn case(name: &str, id: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("tailwatch.{id}"));
    case
}

fn failure(message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status.set_description(text);
    status
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

/// A line per label with a text.
fn lines(rows: &[(&str, Option<&str>)]) -> String {
    let known = rows.iter().filter_map(|(label, text)| Some(format!("{label}: {}", one_line((*text)?))));
    known.collect::<Vec<_>>().join("\n")
}

fn check(check: &CheckResult) -> TestCase {
    let between = check.hop.map(|hop| hop.between());
    let hop = between.as_deref().filter(|_| check.verdict == Verdict::Fail);
    let more = lines(&[("broken", hop), ("hint", check.hint.as_deref()), ("docs", check.docs.as_deref())]);
    let detail = one_line(&check.detail);
    let status = match check.verdict {
        Verdict::Pass | Verdict::Warn => TestCaseStatus::success(),
        Verdict::Fail => failure(&detail, &more),
        Verdict::Skip => skipped(&detail),
    };
    let mut case = case(&check.statement, &check.id, status);
    case.set_time(seconds(check.seconds));
    match check.verdict {
        Verdict::Pass if !detail.is_empty() => drop(case.set_system_out(detail)),
        Verdict::Warn => drop(case.set_system_out(format!("warning: {detail}\n{more}"))),
        _ => {}
    }
    case
}

fn step(step: &StepFacts) -> TestCase {
    let status = match &step.ended {
        None if step.started.is_none() => skipped("not started"),
        None => skipped("not finished"),
        Some(end) => match end.outcome {
            StepOutcome::Skipped => skipped("not started"),
            StepOutcome::Cancelled => skipped("cancelled"),
            StepOutcome::Failed => failed(&end.failure),
            _ => TestCaseStatus::success(),
        },
    };
    let planned = &step.planned;
    let name = format!("{} {} in wave {}", planned.component, planned.chart_version, planned.wave);
    let mut case = case(&name, &planned.component, status);
    case.set_time(seconds(step.ended.as_ref().map_or(0.0, |end| end.seconds)));
    case
}

fn failed(reason: &Failure) -> TestCaseStatus {
    let causes: Vec<String> = reason.causes.iter().map(|cause| format!("cause: {}", one_line(cause))).collect();
    let next = reason.next.as_ref().map(|next| format!("next: {}", one_line(next)));
    let text: Vec<String> = causes.into_iter().chain(next).collect();
    failure(&one_line(&reason.message), &text.join("\n"))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record_tests::{replayed, verified};

    fn written(facts: &Facts) -> Report {
        let text = document(facts).unwrap();
        Report::deserialize_from_str(&text).unwrap()
    }

    #[test]
    fn each_check_is_a_test_case_of_its_group() {
        insta::assert_snapshot!(document(&verified()).unwrap());
    }

    #[test]
    fn a_failed_step_is_a_failure_with_cause_and_next_step() {
        insta::assert_snapshot!(document(&replayed("image-not-found")).unwrap());
    }

    #[test]
    fn the_document_parses_with_the_same_counts() {
        let report = written(&verified());
        assert_eq!((report.tests, report.failures, report.skipped, report.errors), (6, 1, 1, 0));
        let suites: Vec<&str> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(suites, ["metrics", "logs", "oauth2-proxy"]);
        let report = written(&replayed("good"));
        assert_eq!((report.test_suites[0].name.as_str(), report.test_suites[0].tests), ("waves", 4));
        assert_eq!(report.failures, 0);
    }

    #[test]
    fn another_error_is_a_failure_of_the_run() {
        let mut facts = verified();
        facts.checks.clear();
        let message = "the cluster does not answer\u{1b}[0m\u{0}".to_owned();
        facts.ending = Ending::Failed(Failure { message, causes: vec!["refused".into()], next: Some("retry".into()) });
        let report = written(&facts);
        assert_eq!((report.tests, report.failures), (1, 1));
        let text = document(&facts).unwrap();
        assert!(text.contains(r#"message="the cluster does not answer""#), "{text}");
        assert!(text.contains("cause: refused\nnext: retry"), "{text}");
    }
}
