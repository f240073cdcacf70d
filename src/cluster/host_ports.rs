//! Host ports of the pods. Only these fields of the pods are read.

use kube::api::ListParams;
use kube::core::{ObjectList, Request};
use serde::Deserialize;

use crate::cluster::views::PAGE;
use crate::cluster::{Cluster, ClusterError};

/// A host port that a pod uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Name of the node.
    pub node: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// (kind, name) of the pod's controller.
    pub owner: Option<(String, String)>,
}

#[derive(Clone, Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Clone, Deserialize)]
struct Owner {
    kind: String,
    name: String,
    #[serde(default)]
    controller: bool,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    containers: Vec<Container>,
}

#[derive(Clone, Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    host_port: Option<u16>,
    #[serde(default = "tcp")]
    protocol: String,
}

#[derive(Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

fn tcp() -> String {
    "TCP".into()
}

impl Cluster {
    /// The host ports that pods use. With `hostNetwork` the API server sets `hostPort` of every container port
    /// (Kubernetes, pkg/apis/core/v1/defaults.go, defaultHostNetworkPorts).
    pub async fn host_ports(&self) -> Result<Vec<HostPort>, ClusterError> {
        let mut parameters = ListParams::default().limit(PAGE);
        let mut held = Vec::new();
        loop {
            let page = self.page_of_pods(&parameters).await;
            let page = page.map_err(|error| ClusterError::from_kube("cannot list Pod objects", error))?;
            held.extend(page.items.into_iter().flat_map(holds));
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(held);
            }
        }
    }

    async fn page_of_pods(&self, parameters: &ListParams) -> Result<ObjectList<Pod>, kube::Error> {
        let request = Request::new("/api/v1/pods").list(parameters).map_err(kube::Error::BuildRequest)?;
        self.client.request(request).await
    }
}

/// None for a pod that has ended or has no node.
fn holds(pod: Pod) -> Vec<HostPort> {
    let Some(node) = pod.spec.node_name.filter(|_| !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")) else {
        return Vec::new();
    };
    let owner = pod.metadata.owner_references.into_iter().find(|owner| owner.controller);
    let owner = owner.map(|owner| (owner.kind, owner.name));
    let ports = pod.spec.containers.into_iter().flat_map(|container| container.ports);
    let ports = ports.filter_map(|port| Some((port.host_port.filter(|port| *port != 0)?, port.protocol)));
    let held = ports.map(|(port, protocol)| HostPort {
        port,
        protocol,
        node: node.clone(),
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        owner: owner.clone(),
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_running_pods_on_a_node_use_its_ports() {
        let pod = |node: Option<&str>, phase: &str| -> Vec<HostPort> {
            let owners = json!([{"kind": "DaemonSet", "name": "other", "controller": true}]);
            let ports = json!([{"containerPort": 9100, "hostPort": 9100}, {"containerPort": 80, "protocol": "UDP"}]);
            let pod = json!({
                "metadata": {"name": "other-x", "namespace": "default", "ownerReferences": owners},
                "spec": {"nodeName": node, "containers": [{"name": "a", "ports": ports}]},
                "status": {"phase": phase},
            });
            holds(serde_json::from_value(pod).unwrap())
        };
        let expected = HostPort {
            port: 9100,
            protocol: "TCP".into(),
            node: "one".into(),
            namespace: "default".into(),
            pod: "other-x".into(),
            owner: Some(("DaemonSet".into(), "other".into())),
        };
        assert_eq!(pod(Some("one"), "Running"), [expected]);
        assert_eq!(pod(Some("one"), "Succeeded"), []);
        assert_eq!(pod(None, "Pending"), []);
    }
}
