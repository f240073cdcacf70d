//! Loki and Alloy separately; `log_pipeline` follows a line through both.

use serde_json::{Value, json};

use crate::check::row::{Finding, Row, not_yet};
use crate::check::runner::Subject as _;
use crate::check::verify::{StackContext, answered, log_pipeline, read};
use crate::cluster::{ClusterError, ForwardTarget};
use crate::config::RetentionPeriod;
use crate::event::Hop;

const GROUP: &str = "logs";
const LOKI: &str = "loki";
/// Labels of Alloy's pods.
pub(super) const ALLOY_PODS: &str = "app.kubernetes.io/name=alloy,app.kubernetes.io/instance=alloy";

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
    .of("alloy")
    .within(60)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy`"),
    Row::new("logs-written", GROUP, "a pod on each node writes a line", |context| {
        Box::pin(log_pipeline::written(context))
    })
    .of("alloy")
    .within(60)
    .hint("see `kubectl -n NAMESPACE get events`: quota, Pod Security or image pulls keep the probe pods from running"),
    Row::new("logs-collected", GROUP, "Alloy reads each of these lines on its node", |context| {
        Box::pin(log_pipeline::collected(context))
    })
    .of("alloy")
    .needs(&["logs-written", "alloy-ready"])
    .within(60)
    .at(Hop::PodsAlloy)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy`; the pods' logs must be below /var/log/pods, and discovery.kubernetes must set the node"),
    Row::new("logs-delivered", GROUP, "each line is in Loki exactly once, with its labels", |context| {
        Box::pin(log_pipeline::delivered(context))
    })
    .of("alloy")
    .needs(&["logs-collected", "loki-stores-logs"])
    .within(60)
    .at(Hop::AlloyLoki)
    .hint("see `kubectl -n NAMESPACE logs ds/alloy` for rejected pushes, compare loki.write's url with the Service loki, and see the NetworkPolicies"),
    Row::new("logs-in-grafana", GROUP, "Grafana shows these lines", |context| Box::pin(log_pipeline::shown(context)))
        .of("alloy")
        .needs(&["logs-delivered", "grafana-reads-loki"])
        .at(Hop::LokiGrafana)
        .hint("compare the Loki data source of Grafana with the Service loki"),
];

/// `/ready` is 503 until the ingester has been ready for 15 s.
async fn ready(context: &StackContext) -> Finding {
    match context.get(LOKI, 3100, "/ready").await {
        Ok(response) if response.status == 200 => Finding::pass(""),
        Ok(response) => Finding::not_yet(answered("Loki", &response)),
        Err(error) => Finding::not_yet(error.to_string()),
    }
}

async fn ring(context: &StackContext) -> Finding {
    not_yet(judge_ring(context).await)
}

/// `/ring` returns JSON for `Accept: application/json` (dskit, ring/http.go): a shard for each ingester, with its state.
async fn judge_ring(context: &StackContext) -> Result<Finding, String> {
    let mut request = context.request(ForwardTarget::Service { name: LOKI.into(), port: 3100 }, "/ring");
    request.headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    let response = context.exchange(request).await.map_err(|error| error.to_string())?;
    let ring: Value = read("Loki", &response)?;
    let shards = ring["shards"].as_array().cloned().unwrap_or_default();
    let text = |shard: &Value, key: &str| shard[key].as_str().unwrap_or_default().to_owned();
    let inactive = shards.iter().find(|shard| shard["state"] != "ACTIVE");
    Ok(match inactive {
        Some(shard) => Finding::not_yet(format!("ingester {} is {}", text(shard, "id"), text(shard, "state"))),
        None if shards.is_empty() => Finding::not_yet("the ring is empty"),
        None => Finding::pass(format!("{} active", shards.len())),
    })
}

/// Pushes a line to Loki without Alloy and queries it (Loki HTTP API, push and query_range).
async fn stores(context: &StackContext) -> Finding {
    not_yet(judge_storage(context).await)
}

