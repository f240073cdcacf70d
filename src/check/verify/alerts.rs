//! The path of an alert: from Prometheus to Alertmanager, Alertmanager's storage, and the firing alerts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::check::row::{Finding, Row, not_yet};
use crate::check::verify::metrics::PROMETHEUS;
use crate::check::verify::{StackContext, answered, read};
use crate::event::Hop;

const ALERTMANAGER: &str = "kube-prometheus-stack-alertmanager";
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
    .needs(&["prometheus-rules-loaded", "alertmanager-accepts-alerts"])
    .within(90)
    .at(Hop::PrometheusAlertmanager)
    .hint("see the log of pod prometheus-kube-prometheus-stack-prometheus-0 for `Error sending alerts`, and the NetworkPolicies"),
    Row::new("alertmanager-accepts-alerts", GROUP, "Alertmanager shows a new alert and drops it once it is resolved", |context| {
        Box::pin(accepts(context))
    })
    .within(30)
    .hint("see the log of pod alertmanager-kube-prometheus-stack-alertmanager-0"),
    Row::new("alerts-not-firing", GROUP, "no alert fires besides Watchdog", |context| Box::pin(not_firing(context)))
        .needs(&["prometheus-rules-loaded"])
        .within(1)
        .warns()
        .hint("open Alerting in Grafana, or https://runbooks.prometheus-operator.dev/ for the runbook of each alert"),
];

async fn connected(context: &StackContext) -> Finding {
    not_yet(judge_connected(context).await)
}

async fn judge_connected(context: &StackContext) -> Result<Finding, String> {
    let known: Value = context.json(PROMETHEUS, 9090, "/api/v1/alertmanagers").await?;
    let active = known.pointer("/data/activeAlertmanagers").and_then(Value::as_array).map_or(0, Vec::len);
    if active == 0 {
        return Err("Prometheus knows no Alertmanager".into());
    }
    if alerts(context, WATCHDOG).await?.is_empty() {
        return Err(format!("{WATCHDOG} has not arrived in Alertmanager"));
    }
    Ok(Finding::pass(format!("{WATCHDOG} arrived; active Alertmanagers: {active}")))
}

/// Alerts in Alertmanager with this `alertname`.
async fn alerts(context: &StackContext, name: &str) -> Result<Vec<Value>, String> {
    let filter: String = url::form_urlencoded::byte_serialize(format!("alertname=\"{name}\"").as_bytes()).collect();
    context.json(ALERTMANAGER, 9093, &format!("/api/v2/alerts?filter={filter}")).await
}

/// The alert is resolved before Alertmanager's group_wait, so no receiver gets it (alertmanager, notify/notify.go: a
/// group with only resolved alerts that was never sent is not sent).
async fn accepts(context: &StackContext) -> Finding {
    let run = format!("{:08x}", rand::random::<u32>());
    let now = jiff::Timestamp::now();
    let in_a_minute = now + jiff::SignedDuration::from_secs(60);
    let found = async {
        post(context, &run, (now, in_a_minute)).await?;
        wait_for(context, &run, Expected::Present).await
    };
    let found = found.await;
    let ended = async {
        post(context, &run, (now, jiff::Timestamp::now())).await?;
        wait_for(context, &run, Expected::Absent).await
    };
    let ended = ended.await;
    not_yet(found.and(ended).map(|()| Finding::pass("a synthetic alert was shown and resolved")))
}

async fn post(
    context: &StackContext,
    run: &str,
    (starts, ends): (jiff::Timestamp, jiff::Timestamp),
) -> Result<(), String> {
    let alert = json!([{
        "labels": {"alertname": SYNTHETIC, "severity": "none", "run": run, "namespace": "tailwatch-verify"},
        "annotations": {"summary": "posted by `tailwatch verify` to test that Alertmanager accepts alerts; it resolves by itself"},
        "startsAt": starts.to_string(), "endsAt": ends.to_string(),
    }]);
    let response = context.post((ALERTMANAGER, 9093), "/api/v2/alerts", &alert).await?;
    if response.status == 200 { Ok(()) } else { Err(answered("Alertmanager", &response)) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Present,
    Absent,
}

async fn wait_for(context: &StackContext, run: &str, expected: Expected) -> Result<(), String> {
    for _ in 0..20 {
        let response = context.get(ALERTMANAGER, 9093, "/api/v2/alerts").await;
        let all: Vec<Value> = read("Alertmanager", &response.map_err(|error| error.to_string())?)?;
        let is_present = all.iter().any(|alert| alert.pointer("/labels/run") == Some(&Value::from(run)));
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

async fn not_firing(context: &StackContext) -> Finding {
    let answer: Result<Value, String> = context.json(PROMETHEUS, 9090, "/api/v1/alerts").await;
    not_yet(answer.map(|answer| judge_firing(&answer)))
}

fn judge_firing(answer: &Value) -> Finding {
    let mut firing: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in answer.pointer("/data/alerts").and_then(Value::as_array).into_iter().flatten() {
        let name = alert.pointer("/labels/alertname").and_then(Value::as_str).unwrap_or_default();
        if alert["state"] == "firing" && !BY_DESIGN.contains(&name) {
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
        let alert = |name: &str, state: &str| json!({"labels": {"alertname": name}, "state": state});
        let answer = |alerts: Vec<Value>| json!({"data": {"alerts": alerts}});
        assert_eq!(
            judge_firing(&answer(vec![alert("Watchdog", "firing"), alert("KubePodCrashLooping", "pending")])),
            Finding::pass("")
        );
        let found = judge_firing(&answer(vec![alert("A", "firing"), alert("B", "firing"), alert("B", "firing")]));
        assert_eq!(found, Finding::fail("firing: A, B (2 times)"));
    }
}
