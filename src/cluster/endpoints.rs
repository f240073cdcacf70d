//! Addresses behind Services: a large cluster has thousands, so of each EndpointSlice only what is compared is read.

use std::sync::Arc;

use kube::api::ListParams;

use crate::cluster::views::EndpointSlice;
use crate::cluster::{Cluster, ClusterError};

/// An address of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IP address.
    pub address: String,
    /// Name of its pod or node, else the address.
    pub name: String,
    /// Name of its node, "" if it is not known.
    pub node: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Names of its ports.
    pub ports: Arc<[String]>,
}

impl Cluster {
    /// Addresses of the Services with some labels; `namespace` None: all.
    pub async fn endpoints(&self, namespace: Option<&str>, labels: &str) -> Result<Vec<Endpoint>, ClusterError> {
        let mut endpoints = Vec::new();
        for service in self.metadata(("v1", "Service"), namespace, Some(labels)).await? {
            let (name, place) = (service.name.unwrap_or_default(), service.namespace.unwrap_or_default());
            endpoints.extend(self.endpoints_of(&place, &name).await?);
        }
        Ok(endpoints)
    }

    /// Addresses of a Service.
    pub(super) async fn endpoints_of(&self, namespace: &str, service: &str) -> Result<Vec<Endpoint>, ClusterError> {
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices: Vec<EndpointSlice> =
            self.views("discovery.k8s.io/v1", "EndpointSlice", Some(namespace), &of_service).await?;
        Ok(slices.into_iter().flat_map(addresses).collect())
    }
}

fn addresses(slice: EndpointSlice) -> impl Iterator<Item = Endpoint> {
    let ports: Arc<[String]> = slice.ports.into_iter().map(|port| port.name).collect();
    slice.endpoints.into_iter().filter_map(move |endpoint| {
        let address = endpoint.addresses.into_iter().next()?;
        let target = endpoint.target_ref;
        // The kubelets' addresses have no nodeName.
        let node = if target.kind == "Node" { target.name.clone() } else { endpoint.node_name };
        let name = if target.name.is_empty() { address.clone() } else { target.name };
        let is_ready = endpoint.conditions.ready != Some(false);
        Some(Endpoint { address, name, node, is_ready, ports: ports.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_has_its_node_and_is_ready_unless_its_condition_is_false() {
        let slice = json!({"ports": [{"name": "http"}], "endpoints": [
            {"addresses": ["1"], "conditions": {"ready": true}, "nodeName": "a", "targetRef": {"name": "loki-0"}},
            {"addresses": ["2"], "conditions": {"ready": false}, "targetRef": null},
            {"addresses": ["3"], "conditions": {}, "targetRef": {"kind": "Node", "name": "b"}}]});
        let found: Vec<Endpoint> = addresses(serde_json::from_value(slice).unwrap()).collect();
        assert_eq!(found[0].ports.as_ref(), ["http"]);
        let found = found.iter().map(|one| (one.address.as_str(), one.name.as_str(), one.node.as_str(), one.is_ready));
        let expected = [("1", "loki-0", "a", true), ("2", "2", "", false), ("3", "b", "b", true)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
