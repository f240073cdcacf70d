//! Host ports, requests and number of the pods of each node. Only these fields of the pods are read.

use std::collections::BTreeMap;
use std::ops::Add;

use kube::api::ListParams;
use kube::core::{ObjectList, Request};
use serde::Deserialize;

use crate::cluster::pod_spec::{PodSpec, Requests};
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

/// What the pods of the cluster use on their nodes.
#[derive(Debug, Default)]
pub struct PodsByNode {
    /// Their host ports.
    pub ports: Vec<HostPort>,
    /// What they take of each node.
    pub used: BTreeMap<String, Used>,
}

/// What the pods of one node take of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    /// Their number.
    pub pods: usize,
    /// The sum of their requests.
    pub requests: Requests,
}

impl Add for Used {
    type Output = Used;

    fn add(self, other: Used) -> Used {
        Used { pods: self.pods + other.pods, requests: self.requests + other.requests }
    }
}

#[derive(Clone, Deserialize)]
pub(super) struct Pod {
    metadata: Metadata,
    spec: PodSpec,
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

#[derive(Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

impl Cluster {
    /// The host ports, requests and number of the pods of each node. With `hostNetwork` the API server sets `hostPort` of every container port
    /// (Kubernetes, pkg/apis/core/v1/defaults.go, defaultHostNetworkPorts).
    pub async fn pods_by_node(&self) -> Result<PodsByNode, ClusterError> {
        let mut parameters = ListParams::default().limit(PAGE);
        let mut found = PodsByNode::default();
        loop {
            let page = self.page_of_pods(&parameters).await;
            let page = page.map_err(|error| ClusterError::from_kube("cannot list Pod objects", error))?;
            page.items.into_iter().for_each(|pod| found.add(pod));
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn page_of_pods(&self, parameters: &ListParams) -> Result<ObjectList<Pod>, kube::Error> {
        let request = Request::new("/api/v1/pods").list(parameters).map_err(kube::Error::BuildRequest)?;
        self.client.request(request).await
    }
}

impl PodsByNode {
    /// Adds nothing for a pod that has ended or has no node.
    pub(super) fn add(&mut self, pod: Pod) {
        let has_ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        let Some(node) = pod.spec.node_name.clone().filter(|_| !has_ended) else { return };
        let used = self.used.entry(node.clone()).or_default();
        *used = std::mem::take(used) + Used { pods: 1, requests: pod.spec.requests() };
        self.ports.extend(ports(pod, &node));
    }
}

fn ports(pod: Pod, node: &str) -> impl Iterator<Item = HostPort> {
    let owner = pod.metadata.owner_references.into_iter().find(|owner| owner.controller);
    let owner = owner.map(|owner| (owner.kind, owner.name));
    let ports = pod.spec.containers.into_iter().flat_map(|container| container.ports);
    let ports = ports.filter_map(|port| Some((port.host_port.filter(|port| *port != 0)?, port.protocol)));
    let node = node.to_owned();
    ports.map(move |(port, protocol)| HostPort {
        port,
        protocol,
        node: node.clone(),
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        owner: owner.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Quantity;
    use serde_json::json;

    #[test]
    fn only_running_pods_on_a_node_use_its_ports() {
        let pod = |node: Option<&str>, phase: &str| -> PodsByNode {
            let owners = json!([{"kind": "DaemonSet", "name": "other", "controller": true}]);
            let ports = json!([{"containerPort": 9100, "hostPort": 9100}, {"containerPort": 80, "protocol": "UDP"}]);
            let pod = json!({
                "metadata": {"name": "other-x", "namespace": "default", "ownerReferences": owners},
                "spec": {"nodeName": node, "containers": [{"name": "a", "ports": ports, "resources": {"requests": {"cpu": "100m"}}}]},
                "status": {"phase": phase},
            });
            let mut found = PodsByNode::default();
            found.add(serde_json::from_value(pod).unwrap());
            found
        };
        let expected = HostPort {
            port: 9100,
            protocol: "TCP".into(),
            node: "one".into(),
            namespace: "default".into(),
            pod: "other-x".into(),
            owner: Some(("DaemonSet".into(), "other".into())),
        };
        let running = pod(Some("one"), "Running");
        let requests = Requests { cpu: Quantity::parse("100m").unwrap(), ..Requests::default() };
        assert_eq!(running.ports, [expected]);
        assert_eq!(running.used, BTreeMap::from([("one".to_owned(), Used { pods: 1, requests })]));
        for ended in [pod(Some("one"), "Succeeded"), pod(None, "Pending")] {
            assert!(ended.ports.is_empty() && ended.used.is_empty());
        }
    }
}
