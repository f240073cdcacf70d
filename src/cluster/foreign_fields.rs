//! Fields of other managers that an own object must not have. Server-side apply retains them, and some change the
//! effect of the object: a rule of the Ingress bypasses oauth2-proxy, a label in the selector of a NetworkPolicy makes
//! it select no pod. Pure.

use serde_json::{Map, Value, json};

/// Kinds with a `spec` that must be exactly the planned one.
const EXACT: [&str; 2] = ["Ingress", "NetworkPolicy"];
/// Annotations of an Ingress that configure how it is served (Tailscale operator, cmd/k8s-operator/ingress.go:
/// `tailscale.com/funnel` opens it to the internet; Ingress API: the older form of `ingressClassName`).
const SERVING: &str = "tailscale.com/";
/// Annotations that select the proxy and its size, not who reaches it.
const PROXY: [&str; 2] = ["tailscale.com/proxy-group", "tailscale.com/proxy-class"];
const CLASS: &str = "kubernetes.io/ingress.class";
/// helm's ownership annotations (helm pkg/action/validate.go).
const OF_HELM: &str = "meta.helm.sh/";

/// Owner of the object before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousOwner {
    /// tailwatch: harmless fields of others are retained.
    Ours,
    /// Another owner: the object is adopted.
    Foreign,
}

/// Fields of the live object to remove, e.g. `spec.rules`, `annotation tailscale.com/funnel`.
pub fn surplus(live: &Value, desired: &Value, before: PreviousOwner) -> Vec<String> {
    let mut found = Vec::new();
    if is_exact(desired) {
        collect("spec".into(), &live["spec"], &desired["spec"], &mut found);
    }
    for (map, name) in [("annotations", "annotation"), ("labels", "label")] {
        found.extend(keys(live, desired, before, map).map(|key| format!("{name} {key}")));
    }
    found
}

/// A JSON merge patch that removes them, with the live resourceVersion as precondition; `None`: there are none.
pub(super) fn removal(live: &Value, desired: &Value, before: PreviousOwner) -> Option<Value> {
    if surplus(live, desired, before).is_empty() {
        return None;
    }
    let mut patch = json!({"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}});
    for map in ["annotations", "labels"] {
        let removed: Map<String, Value> =
            keys(live, desired, before, map).map(|key| (key.to_owned(), Value::Null)).collect();
        if !removed.is_empty() {
            patch["metadata"][map] = removed.into();
        }
    }
    if is_exact(desired) {
        patch["spec"] = replacing(&live["spec"], &desired["spec"]);
    }
    Some(patch)
}

fn is_exact(desired: &Value) -> bool {
    desired["kind"].as_str().is_some_and(|kind| EXACT.contains(&kind))
}

/// Keys of the live object's annotations or labels to remove.
fn keys<'a>(live: &'a Value, desired: &'a Value, before: PreviousOwner, map: &'a str) -> impl Iterator<Item = &'a str> {
    let exact = is_exact(desired);
    let present = live["metadata"][map].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    present.filter(move |key| {
        let is_surplus = match (exact, before) {
            (true, PreviousOwner::Foreign) => true,
            (true, PreviousOwner::Ours) => {
                map == "annotations" && (key.starts_with(SERVING) || *key == CLASS) && !PROXY.contains(key)
            }
            (false, PreviousOwner::Foreign) => map == "annotations" && key.starts_with(OF_HELM),
            (false, PreviousOwner::Ours) => false,
        };
        is_surplus && desired["metadata"][map].get(key).is_none()
    })
}

fn collect(path: String, live: &Value, desired: &Value, found: &mut Vec<String>) {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            for (key, value) in live {
                match desired.get(key) {
                    Some(desired) => collect(format!("{path}.{key}"), value, desired, found),
                    None => found.push(format!("{path}.{key}")),
                }
            }
        }
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            for (index, (live, desired)) in live.iter().zip(desired).enumerate() {
                collect(format!("{path}[{index}]"), live, desired, found);
            }
        }
        // Another value is no surplus; applying the object sets it.
        (Value::Array(live), Value::Array(desired)) if live.len() > desired.len() => found.push(path),
        _ => {}
    }
}