async fn judge_storage(context: &StackContext) -> Result<Finding, String> {
    let text = format!("direct-{:08x}", rand::random::<u32>());
    let now = jiff::Timestamp::now().as_nanosecond().to_string();
    let stream = json!({"stream": {"app": "tailwatch-verify"}, "values": [[now, format!("tailwatch-verify {text}")]]});
    let response = context.post((LOKI, 3100), "/loki/api/v1/push", &json!({"streams": [stream]})).await?;
    if response.status != 204 {
        return Err(answered("Loki", &response));
    }
    let query = query("{app=\"tailwatch-verify\"}", &text);
    for _ in 0..20 {
        let answer: Value = context.json(LOKI, 3100, &query).await?;
        if !lines(&answer).is_empty() {
            return Ok(Finding::pass("pushed and read back"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Err("it accepts a line and does not return it".into())
}

/// Path of a query for lines of the last 10 minutes that contain a text.
pub(super) fn query(selector: &str, text: &str) -> String {
    let expression = format!("{selector} |= \"{text}\"");
    let encoded: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    format!("/loki/api/v1/query_range?query={encoded}&since=10m&limit=1000&direction=forward")
}

/// (labels, line) of each entry in a query's answer.
pub(super) fn lines(answer: &Value) -> Vec<(&Value, &str)> {
    let streams = answer.pointer("/data/result").and_then(Value::as_array).into_iter().flatten();
    streams
        .flat_map(|stream| {
            let values = stream["values"].as_array().into_iter().flatten();
            values.filter_map(|value| Some((&stream["stream"], value[1].as_str()?)))
        })
        .collect()
}

/// `/config` is YAML with normalised durations (168h prints 1w); without the compactor's two keys Loki deletes
/// nothing.
async fn retention(context: &StackContext) -> Finding {
    not_yet(judge_retention(context).await)
}

async fn judge_retention(context: &StackContext) -> Result<Finding, String> {
    let response = context.get(LOKI, 3100, "/config").await.map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(answered("Loki", &response));
    }
    let config: Value = serde_yaml::from_str(&response.body).map_err(|_| "Loki's /config is no YAML".to_owned())?;
    let expected =
        context.value(LOKI, "/loki/limits_config/retention_period").and_then(Value::as_str).unwrap_or_default();
    Ok(judge_config(&config, expected))
}

fn judge_config(config: &Value, expected: &str) -> Finding {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let found = text("/limits_config/retention_period");
    let period = |text: &str| text.parse::<RetentionPeriod>().ok();
    if period(found).is_none() || period(found) != period(expected) {
        return Finding::fail(format!("retention_period is {found}, expected {expected}"));
    }
    if config.pointer("/compactor/retention_enabled") != Some(&Value::Bool(true)) {
        return Finding::fail("compactor.retention_enabled is off: Loki deletes nothing");
    }
    if text("/compactor/delete_request_store").is_empty() {
        return Finding::fail("compactor.delete_request_store is not set: Loki deletes nothing");
    }
    Finding::pass(format!("after {found}, by the compactor"))
}

async fn alloy(context: &StackContext) -> Finding {
    not_yet(judge_alloy(context).await)
}

/// Pods that get a request; the DaemonSet's status reports the readiness of all.
const SAMPLE: u32 = 3;

/// One request per pod: the Service would always select the same one.
async fn judge_alloy(context: &StackContext) -> Result<Finding, String> {
    let message = |error: ClusterError| error.to_string();
    let (set, pods) =
        futures::try_join!(daemon_set(context), context.cluster.some_pods(context.namespace(), ALLOY_PODS, SAMPLE))
            .map_err(message)?;
    let set = set.ok_or("there is no DaemonSet alloy")?;
    let count = |path: &str| set.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let (ready, desired) = (count("/status/numberReady"), count("/status/desiredNumberScheduled"));
    if pods.is_empty() || ready < desired {
        return Err(format!("{ready} of {desired} pods are ready"));
    }
    let mut components = 0;
    for pod in &pods {
        components = healthy_components(context, pod).await?;
    }
    Ok(Finding::pass(format!("{ready} pods; {} tested, {components} components each", pods.len())))
}

pub(super) async fn daemon_set(context: &StackContext) -> Result<Option<Value>, ClusterError> {
    context.live("apps/v1", "DaemonSet", "alloy").await
}

/// GET from an Alloy pod's HTTP server.
pub(super) async fn get_alloy(context: &StackContext, pod: &str, path: &str) -> Result<String, String> {
    let target = ForwardTarget::Pod { name: pod.to_owned(), port: 12345 };
    let response = context.exchange(context.request(target, path)).await.map_err(|error| error.to_string())?;
    if response.status == 200 { Ok(response.body) } else { Err(answered(&format!("pod {pod}"), &response)) }
}

/// The number of components, all healthy.
async fn healthy_components(context: &StackContext, pod: &str) -> Result<usize, String> {
    get_alloy(context, pod, "/-/ready").await?;
    let answer = get_alloy(context, pod, "/api/v0/web/components").await?;
    let components: Vec<Value> = serde_json::from_str(&answer).map_err(|_| format!("pod {pod} lists no components"))?;
    let unhealthy =
        components.iter().find(|component| component.pointer("/health/state") != Some(&Value::from("healthy")));
    match unhealthy {
        Some(unhealthy) => {
            let text = |path: &str| unhealthy.pointer(path).and_then(Value::as_str).unwrap_or_default();
            Err(format!(
                "component {} of pod {pod} is {}: {}",
                text("/localID"),
                text("/health/state"),
                text("/health/message")
            ))
        }
        None => Ok(components.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn retention_needs_the_period_and_the_compactor() {
        let config = |period: &str, enabled: bool, store: &str| {
            json!({"limits_config": {"retention_period": period}, "table_manager": {"retention_period": "0s"},
                   "compactor": {"retention_enabled": enabled, "delete_request_store": store}})
        };
        let state = |config: &Value| judge_config(config, "168h").state;
        assert_eq!(state(&config("1w", true, "filesystem")), State::Pass);
        assert_eq!(state(&config("0s", true, "filesystem")), State::Fail);
        assert_eq!(state(&config("1w", false, "filesystem")), State::Fail);
        assert_eq!(state(&config("1w", true, "")), State::Fail);
    }
}
