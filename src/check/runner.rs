//! Runs rows side by side, each as soon as what it needs is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::sleep;

use crate::check::row::{Finding, Row, State};
use crate::event::{CheckResult, Event, Events, Verdict};

/// Pause between two tries of a check that is not true yet.
const PAUSE: Duration = Duration::from_millis(500);
/// What the slowest single exchange of a check takes, whatever its deadline is.
const ONE_TRY: Duration = Duration::from_secs(12);

/// On a large cluster a sample of the nodes tells whether logs flow.
const NODES: usize = 10;

impl Default for Selection {
    fn default() -> Selection {
        Selection { only: Vec::new(), skipped: Vec::new(), because: "as asked", wait_limit: None, nodes: NODES }
    }
}

/// What rows look at, as far as the runner has to know.
pub(super) trait Subject: Sync {
    /// What `NAMESPACE` in a hint stands for.
    fn namespace(&self) -> &str;

    /// Whether a component is part of the stack.
    fn has(&self, component: &str) -> bool;

    /// Which checks are made.
    fn selection(&self) -> &Selection;

    /// Why requests have no answer at the moment, where that is known.
    fn silence(&self) -> Option<String> {
        None
    }

    /// Resolves, with the reason, when nothing can be checked any more.
    fn unreachable(&self) -> BoxFuture<'_, String> {
        Box::pin(std::future::pending())
    }
}

/// Which checks are made, and how patiently.
#[derive(Clone, Debug)]
pub struct Selection {
    /// These ids and what they need; empty: all.
    pub only: Vec<String>,
    /// Not these.
    pub skipped: Vec<String>,
    /// Why not these, as it follows "not tested, ".
    pub because: &'static str,
    /// The longest that a check may stay "not yet"; `None`: each check's own deadline.
    pub wait_limit: Option<Duration>,
    /// On how many nodes at most a pod writes a line.
    pub nodes: usize,
}

/// Runs the rows, sends `checks-started` and a `check-finished` for each, and returns the results in the order of the
/// report.
pub(super) async fn run<C: Subject>(
    rows: &[&'static Row<C>],
    context: &C,
    events: Option<&Events>,
) -> Vec<CheckResult> {
    let mut waiting: Vec<&'static Row<C>> = chosen(rows, &context.selection().only);
    let emit = |event: Event| events.into_iter().for_each(|events| events.send(event.clone()));
    emit(Event::ChecksStarted { checks: waiting.iter().map(|row| row.id.to_owned()).collect() });
    let order: Vec<&str> = waiting.iter().map(|row| row.id).collect();
    let mut results: BTreeMap<String, CheckResult> = BTreeMap::new();
    let mut running: FuturesUnordered<BoxFuture<'_, CheckResult>> = FuturesUnordered::new();
    let unreachable = context.unreachable().shared();
    loop {
        let ready =
            |row: &&'static Row<C>| row.needs.iter().all(|need| results.contains_key(*need) || !order.contains(need));
        let (startable, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
        waiting = rest;
        for row in startable {
            let known = unreachable.peek().map(|why| format!("not tested, since {why}"));
            match known.or_else(|| reason_to_skip(row, context, &results)) {
                Some(why) => {
                    running.push(Box::pin(std::future::ready(result(row, Finding::skip(why), Duration::ZERO))))
                }
                None => running.push(Box::pin(try_until(row, context, unreachable.clone()))),
            }
        }
        let Some(mut result) = running.next().await else { break };
        result.hint = result.hint.map(|hint| hint.replace("NAMESPACE", context.namespace()));
        emit(Event::CheckFinished(result.clone()));
        results.insert(result.id.clone(), result);
    }
    order.iter().filter_map(|id| results.remove(*id)).collect()
}

/// The rows asked for and what they need, in the order of the report.
fn chosen<C>(rows: &[&'static Row<C>], only: &[String]) -> Vec<&'static Row<C>> {
    let mut wanted: BTreeSet<&str> = only.iter().map(String::as_str).collect();
    let mut size = 0;
    while wanted.len() > size {
        size = wanted.len();
        let needs: Vec<&str> =
            rows.iter().filter(|row| wanted.contains(row.id)).flat_map(|row| row.needs.iter().copied()).collect();
        wanted.extend(needs);
    }
    rows.iter().copied().filter(|row| only.is_empty() || wanted.contains(row.id)).collect()
}

fn reason_to_skip<C: Subject>(row: &Row<C>, context: &C, results: &BTreeMap<String, CheckResult>) -> Option<String> {
    if let Some(part) = row.part.filter(|part| !context.has(part)) {
        return Some(format!("not tested, since the answers leave {part} out"));
    }
    if context.selection().skipped.iter().any(|id| id == row.id) {
        return Some(format!("not tested, {}", context.selection().because));
    }
    let failed = |need: &&&str| results.get(**need).is_some_and(|r| matches!(r.verdict, Verdict::Fail | Verdict::Skip));
    row.needs.iter().find(failed).map(|need| format!("not tested, since {need} did not pass"))
}

/// Tries a check until it is true, its time is over or nothing can be checked any more.
async fn try_until<C: Subject>(row: &Row<C>, context: &C, unreachable: Shared<BoxFuture<'_, String>>) -> CheckResult {
    let started = Instant::now();
    let deadline = context.selection().wait_limit.map_or(row.deadline, |wait_limit| row.deadline.min(wait_limit));
    // One try is made in any case, and has the time that its requests take.
    let limit = sleep(deadline.max(ONE_TRY));
    let mut last = "it did not end".to_owned();
    let tries = async {
        loop {
            let finding = (row.run)(context).await;
            if finding.state != State::NotYet {
                return finding;
            }
            last.clone_from(&finding.detail);
            if started.elapsed() + PAUSE >= deadline {
                let detail = format!("{}, for {} s", finding.detail, started.elapsed().as_secs());
                return Finding { detail, ..finding };
            }
            sleep(PAUSE).await;
        }
    };
    let ended = tokio::select! {
        finding = tries => Ok(finding),
        why = unreachable => Err(Some(why)),
        () = limit => Err(context.silence()),
    };
    let took = started.elapsed();
    match ended {
        Ok(finding) => result(row, finding, took),
        Err(None) => result(row, Finding::not_yet(format!("{last}, for {} s", took.as_secs())), took),
        // Not even a check that only warns may make a success of it.
        Err(Some(why)) => CheckResult { verdict: Verdict::Fail, ..result(row, Finding::fail(why), took) },
    }
}

fn result<C>(row: &Row<C>, finding: Finding, took: Duration) -> CheckResult {
    let verdict = match finding.state {
        State::Pass => Verdict::Pass,
        State::Warn => Verdict::Warn,
        State::Skip => Verdict::Skip,
        State::Fail | State::NotYet => row.severity,
    };
    let needs_help = matches!(verdict, Verdict::Fail | Verdict::Warn);
    CheckResult {
        id: row.id.into(),
        group: row.group.into(),
        statement: row.statement.into(),
        verdict,
        detail: finding.detail,
        hop: finding.hop.or(row.hop),
        hint: needs_help.then(|| finding.hint.unwrap_or_else(|| row.hint.to_owned())),
        docs: needs_help.then(|| row.docs()),
        seconds: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::verify;

    #[test]
    fn a_chosen_check_brings_what_it_needs() {
        let ids: Vec<_> = chosen(&verify::rows(), &["grafana-reads-loki".into()]).iter().map(|row| row.id).collect();
        assert_eq!(ids, ["loki-ready", "grafana-healthy", "grafana-anonymous", "grafana-reads-loki"]);
    }
}