/// A merge patch from one value to the other.
fn replacing(live: &Value, desired: &Value) -> Value {
    let (Value::Object(live), Value::Object(desired)) = (live, desired) else { return desired.clone() };
    let removed = live.keys().filter(|key| !desired.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let set = desired.iter().map(|(key, value)| (key.clone(), replacing(live.get(key).unwrap_or(&Value::Null), value)));
    removed.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(annotations: Value, spec: Value) -> Value {
        let metadata = json!({"name": "grafana", "resourceVersion": "7", "labels": {"team": "shop"},
            "annotations": annotations});
        json!({"kind": "Ingress", "metadata": metadata, "spec": spec})
    }

    fn desired() -> Value {
        json!({"kind": "Ingress", "metadata": {"name": "grafana", "labels": {"a": "b"}, "annotations": {"tailscale.com/tags": "tag:k8s"}},
            "spec": {"ingressClassName": "tailscale", "defaultBackend": {"service": {"name": "oauth2-proxy"}}, "tls": [{"hosts": ["grafana"]}]}})
    }

    #[test]
    fn fields_that_bypass_the_proxy_are_surplus_in_every_ingress() {
        let annotations = json!({"tailscale.com/tags": "x", "tailscale.com/funnel": "true", "note": "y",
            "kubernetes.io/ingress.class": "nginx"});
        let spec = json!({"ingressClassName": "nginx", "rules": [{"host": "x"}],
            "defaultBackend": {"service": {"name": "other"}, "resource": {"kind": "Bucket"}},
            "tls": [{"hosts": ["grafana"], "secretName": "theirs"}, {"hosts": ["x"]}]});
        let live = ingress(annotations, spec);
        let serving = [
            "spec.defaultBackend.resource",
            "spec.rules",
            "spec.tls",
            "annotation kubernetes.io/ingress.class",
            "annotation tailscale.com/funnel",
        ];
        assert_eq!(surplus(&live, &desired(), PreviousOwner::Ours), serving);
        let all = [&serving[..4], &["annotation note", "annotation tailscale.com/funnel", "label team"]].concat();
        assert_eq!(surplus(&live, &desired(), PreviousOwner::Foreign), all);
        let patch = removal(&live, &desired(), PreviousOwner::Ours).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["spec"]["rules"], Value::Null);
        assert_eq!(patch["spec"]["defaultBackend"], json!({"resource": null, "service": {"name": "oauth2-proxy"}}));
        assert_eq!(patch["spec"]["tls"], desired()["spec"]["tls"]);
        assert!(patch["metadata"]["annotations"].get("note").is_none());
    }

    #[test]
    fn an_ingress_as_desired_keeps_harmless_fields_of_others() {
        let live = ingress(json!({"tailscale.com/tags": "tag:k8s", "note": "y"}), desired()["spec"].clone());
        assert!(surplus(&live, &desired(), PreviousOwner::Ours).is_empty());
        assert_eq!(removal(&live, &desired(), PreviousOwner::Ours), None);
    }

    #[test]
    fn a_policy_selects_and_admits_exactly_what_is_planned() {
        let policy = |selector: Value, ports: Value| {
            json!({"kind": "NetworkPolicy", "metadata": {"name": "p"},
                "spec": {"podSelector": {"matchLabels": selector}, "ingress": [{"ports": ports}]}})
        };
        let desired = policy(json!({"app": "grafana"}), json!([{"port": 3000}]));
        let found = |selector, ports| surplus(&policy(selector, ports), &desired, PreviousOwner::Ours);
        assert_eq!(
            found(json!({"app": "grafana", "x": "y"}), json!([{"port": 3000}])),
            ["spec.podSelector.matchLabels.x"]
        );
        assert_eq!(found(json!({"app": "grafana"}), json!([{"port": 3000}, {"port": 22}])), ["spec.ingress[0].ports"]);
        assert!(found(json!({"app": "grafana"}), json!([{"port": 1}])).is_empty());
    }

    #[test]
    fn a_secret_keeps_fields_of_others_except_helms_annotations() {
        let metadata =
            json!({"name": "s", "labels": {"a": "b"}, "annotations": {"note": "x", "meta.helm.sh/release-name": "y"}});
        let live = json!({"kind": "Secret", "metadata": metadata, "data": {"theirs": "eA=="}});
        let desired = json!({"kind": "Secret", "metadata": {"name": "s"}});
        assert_eq!(surplus(&live, &desired, PreviousOwner::Foreign), ["annotation meta.helm.sh/release-name"]);
        assert!(removal(&live, &desired, PreviousOwner::Foreign).unwrap().get("data").is_none());
        assert!(surplus(&live, &desired, PreviousOwner::Ours).is_empty());
    }
}
