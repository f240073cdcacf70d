//! The way of an alert: Prometheus to Alertmanager, Alertmanager's own keeping, and what fires.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::check::row::{Finding, Row, not_yet};
use crate::check::verify::metrics::PROMETHEUS;
use crate::check::verify::{StackContext, answered, read};
use crate::event::Hop;

const ALERTMANAGER: &str = "kube-prometheus-stack-alertmanager";
const GROUP: &str = "alerts";
/// Fires always (kube-prometheus, general.rules), so that its absence tells of a broken way.
const WATCHDOG: &str = "Watchdog";
/// Fire by design: they inhibit or prove something.
const BY_DESIGN: [&str; 2] = [WATCHDOG, "InfoInhibitor"];
/// The alert that a verification makes and takes away.
const SYNTHETIC: &str = "TailwatchVerify";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("prometheus-alertmanager-connected", GROUP, "Prometheus reaches Alertmanager, and its Watchdog arrives there", |context| {
        Box::pin(reached(context))
    })
    .needs(&["prometheus-rules-loaded", "alertmanager-accepts-alerts"])
    .within(90)
    .at(Hop::PrometheusAlertmanager)
    .hint("see the log of pod prometheus-kube-prometheus-stack-prometheus-0 for `Error sending alerts`, and the NetworkPolicies"),
    Row::new("alertmanager-accepts-alerts", GROUP, "Alertmanager shows a new alert and forgets it when it ends", |context| {
        Box::pin(takes(context))
    })
    .within(30)
    .hint("see the log of pod alertmanager-kube-prometheus-stack-alertmanager-0"),
    Row::new("alerts-not-firing", GROUP, "no alert fires besides Watchdog", |context| Box::pin(quiet(context)))
        .needs(&["prometheus-rules-loaded"])
        .within(1)
        .warns()
        .hint("open Alerting in Grafana, or https://runbooks.prometheus-operator.dev/ for what each of them means"),
];

async fn reached(context: &StackContext) -> Finding {
    not_yet(judge_reached(context).await)
}

async fn judge_reached(context: &StackContext) -> Result<Finding, String> {
    let known: Value = context.json(PROMETHEUS, 9090, "/api/v1/alertmanagers").await?;
    let active = known.pointer("/data/activeAlertmanagers").and_then(Value::as_array).map_or(0, Vec::len);
    if active == 0 {
        return Err("Prometheus knows no Alertmanager".into());
    }
    if alerts(context, WATCHDOG).await?.is_empty() {
        return Err(format!("{WATCHDOG} has not arrived in Alertmanager"));
    }
    Ok(Finding::pass(format!("{WATCHDOG} arrived, by {active} of {active}")))
}

/// Alerts of a name that Alertmanager shows.
async fn alerts(context: &StackContext, name: &str) -> Result<Vec<Value>, String> {
    let filter: String = url::form_urlencoded::byte_serialize(format!("alertname=\"{name}\"").as_bytes()).collect();
    context.json(ALERTMANAGER, 9093, &format!("/api/v2/alerts?filter={filter}")).await
}

/// It ends before Alertmanager's group_wait, so that no receiver ever hears of it (alertmanager, notify/notify.go:
/// a group whose alerts are all resolved, and of which nothing was sent, is not sent).
async fn takes(context: &StackContext) -> Finding {
    let mark = format!("{:08x}", rand::random::<u32>());
    let now = jiff::Timestamp::now();
    let lasting = now + jiff::SignedDuration::from_secs(60);
    let found = async {
        post(context, &mark, (now, lasting)).await?;
        seen(context, &mark, Wanted::There).await
    };
    let found = found.await;
    let ended = async {
        post(context, &mark, (now, jiff::Timestamp::now())).await?;
        seen(context, &mark, Wanted::Gone).await
    };
    let ended = ended.await;
    not_yet(found.and(ended).map(|()| Finding::pass("a synthetic one was seen and cleared")))
}

async fn post(
    context: &StackContext,
    mark: &str,
    (starts, ends): (jiff::Timestamp, jiff::Timestamp),
) -> Result<(), String> {
    let alert = json!([{
        "labels": {"alertname": SYNTHETIC, "severity": "none", "run": mark, "namespace": "tailwatch-verify"},
        "annotations": {"summary": "made by `tailwatch verify` to see that Alertmanager takes alerts; it ends by itself"},
        "startsAt": starts.to_string(), "endsAt": ends.to_string(),
    }]);
    let response = context.post((ALERTMANAGER, 9093), "/api/v2/alerts", &alert).await?;
    if response.status == 200 { Ok(()) } else { Err(answered("Alertmanager", &response)) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    There,
    Gone,
}

async fn seen(context: &StackContext, mark: &str, wanted: Wanted) -> Result<(), String> {
    for _ in 0..20 {
        let response = context.get(ALERTMANAGER, 9093, "/api/v2/alerts").await;
        let all: Vec<Value> = read("Alertmanager", &response.map_err(|error| error.to_string())?)?;
        let is_there = all.iter().any(|alert| alert.pointer("/labels/run") == Some(&Value::from(mark)));
        if is_there == (wanted == Wanted::There) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(match wanted {
        Wanted::There => "it took a new alert and does not show it".to_owned(),
        Wanted::Gone => "it still shows an alert that has ended".to_owned(),
    })
}

async fn quiet(context: &StackContext) -> Finding {
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
    let words: Vec<String> = firing
        .iter()
        .map(|(name, count)| if *count == 1 { (*name).to_owned() } else { format!("{name} ({count} times)") })
        .collect();
    if words.is_empty() { Finding::pass("") } else { Finding::fail(format!("firing: {}", words.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fires_is_named_and_what_fires_by_design_is_not() {
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
