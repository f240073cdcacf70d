//! What an object must not have beside what we apply. Server-side apply merges: fields that others set stay, and some of
//! them change what an object of ours does. A rule of the Ingress leads past oauth2-proxy, a label in the selector of a
//! NetworkPolicy makes it select nothing. Pure.

use serde_json::{Map, Value, json};

/// Kinds whose specification must be ours and nothing more.
const EXACT: [&str; 2] = ["Ingress", "NetworkPolicy"];
/// Annotations of an Ingress that say who serves it and how (Tailscale operator, cmd/k8s-operator/ingress.go:
/// `tailscale.com/funnel` opens it to the internet; Ingress API: the older form of `ingressClassName`).
const SERVING: &str = "tailscale.com/";
const CLASS: &str = "kubernetes.io/ingress.class";
/// helm's marks of ownership (helm pkg/action/validate.go).
const OF_HELM: &str = "meta.helm.sh/";

/// What the object is before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Ours: what others added to it and what does no harm stays.
    Ours,
    /// Of another owner, and taken over.
    Foreign,
}

/// Fields of the live object that must go, e.g. `spec.rules`, `annotation tailscale.com/funnel`.
pub fn surplus(live: &Value, wanted: &Value, before: Before) -> Vec<String> {
    let mut found = Vec::new();
    if is_exact(wanted) {
        collect("spec".into(), &live["spec"], &wanted["spec"], &mut found);
    }
    for (map, name) in [("annotations", "annotation"), ("labels", "label")] {
        found.extend(keys(live, wanted, before, map).map(|key| format!("{name} {key}")));
    }
    found
}

/// A JSON merge patch that takes them away, and does nothing once the live object has changed; `None`: there are none.
pub(super) fn removal(live: &Value, wanted: &Value, before: Before) -> Option<Value> {
    if surplus(live, wanted, before).is_empty() {
        return None;
    }
    let mut patch = json!({"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}});
    for map in ["annotations", "labels"] {
        let gone: Map<String, Value> =
            keys(live, wanted, before, map).map(|key| (key.to_owned(), Value::Null)).collect();
        if !gone.is_empty() {
            patch["metadata"][map] = gone.into();
        }
    }
    if is_exact(wanted) {
        patch["spec"] = replacing(&live["spec"], &wanted["spec"]);
    }
    Some(patch)
}

fn is_exact(wanted: &Value) -> bool {
    wanted["kind"].as_str().is_some_and(|kind| EXACT.contains(&kind))
}

/// Keys of the live object's annotations or labels that must go.
fn keys<'a>(live: &'a Value, wanted: &'a Value, before: Before, map: &'a str) -> impl Iterator<Item = &'a str> {
    let exact = is_exact(wanted);
    let present = live["metadata"][map].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    present.filter(move |key| {
        let must_go = match (exact, before) {
            (true, Before::Foreign) => true,
            (true, Before::Ours) => map == "annotations" && (key.starts_with(SERVING) || *key == CLASS),
            (false, Before::Foreign) => map == "annotations" && key.starts_with(OF_HELM),
            (false, Before::Ours) => false,
        };
        must_go && wanted["metadata"][map].get(key).is_none()
    })
}

fn collect(path: String, live: &Value, wanted: &Value, found: &mut Vec<String>) {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            for (key, value) in live {
                match wanted.get(key) {
                    Some(wanted) => collect(format!("{path}.{key}"), value, wanted, found),
                    None => found.push(format!("{path}.{key}")),
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            for (index, (live, wanted)) in live.iter().zip(wanted).enumerate() {
                collect(format!("{path}[{index}]"), live, wanted, found);
            }
        }
        // Another value is no surplus; applying the object sets it.
        (Value::Array(live), Value::Array(wanted)) if live.len() > wanted.len() => found.push(path),
        _ => {}
    }
}

/// A merge patch from one value to the other.
fn replacing(live: &Value, wanted: &Value) -> Value {
    let (Value::Object(live), Value::Object(wanted)) = (live, wanted) else { return wanted.clone() };
    let gone = live.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let set = wanted.iter().map(|(key, value)| (key.clone(), replacing(live.get(key).unwrap_or(&Value::Null), value)));
    gone.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(annotations: Value, spec: Value) -> Value {
        let metadata = json!({"name": "grafana", "resourceVersion": "7", "labels": {"team": "shop"},
            "annotations": annotations});
        json!({"kind": "Ingress", "metadata": metadata, "spec": spec})
    }

    fn wanted() -> Value {
        json!({"kind": "Ingress", "metadata": {"name": "grafana", "labels": {"a": "b"}, "annotations": {"tailscale.com/tags": "tag:k8s"}},
            "spec": {"ingressClassName": "tailscale", "defaultBackend": {"service": {"name": "oauth2-proxy"}}, "tls": [{"hosts": ["grafana"]}]}})
    }

    #[test]
    fn what_would_lead_past_the_proxy_must_go_from_every_ingress() {
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
        assert_eq!(surplus(&live, &wanted(), Before::Ours), serving);
        let all = [&serving[..4], &["annotation note", "annotation tailscale.com/funnel", "label team"]].concat();
        assert_eq!(surplus(&live, &wanted(), Before::Foreign), all);
        let patch = removal(&live, &wanted(), Before::Ours).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["spec"]["rules"], Value::Null);
        assert_eq!(patch["spec"]["defaultBackend"], json!({"resource": null, "service": {"name": "oauth2-proxy"}}));
        assert_eq!(patch["spec"]["tls"], wanted()["spec"]["tls"]);
        assert!(patch["metadata"]["annotations"].get("note").is_none());
    }

    #[test]
    fn an_ingress_that_is_as_wanted_keeps_what_others_added() {
        let live = ingress(json!({"tailscale.com/tags": "tag:k8s", "note": "y"}), wanted()["spec"].clone());
        assert!(surplus(&live, &wanted(), Before::Ours).is_empty());
        assert_eq!(removal(&live, &wanted(), Before::Ours), None);
    }

    #[test]
    fn a_policy_selects_and_admits_what_ours_says_and_no_more() {
        let policy = |selector: Value, ports: Value| {
            json!({"kind": "NetworkPolicy", "metadata": {"name": "p"},
                "spec": {"podSelector": {"matchLabels": selector}, "ingress": [{"ports": ports}]}})
        };
        let wanted = policy(json!({"app": "grafana"}), json!([{"port": 3000}]));
        let found = |selector, ports| surplus(&policy(selector, ports), &wanted, Before::Ours);
        assert_eq!(
            found(json!({"app": "grafana", "x": "y"}), json!([{"port": 3000}])),
            ["spec.podSelector.matchLabels.x"]
        );
        assert_eq!(found(json!({"app": "grafana"}), json!([{"port": 3000}, {"port": 22}])), ["spec.ingress[0].ports"]);
        assert!(found(json!({"app": "grafana"}), json!([{"port": 1}])).is_empty());
    }

    #[test]
    fn a_secret_keeps_what_is_not_ours_but_helms_marks() {
        let metadata =
            json!({"name": "s", "labels": {"a": "b"}, "annotations": {"note": "x", "meta.helm.sh/release-name": "y"}});
        let live = json!({"kind": "Secret", "metadata": metadata, "data": {"theirs": "eA=="}});
        let wanted = json!({"kind": "Secret", "metadata": {"name": "s"}});
        assert_eq!(surplus(&live, &wanted, Before::Foreign), ["annotation meta.helm.sh/release-name"]);
        assert!(removal(&live, &wanted, Before::Foreign).unwrap().get("data").is_none());
        assert!(surplus(&live, &wanted, Before::Ours).is_empty());
    }
}
