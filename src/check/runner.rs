//! Runs rows in parallel, each as soon as the results of its needs are known.

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
/// The minimum time for one try, for any deadline.
const ONE_TRY: Duration = Duration::from_secs(12);

/// Nodes with a probe job: a sample suffices on a large cluster.
const NODES: usize = 10;

/// All checks, each with its own deadline.
static ALL: Selection =
    Selection { only: Vec::new(), skipped: Vec::new(), because: "as requested", wait_limit: None, nodes: NODES };

impl Default for Selection {
    fn default() -> Selection {
        ALL.clone()
    }
}

/// The context of the rows, as the runner uses it.
pub(super) trait Subject: Sync {
    /// Replaces `NAMESPACE` in hints.
    fn namespace(&self) -> &str {
        ""
    }

    /// Whether a component is part of the stack.
    fn has(&self, _component: &str) -> bool {
        true
    }

    /// Whether the values switch a part of a chart off.
    fn lacks(&self, _part: &str) -> bool {
        false
    }

    /// A hint with the names of this stack.
    fn named(&self, hint: &str) -> String {
        hint.replace("NAMESPACE", self.namespace())
    }

    /// Which checks run.
    fn selection(&self) -> &Selection {
        &ALL
    }

    /// Why requests have no answer at the moment, where that is known.
    fn no_response_reason(&self) -> Option<String> {
        None
    }

    /// Resolves with the reason when no more checks are possible.
    fn unreachable(&self) -> BoxFuture<'_, String> {
        Box::pin(std::future::pending())
    }
}

/// Which checks run, and their timeout.
#[derive(Clone, Debug)]
pub struct Selection {
    /// These ids and their needs; empty: all.
    pub only: Vec<String>,
    /// Ids to skip.
    pub skipped: Vec<String>,
    /// The reason to skip them; follows "not tested, ".
    pub because: &'static str,
    /// Limits every deadline; `None`: each check's own deadline.
    pub wait_limit: Option<Duration>,
    /// The maximum number of nodes with a probe job.
    pub nodes: usize,
}

/// Runs the rows, sends `checks-started` and a `check-finished` for each, and returns the results in the order of the
/// report.
pub(super) async fn run<C: Subject + 'static>(
    rows: impl IntoIterator<Item = &'static Row<C>>,
    context: &C,
    events: Option<&Events>,
) -> Vec<CheckResult> {
    let mut waiting = selected(rows.into_iter().collect(), &context.selection().only);
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
        result.hint = result.hint.map(|hint| context.named(&hint));
        emit(Event::CheckFinished(result.clone()));
        results.insert(result.id.clone(), result);
    }
    order.iter().filter_map(|id| results.remove(*id)).collect()
}

/// The selected rows and their needs, in the order of the report.
fn selected<C>(mut rows: Vec<&'static Row<C>>, only: &[String]) -> Vec<&'static Row<C>> {
    let mut ids: BTreeSet<&str> = only.iter().map(String::as_str).collect();
    let mut size = 0;
    while ids.len() > size {
        size = ids.len();
        let needs: Vec<&str> =
            rows.iter().filter(|row| ids.contains(row.id)).flat_map(|row| row.needs.iter().copied()).collect();
        ids.extend(needs);
    }
    rows.retain(|row| if only.is_empty() { !row.on_request } else { ids.contains(row.id) });
    rows
}

fn reason_to_skip<C: Subject>(row: &Row<C>, context: &C, results: &BTreeMap<String, CheckResult>) -> Option<String> {
    if let Some(component) = row.component.filter(|component| !context.has(component)) {
        return Some(format!("not tested, since the answers leave {component} out"));
    }
    if let Some(part) = row.parts.iter().find(|part| context.lacks(part)) {
        return Some(format!("not installed by your answers ({part})"));
    }
    if context.selection().skipped.iter().any(|id| id == row.id) {
        return Some(format!("not tested, {}", context.selection().because));
    }
    let failed = |need: &&&str| results.get(**need).is_some_and(|r| matches!(r.verdict, Verdict::Fail | Verdict::Skip));
    row.needs.iter().find(failed).map(|need| format!("not tested, since {need} did not pass"))
}

/// Tries a check until it is true, its deadline passes or no more checks are possible.
async fn try_until<C: Subject>(row: &Row<C>, context: &C, unreachable: Shared<BoxFuture<'_, String>>) -> CheckResult {
    let started = Instant::now();
    let deadline = context.selection().wait_limit.map_or(row.deadline, |wait_limit| row.deadline.min(wait_limit));
    // The first try always has the time for its requests.
    let limit = sleep(deadline.max(ONE_TRY));
    let mut last = "it did not end".to_owned();
    let tries = async {
        loop {
            let finding = (row.run)(context).await.unwrap_or_else(Finding::not_yet);
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
        () = limit => Err(context.no_response_reason()),
    };
    let took = started.elapsed();
    match ended {
        Ok(finding) => result(row, finding, took),
        Err(None) => result(row, Finding::not_yet(format!("{last}, for {} s", took.as_secs())), took),
        // A failure even for a check that only warns.
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
    fn a_selected_check_includes_its_needs() {
        let ids: Vec<_> = selected(verify::rows(), &["grafana-reads-loki".into()]).iter().map(|row| row.id).collect();
        assert_eq!(ids, ["loki-ready", "grafana-healthy", "grafana-anonymous", "grafana-reads-loki"]);
    }
}
