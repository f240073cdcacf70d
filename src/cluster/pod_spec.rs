//! The fields of a pod's spec that decide whether a node has room for it, and the amounts that the scheduler counts
//! (k8s.io/component-helpers/resource/helpers.go, PodRequests). Pure.

use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cluster::Quantity;

/// CPU and memory that the scheduler counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    /// CPUs.
    pub cpu: Quantity,
    /// Bytes.
    pub memory: Quantity,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    overhead: Amounts,
    /// Of the whole pod; they replace the sum of its containers.
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ports: Vec<Port>,
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
    restart_policy: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) host_port: Option<u16>,
    #[serde(default = "tcp")]
    pub(super) protocol: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Resources {
    #[serde(deserialize_with = "or_default")]
    requests: Amounts,
    #[serde(deserialize_with = "or_default")]
    limits: Amounts,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Amounts {
    #[serde(deserialize_with = "amount")]
    cpu: Option<Quantity>,
    #[serde(deserialize_with = "amount")]
    memory: Option<Quantity>,
}

/// Charts render `null` for a value that is not set.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Quantity>, D::Error> {
    Ok(crate::cluster::quantity(&Value::deserialize(deserializer)?))
}

fn tcp() -> String {
    "TCP".into()
}

/// The requests of a pod with this spec.
pub fn requests_of(pod_spec: &Value) -> Requests {
    PodSpec::deserialize(pod_spec).map(|spec| spec.requests()).unwrap_or_default()
}

impl PodSpec {
    /// What all containers request together, or, if it is more, an init container besides the sidecars before it.
    pub(super) fn requests(&self) -> Requests {
        let sum = |sum: Requests, container: &Container| sum + container.resources.requests();
        let (mut sidecars, mut most) = (Requests::default(), Requests::default());
        for container in &self.init_containers {
            let with = sum(sidecars.clone(), container);
            most = most.max(with.clone());
            if container.restart_policy.as_deref() == Some("Always") {
                sidecars = with;
            }
        }
        let of_containers = self.containers.iter().fold(sidecars, sum).max(most);
        let of_pod = self.resources.requests.clone();
        let overhead = self.overhead.clone();
        Requests {
            cpu: of_pod.cpu.unwrap_or(of_containers.cpu) + overhead.cpu.unwrap_or_default(),
            memory: of_pod.memory.unwrap_or(of_containers.memory) + overhead.memory.unwrap_or_default(),
        }
    }
}

impl Resources {
    /// A request defaults to its limit.
    fn requests(&self) -> Requests {
        let of = |request: &Option<Quantity>, limit: &Option<Quantity>| request.as_ref().or(limit.as_ref()).cloned();
        Requests {
            cpu: of(&self.requests.cpu, &self.limits.cpu).unwrap_or_default(),
            memory: of(&self.requests.memory, &self.limits.memory).unwrap_or_default(),
        }
    }
}

impl Requests {
    /// The larger amount of each.
    fn max(self, other: Requests) -> Requests {
        let larger = |one: Quantity, other: Quantity| if one < other { other } else { one };
        Requests { cpu: larger(self.cpu, other.cpu), memory: larger(self.memory, other.memory) }
    }
}

impl Add for Requests {
    type Output = Requests;

    fn add(self, other: Requests) -> Requests {
        Requests { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }
}

impl Sub for Requests {
    type Output = Requests;

    fn sub(self, other: Requests) -> Requests {
        Requests { cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    /// Rows of KEP 753, "Resources calculation for scheduling and pod admission".
    #[test]
    fn a_pod_requests_what_the_scheduler_counts() {
        let mut sidecar = container("2");
        sidecar["restartPolicy"] = "Always".into();
        let main = [container("1"), container("500m")];
        for (spec, cpu) in [
            (json!({"containers": main}), "1500m"),
            (json!({"containers": main, "initContainers": [container("1"), container("3")]}), "3"),
            (json!({"containers": main, "initContainers": [sidecar, container("1")]}), "3500m"),
            (json!({"containers": main, "initContainers": [sidecar, container("3")]}), "5"),
            (json!({"containers": main, "initContainers": [container("3"), sidecar]}), "3500m"),
            (json!({"containers": main, "overhead": {"cpu": "250m"}}), "1750m"),
            (json!({"containers": main, "resources": {"requests": {"cpu": 4}}}), "4"),
            (json!({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}), "2"),
            (json!({"containers": [{"resources": {"requests": null}}], "initContainers": null}), "0"),
        ] {
            assert_eq!(requests_of(&spec).cpu, Quantity::parse(cpu).unwrap(), "{spec}");
        }
        let memory = json!({"containers": [{"resources": {"requests": {"memory": "1Gi"}}}, container("1")]});
        assert_eq!(requests_of(&memory).memory.to_string(), "1Gi");
    }
}
