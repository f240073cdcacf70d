//! The checks of the installed stack, with real requests: through the API server's port-forward, and over the tailnet
//! if this machine is on it.

mod alert_receiver;
mod alerts;
mod cached;
mod context;
mod grafana;
mod log_pipeline;
mod logs;
mod metrics;
mod network;
mod oauth2_proxy;
mod parts;
mod probe_jobs;
mod scrape_targets;
mod service_monitors;
mod workloads;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::check::row::Row;
use crate::check::runner::{self, Selection, Subject as _};
use crate::config::nearest;
use crate::event::{CheckResult, Event, Events};

pub use context::{Installed, StackContext};
pub(in crate::check) use service_monitors::{label_selector, monitored_namespaces};

/// How long the API server may take to answer after the checks, if it may be unreachable.
const ANSWER: Duration = Duration::from_secs(1);

/// The rows, in the order of the report.
pub(super) fn rows() -> Vec<&'static Row<StackContext>> {
    let groups = [
        workloads::ROWS,
        metrics::ROWS,
        alerts::ROWS,
        alert_receiver::ROWS,
        logs::ROWS,
        grafana::ROWS,
        oauth2_proxy::ROWS,
        network::ROWS,
    ];
    groups.into_iter().flatten().collect()
}

/// Runs the checks, sends `checks-started` and a `check-finished` for each, and returns the results in the order of
/// the report; `None` if it is cancelled. Deletes the probe jobs in any case.
pub async fn run(context: &StackContext, events: &Events, cancel: &CancellationToken) -> Option<Vec<CheckResult>> {
    let checks = tokio::select! {
        checks = runner::run(rows(), context, Some(events)) => Some(checks),
        () = cancel.cancelled() => {
            events.send(Event::Notice { message: "stopping after the probe pods are removed".into(), hint: None });
            None
        }
    };
    // Deleting would wait again for an API server that does not answer.
    let may_be_silent = checks.is_none() || context.cluster.unresponsive_since().is_some();
    let is_silent = may_be_silent && !context.cluster.answers_within(ANSWER).await;
    let cleared = async {
        if is_silent {
            return Err(context.cluster.no_answer(ANSWER));
        }
        context.probes.clear(&context.cluster, context.namespace()).await
    };
    if let Err(error) = cleared.await {
        let message = format!(
            "the probe pods of this verification could not be removed; the cluster removes them within minutes: {error}"
        );
        events.send(Event::Notice { message, hint: None });
    }
    checks
}

/// The checks of a run that has changed nothing: those that create no object in the cluster.
pub fn unchanged() -> Selection {
    const CREATING: [&str; 3] = ["rules-admitted", "logs-written", "grafana-network-policy"];
    Selection {
        skipped: CREATING.map(str::to_owned).into(),
        because: "since nothing was changed; `tailwatch verify` runs it",
        ..Selection::default()
    }
}

/// Ids of all checks, in the order of the report.
pub fn ids() -> Vec<&'static str> {
    rows().iter().map(|row| row.id).collect()
}

/// The first unknown id, with the nearest known one.
pub fn unknown(only: &[String]) -> Option<(String, Option<String>)> {
    let known = ids();
    let unknown = only.iter().find(|id| !known.contains(&id.as_str()))?;
    let near = nearest(unknown, known.iter().copied()).map(|id| id.to_string());
    Some((unknown.clone(), near))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skipped_checks_of_an_unchanged_stack_exist() {
        assert_eq!(unknown(&unchanged().skipped), None);
    }

    #[test]
    fn the_parts_that_checks_need_are_in_the_catalogue() {
        let known = crate::stack::Catalogue::embedded().unwrap().parts();
        for row in rows() {
            assert!(row.parts.iter().all(|part| known.iter().any(|known| known == part)), "{}", row.id);
        }
    }

    #[test]
    fn ids_are_unique_and_needs_exist() {
        let rows = rows();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        for (position, row) in rows.iter().enumerate() {
            assert!(!ids[..position].contains(&row.id), "{} twice", row.id);
            assert!(row.needs.iter().all(|need| ids.contains(need)), "{}", row.id);
            assert!(!row.hint.is_empty(), "{} has no hint", row.id);
        }
    }
}
