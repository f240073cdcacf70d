//! The Deployments of operators of which a cluster can have more than one.

use serde_json::Value;

use crate::cluster::tailscale::OperatorDeployment;
use crate::cluster::{Cluster, ClusterError, permitted, prometheus_operator};

/// Operators in all namespaces.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// Tailscale operators.
    pub tailscale: Vec<OperatorDeployment>,
    /// Deployments that run the Prometheus operator, whatever their names.
    pub prometheus: Vec<Value>,
}

impl Cluster {
    /// The operators, by one list of the Deployments; `None` without the permission to list them.
    pub async fn operators(&self) -> Result<Option<Operators>, ClusterError> {
        let runs_operator = |deployment: &Value| {
            OperatorDeployment::of(deployment).is_some() || prometheus_operator(deployment).is_some()
        };
        let found = permitted(self.select(("apps/v1", "Deployment"), None, None, runs_operator).await)?;
        let sorted = |found: Vec<Value>| Operators {
            tailscale: found.iter().filter_map(OperatorDeployment::of).collect(),
            prometheus: found.into_iter().filter(|deployment| prometheus_operator(deployment).is_some()).collect(),
        };
        Ok(found.map(sorted))
    }
}
