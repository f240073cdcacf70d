//! The outcome of a run in one sentence.

use crate::event::{CheckResult, Verdict};
use crate::report::checks_table::count;
use crate::report::data_path;
use crate::report::record::{Ending, Facts, Failure};
use crate::report::style::Tone;
use crate::report::wrap::{capitalised, cut, one_line};

/// Columns of a check's detail in the sentence.
const LONGEST: usize = 120;

/// The sentence and its tone.
pub(super) fn headline(facts: &Facts) -> (Tone, String) {
    match &facts.ending {
        Ending::Interrupted(failure) => {
            (Tone::Warning, format!("{}{}", capitalised(&message(failure)), checks_run(facts)))
        }
        Ending::Failed(failure) => (Tone::Bad, format!("Failed: {}", message(failure))),
        Ending::ChecksFailed => (Tone::Bad, failed(facts, &relevant(facts))),
        Ending::Succeeded => succeeded(facts),
    }
}

/// The message and its innermost cause.
fn message(failure: &Failure) -> String {
    let cause = failure.causes.last().filter(|cause| !failure.message.contains(*cause));
    one_line(&cause.map_or_else(|| failure.message.clone(), |cause| format!("{}: {cause}", failure.message)))
}

fn checks_run(facts: &Facts) -> String {
    let run = facts.requested.iter().filter(|id| facts.checks.iter().any(|check| check.id == **id)).count();
    if facts.requested.is_empty() {
        String::new()
    } else {
        format!("; {run} of {} checks were run", facts.requested.len())
    }
}

/// The checks of the stack, or without them those of the preflight.
fn relevant(facts: &Facts) -> Vec<CheckResult> {
    let of_the_stack = |check: &&CheckResult| facts.requested.is_empty() || facts.requested.contains(&check.id);
    facts.checks.iter().filter(of_the_stack).cloned().collect()
}

fn failed(facts: &Facts, checks: &[CheckResult]) -> String {
    let (failed, total) = (count(checks, Verdict::Fail), checks.len());
    let broken = data_path::broken(checks);
    let first = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    let first = first.min_by_key(|check| broken.first().is_some_and(|hop| check.hop != Some(*hop)));
    let why = first.map_or_else(String::new, failed_check);
    let hops: Vec<String> = broken.into_iter().map(|hop| hop.between()).collect();
    let word = match (facts.requested.is_empty() && facts.command != "verify", hops.is_empty()) {
        (true, _) => "Not ready".into(),
        (_, true) => "Broken".into(),
        (_, false) => format!("Broken {}", hops.join(" and ")),
    };
    format!("{word}: {why}; {failed} of {total} checks failed")
}

/// With a hop the detail is enough; without one the statement is needed, too.
fn failed_check(check: &CheckResult) -> String {
    let found = one_line(&check.detail);
    let found = cut(&found, LONGEST);
    match (check.hop, found.is_empty()) {
        (Some(_), false) => found.into_owned(),
        (_, true) => format!("check failed: {}", check.statement),
        (None, false) => format!("check failed: {} ({found})", check.statement),
    }
}

