//! The targets that Prometheus should have: the addresses that the stack's live monitors select.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::check::name_of;
use crate::check::verify::context::{ExpectedTargets, StackContext};
use crate::cluster::ClusterError;

/// The expected targets: the ready addresses of each ServiceMonitor's Services, the running pods of each PodMonitor.
pub(super) async fn expected(context: &StackContext) -> Result<Arc<ExpectedTargets>, String> {
    context.expected.get_or_request(async { compute(context).await.map_err(|error| error.to_string()) }).await
}

async fn compute(context: &StackContext) -> Result<ExpectedTargets, ClusterError> {
    let mut expected = ExpectedTargets::new();
    for kind in ["ServiceMonitor", "PodMonitor"] {
        let names: BTreeMap<String, BTreeSet<String>> =
            context.objects(kind).into_iter().fold(BTreeMap::new(), |mut names, (namespace, object)| {
                names.entry(namespace.to_owned()).or_insert_with(BTreeSet::new).insert(name_of(object).to_owned());
                names
            });
        for (namespace, names) in names {
            let live = context.cluster.list("monitoring.coreos.com/v1", kind, Some(&namespace), None).await?;
            for monitor in live.iter().filter(|one| names.contains(name_of(one))) {
                expected.extend(pools(context, monitor, (kind, &namespace)).await?);
            }
        }
    }
    Ok(expected)
}

/// The scrape pools of one monitor. A Service without a ready address has none.
async fn pools(
    context: &StackContext,
    monitor: &Value,
    (kind, namespace): (&str, &str),
) -> Result<ExpectedTargets, ClusterError> {
    let is_of_pods = kind == "PodMonitor";
    let (prefix, endpoints) =
        if is_of_pods { ("podMonitor", "/spec/podMetricsEndpoints") } else { ("serviceMonitor", "/spec/endpoints") };
    let endpoints = monitor.pointer(endpoints).and_then(Value::as_array).cloned().unwrap_or_default();
    let labels = selector(&monitor["spec"]["selector"]);
    let mut pools = ExpectedTargets::new();
    for selected in namespaces(monitor, namespace) {
        let selected = selected.as_deref();
        let addresses = if is_of_pods {
            pods(&context.cluster.list("v1", "Pod", selected, Some(&labels)).await?)
        } else {
            services(context, selected, &labels).await?
        };
        for (index, endpoint) in endpoints.iter().enumerate() {
            let pool = format!("{prefix}/{namespace}/{}/{index}", name_of(monitor));
            let port = endpoint["port"].as_str();
            let found = addresses
                .iter()
                .filter(|address| port.is_none() || address.ports.iter().any(|name| Some(name.as_str()) == port));
            pools.entry(pool).or_default().extend(found.map(|found| (found.address.clone(), found.name.clone())));
        }
    }
    pools.retain(|_, addresses| !addresses.is_empty());
    Ok(pools)
}

/// The namespaces that a monitor selects; `None`: all.
fn namespaces(monitor: &Value, own: &str) -> Vec<Option<String>> {
    let chosen = &monitor["spec"]["namespaceSelector"];
    if chosen["any"] == true {
        return vec![None];
    }
    let named: Vec<Option<String>> =
        chosen["matchNames"].as_array().into_iter().flatten().map(|name| name.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![Some(own.to_owned())] } else { named }
}

/// A label selector in the syntax of the API's query parameter.
fn selector(selector: &Value) -> String {
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

/// One address to scrape.
struct Address {
    address: String,
    name: String,
    ports: Vec<String>,
}

/// Ready addresses of the selected Services, from their EndpointSlices.
async fn services(context: &StackContext, namespace: Option<&str>, labels: &str) -> Result<Vec<Address>, ClusterError> {
    let services = context.cluster.list("v1", "Service", namespace, Some(labels)).await?;
    let mut addresses = Vec::new();
    for service in &services {
        let of_service = format!("kubernetes.io/service-name={}", name_of(service));
        let namespace = service.pointer("/metadata/namespace").and_then(Value::as_str);
        let slices = context.cluster.list("discovery.k8s.io/v1", "EndpointSlice", namespace, Some(&of_service)).await?;
        addresses.extend(slices.iter().flat_map(slice));
    }
    Ok(addresses)
}

fn slice(slice: &Value) -> Vec<Address> {
    let ports = slice["ports"].as_array().into_iter().flatten();
    let ports: Vec<String> = ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect();
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
        .filter_map(|endpoint| {
            let address = endpoint["addresses"][0].as_str()?.to_owned();
            let name = endpoint.pointer("/targetRef/name").and_then(Value::as_str).unwrap_or(&address).to_owned();
            Some(Address { address, name, ports: ports.clone() })
        })
        .collect()
}

fn pods(pods: &[Value]) -> Vec<Address> {
    let running = pods.iter().filter(|pod| pod.pointer("/status/phase") == Some(&Value::from("Running")));
    running
        .filter_map(|pod| {
            let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
            let ports = containers.flat_map(|one| one["ports"].as_array().into_iter().flatten());
            Some(Address {
                address: pod.pointer("/status/podIP").and_then(Value::as_str)?.to_owned(),
                name: name_of(pod).to_owned(),
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
        let found = selector(&json!({"matchLabels": {"app": "loki"}, "matchExpressions": [
            {"key": "variant", "operator": "NotIn", "values": ["headless"]},
            {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"}]}));
        assert_eq!(found, "app=loki,variant notin (headless),x,!y");
    }

    #[test]
    fn addresses_that_are_not_ready_are_not_expected() {
        let found = slice(&json!({"ports": [{"name": "http"}], "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"name": "loki-0"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}]}));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].ports.as_slice()), ("loki-0", &["http".to_owned()][..]));
    }
}
