//! Loki and Alloy.

use serde_json::Value;

use crate::check::{CheckContext, Finding, answered, not_yet};
use crate::cluster::{ClusterError, ForwardTarget, ObjectRef};
use crate::config::RetentionPeriod;

/// `/ready` is 503 until the ingester has been ready for 15 s.
pub(super) async fn loki_ready(context: &CheckContext) -> Finding {
    match context.get("loki", 3100, "/ready").await {
        Ok(response) if response.status == 200 => Finding::Pass(String::new()),
        Ok(response) => Finding::NotYet(answered("Loki", &response)),
        Err(error) => Finding::NotYet(error.to_string()),
    }
}

/// `{namespace=~".+"}` over the last hour; an empty answer is an answer.
pub(super) async fn loki_answers(context: &CheckContext) -> Finding {
    const QUERY: &str = "/loki/api/v1/query_range?query=%7Bnamespace%3D~%22.%2B%22%7D&limit=1&since=1h";
    not_yet(context.json("loki", 3100, QUERY).await.map(|answer: Value| {
        let streams = answer.pointer("/data/result").and_then(Value::as_array).map_or(0, Vec::len);
        match answer["status"].as_str() {
            Some("success") if streams > 0 => Finding::Pass("with log lines of the last hour".into()),
            Some("success") => Finding::Pass("no line in the last hour yet".into()),
            _ => Finding::NotYet(format!("Loki answers {answer}")),
        }
    }))
}

/// `/config` is YAML with normalised durations (168h prints 1w); without the compactor's two keys the period
/// deletes nothing.
pub(super) async fn loki_retention(context: &CheckContext) -> Finding {
    not_yet(judge_retention(context).await)
}

async fn judge_retention(context: &CheckContext) -> Result<Finding, String> {
    let response = context.get("loki", 3100, "/config").await.map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(answered("Loki", &response));
    }
    let config: Value = serde_yaml::from_str(&response.body).map_err(|_| "Loki's /config is no YAML".to_owned())?;
    let wanted =
        context.value("loki", "/loki/limits_config/retention_period").and_then(Value::as_str).unwrap_or_default();
    Ok(retention(&config, wanted))
}

fn retention(config: &Value, wanted: &str) -> Finding {
    let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let found = text("/limits_config/retention_period");
    let period = |text: &str| text.parse::<RetentionPeriod>().ok();
    if period(found).is_none() || period(found) != period(wanted) {
        return Finding::Fail(format!("retention_period is {found}, asked was {wanted}"));
    }
    if config.pointer("/compactor/retention_enabled") != Some(&Value::Bool(true)) {
        return Finding::Fail("compactor.retention_enabled is off: nothing is ever deleted".into());
    }
    if text("/compactor/delete_request_store").is_empty() {
        return Finding::Fail("compactor.delete_request_store is not set: nothing is ever deleted".into());
    }
    Finding::Pass(format!("after {found}, by the compactor"))
}

pub(super) async fn alloy_ready(context: &CheckContext) -> Finding {
    not_yet(judge_alloy(context).await)
}

/// Pods that are asked; that all are ready the DaemonSet knows.
const ASKED: u32 = 3;

/// Pods are asked one by one: the Service would always show one of them.
async fn judge_alloy(context: &CheckContext) -> Result<Finding, String> {
    const LABELS: &str = "app.kubernetes.io/name=alloy,app.kubernetes.io/instance=alloy";
    let words = |error: ClusterError| error.to_string();
    let reference = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "DaemonSet".into(),
        namespace: Some(context.namespace().to_owned()),
        name: "alloy".into(),
    };
    let (set, pods) = futures::try_join!(
        context.cluster.get(&reference),
        context.cluster.some_pods(context.namespace(), LABELS, ASKED)
    )
    .map_err(words)?;
    let set = set.ok_or("there is no DaemonSet alloy")?;
    let count = |path: &str| set.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let (ready, desired) = (count("/status/numberReady"), count("/status/desiredNumberScheduled"));
    if pods.is_empty() || ready < desired {
        return Err(format!("{ready} of {desired} pods are ready"));
    }
    let mut components = 0;
    for pod in &pods {
        components = ask_alloy(context, pod).await?;
    }
    Ok(Finding::Pass(format!("{ready} pods; {} asked, {components} components each", pods.len())))
}

/// Number of components, all healthy.
async fn ask_alloy(context: &CheckContext, pod: &str) -> Result<usize, String> {
    let target = || ForwardTarget::Pod { name: pod.to_owned(), port: 12345 };
    let get = async |path: &str| {
        let response = context.exchange(target(), path, Vec::new()).await.map_err(|error| error.to_string())?;
        if response.status == 200 { Ok(response) } else { Err(answered(&format!("pod {pod}"), &response)) }
    };
    get("/-/ready").await?;
    let answer = get("/api/v0/web/components").await?;
    let components: Vec<Value> =
        serde_json::from_str(&answer.body).map_err(|_| format!("pod {pod} lists no components"))?;
    let sick = components.iter().find(|component| component.pointer("/health/state") != Some(&Value::from("healthy")));
    match sick {
        Some(sick) => {
            let text = |path: &str| sick.pointer(path).and_then(Value::as_str).unwrap_or_default();
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
    use serde_json::json;

    #[test]
    fn a_period_alone_is_no_retention() {
        let config = |period: &str, enabled: bool, store: &str| {
            json!({"limits_config": {"retention_period": period}, "table_manager": {"retention_period": "0s"},
                   "compactor": {"retention_enabled": enabled, "delete_request_store": store}})
        };
        assert!(matches!(retention(&config("1w", true, "filesystem"), "168h"), Finding::Pass(_)));
        assert!(matches!(retention(&config("0s", true, "filesystem"), "168h"), Finding::Fail(_)));
        assert!(matches!(retention(&config("1w", false, "filesystem"), "168h"), Finding::Fail(_)));
        assert!(matches!(retention(&config("1w", true, ""), "168h"), Finding::Fail(_)));
    }
}
