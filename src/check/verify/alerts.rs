//! The path of an alert: from Prometheus to Alertmanager, Alertmanager's storage, and the firing alerts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::check::api::alertmanager::NewAlert;
use crate::check::api::prometheus::Alert;
use crate::check::row::{Finding, Row};
use crate::check::verify::context::StackContext;
use crate::check::verify::parts::{ALERTMANAGER, PROMETHEUS};
use crate::event::Hop;

const GROUP: &str = "alerts";
/// Fires always (kube-prometheus, general.rules): its absence shows a broken path.
const WATCHDOG: &str = "Watchdog";
/// Fire by design: to inhibit other alerts or to prove the path.
const BY_DESIGN: [&str; 2] = [WATCHDOG, "InfoInhibitor"];
/// The alert that a verification posts and resolves.
const SYNTHETIC: &str = "TailwatchVerify";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("prometheus-alertmanager-connected", GROUP, "Prometheus reaches Alertmanager, and the Watchdog alert arrives", |context| {
        Box::pin(connected(context))
    })
    .with(&[ALERTMANAGER, PROMETHEUS])
    .needs(&["prometheus-rules-loaded", "alertmanager-accepts-alerts"])
    .within(90)
    .at(Hop::PrometheusAlertmanager)
    .hint("see the log of pod prometheus-kube-prometheus-stack-prometheus-0 for `Error sending alerts`, and the NetworkPolicies"),
    Row::new("alertmanager-accepts-alerts", GROUP, "Alertmanager shows a new alert and drops it once it is resolved", |context| {
        Box::pin(accepts(context))
    })
    .with(&[ALERTMANAGER])
    .within(30)
    .hint("see the log of pod alertmanager-kube-prometheus-stack-alertmanager-0"),
    Row::new("alerts-not-firing", GROUP, "no alert fires besides Watchdog", |context| Box::pin(not_firing(context)))
        .with(&[PROMETHEUS])
        .needs(&["prometheus-rules-loaded"])
        .within(1)
        .warns()
        .hint("open Alerting in Grafana, or https://runbooks.prometheus-operator.dev/ for the runbook of each alert"),
];

async fn connected(context: &StackContext) -> Result<Finding, String> {
    let active = context.prometheus().active_alertmanagers().await?;
    if active == 0 {
        return Err("Prometheus knows no Alertmanager".into());
    }
    if context.alertmanager().alerts_of(WATCHDOG).await?.is_empty() {
        return Err(format!("{WATCHDOG} has not arrived in Alertmanager"));
    }
    Ok(Finding::pass(format!("{WATCHDOG} arrived; active Alertmanagers: {active}")))
}

/// The alert is resolved before Alertmanager's group_wait, so no receiver gets it (alertmanager, notify/notify.go: a
/// group with only resolved alerts that was never sent is not sent).
async fn accepts(context: &StackContext) -> Result<Finding, String> {
    let run = format!("{:08x}", rand::random::<u32>());
    let now = Timestamp::now();
    let in_a_minute = now + jiff::SignedDuration::from_secs(60);
    let found = async {
        post(context, &run, (now, in_a_minute)).await?;
        wait_for(context, &run, Expected::Present).await
    };
    let found = found.await;
    let ended = async {
        post(context, &run, (now, Timestamp::now())).await?;
        wait_for(context, &run, Expected::Absent).await
    };
    let ended = ended.await;
    found.and(ended).map(|()| Finding::pass("a synthetic alert was shown and resolved"))
}

async fn post(context: &StackContext, run: &str, (starts_at, ends_at): (Timestamp, Timestamp)) -> Result<(), String> {
    let alert = NewAlert {
        labels: [("alertname", SYNTHETIC), ("severity", "none"), ("run", run), ("namespace", "tailwatch-verify")]
            .into(),
        annotations: [(
            "summary",
            "posted by `tailwatch verify` to test that Alertmanager accepts alerts; it resolves by itself",
        )]
        .into(),
        starts_at,
        ends_at,
    };
    context.alertmanager().post(&alert).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Present,
    Absent,
}

async fn wait_for(context: &StackContext, run: &str, expected: Expected) -> Result<(), String> {
    for _ in 0..20 {
        let all = context.alertmanager().alerts().await?;
        let is_present = all.iter().any(|alert| alert.labels.get("run").is_some_and(|found| found == run));
        if is_present == (expected == Expected::Present) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(match expected {
        Expected::Present => "it accepted a new alert and does not show it".to_owned(),
        Expected::Absent => "it still shows a resolved alert".to_owned(),
    })
}

async fn not_firing(context: &StackContext) -> Result<Finding, String> {
    context.prometheus().alerts().await.map(|alerts| judge_firing(&alerts))
}

fn judge_firing(alerts: &[Alert]) -> Finding {
    let mut firing: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in alerts {
        let name = alert.labels.get("alertname").map(String::as_str).unwrap_or_default();
        if alert.state == "firing" && !BY_DESIGN.contains(&name) {
            *firing.entry(name).or_default() += 1;
        }
    }
    let names: Vec<String> = firing
        .iter()
        .map(|(name, count)| if *count == 1 { (*name).to_owned() } else { format!("{name} ({count} times)") })
        .collect();
    if names.is_empty() { Finding::pass("") } else { Finding::fail(format!("firing: {}", names.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firing_alerts_are_reported_except_those_that_fire_by_design() {
        let alert =
            |name: &str, state: &str| Alert { labels: [("alertname".into(), name.into())].into(), state: state.into() };
        assert_eq!(
            judge_firing(&[alert("Watchdog", "firing"), alert("KubePodCrashLooping", "pending")]),
            Finding::pass("")
        );
        let found = judge_firing(&[alert("A", "firing"), alert("B", "firing"), alert("B", "firing")]);
        assert_eq!(found, Finding::fail("firing: A, B (2 times)"));
    }
}
