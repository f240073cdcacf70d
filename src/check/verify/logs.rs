//! Loki and Alloy separately; `log_pipeline` follows a line through both.

use serde_json::Value;

use crate::check::api::loki::Config;
use crate::check::row::{Finding, Row};
use crate::check::runner::Subject as _;
use crate::check::verify::context::StackContext;
use crate::check::verify::log_pipeline;
use crate::check::verify::parts::GRAFANA;
use crate::cluster::{ClusterError, TrackedRelease};
use crate::config::{ALLOY, LOKI, RetentionPeriod};
use crate::event::Hop;

const GROUP: &str = "logs";
/// Value of the label `app` of the line that is pushed.
const APP: &str = "tailwatch-verify";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("loki-ready", GROUP, "Loki is ready", |context| Box::pin(ready(context)))
        .of(LOKI)
        .within(90)
        .hint("see the log of pod loki-0"),
    Row::new("loki-ring", GROUP, "Loki's ingester is active in its ring", |context| Box::pin(ring(context)))
        .of(LOKI)
        .needs(&["loki-ready"])
        .hint("see the log of pod loki-0; a volume that is full or read-only makes the ingester leave the ring"),
    Row::new("loki-stores-logs", GROUP, "Loki returns a line that was pushed to it", |context| Box::pin(stores(context)))
        .of(LOKI)
        .needs(&["loki-ready"])
        .hint("see the log of pod loki-0; 401 means that loki.auth_enabled is on"),
    Row::new("loki-retention", GROUP, "Loki deletes logs after the configured period", |context| Box::pin(retention(context)))
        .of(LOKI)
        .needs(&["loki-ready"])
        .within(15)
        .hint("check loki.limits_config and loki.compactor under `values:`, then run `tailwatch install` again"),
    Row::new("alloy-ready", GROUP, "Alloy is ready on every node, with healthy components", |context| {
        Box::pin(alloy(context))
    })
    .of(ALLOY)
    .within(60)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy`"),
    Row::new("logs-written", GROUP, "a pod on each node writes a line", |context| {
        Box::pin(log_pipeline::written(context))
    })
    .of(ALLOY)
    .within(60)
    .hint("see `kubectl -n NAMESPACE get events`: quota, Pod Security or image pulls keep the probe pods from running"),
    Row::new("logs-collected", GROUP, "Alloy reads each of these lines on its node", |context| {
        Box::pin(log_pipeline::collected(context))
    })
    .of(ALLOY)
    .needs(&["logs-written", "alloy-ready"])
    .within(60)
    .at(Hop::PodsAlloy)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy`; the pods' logs must be below /var/log/pods, and discovery.kubernetes must set the node"),
    Row::new("logs-delivered", GROUP, "each line is in Loki exactly once, with its labels", |context| {
        Box::pin(log_pipeline::delivered(context))
    })
    .of(ALLOY)
    .needs(&["logs-collected", "loki-stores-logs"])
    .within(60)
    .at(Hop::AlloyLoki)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy` for rejected pushes, compare loki.write's url with the Service loki, and see the NetworkPolicies"),
    Row::new("logs-in-grafana", GROUP, "Grafana shows these lines", |context| Box::pin(log_pipeline::shown(context)))
        .of(ALLOY)
        .with(&[GRAFANA])
        .needs(&["logs-delivered", "grafana-reads-loki"])
        .at(Hop::LokiGrafana)
        .hint("compare the Loki data source of Grafana with the Service loki"),
];

async fn ready(context: &StackContext) -> Result<Finding, String> {
    context.loki().ready().await.map(|()| Finding::pass(""))
}

async fn ring(context: &StackContext) -> Result<Finding, String> {
    let ingesters = context.loki().ingesters().await?;
    let inactive = ingesters.iter().find(|ingester| ingester.state != "ACTIVE");
    Ok(match inactive {
        Some(ingester) => Finding::not_yet(format!("ingester {} is {}", ingester.id, ingester.state)),
        None if ingesters.is_empty() => Finding::not_yet("the ring is empty"),
        None => Finding::pass(format!("{} active", ingesters.len())),
    })
}

/// Pushes a line to Loki without Alloy and queries it.
async fn stores(context: &StackContext) -> Result<Finding, String> {
    let text = format!("direct-{:08x}", rand::random::<u32>());
    context.loki().push(APP, &format!("{APP} {text}")).await?;
    for _ in 0..20 {
        if !context.loki().query(&format!("{{app=\"{APP}\"}}"), &text).await?.lines().is_empty() {
            return Ok(Finding::pass("pushed and read back"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Err("it accepts a line and does not return it".into())
}

/// Without the compactor's two keys Loki deletes nothing.
async fn retention(context: &StackContext) -> Result<Finding, String> {
    let config = context.loki().config().await?;
    let expected =
        context.value(LOKI, "/loki/limits_config/retention_period").and_then(Value::as_str).unwrap_or_default();
    Ok(judge_config(&config, expected))
}

fn judge_config(config: &Config, expected: &str) -> Finding {
    let found = &config.limits_config.retention_period;
    let period = |text: &str| text.parse::<RetentionPeriod>().ok();
    if period(found).is_none() || period(found) != period(expected) {
        return Finding::fail(format!("retention_period is {found}, expected {expected}"));
    }
    if !config.compactor.retention_enabled {
        return Finding::fail("compactor.retention_enabled is off: Loki deletes nothing");
    }
    if config.compactor.delete_request_store.is_empty() {
        return Finding::fail("compactor.delete_request_store is not set: Loki deletes nothing");
    }
    Finding::pass(format!("after {found}, by the compactor"))
}

/// Pods that get a request; the DaemonSet's status reports the readiness of all.
const SAMPLE: usize = 3;

async fn alloy(context: &StackContext) -> Result<Finding, String> {
    let message = |error: ClusterError| error.to_string();
    let (name, selector) = (context.names.object(ALLOY), context.alloy_pods());
    let (set, pods) = futures::try_join!(
        context.live("apps/v1", "DaemonSet", name),
        context.cluster.ready_pods(context.namespace(), &selector)
    )
    .map_err(message)?;
    let set = set.ok_or_else(|| format!("there is no DaemonSet {name}"))?;
    let tracked = TrackedRelease::new(ALLOY, context.namespace(), [&set]);
    let readiness = context.cluster.readiness(&[tracked]).await.map_err(message)?.pop().unwrap_or_default();
    let ready = pods.len();
    if pods.is_empty() || !readiness.is_ready() {
        return Err(readiness.waiting.unwrap_or_else(|| "no pod is ready".into()));
    }
    let pods = &pods[..ready.min(SAMPLE)];
    let mut components = 0;
    for pod in pods {
        components = healthy_components(context, pod).await?;
    }
    Ok(Finding::pass(format!("{ready} pods; {} tested, {components} components each", pods.len())))
}

/// The number of components, all healthy.
async fn healthy_components(context: &StackContext, pod: &str) -> Result<usize, String> {
    context.alloy().ready(pod).await?;
    let components = context.alloy().components(pod).await?;
    match components.iter().find(|component| component.health.state != "healthy") {
        Some(unhealthy) => {
            let health = &unhealthy.health;
            Err(format!("component {} of pod {pod} is {}: {}", unhealthy.local_id, health.state, health.message))
        }
        None => Ok(components.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::row::State;

    #[test]
    fn retention_needs_the_period_and_the_compactor() {
        let config = |period: &str, enabled: bool, store: &str| {
            json!({"limits_config": {"retention_period": period}, "table_manager": {"retention_period": "0s"},
                   "compactor": {"retention_enabled": enabled, "delete_request_store": store}})
        };
        let state = |config: &Value| judge_config(&serde_json::from_value(config.clone()).unwrap(), "168h").state;
        assert_eq!(state(&config("1w", true, "filesystem")), State::Pass);
        assert_eq!(state(&config("0s", true, "filesystem")), State::Fail);
        assert_eq!(state(&config("1w", false, "filesystem")), State::Fail);
        assert_eq!(state(&config("1w", true, "")), State::Fail);
    }
}
