//! Prometheus: ready, keeping what was asked, knowing and reaching its targets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::check::{CheckContext, Finding, answered, not_yet};
use crate::config::RetentionPeriod;

const PROMETHEUS: &str = "kube-prometheus-stack-prometheus";

/// `/-/ready` is 200 once the write-ahead log is replayed (prometheus.io, Management API).
pub(super) async fn prometheus_ready(context: &CheckContext) -> Finding {
    match context.get(PROMETHEUS, 9090, "/-/ready").await {
        Ok(response) if response.status == 200 => Finding::Pass(String::new()),
        Ok(response) => Finding::NotYet(answered("Prometheus", &response)),
        Err(error) => Finding::NotYet(error.to_string()),
    }
}

/// `storageRetention` is `15d or 45GiB`; durations are normalised (14d prints 2w).
pub(super) async fn retention(context: &CheckContext) -> Finding {
    not_yet(judge_retention(context).await)
}

async fn judge_retention(context: &CheckContext) -> Result<Finding, String> {
    let information: Value = context.json(PROMETHEUS, 9090, "/api/v1/status/runtimeinfo").await?;
    let found = information.pointer("/data/storageRetention").and_then(Value::as_str).unwrap_or_default();
    let wanted = context.value("kube-prometheus-stack", "/prometheus/prometheusSpec/retention");
    let wanted = wanted.and_then(Value::as_str).unwrap_or_default();
    let size = context.value("kube-prometheus-stack", "/prometheus/prometheusSpec/retentionSize");
    let size = size.and_then(Value::as_str);
    Ok(if keeps(found, wanted, size) {
        Finding::Pass(found.to_owned())
    } else {
        let size = size.map(|size| format!(" or {size}")).unwrap_or_default();
        Finding::Fail(format!("it keeps {found}, asked was {wanted}{size}"))
    })
}

fn keeps(found: &str, wanted: &str, size: Option<&str>) -> bool {
    let mut parts = found.split(" or ");
    let period = |text: &str| text.parse::<RetentionPeriod>().ok();
    let same_period = parts.next().and_then(period).is_some_and(|found| Some(found) == period(wanted));
    // The size is shown as a whole number of its largest unit; only its presence is judged.
    same_period && parts.next().is_some() == size.is_some()
}

/// `/api/v1/targets`, of which a large cluster has thousands: only what is judged is kept.
#[derive(Deserialize)]
struct Targets {
    data: Active,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    scrape_pool: String,
    labels: Labels,
    health: String,
    #[serde(default)]
    last_error: String,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    job: String,
}

async fn targets(context: &CheckContext) -> Result<Vec<Target>, String> {
    let answer: Targets = context.json(PROMETHEUS, 9090, "/api/v1/targets?state=active").await?;
    Ok(answer.data.active_targets)
}

/// The scrape pools of the stack's ServiceMonitors: `serviceMonitor/<namespace>/<name>/<endpoint>`.
fn pools(context: &CheckContext) -> Vec<String> {
    let mut pools = Vec::new();
    for release in &context.releases {
        let objects = context.manifests.get(release.component.as_str()).into_iter().flatten();
        for monitor in objects.filter(|object| object["kind"] == "ServiceMonitor") {
            let name = monitor.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let namespace =
                monitor.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(&release.namespace);
            let endpoints = monitor.pointer("/spec/endpoints").and_then(Value::as_array).map_or(0, Vec::len);
            pools.extend((0..endpoints).map(|index| format!("serviceMonitor/{namespace}/{name}/{index}")));
        }
    }
    pools
}

pub(super) async fn targets_known(context: &CheckContext) -> Finding {
    not_yet(judge_known(context).await)
}

async fn judge_known(context: &CheckContext) -> Result<Finding, String> {
    let known = targets(context).await?;
    let pools = pools(context);
    let unknown: Vec<&str> = pools
        .iter()
        .filter(|pool| !known.iter().any(|target| target.scrape_pool == **pool))
        .map(String::as_str)
        .collect();
    Ok(if pools.is_empty() {
        Finding::Fail("the releases have no ServiceMonitor".into())
    } else if unknown.is_empty() {
        Finding::Pass(format!("{} of {}, {} targets in all", pools.len(), pools.len(), known.len()))
    } else {
        Finding::NotYet(format!("no target of {}", unknown.join(", ")))
    })
}

pub(super) async fn targets_up(context: &CheckContext) -> Finding {
    not_yet(judge_up(context).await)
}

async fn judge_up(context: &CheckContext) -> Result<Finding, String> {
    let pools = pools(context);
    let ours: Vec<Target> =
        targets(context).await?.into_iter().filter(|target| pools.contains(&target.scrape_pool)).collect();
    Ok(describe(&ours))
}

/// A target that was never scraped says nothing yet; one that is down may be a node that reboots, so it is tried
/// again until the deadline.
fn describe(targets: &[Target]) -> Finding {
    let mut down: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.health != "up") {
        let entry = down.entry(&target.labels.job).or_insert((0, "not scraped yet"));
        entry.0 += 1;
        if !target.last_error.is_empty() {
            entry.1 = &target.last_error;
        }
    }
    if down.is_empty() {
        return Finding::Pass(format!("{} of {}", targets.len(), targets.len()));
    }
    let words = down.iter().map(|(job, (count, why))| format!("{job}: {count} down ({why})"));
    Finding::NotYet(words.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_compared_as_a_length_not_as_text() {
        assert!(keeps("15d or 45GiB", "15d", Some("45GiB")));
        assert!(keeps("2w", "14d", None));
        assert!(!keeps("10d", "15d", None));
        assert!(!keeps("15d", "15d", Some("45GiB")), "the size is missing");
        assert!(!keeps("", "15d", None));
    }

    #[test]
    fn what_is_down_is_named_with_its_reason() {
        let target = |job: &str, health: &str, error: &str| Target {
            scrape_pool: String::new(),
            labels: Labels { job: job.into() },
            health: health.into(),
            last_error: error.into(),
        };
        assert_eq!(describe(&[target("a", "up", "")]), Finding::Pass("1 of 1".into()));
        let found = describe(&[target("a", "up", ""), target("b", "down", "refused"), target("b", "down", "refused")]);
        assert_eq!(found, Finding::NotYet("b: 2 down (refused)".into()));
        assert_eq!(describe(&[target("c", "unknown", "")]), Finding::NotYet("c: 1 down (not scraped yet)".into()));
    }
}
