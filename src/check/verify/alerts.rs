//! The path of an alert: from Prometheus to Alertmanager, Alertmanager's storage, and the firing alerts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::check::api::alertmanager::{self, NewAlert, Silence};
use crate::check::api::prometheus::Alert;
use crate::check::row::{Finding, Row};
use crate::check::verify::context::StackContext;
use crate::check::verify::parts::{ALERTMANAGER, PROMETHEUS};
use crate::event::Hop;

pub(super) const GROUP: &str = "alerts";
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
        .hint("query `ALERTS{alertstate=\"firing\"}` in Explore of Grafana; https://runbooks.prometheus-operator.dev/ has the runbook of each alert"),
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
        wait_for(context, &run, Expected::Absent).await.map(drop)
    };
    let ended = ended.await;
    let shown = found?;
    ended?;
    let mut silences = Vec::new();
    for id in &shown.status.silenced_by {
        silences.push(context.alertmanager().silence(id).await?);
    }
    Ok(judge_shown(&silences, &shown.status.inhibited_by))
}

/// No silence or rule is meant for this alert alone: one that matches it suppresses others, too.
fn judge_shown(silences: &[Silence], inhibited_by: &[String]) -> Finding {
    let shown = "a synthetic alert was shown and resolved";
    let mut reasons: Vec<String> = silences.iter().map(|silence| format!("silence {silence}")).collect();
    if !inhibited_by.is_empty() {
        reasons.push("an inhibition rule".to_owned());
    }
    if reasons.is_empty() {
        return Finding::pass(shown);
    }
    Finding::warn(format!("{shown}; receivers get no alert that is matched by {}", reasons.join(" or ")))
        .hinting("expire the silence at http://localhost:9093/#/silences after `kubectl -n NAMESPACE port-forward svc/kube-prometheus-stack-alertmanager 9093`, or narrow inhibit_rules")
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

/// The alert, or an empty one once it is absent.
async fn wait_for(context: &StackContext, run: &str, expected: Expected) -> Result<alertmanager::Alert, String> {
    for _ in 0..20 {
        let all = context.alertmanager().alerts().await?;
        let found = all.into_iter().find(|alert| alert.labels.get("run").is_some_and(|found| found == run));
        if found.is_some() == (expected == Expected::Present) {
            return Ok(found.unwrap_or_default());
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
    use serde_json::json;

    use super::*;
    use crate::check::row::State;

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

    #[test]
    fn a_silence_or_inhibition_of_the_synthetic_alert_is_a_warning() {
        let silence = |is_regex: bool, is_equal: bool| -> Silence {
            let matcher = json!({"name": "severity", "value": "none", "isRegex": is_regex, "isEqual": is_equal});
            serde_json::from_value(json!({"matchers": [matcher], "endsAt": "2026-01-02T03:04:05.000Z"})).unwrap()
        };
        assert_eq!(judge_shown(&[], &[]).state, State::Pass);
        for (found, part) in [
            (judge_shown(&[silence(false, true)], &[]), "silence {severity=\"none\"} until 2026-01-02T03:04:05Z"),
            (judge_shown(&[silence(true, true)], &[]), "severity=~"),
            (judge_shown(&[silence(false, false)], &[]), "severity!="),
            (judge_shown(&[silence(true, false)], &[]), "severity!~"),
            (judge_shown(&[], &["a0b1".into()]), "inhibition"),
        ] {
            assert_eq!(found.state, State::Warn);
            assert!(found.detail.contains(part), "{found:?}");
        }
    }
}
