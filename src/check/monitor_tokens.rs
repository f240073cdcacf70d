//! ServiceMonitors of other namespaces that make Prometheus send a file of its pod, e.g. the token of its ServiceAccount,
//! to their targets. No other kind names files, and the chart's own ServiceMonitors of the kubelets and the API server
//! do: `arbitraryFSAccessThroughSMs.deny` would end their metrics (prometheus-operator 0.86.2, pkg/apis/monitoring/v1;
//! kube-prometheus-stack 79.10.0, templates/exporters).

use serde_json::Value;

use crate::check::row::Finding;
use crate::check::verify::label_selector;
use crate::check::{name_of, some_of};
use crate::cluster::{Cluster, ClusterError, namespace_of};

/// The next step.
pub(super) const HINT: &str = "let it name a Secret of its namespace in spec.endpoints[].authorization, or restrict the namespaces with prometheus.prometheusSpec.serviceMonitorNamespaceSelector under `values:` (docs/cluster.md)";

/// `ServiceMonitor NAME in namespace NAMESPACE` of each that Prometheus selects. `prometheus`: the rendered resource.
pub(super) async fn read(
    cluster: &Cluster,
    (prometheus, namespace): (&Value, &str),
) -> Result<Vec<String>, ClusterError> {
    let Some(labels) = selected_everywhere(&prometheus["spec"]) else { return Ok(Vec::new()) };
    let labels = Some(labels.as_str()).filter(|labels| !labels.is_empty());
    let is_foreign = |monitor: &Value| namespace_of(monitor, namespace) != namespace && names_token_file(monitor);
    let found = cluster.select(("monitoring.coreos.com/v1", "ServiceMonitor"), None, labels, is_foreign).await?;
    let describe = |monitor| format!("ServiceMonitor {} in namespace {}", name_of(monitor), namespace_of(monitor, ""));
    Ok(found.iter().map(describe).collect())
}

/// The label selector of ServiceMonitors; `None` if they are selected in chosen namespaces only, or may name no file.
/// Without a selector there are none, without one of namespaces only those of the own one (pkg/prometheus,
/// resource_selector.go).
fn selected_everywhere(spec: &Value) -> Option<String> {
    let namespaces = &spec["serviceMonitorNamespaceSelector"];
    let is_everywhere = namespaces.is_object() && label_selector(namespaces).is_empty();
    let is_denied = spec["arbitraryFSAccessThroughSMs"]["deny"] == true;
    let monitors = &spec["serviceMonitorSelector"];
    (is_everywhere && !is_denied && monitors.is_object()).then(|| label_selector(monitors))
}

/// A certificate or key file is not sent.
fn names_token_file(monitor: &Value) -> bool {
    let endpoints = monitor.pointer("/spec/endpoints").and_then(Value::as_array);
    let mut files = endpoints.into_iter().flatten().filter_map(|endpoint| endpoint["bearerTokenFile"].as_str());
    files.any(|file| !file.is_empty())
}

/// The finding about what was read.
pub(super) fn judge(found: &[String]) -> Finding {
    if found.is_empty() {
        return Finding::pass("");
    }
    Finding::fail(format!("bearerTokenFile sends the token of Prometheus to the targets of {}", some_of(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn monitors_are_looked_for_only_where_prometheus_selects_all_namespaces() {
        let spec = |namespaces: Value, monitors: Value, deny: bool| {
            json!({"serviceMonitorNamespaceSelector": namespaces, "serviceMonitorSelector": monitors,
                "arbitraryFSAccessThroughSMs": {"deny": deny}})
        };
        let chosen = json!({"matchLabels": {"team": "a"}});
        for (spec, expected) in [
            (spec(json!({}), json!({}), false), Some("")),
            (spec(json!({"matchLabels": {}}), chosen.clone(), false), Some("team=a")),
            (spec(json!({}), json!({}), true), None),
            (spec(json!({}), Value::Null, false), None),
            (spec(Value::Null, json!({}), false), None),
            (spec(chosen, json!({}), false), None),
        ] {
            assert_eq!(selected_everywhere(&spec).as_deref(), expected, "{spec}");
        }
    }

    #[test]
    fn a_file_that_is_sent_counts_in_any_endpoint() {
        let monitor = |endpoint: Value| json!({"spec": {"endpoints": [{"port": "a"}, endpoint]}});
        assert!(names_token_file(&monitor(json!({"bearerTokenFile": "/var/run/secrets/token"}))));
        assert!(!names_token_file(&monitor(json!({"bearerTokenFile": ""}))));
        assert!(!names_token_file(&monitor(json!({"tlsConfig": {"caFile": "/ca", "keyFile": "/key"}}))));
        assert!(!names_token_file(&json!({"spec": {}})));
    }
}
