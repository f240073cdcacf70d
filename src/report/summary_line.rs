//! The outcome of a run in one sentence.

use crate::event::{CheckResult, Verdict};
use crate::report::checks_table::count;
use crate::report::data_path;
use crate::report::record::{Ending, Facts, Failure};
use crate::report::style::Tone;
use crate::report::wrap::{cut, one_line};

/// Columns of what was found that the sentence repeats.
const LONGEST: usize = 120;

/// How it went, in words and as their tone.
pub(super) fn headline(facts: &Facts) -> (Tone, String) {
    match &facts.ending {
        Ending::Interrupted(failure) => (Tone::Doubtful, format!("{}{}", sentence(&said(failure)), made(facts))),
        Ending::Failed(failure) => (Tone::Bad, format!("Failed: {}", said(failure))),
        Ending::ChecksFailed => (Tone::Bad, failed(facts, &judged(facts))),
        Ending::Fine => fine(facts),
    }
}

/// The sentence and the innermost of its causes.
fn said(failure: &Failure) -> String {
    let cause = failure.causes.last().filter(|cause| !failure.message.contains(*cause));
    one_line(&cause.map_or_else(|| failure.message.clone(), |cause| format!("{}: {cause}", failure.message)))
}

/// With a capital letter.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn made(facts: &Facts) -> String {
    let made = facts.asked.iter().filter(|id| facts.checks.iter().any(|check| check.id == **id)).count();
    if facts.asked.is_empty() { String::new() } else { format!("; {made} of {} checks were made", facts.asked.len()) }
}

/// The checks of the stack; those that are made before anything is changed only where no others were.
fn judged(facts: &Facts) -> Vec<CheckResult> {
    let of_the_stack = |check: &&CheckResult| facts.asked.is_empty() || facts.asked.contains(&check.id);
    facts.checks.iter().filter(of_the_stack).cloned().collect()
}

fn failed(facts: &Facts, checks: &[CheckResult]) -> String {
    let (failed, total) = (count(checks, Verdict::Fail), checks.len());
    let broken = data_path::broken(checks);
    let first = checks.iter().filter(|check| check.verdict == Verdict::Fail);
    let first = first.min_by_key(|check| broken.first().is_some_and(|hop| check.hop != Some(*hop)));
    let why = first.map_or_else(String::new, untrue);
    let hops: Vec<String> = broken.into_iter().map(|hop| hop.between()).collect();
    let word = match (facts.asked.is_empty() && facts.command != "verify", hops.is_empty()) {
        (true, _) => "Not ready".into(),
        (_, true) => "Broken".into(),
        (_, false) => format!("Broken {}", hops.join(" and ")),
    };
    format!("{word}: {why}; {failed} of {total} checks failed")
}

/// The hop says what is wrong, so that what was found is enough; without one the statement has to.
fn untrue(check: &CheckResult) -> String {
    let found = one_line(&check.detail);
    let found = cut(&found, LONGEST);
    match (check.hop, found.is_empty()) {
        (Some(_), false) => found.into_owned(),
        (_, true) => format!("check failed: {}", check.statement),
        (None, false) => format!("check failed: {} ({found})", check.statement),
    }
}

fn fine(facts: &Facts) -> (Tone, String) {
    let checks = judged(facts);
    let (passed, warned, skipped) =
        (count(&checks, Verdict::Pass), count(&checks, Verdict::Warn), count(&checks, Verdict::Skip));
    let mut counts = format!("{passed} of {} checks passed", checks.len());
    if warned > 0 {
        counts += &format!(", {warned} with a warning");
    }
    if skipped > 0 {
        counts += &format!(", {skipped} not tested");
    }
    let tone = if warned > 0 { Tone::Doubtful } else { Tone::Good };
    match facts.command {
        "preflight" => (tone, format!("Ready: {counts}, nothing was changed")),
        "verify" => (tone, format!("Works: {counts}")),
        _ if facts.steps.is_empty() => (Tone::Plain, "Nothing was to do".into()),
        _ if facts.asked.is_empty() => (Tone::Doubtful, "Stands, but was not verified".into()),
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
        record.checks(checks);
        let mut facts = record.facts();
        facts.ending = ending;
        facts
    }

    fn said_of(facts: &Facts) -> String {
        headline(facts).1
    }

    #[test]
    fn a_broken_hop_is_named_with_what_was_found() {
        let said = said_of(&facts("verify", &mixed(), Ending::ChecksFailed));
        let start = "Broken between Alloy and Loki: no line of pod loki-0 within 90 s; Alloy tells: server";
        assert!(said.starts_with(start), "{said}");
        assert!(said.ends_with("…; 1 of 6 checks failed"), "{said}");
    }

    #[test]
    fn the_check_of_the_first_broken_hop_speaks() {
        let mut late = check("a", "logs", Verdict::Fail);
        late.statement = "the alert arrives".into();
        let mut early = check("b", "logs", Verdict::Fail);
        early.hop = Some(Hop::PodsAlloy);
        let said = said_of(&facts("verify", &[late, early], Ending::ChecksFailed));
        assert!(said.starts_with("Broken between pods and Alloy: retention is 10d"), "{said}");
    }

    #[test]
    fn what_works_is_counted() {
        let passed = [check("a", "logs", Verdict::Pass), check("b", "logs", Verdict::Skip)];
        let all = facts("verify", &passed, Ending::Fine);
        assert_eq!(headline(&all), (Tone::Good, "Works: 1 of 2 checks passed, 1 not tested".into()));
        let warned = facts("preflight", &[check("a", "x", Verdict::Warn)], Ending::Fine);
        let reported = "Ready: 0 of 1 checks passed, 1 with a warning, nothing was changed";
        assert_eq!(headline(&warned), (Tone::Doubtful, reported.into()));
        assert_eq!(said_of(&facts("install", &[], Ending::Fine)), "Nothing was to do");
    }

    #[test]
    fn an_install_is_judged_by_the_checks_of_the_stack_once_they_were_made() {
        let before = check("rights", "preflight", Verdict::Fail);
        let refused = said_of(&facts("install", std::slice::from_ref(&before), Ending::ChecksFailed));
        assert!(refused.starts_with("Not ready: check failed: Prometheus retains"), "{refused}");
        let passed = CheckResult { verdict: Verdict::Pass, ..before };
        let mut installed = facts("install", &[passed, check("a", "logs", Verdict::Fail)], Ending::ChecksFailed);
        installed.asked = vec!["a".into()];
        let said = said_of(&installed);
        assert!(said.starts_with("Broken: ") && said.ends_with("; 1 of 1 checks failed"), "{said}");
    }

    #[test]
    fn an_error_is_reported_with_its_innermost_cause_and_an_interruption_is_no_failure() {
        let causes = vec!["it did not become ready".into(), "image x does not exist".into()];
        let failure = Failure { message: "loki failed in wave 32".into(), causes, next: None };
        let said = said_of(&facts("install", &[], Ending::Failed(failure)));
        assert_eq!(said, "Failed: loki failed in wave 32: image x does not exist");
        let failure = Failure { message: "interrupted, nothing was changed".into(), ..Failure::default() };
        let mut interrupted = facts("verify", &[check("a", "x", Verdict::Pass)], Ending::Interrupted(failure));
        interrupted.asked = vec!["a".into(), "b".into()];
        assert_eq!(said_of(&interrupted), "Interrupted, nothing was changed; 1 of 2 checks were made");
    }
}
