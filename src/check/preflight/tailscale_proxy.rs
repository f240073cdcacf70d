//! The ProxyGroup and the ProxyClass of Grafana's Ingress (tailscale 1.102.3, k8s-operator/apis/v1alpha1).

use serde_json::Value;

use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::config::Tailscale;

/// Conditions that are true for a resource that serves; older operators have only the second one of a ProxyGroup.
const READY: [&str; 3] = ["ProxyGroupAvailable", "ProxyGroupReady", "ProxyClassReady"];

/// A configured resource: kind, name and the live object.
pub(super) struct Configured {
    kind: &'static str,
    name: String,
    /// `None` if it does not exist, an error without the permission to read it.
    live: Result<Option<Value>, String>,
}

pub(super) async fn read(cluster: &Cluster, tailscale: &Tailscale) -> Result<Vec<Configured>, ClusterError> {
    let answered = [("ProxyGroup", &tailscale.proxy_group), ("ProxyClass", &tailscale.proxy_class)];
    let mut found = Vec::new();
    for (kind, name) in answered.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?))) {
        let reference = ObjectRef {
            api_version: "tailscale.com/v1alpha1".into(),
            kind: kind.into(),
            namespace: None,
            name: name.to_string(),
        };
        let live = match cluster.get(&reference).await {
            Err(ClusterError::Forbidden { message }) => Err(message),
            live => Ok(live?),
        };
        found.push(Configured { kind, name: name.to_string(), live });
    }
    Ok(found)
}

pub(super) fn judge(configured: &[Configured]) -> Finding {
    if configured.is_empty() {
        return Finding::pass("none is configured");
    }
    let mut described = Vec::new();
    for Configured { kind, name, live } in configured {
        match live {
            Err(why) => return Finding::forbidden(why),
            Ok(None) => {
                return Finding::fail(format!("there is no {kind} {name}")).hinting(format!(
                    "create it, or remove tailscale.{} from the answers",
                    if *kind == "ProxyGroup" { "proxyGroup" } else { "proxyClass" }
                ));
            }
            Ok(Some(live)) => match fault(kind, live) {
                Some(why) => {
                    let see = format!("`kubectl describe {} {name}` shows the reason", kind.to_lowercase());
                    return Finding::fail(format!("{kind} {name} {why}")).hinting(see);
                }
                None => described.push(format!("{kind} {name}")),
            },
        }
    }
    Finding::pass(described.join(", "))
}

/// Why it cannot serve an Ingress.
fn fault(kind: &str, live: &Value) -> Option<String> {
    let text = |path: &str| live.pointer(path).and_then(Value::as_str);
    if let Some(since) = text("/metadata/deletionTimestamp") {
        return Some(format!("is being deleted since {since}"));
    }
    let found = text("/spec/type").unwrap_or_default();
    if kind == "ProxyGroup" && found != "ingress" {
        return Some(format!("has the type {found}, expected ingress"));
    }
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let of_readiness: Vec<&Value> =
        conditions.filter(|condition| READY.iter().any(|known| condition["type"] == *known)).collect();
    if of_readiness.iter().any(|condition| condition["status"] == "True") {
        return None;
    }
    let message = of_readiness.iter().find_map(|condition| condition["message"].as_str());
    Some(format!("is not ready: {}", message.unwrap_or("its status has no condition of the operator")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use serde_json::json;

    fn judged(kind: &'static str, live: Option<Value>) -> Finding {
        judge(&[Configured { kind, name: "proxies".into(), live: Ok(live) }])
    }

    #[test]
    fn a_proxy_group_must_exist_with_its_type_and_be_ready() {
        let group = |kind: &str, condition: &str, status: &str| {
            let conditions = json!([{"type": condition, "status": status, "message": "0/2 ProxyGroup pods running"}]);
            Some(json!({"spec": {"type": kind}, "status": {"conditions": conditions}}))
        };
        assert_eq!(judge(&[]).state, State::Pass);
        assert_eq!(judged("ProxyGroup", None).state, State::Fail);
        assert_eq!(judged("ProxyGroup", group("egress", "ProxyGroupReady", "True")).state, State::Fail);
        let waiting = judged("ProxyGroup", group("ingress", "ProxyGroupAvailable", "False"));
        assert_eq!(waiting.state, State::Fail);
        assert!(waiting.detail.contains("0/2"), "{waiting:?}");
        assert_eq!(judged("ProxyGroup", group("ingress", "ProxyGroupReady", "True")).state, State::Pass);
        let class = json!({"status": {"conditions": [{"type": "ProxyClassReady", "status": "True"}]}});
        assert_eq!(judged("ProxyClass", Some(class)).state, State::Pass);
        assert_eq!(judged("ProxyClass", Some(json!({}))).state, State::Fail);
        let denied = Configured { kind: "ProxyClass", name: "x".into(), live: Err("no".into()) };
        assert_eq!(judge(&[denied]).state, State::Skip);
    }
}
