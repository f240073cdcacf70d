//! Compares the reported diagnosis with the expected one.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{Timestamp, Unit};

use crate::runner::corpus::{Fault, How};
use crate::runner::run::{Named, Ran};

/// One fault's verdict.
pub struct Judged {
    pub name: String,
    expect: Option<String>,
    /// The last rule of the release.
    found: Option<String>,
    /// Seconds from the symptom to the expected rule.
    pub seconds: Option<f64>,
    pub symptom: Option<Timestamp>,
    /// Other reported rules.
    others: Vec<String>,
    /// Why the fault was not provoked.
    pub trouble: Option<String>,
    /// Including the cleanup.
    pub took: Duration,
}

const NO_FAILURE: &str = "no failure";

impl Judged {
    pub fn unprovoked(fault: &Fault, wrong: String) -> Judged {
        Judged {
            name: fault.name.clone(),
            expect: fault.expect.clone(),
            found: None,
            seconds: None,
            symptom: None,
            others: vec![],
            trouble: Some(wrong),
            took: Duration::ZERO,
        }
    }

    pub fn of(fault: &Fault, ran: &Ran, symptom: Option<Timestamp>) -> Judged {
        let found = match &fault.expect {
            Some(expected) => found(fault, ran, expected),
            None => failure(ran),
        };
        let first = |rule: &String| ran.named.iter().find(|named| named.rule == *rule).map(|named| named.at);
        let seconds = fault.expect.as_ref().and_then(first).and_then(|named| {
            named
                .since(symptom.or(ran.step_of(&fault.component)).unwrap_or(ran.started))
                .ok()?
                .total(Unit::Second)
                .ok()
                .map(|seconds| (seconds - fault.grace).max(0.0))
        });
        let mut others: Vec<String> = ran
            .named
            .iter()
            .map(|named| named.rule.clone())
            .filter(|rule| Some(rule) != fault.expect.as_ref())
            .collect();
        others.sort();
        others.dedup();
        let well = fault.expect.is_some() && fault.how == How::Install && ran.code == Some(0);
        let trouble = well.then(|| "the run succeeded".to_owned());
        Judged { found, seconds, symptom, others, trouble, ..Judged::unprovoked(fault, String::new()) }
    }

    /// A check of the preflight reported the fault, so the run changed nothing.
    pub fn reported_by(&mut self, check: &str) {
        self.found.clone_from(&self.expect);
        self.seconds = Some(0.0);
        self.others.push(format!("check {check}"));
    }

    /// The expected rule is the last one, or a transient fault caused no failure; and the fault was provoked.
    pub fn is_right(&self) -> bool {
        self.found == self.expect && self.trouble.is_none()
    }

    /// One line of progress, and of the table.
    pub fn line(&self) -> String {
        let shown = |rule: &Option<String>| rule.clone().unwrap_or_else(|| "nothing".to_owned());
        let (expect, found) = match &self.expect {
            None => (NO_FAILURE.to_owned(), self.found.clone().unwrap_or_else(|| NO_FAILURE.to_owned())),
            Some(expect) => (expect.clone(), shown(&self.found)),
        };
        let seconds = self.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
        let mut line = format!("{:<38} {expect:<32} {found:<32} {seconds:>7}", self.name);
        if !self.others.is_empty() {
            let _ = write!(line, "  also {}", self.others.join(", "));
        }
        if let Some(trouble) = &self.trouble {
            let _ = write!(line, "  ({trouble})");
        }
        line
    }
}

/// The last rule of the release: of its failure, or of its wait, or of the inspection of the cluster.
fn found(fault: &Fault, ran: &Ran, expected: &str) -> Option<String> {
    let named = ran.named.iter().any(|named| named.rule == expected);
    let lasting = || {
        let of_steps: Vec<&Named> = ran
            .named
            .iter()
            .filter(|named| {
                named.component == fault.component && named.event.starts_with("step-") && !named.is_notice()
            })
            .collect();
        let failed = of_steps.iter().rev().find(|named| named.event == "step-finished");
        failed.or(of_steps.last()).map(|named| named.rule.clone())
    };
    match (fault.how, lasting()) {
        (How::Install, Some(lasting)) => Some(lasting),
        _ if named => Some(expected.to_owned()),
        _ => ran.named.iter().find(|named| !named.is_notice()).map(|named| named.rule.clone()),
    }
}

/// Why a run with a transient fault failed.
fn failure(ran: &Ran) -> Option<String> {
    let at_the_end = |named: &&Named| named.event == "step-finished";
    let named = ran.named.iter().find(at_the_end).map(|named| named.rule.clone());
    let failed = ran.failures.first().cloned();
    let ended = (ran.code != Some(0)).then(|| {
        let reported = ran.stderr.lines().find(|line| line.starts_with("error")).unwrap_or_default();
        format!("exit code {:?}: {reported}", ran.code)
    });
    named.or(failed).or(ended)
}

/// The table with precision, recall and times below it.
pub fn render(judged: &[Judged], took: Duration) -> String {
    let mut text = format!("{:<38} {:<32} {:<32} {:>7}\n", "fault", "expected", "found", "seconds");
    for one in judged {
        text.push_str(&one.line());
        text.push('\n');
    }
    let lasting: Vec<&Judged> = judged.iter().filter(|one| one.expect.is_some()).collect();
    let passing = judged.len() - lasting.len();
    let right = lasting.iter().filter(|one| one.found == one.expect).count();
    let named = judged.iter().filter(|one| one.found.is_some()).count();
    let quiet = judged.iter().filter(|one| one.expect.is_none() && one.is_right()).count();
    let mut rules: Vec<&str> = lasting.iter().filter_map(|one| one.expect.as_deref()).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut seconds: Vec<f64> = lasting.iter().filter_map(|one| one.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    let _ = write!(
        text,
        "\n{} faults of {} rules, {passing} transient ones ({quiet} without a failure), in {:.0} s\nprecision {:.2} ({right} of \
         {named}), recall {:.2} ({right} of {})\nseconds to the diagnosis: median {:.1}, maximum {:.1}\n",
        lasting.len(),
        rules.len(),
        took.as_secs_f64(),
        share(right, named),
        share(right, lasting.len()),
        lasting.len(),
        seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
        seconds.last().copied().unwrap_or_default(),
    );
    text
}
