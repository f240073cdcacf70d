//! Causes of problems, as rows from the state of an object to its meaning. Pure functions over the cache. A row reports
//! its cause as soon as it matches; `history` decides whether the cause already counts.

mod admission;
mod claims;
mod containers;
mod history;
mod images;
mod log_patterns;
mod matcher;
mod operators;
mod rule;
mod scheduling;
mod target;
mod workloads;

use std::collections::BTreeSet;

use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;
use crate::event::{DiagnosedObject, Diagnosis, Severity};

pub(super) use history::{History, at_once};
use matcher::Evidence;
use rule::Rule;
pub(super) use scheduling::needs_taints;
pub(super) use target::{Depth, Scope};
use target::{Subject, subjects};

/// A cause, and whether it has lasted long enough not to be transient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The result of the rule.
    pub diagnosis: Diagnosis,
    /// It has been seen for as long and as often as its rule requires.
    pub counts: bool,
}

impl Cause {
    /// Whether only the user can fix it; a cause is not fatal before it counts.
    pub fn is_final(&self) -> bool {
        self.diagnosis.severity == Severity::Fatal
    }
}

/// Every table, by precedence: the first row that matches an object is reported.
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

/// Apps with rules about the logs of running containers, each once.
pub(super) fn logged_apps() -> BTreeSet<&'static str> {
    rules().filter_map(|rule| rule.when.app()).collect()
}

/// Every row.
fn rules() -> impl Iterator<Item = &'static Rule> {
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
    evidence: Evidence,
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
        hint: "check `kubectl get nodes` with the same kubeconfig and context; the run continues by itself".to_owned(),
        docs: Diagnosis::docs_of("cluster-unreachable"),
    };
    Cause { diagnosis, counts: true }
}

/// Rows that match now in the objects of a release.
pub(super) fn matches(cache: &ObjectCache, release: &TrackedRelease, scope: Scope) -> Vec<Match> {
    subjects(cache, release, scope).iter().filter_map(first_match).collect()
}

/// The first row that matches.
fn first_match(subject: &Subject<'_>) -> Option<Match> {
    let (rank, rule, mut evidence) =
        rules().enumerate().find_map(|(rank, rule)| Some((rank, rule, rule.when.evidence(subject)?)))?;
    evidence.text = one_line(&evidence.text);
    let [cause, hint] = [rule.cause, rule.hint].map(|sentence| subject.fill(sentence, &evidence.text));
    Some(Match { rank, rule, place: subject.place(), cause, hint, evidence })
}

/// Spaces instead of line breaks, at most 400 characters.
fn one_line(text: &str) -> String {
    const CHARACTERS: usize = 400;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod tests;
