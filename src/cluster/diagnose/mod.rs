//! Why something does not go on: rows from what the cluster shows to what it means. Pure: judged from what has been
//! seen. A row names its cause as soon as it matches; whether it already counts is the ledger's business.

mod admission;
mod claims;
mod containers;
mod history;
mod images;
mod log_patterns;
mod matcher;
mod operators;
mod scheduling;
mod target;
mod workloads;

use serde_json::Value;

use crate::cluster::watch::cache::{ObjectCache, TrackedRelease};
use crate::event::{DiagnosedObject, Diagnosis, Severity};
use crate::known_errors;

pub(super) use history::{Ledger, at_once};
use matcher::When;
pub(super) use scheduling::asks_for_taints;
pub(super) use target::{Depth, Look};
use target::{Level, Subject, subjects};

/// A cause, and whether it has lasted long enough not to be a passing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What a rule found.
    pub diagnosis: Diagnosis,
    /// It has been seen for as long and as often as its rule asks.
    pub counts: bool,
}

impl Cause {
    /// Nothing but somebody's hand mends it: a cause is not called fatal before it counts.
    pub fn is_final(&self) -> bool {
        self.diagnosis.severity == Severity::Fatal
    }
}

/// One row: what is matched, when it counts, what it means, what to do.
pub(super) struct Rule {
    /// Stable id, kebab-case; the anchor in docs/diagnosis.md.
    pub(super) id: &'static str,
    level: Level,
    when: When,
    severity: Severity,
    /// Seconds it must have been seen before it is named: what is absent is normal for a moment.
    named_after: i64,
    /// Seconds it must have been seen before it counts.
    lasts: i64,
    /// How often: restarts of the container, or repetitions of the event.
    repeats: u32,
    /// One sentence; `{name}` and the like are filled from the subject.
    pub(super) cause: &'static str,
    /// The next step, filled likewise.
    pub(super) hint: &'static str,
}

impl Rule {
    /// What a row leaves unsaid: it may recover, and counts at once.
    const BLANK: Rule = Rule {
        id: "",
        level: Level::Pod,
        when: When::Crashed,
        severity: Severity::Deadline,
        named_after: 0,
        lasts: 0,
        repeats: 0,
        cause: "",
        hint: "",
    };
}

/// Every table, by precedence: of one object the first row that matches speaks.
const TABLES: [&[Rule]; 8] = [
    images::RULES,
    log_patterns::RULES,
    containers::RULES,
    scheduling::RULES,
    claims::RULES,
    admission::RULES,
    workloads::RULES,
    operators::RULES,
];

/// Every row.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    TABLES.into_iter().flatten()
}

/// Id, severity, cause and next step of every row, for the documentation.
pub fn rule_texts() -> impl Iterator<Item = (&'static str, Severity, &'static str, &'static str)> {
    rules().map(|rule| (rule.id, rule.severity, rule.cause, rule.hint))
}

/// How many rows there are.
pub(super) fn count() -> usize {
    rules().count()
}

/// A row that matches now.
pub(super) struct Match {
    /// Position of the row, which is its precedence.
    rank: usize,
    rule: &'static Rule,
    place: DiagnosedObject,
    cause: String,
    hint: String,
    sight: Sight,
}

/// What a row saw in a subject.
#[derive(Debug, Default)]
struct Sight {
    /// The cluster's own words.
    evidence: String,
    /// Restarts, or repetitions of the event.
    count: u32,
    /// Since when, as the object itself tells.
    began: Option<jiff::Timestamp>,
    log: Vec<String>,
}

impl Sight {
    fn of(evidence: &str) -> Sight {
        Sight { evidence: evidence.to_owned(), ..Sight::default() }
    }
}

/// The API server does not answer the watches, so that nothing else can be reported.
pub(super) fn no_answer(release: &TrackedRelease, since: jiff::Timestamp) -> Cause {
    let place = DiagnosedObject {
        component: Some(release.component.clone()),
        object: "API server".to_owned(),
        ..DiagnosedObject::default()
    };
    let diagnosis = Diagnosis {
        rule: "cluster-unreachable".to_owned(),
        severity: Severity::Deadline,
        cause: "the API server does not answer".to_owned(),
        place,
        evidence: String::new(),
        since,
        log: Vec::new(),
        hint: "see whether `kubectl get nodes` works with the same kubeconfig and context; the run continues by itself"
            .to_owned(),
        docs: Diagnosis::docs_of("cluster-unreachable"),
    };
    Cause { diagnosis, counts: true }
}

/// Rows that match now in what belongs to a release.
pub(super) fn matches(cache: &ObjectCache, release: &TrackedRelease, look: Look) -> Vec<Match> {
    subjects(cache, release, look).iter().filter_map(first_match).collect()
}

/// The first row that matches.
fn first_match(subject: &Subject<'_>) -> Option<Match> {
    let (rank, rule, mut sight) = rules()
        .enumerate()
        .filter(|(_, rule)| rule.level == subject.level)
        .find_map(|(rank, rule)| Some((rank, rule, rule.when.sees(subject)?)))?;
    sight.evidence = one_line(&sight.evidence);
    let [cause, hint] = [rule.cause, rule.hint].map(|sentence| subject.fill(sentence, &sight.evidence));
    Some(Match { rank, rule, place: subject.place(), cause, hint, sight })
}

/// Spaces instead of line breaks, and not endless.
fn one_line(text: &str) -> String {
    const CHARACTERS: usize = 400;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Whether a text has one of the phrases, in whatever case; no phrases: any text.
fn has_any(text: &str, phrases: &[&str]) -> bool {
    phrases.is_empty() || known_errors::says(text, phrases)
}

fn time(object: &Value, path: &str) -> Option<jiff::Timestamp> {
    super::watch::cache::text(object, path).parse().ok()
}

#[cfg(test)]
mod tests;
