//! Dashboards that a change of the stack no longer loads. Reads only.

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, containers, permitted};
use crate::list::first_of;
use crate::plan::{Plan, PlannedRelease};

/// Number of namespaces that a notice lists.
const NAMED: usize = 3;
/// The label of ConfigMaps with dashboards (kube-prometheus-stack, grafana.sidecar.dashboards.label).
const DASHBOARDS: &str = "grafana_dashboard";

/// A notice of the namespaces with dashboards that the installed Grafana loads and the planned one does not. Without
/// permission to list them, none.
pub(super) async fn notice(cluster: &Cluster, plan: &Plan) -> Result<Option<String>, ClusterError> {
    let incoming = plan.incoming();
    let stack = incoming.iter().find(|stack| narrows(stack));
    let Some(PlannedRelease { release, .. }) = stack else { return Ok(None) };
    let mut others = permitted(cluster.namespaces_with(("v1", "ConfigMap"), DASHBOARDS).await)?.unwrap_or_default();
    others.remove(&release.namespace);
    Ok((!others.is_empty()).then(|| {
        format!(
            "Grafana no longer loads the dashboards in the ConfigMaps of {}: move them to namespace {}, or set \
             grafana.sidecar.dashboards.searchNamespace: ALL below values.{}",
            first_of(others, NAMED),
            release.namespace,
            release.component
        )
    }))
}

/// Whether Grafana reads one namespace, and the installed one reads all.
fn narrows(stack: &PlannedRelease<'_>) -> bool {
    let reads = |objects: &[Value], wanted: bool| objects.iter().filter_map(reads_all).any(|all| all == wanted);
    reads(stack.rendered, false) && reads(stack.installed, true)
}

/// Whether the sidecar of a Deployment loads the dashboards of all namespaces; `None`: it has no such sidecar.
fn reads_all(object: &Value) -> Option<bool> {
    let sidecar = containers(object).find(|container| container["name"] == "grafana-sc-dashboard")?;
    let namespace = sidecar["env"].as_array()?.iter().find(|variable| variable["name"] == "NAMESPACE")?;
    Some(namespace["value"] == "ALL")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sidecar_of_grafana_reads_one_namespace_or_all() {
        let grafana = |namespace: &str| {
            let env = json!([{"name": "LABEL", "value": DASHBOARDS}, {"name": "NAMESPACE", "value": namespace}]);
            let containers = json!([{"name": "grafana"}, {"name": "grafana-sc-dashboard", "env": env}]);
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": containers}}}})
        };
        assert_eq!(reads_all(&grafana("monitoring")), Some(false));
        assert_eq!(reads_all(&grafana("ALL")), Some(true));
        assert_eq!(reads_all(&json!({"kind": "Deployment"})), None);
    }
}
