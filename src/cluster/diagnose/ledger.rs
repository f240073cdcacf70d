//! Since when and how often each cause has been seen: what tells a passing fault from one that stays.

use std::collections::HashMap;

use crate::cluster::diagnose::{Cause, Match};
use crate::event::{Diagnosis, Place, Severity};

/// A cause that was away for less than this has lasted: a container that crashes runs in between.
const GAP: i64 = 15;

/// What was seen, for as long as a run lasts.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Ledger {
    seen: HashMap<(&'static str, Place), Seen>,
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
            let counts = lasted >= found.rule.lasts && found.count >= found.rule.repeats;
            let since = found.began.map_or(seen.first, |began| began.min(seen.first));
            ranked.push((found.rank, cause(found, since, counts)));
        }
        sorted(ranked)
    }
}

/// Everything counts that one look finds: whoever asks wants to know now.
pub(in crate::cluster) fn at_once(matches: Vec<Match>, now: jiff::Timestamp) -> Vec<Cause> {
    let ranked = matches.into_iter().map(|found| {
        let since = found.began.unwrap_or(now);
        let old_enough = now.as_second() - since.as_second() >= found.rule.lasts || found.began.is_none();
        (found.rank, cause(found, since, old_enough))
    });
    sorted(ranked.collect())
}

fn sorted(mut ranked: Vec<(usize, Cause)>) -> Vec<Cause> {
    ranked.sort_by(|(left_rank, left), (right_rank, right)| {
        let order = |rank: usize, cause: &Cause| {
            let settled = cause.counts && cause.diagnosis.severity == Severity::Fatal;
            (!settled, cause.diagnosis.severity == Severity::Notice, rank)
        };
        order(*left_rank, left)
            .cmp(&order(*right_rank, right))
            .then_with(|| left.diagnosis.place.object.cmp(&right.diagnosis.place.object))
    });
    ranked.into_iter().map(|(_, cause)| cause).collect()
}

fn cause(found: Match, since: jiff::Timestamp, counts: bool) -> Cause {
    // What has not lasted yet may mend itself.
    let severity = match found.rule.severity {
        Severity::Fatal if !counts => Severity::Deadline,
        severity => severity,
    };
    let diagnosis = Diagnosis {
        rule: found.rule.id.to_owned(),
        severity,
        cause: found.cause,
        place: found.place,
        evidence: found.evidence,
        since,
        log: found.log,
        hint: found.hint,
        docs: format!("docs/diagnosis.md#{}", found.rule.id),
    };
    Cause { diagnosis, counts }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
