//! Since when and how often each cause has been seen, which distinguishes transient from lasting causes.

use std::collections::HashMap;

use crate::cluster::diagnose::{Cause, Match};
use crate::event::{DiagnosedObject, Diagnosis, Severity};

/// Seconds that a cause may be absent without starting again: a container that crashes runs in between.
const GAP: i64 = 15;

/// The causes that a run has seen.
#[derive(Debug, Default)]
pub(in crate::cluster) struct History {
    seen: HashMap<(&'static str, DiagnosedObject), Seen>,
}

#[derive(Debug)]
struct Seen {
    first: jiff::Timestamp,
    last: jiff::Timestamp,
}

impl History {
    /// Adds the rows that match now and returns their causes, the worst first. The user may have fixed an older cause
    /// right before the run, so only the time since the first match counts.
    pub(in crate::cluster) fn enter(&mut self, matches: Vec<Match>, now: jiff::Timestamp) -> Vec<Cause> {
        self.seen.retain(|_, seen| now.as_second() - seen.last.as_second() <= GAP);
        let mut ranked: Vec<(usize, Cause)> = Vec::new();
        for found in matches {
            let key = (found.rule.id, found.place.clone());
            let seen = self.seen.entry(key).or_insert(Seen { first: now, last: now });
            seen.last = now;
            let lasted = now.as_second() - seen.first.as_second();
            if lasted < found.rule.named_after {
                continue;
            }
            let counts = lasted >= found.rule.lasts && found.evidence.count >= found.rule.repeats;
            let since = found.evidence.began.map_or(seen.first, |began| began.min(seen.first));
            ranked.push((found.rank, cause(found, since, counts)));
        }
        sorted(ranked)
    }
}

/// Causes of a single read: a cause counts if its object shows that it has lasted, or shows no time.
pub(in crate::cluster) fn at_once(matches: Vec<Match>, now: jiff::Timestamp) -> Vec<Cause> {
    let ranked = matches.into_iter().map(|found| {
        let since = found.evidence.began.unwrap_or(now);
        let counts = found.evidence.began.is_none() || now.as_second() - since.as_second() >= found.rule.lasts;
        (found.rank, cause(found, since, counts))
    });
    sorted(ranked.collect())
}

fn sorted(mut ranked: Vec<(usize, Cause)>) -> Vec<Cause> {
    fn order((rank, cause): &(usize, Cause)) -> (bool, bool, usize, &str) {
        let is_notice = cause.diagnosis.severity == Severity::Notice;
        (!cause.is_final(), is_notice, *rank, &cause.diagnosis.place.object)
    }
    ranked.sort_by(|left, right| order(left).cmp(&order(right)));
    ranked.into_iter().map(|(_, cause)| cause).collect()
}

fn cause(found: Match, since: jiff::Timestamp, counts: bool) -> Cause {
    // Before it has lasted it may recover.
    let severity = match found.rule.severity {
        Severity::Fatal if !counts => Severity::Deadline,
        severity => severity,
    };
    let diagnosis = Diagnosis {
        rule: found.rule.id.to_owned(),
        severity,
        cause: found.cause,
        place: found.place,
        evidence: found.evidence.text,
        since,
        log: found.evidence.log,
        hint: found.hint,
        docs: Diagnosis::docs_of(found.rule.id),
    };
    Cause { diagnosis, counts }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
