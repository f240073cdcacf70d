//! Since when and how often each cause has been seen: what tells a passing fault from one that stays.

use std::collections::HashMap;

use crate::cluster::diagnose::{Cause, Match};
use crate::event::{DiagnosedObject, Diagnosis, Severity};

/// A cause that was away for less than this has lasted: a container that crashes runs in between.
const GAP: i64 = 15;

/// What was seen, for as long as a run lasts.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Ledger {
    seen: HashMap<(&'static str, DiagnosedObject), Seen>,
}

#[derive(Debug)]
struct Seen {
    first: jiff::Timestamp,
    last: jiff::Timestamp,
}

impl Ledger {
    /// Enters what matches now and returns it, the worst first. What stood before the run may have been mended a
    /// moment ago, so only the time since the first look counts.
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
            let counts = lasted >= found.rule.lasts && found.sight.count >= found.rule.repeats;
            let since = found.sight.began.map_or(seen.first, |began| began.min(seen.first));
            ranked.push((found.rank, cause(found, since, counts)));
        }
        sorted(ranked)
    }
}

/// One look cannot wait: a cause counts when its object tells that it has lasted, or tells nothing of that.
pub(in crate::cluster) fn at_once(matches: Vec<Match>, now: jiff::Timestamp) -> Vec<Cause> {
    let ranked = matches.into_iter().map(|found| {
        let since = found.sight.began.unwrap_or(now);
        let counts = found.sight.began.is_none() || now.as_second() - since.as_second() >= found.rule.lasts;
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
    // What has not lasted yet may recover.
    let severity = match found.rule.severity {
        Severity::Fatal if !counts => Severity::Deadline,
        severity => severity,
    };
    let diagnosis = Diagnosis {
        rule: found.rule.id.to_owned(),
        severity,
        cause: found.cause,
        place: found.place,
        evidence: found.sight.evidence,
        since,
        log: found.sight.log,
        hint: found.hint,
        docs: Diagnosis::docs_of(found.rule.id),
    };
    Cause { diagnosis, counts }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
