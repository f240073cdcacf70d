//! The targets that Prometheus should have: the addresses that the stack's live monitors select.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::check::name_of;
use crate::check::verify::context::{Expected, StackContext};
use crate::cluster::{ClusterError, Endpoint};
use crate::stack::{NodeProblem, NodeState};

/// The expected targets: the ready addresses of each ServiceMonitor's Services, the running pods of each PodMonitor; not
/// those on nodes that do not run pods at the moment.
pub(super) async fn expected(context: &StackContext) -> Result<Arc<Expected>, String> {
    context.expected.get_or_request(async { compute(context).await.map_err(|error| error.to_string()) }).await
}

async fn compute(context: &StackContext) -> Result<Expected, ClusterError> {
    let mut expected = Expected::default();
    let absent = absent_nodes(context).await?;
    for kind in ["ServiceMonitor", "PodMonitor"] {
        let names: BTreeMap<String, BTreeSet<String>> =
            context.objects(kind).into_iter().fold(BTreeMap::new(), |mut names, (namespace, object)| {
                names.entry(namespace.to_owned()).or_insert_with(BTreeSet::new).insert(name_of(object).to_owned());
                names
            });
        for (namespace, names) in names {
            let live = context.cluster.list("monitoring.coreos.com/v1", kind, Some(&namespace), None).await?;
            for monitor in live.iter().filter(|one| names.contains(name_of(one))) {
                let addresses = pools(context, monitor, (kind, &namespace)).await?;
                expected.add(addresses, &absent);
            }
        }
    }
    Ok(expected)
}

/// Why the addresses of a node are not scraped, by its name.
type AbsentNodes = BTreeMap<String, String>;

/// Nodes that do not run pods at the moment, and virtual nodes: their kubelets serve no metrics.
async fn absent_nodes(context: &StackContext) -> Result<AbsentNodes, ClusterError> {
    let nodes = match context.node_states().await {
        Ok(nodes) => nodes,
        Err(ClusterError::Forbidden { .. }) => return Ok(AbsentNodes::new()),
        Err(error) => return Err(error),
    };
    let reason = |node: &NodeState| {
        let is_virtual = node.virtual_by.is_some().then(|| format!("node {} is virtual", node.name));
        let problem =
            node.describe_problem().filter(|_| node.problem.as_ref().is_some_and(NodeProblem::affects_kubelet));
        Some((node.name.clone(), problem.or(is_virtual)?))
    };
    Ok(nodes.0.iter().filter_map(reason).collect())
}

impl Expected {
    /// Adds the addresses of each pool. A pool without a ready address is not expected.
    fn add(&mut self, pools: Vec<(String, Vec<Endpoint>)>, absent: &AbsentNodes) {
        for (pool, addresses) in pools {
            let mut targets = BTreeMap::new();
            for address in addresses {
                match absent.get(&address.node) {
                    Some(reason) => drop(self.absent.insert(address.address, reason.clone())),
                    None if address.is_ready => drop(targets.insert(address.address, address.name)),
                    None => {}
                }
            }
            if !targets.is_empty() {
                self.targets.entry(pool).or_default().extend(targets);
            }
        }
    }
}

/// The addresses of each scrape pool of one monitor.
async fn pools(
    context: &StackContext,
    monitor: &Value,
    (kind, namespace): (&str, &str),
) -> Result<Vec<(String, Vec<Endpoint>)>, ClusterError> {
    let is_of_pods = kind == "PodMonitor";
    let (prefix, endpoints) =
        if is_of_pods { ("podMonitor", "/spec/podMetricsEndpoints") } else { ("serviceMonitor", "/spec/endpoints") };
    let endpoints = monitor.pointer(endpoints).and_then(Value::as_array).cloned().unwrap_or_default();
    let labels = label_selector(&monitor["spec"]["selector"]);
    let mut pools = Vec::new();
    for selected in monitored_namespaces(monitor, namespace) {
        let selected = selected.as_deref();
        let addresses = if is_of_pods {
            pods(&context.cluster.list("v1", "Pod", selected, Some(&labels)).await?)
        } else {
            context.cluster.endpoints(selected, &labels).await?
        };
        for (index, endpoint) in endpoints.iter().enumerate() {
            let pool = format!("{prefix}/{namespace}/{}/{index}", name_of(monitor));
            let port = endpoint["port"].as_str();
            let found = addresses
                .iter()
                .filter(|address| port.is_none() || address.ports.iter().any(|name| Some(name.as_str()) == port));
            pools.push((pool, found.cloned().collect()));
        }
    }
    Ok(pools)
}

/// The namespaces that a monitor selects; `None`: all.
pub(in crate::check) fn monitored_namespaces(monitor: &Value, own: &str) -> Vec<Option<String>> {
    let chosen = &monitor["spec"]["namespaceSelector"];
    if chosen["any"] == true {
        return vec![None];
    }
    let named: Vec<Option<String>> =
        chosen["matchNames"].as_array().into_iter().flatten().map(|name| name.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![Some(own.to_owned())] } else { named }
}

/// A label selector in the syntax of the API's query parameter.
pub(in crate::check) fn label_selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

fn pods(pods: &[Value]) -> Vec<Endpoint> {
    let running = pods.iter().filter(|pod| pod.pointer("/status/phase") == Some(&Value::from("Running")));
    running
        .filter_map(|pod| {
            let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
            let ports = containers.flat_map(|one| one["ports"].as_array().into_iter().flatten());
            Some(Endpoint {
                address: pod.pointer("/status/podIP").and_then(Value::as_str)?.to_owned(),
                name: name_of(pod).to_owned(),
                node: pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned(),
                is_ready: true,
                ports: ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_written_in_the_syntax_of_the_api() {
        let found = label_selector(&json!({"matchLabels": {"app": "loki"}, "matchExpressions": [
            {"key": "variant", "operator": "NotIn", "values": ["headless"]},
            {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"}]}));
        assert_eq!(found, "app=loki,variant notin (headless),x,!y");
    }

    #[test]
    fn addresses_that_are_not_ready_or_on_absent_nodes_are_not_expected() {
        let endpoint = |address: &str, node: &str, is_ready: bool| Endpoint {
            address: address.into(),
            name: format!("pod-{address}"),
            node: node.into(),
            is_ready,
            ports: ["http".to_owned()].into(),
        };
        let found = vec![endpoint("1", "a", true), endpoint("2", "a", false), endpoint("3", "b", false)];
        let found = [found, vec![endpoint("4", "b", true)]].concat();
        let mut expected = Expected::default();
        expected.add(vec![("p".to_owned(), found)], &BTreeMap::from([("b".to_owned(), "node b is away".to_owned())]));
        assert_eq!(expected.targets["p"], BTreeMap::from([("1".to_owned(), "pod-1".to_owned())]));
        assert_eq!(expected.absent.keys().collect::<Vec<_>>(), ["3", "4"]);
    }
}
