//! Runs rows side by side, each as soon as what it needs is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use crate::check::rows::ROWS;
use crate::check::{CheckContext, Finding, Row};
use crate::event::{CheckResult, Event, Events, Verdict};

/// Pause between two tries of a check that is not true yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the stack checks (`only`: these ids and what they need; empty: all), sends `checks-started` and a
/// `check-finished` for each, and returns the results in the order of the report.
pub async fn run(context: &CheckContext, only: &[String], events: &Events) -> Vec<CheckResult> {
    let mut waiting: Vec<&'static Row> = chosen(only);
    events.send(Event::ChecksStarted { checks: waiting.iter().map(|row| row.id.to_owned()).collect() });
    let order: Vec<&str> = waiting.iter().map(|row| row.id).collect();
    let mut results: BTreeMap<String, CheckResult> = BTreeMap::new();
    let mut running: FuturesUnordered<BoxFuture<'_, CheckResult>> = FuturesUnordered::new();
    loop {
        let ready = |row: &&Row| row.needs.iter().all(|need| results.contains_key(*need));
        let (startable, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
        waiting = rest;
        for row in startable {
            match reason_to_skip(row, context, &results) {
                Some(why) => running.push(Box::pin(std::future::ready(skipped(row, why)))),
                None => running.push(Box::pin(try_until(row, context))),
            }
        }
        let Some(mut result) = running.next().await else { break };
        result.hint = result.hint.map(|hint| hint.replace("NAMESPACE", context.namespace()));
        events.send(Event::CheckFinished(result.clone()));
        results.insert(result.id.clone(), result);
    }
    order.iter().filter_map(|id| results.remove(*id)).collect()
}

/// The rows asked for and what they need, in the order of the report.
fn chosen(only: &[String]) -> Vec<&'static Row> {
    let mut wanted: BTreeSet<&str> = only.iter().map(String::as_str).collect();
    let mut size = 0;
    while wanted.len() > size {
        size = wanted.len();
        let needs: Vec<&str> =
            ROWS.iter().filter(|row| wanted.contains(row.id)).flat_map(|row| row.needs.iter().copied()).collect();
        wanted.extend(needs);
    }
    ROWS.iter().filter(|row| only.is_empty() || wanted.contains(row.id)).collect()
}

fn reason_to_skip(row: &Row, context: &CheckContext, results: &BTreeMap<String, CheckResult>) -> Option<String> {
    if let Some(part) = row.part.filter(|part| !context.has(part)) {
        return Some(format!("not tested, since the answers leave {part} out"));
    }
    let failed = |need: &&&str| results.get(**need).is_some_and(|r| matches!(r.verdict, Verdict::Fail | Verdict::Skip));
    row.needs.iter().find(failed).map(|need| format!("not tested, since {need} did not pass"))
}

fn skipped(row: &Row, why: String) -> CheckResult {
    result(row, Verdict::Skip, why, Duration::ZERO)
}

async fn try_until(row: &Row, context: &CheckContext) -> CheckResult {
    let started = Instant::now();
    loop {
        let (verdict, detail) = match (row.run)(context).await {
            Finding::Pass(detail) => (Verdict::Pass, detail),
            Finding::Fail(detail) => (row.severity, detail),
            Finding::NotYet(_) if started.elapsed() + PAUSE < row.deadline => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Finding::NotYet(detail) => (row.severity, format!("{detail}, for {} s", row.deadline.as_secs())),
        };
        return result(row, verdict, detail, started.elapsed());
    }
}

fn result(row: &Row, verdict: Verdict, detail: String, took: Duration) -> CheckResult {
    let needs_help = matches!(verdict, Verdict::Fail | Verdict::Warn);
    CheckResult {
        id: row.id.into(),
        group: row.group.into(),
        hop: None,
        statement: row.statement.into(),
        verdict,
        detail,
        hint: needs_help.then(|| row.hint.to_owned()),
        docs: row.docs.filter(|_| needs_help).map(str::to_owned),
        seconds: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_check_brings_what_it_needs() {
        let ids: Vec<_> = chosen(&["grafana-reads-loki".into()]).iter().map(|row| row.id).collect();
        assert_eq!(ids, ["grafana-healthy", "grafana-reads-loki", "loki-ready"]);
    }
}
