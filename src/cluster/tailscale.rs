//! The Tailscale operators of the cluster, and whether the API server is reached through one.

use std::net::IpAddr;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::managed_by::{containers, image_name};

/// Image name of the operator in every registry.
const IMAGE: &str = "k8s-operator";
/// The operator's device name without `OPERATOR_HOSTNAME` (tailscale, cmd/k8s-operator/operator.go).
const HOSTNAME: &str = "tailscale-operator";

/// A Deployment of the Tailscale operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorDeployment {
    /// Its namespace, in which it creates its proxies.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// First label of its device's name on the tailnet.
    hostname: String,
    /// Whether it is a proxy of the API server.
    serves_api: bool,
}

impl OperatorDeployment {
    /// A Deployment with the operator's image.
    pub(super) fn of(deployment: &Value) -> Option<OperatorDeployment> {
        let container = containers(deployment).find(|container| image_name(container) == IMAGE)?;
        let variables = || container["env"].as_array().into_iter().flatten();
        let variable =
            |name: &str| variables().find(|entry| entry["name"] == name).and_then(|entry| entry["value"].as_str());
        let text = |path: &str| deployment.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        // The chart's `apiServerProxyConfig.mode`; `AUTH_PROXY` before 1.52.
        let mode = variable("APISERVER_PROXY").or_else(|| variable("AUTH_PROXY"));
        Some(OperatorDeployment {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            hostname: variable("OPERATOR_HOSTNAME").unwrap_or(HOSTNAME).to_owned(),
            serves_api: matches!(mode, Some("true" | "noauth")),
        })
    }

    /// Whether the API server is reached through it. `tailscale configure kubeconfig NAME` names server and context
    /// after the operator's device.
    fn carries(&self, server: &str, context: Option<&str>) -> bool {
        let host = url::Url::parse(server).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let is_device = |name: &str| name == self.hostname || name.strip_prefix(&self.hostname).is_some_and(is_suffix);
        is_device(&host) || context.is_some_and(is_device) || (self.serves_api && is_on_a_tailnet(&host))
    }
}

/// The rest of a MagicDNS name after its first label.
fn is_suffix(rest: &str) -> bool {
    rest.starts_with('.') && rest.trim_end_matches('.').ends_with(".ts.net")
}

/// Names below `ts.net`, and Tailscale's ranges of addresses (tailscale.com/kb/1015/100.x-addresses).
fn is_on_a_tailnet(host: &str) -> bool {
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]),
        Ok(IpAddr::V6(address)) => address.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
        Err(_) => host.trim_end_matches('.').ends_with(".ts.net"),
    }
}

impl Cluster {
    /// The operator that the API server is reached through.
    pub fn reached_through<'a>(&self, operators: &'a [OperatorDeployment]) -> Option<&'a OperatorDeployment> {
        operators.iter().find(|operator| operator.carries(self.server(), self.context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(image: &str, variables: &Value) -> Value {
        json!({"metadata": {"name": "operator", "namespace": "networking"},
            "spec": {"template": {"spec": {"containers": [{"image": image, "env": variables}]}}}})
    }

    #[test]
    fn the_operator_is_found_by_its_image_in_any_registry() {
        for (image, found) in [
            ("docker.io/tailscale/k8s-operator:v1.90.6", true),
            ("registry.acme.example:5000/mirror/k8s-operator@sha256:00", true),
            ("ghcr.io/acme/k8s-operator-sdk:1", false),
            ("tailscale/tailscale:v1.90.6", false),
        ] {
            assert_eq!(OperatorDeployment::of(&deployment(image, &json!([]))).is_some(), found, "{image}");
        }
    }

    #[test]
    fn a_context_through_the_operator_is_detected() {
        let operator =
            |variables: Value| OperatorDeployment::of(&deployment("tailscale/k8s-operator:v1", &variables)).unwrap();
        let usual = operator(json!([]));
        let named = operator(json!([{"name": "OPERATOR_HOSTNAME", "value": "k8s-prod"}]));
        let proxy = operator(json!([{"name": "APISERVER_PROXY", "value": "true"}]));
        for (operator, server, context, expected) in [
            (&usual, "https://tailscale-operator.tail1a2b.ts.net/", Some("prod"), true),
            (&usual, "https://127.0.0.1:8443/", Some("tailscale-operator.tail1a2b.ts.net"), true),
            (&usual, "https://127.0.0.1:8443/", Some("tailscale-operators"), false),
            (&usual, "https://10.0.0.1:6443/", Some("prod"), false),
            (&usual, "https://100.64.1.2/", None, false),
            (&named, "https://k8s-prod.tail1a2b.ts.net/", None, true),
            (&named, "https://tailscale-operator.tail1a2b.ts.net/", None, false),
            (&proxy, "https://100.100.1.2/", None, true),
            (&proxy, "https://[fd7a:115c:a1e0::1]/", None, true),
            (&proxy, "https://100.200.1.2/", None, false),
            (&proxy, "https://api.acme.example/", None, false),
        ] {
            assert_eq!(operator.carries(server, context), expected, "{server} {context:?}");
        }
    }
}