fn succeeded(facts: &Facts) -> (Tone, String) {
    let checks = relevant(facts);
    let (passed, warned, skipped) =
        (count(&checks, Verdict::Pass), count(&checks, Verdict::Warn), count(&checks, Verdict::Skip));
    let mut counts = format!("{passed} of {} checks passed", checks.len());
    if warned > 0 {
        counts += &format!(", {warned} with a warning");
    }
    if skipped > 0 {
        counts += &format!(", {skipped} not tested");
    }
    let tone = if warned > 0 { Tone::Warning } else { Tone::Good };
    match facts.command {
        "preflight" => (tone, format!("Ready: {counts}, nothing was changed")),
        "verify" => (tone, format!("Works: {counts}")),
        _ if facts.steps.is_empty() => (Tone::Plain, "Nothing to do".into()),
        _ if facts.requested.is_empty() => (Tone::Warning, "Installed, but not verified".into()),
        _ => (tone, format!("Works: {counts}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Hop;
    use crate::report::checks_table::tests::{check, mixed};
    use crate::report::record::Record;

    fn facts(command: &'static str, checks: &[CheckResult], ending: Ending) -> Facts {
        let record = Record::new(command);
        let mut facts = record.facts();
        facts.checks = checks.to_vec();
        facts.ending = ending;
        facts
    }

    fn headline_of(facts: &Facts) -> String {
        headline(facts).1
    }

    #[test]
    fn a_broken_hop_is_named_with_what_was_found() {
        let headline = headline_of(&facts("verify", &mixed(), Ending::ChecksFailed));
        let start = "Broken between Alloy and Loki: no line of pod loki-0 within 90 s; Alloy reports: server";
        assert!(headline.starts_with(start), "{headline}");
        assert!(headline.ends_with("…; 1 of 6 checks failed"), "{headline}");
    }

    #[test]
    fn the_headline_names_the_first_broken_hop() {
        let mut late = check("a", "logs", Verdict::Fail);
        late.statement = "the alert arrives".into();
        let mut early = check("b", "logs", Verdict::Fail);
        early.hop = Some(Hop::PodsAlloy);
        let headline = headline_of(&facts("verify", &[late, early], Ending::ChecksFailed));
        assert!(headline.starts_with("Broken between pods and Alloy: retention is 10d"), "{headline}");
    }

    #[test]
    fn passed_checks_are_counted() {
        let passed = [check("a", "logs", Verdict::Pass), check("b", "logs", Verdict::Skip)];
        let all = facts("verify", &passed, Ending::Succeeded);
        assert_eq!(headline(&all), (Tone::Good, "Works: 1 of 2 checks passed, 1 not tested".into()));
        let warned = facts("preflight", &[check("a", "x", Verdict::Warn)], Ending::Succeeded);
        let reported = "Ready: 0 of 1 checks passed, 1 with a warning, nothing was changed";
        assert_eq!(headline(&warned), (Tone::Warning, reported.into()));
        assert_eq!(headline_of(&facts("install", &[], Ending::Succeeded)), "Nothing to do");
    }

    #[test]
    fn an_install_is_summarised_by_the_checks_of_the_stack() {
        let before = check("permissions", "preflight", Verdict::Fail);
        let not_ready = headline_of(&facts("install", std::slice::from_ref(&before), Ending::ChecksFailed));
        assert!(not_ready.starts_with("Not ready: check failed: Prometheus retains"), "{not_ready}");
        let passed = CheckResult { verdict: Verdict::Pass, ..before };
        let mut installed = facts("install", &[passed, check("a", "logs", Verdict::Fail)], Ending::ChecksFailed);
        installed.requested = vec!["a".into()];
        let headline = headline_of(&installed);
        assert!(headline.starts_with("Broken: ") && headline.ends_with("; 1 of 1 checks failed"), "{headline}");
    }

    #[test]
    fn an_error_has_its_innermost_cause_and_an_interruption_is_not_a_failure() {
        let causes = vec!["it did not become ready".into(), "image x does not exist".into()];
        let failure = Failure { message: "loki failed in wave 32".into(), causes, next: None };
        let headline = headline_of(&facts("install", &[], Ending::Failed(failure)));
        assert_eq!(headline, "Failed: loki failed in wave 32: image x does not exist");
        let failure = Failure { message: "interrupted, nothing was changed".into(), ..Failure::default() };
        let mut interrupted = facts("verify", &[check("a", "x", Verdict::Pass)], Ending::Interrupted(failure));
        interrupted.requested = vec!["a".into(), "b".into()];
        assert_eq!(headline_of(&interrupted), "Interrupted, nothing was changed; 1 of 2 checks were run");
    }
}
