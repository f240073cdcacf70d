//! Manifests of the own objects, except the NetworkPolicies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::{SAVED_FILE, Secret, Settings, saved_answers};
use crate::stack::{
    ClusterFacts, DASHBOARDS, MANAGED_BY, OwnObject, REVISIONS, SAVED_ANSWERS, SecretData, TAILWATCH, WRITTEN_BY,
};

/// Labels of every own object.
pub(super) fn labels() -> Value {
    json!({MANAGED_BY: TAILWATCH, "app.kubernetes.io/part-of": TAILWATCH})
}

/// An object without secret data.
pub(super) fn plain(manifest: Value) -> OwnObject {
    OwnObject { manifest, secret_data: BTreeMap::new() }
}

/// Label of a namespace: the level that Pod Security enforces.
pub const ENFORCED_LEVEL: &str = "pod-security.kubernetes.io/enforce";
/// The levels of a namespace of the stack. node-exporter and Alloy mount host paths, and proxies of Tailscale may be
/// privileged, which Pod Security admits only at `privileged`; audit stays `restricted`.
pub const LEVELS: [(&str, &str); 3] = [
    (ENFORCED_LEVEL, "privileged"),
    ("pod-security.kubernetes.io/warn", "privileged"),
    ("pod-security.kubernetes.io/audit", "restricted"),
];

/// A namespace of the stack, without the levels that another field manager has set: the dry run of the pods decides
/// whether these suffice.
pub(super) fn namespace(name: &str, facts: &ClusterFacts) -> OwnObject {
    let mut labels = labels();
    let is_set = |key: &str| facts.foreign_levels.contains(&(name.to_owned(), key.to_owned()));
    for (key, level) in LEVELS.iter().filter(|(key, _)| !is_set(key)) {
        labels[*key] = (*level).into();
    }
    plain(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
}

/// One entry of the notes on releases: the last healthy revision, or the revision of a running rollback.
pub fn note_on_releases(namespace: &str, key: &str, text: &str) -> Value {
    let mut note = notes(namespace).manifest;
    note["data"] = json!({key: text});
    note
}

/// The notes on releases, without an entry.
pub(super) fn notes(namespace: &str) -> OwnObject {
    let metadata = json!({"name": REVISIONS, "namespace": namespace, "labels": labels()});
    plain(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
}

/// The dashboards of the stack itself, in the ConfigMap that Grafana's sidecar loads by its label (grafana 10.3.0,
/// sidecar.dashboards.label). It is empty without them: no run deletes an own object.
pub(super) fn dashboards(namespace: &str, files: &BTreeMap<String, String>) -> OwnObject {
    let mut labels = labels();
    labels["grafana_dashboard"] = "1".into();
    let metadata = json!({"name": DASHBOARDS, "namespace": namespace, "labels": labels});
    plain(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}))
}

/// The Role of Grafana's sidecar and its RoleBinding: ConfigMaps of the namespace. The chart's own roles include Secrets
/// (grafana 10.3.0, templates/role.yaml); to use another role, its RoleBinding would have to be re-created.
pub(super) fn dashboards_access(namespace: &str, account: &str) -> [OwnObject; 2] {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let object = |kind: &str| {
        json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": kind,
            "metadata": {"name": DASHBOARDS, "namespace": namespace, "labels": labels()},
        })
    };
    let (mut role, mut binding) = (object("Role"), object("RoleBinding"));
    role["rules"] = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]);
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": "Role", "name": DASHBOARDS});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
    [plain(role), plain(binding)]
}

/// The saved answers. In a Secret: chart values can contain secrets, and fewer users may write Secrets.
pub fn saved_answers_object(settings: &Settings) -> OwnObject {
    let text = |text: String| Secret::new(text.into_bytes());
    let writer = concat!("tailwatch ", env!("CARGO_PKG_VERSION")).to_owned();
    let data = SecretData::from([
        (SAVED_FILE.to_owned(), text(saved_answers(settings))),
        (WRITTEN_BY.to_owned(), text(writer)),
    ]);
    secret(settings.namespace.as_str(), SAVED_ANSWERS, data)
}

/// A Secret; its data is added when it is applied.
pub(super) fn secret(namespace: &str, name: &str, data: SecretData) -> OwnObject {
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels()});
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata});
    OwnObject { manifest, secret_data: data }
}

/// The address on the tailnet. It has a default backend: the operator ignores a rule with another host than the TLS
/// host. The backend's port is not 443: the operator would proxy it as https.
pub(super) fn ingress(settings: &Settings, class: &str, (service, port): (&str, u16)) -> OwnObject {
    let tags: Vec<&str> = settings.tailscale.tags.iter().map(|tag| tag.as_str()).collect();
    let mut metadata = json!({"name": "grafana", "namespace": settings.namespace.as_str(), "labels": labels()});
    if !tags.is_empty() {
        metadata["annotations"]["tailscale.com/tags"] = tags.join(",").into();
    }
    if let Some(group) = &settings.tailscale.proxy_group {
        metadata["annotations"]["tailscale.com/proxy-group"] = group.as_str().into();
    }
    // Older operators read the label only (tailscale 1.102.3, cmd/k8s-operator/sts.go).
    if let Some(class) = &settings.tailscale.proxy_class {
        metadata["labels"]["tailscale.com/proxy-class"] = class.as_str().into();
    }
    plain(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {
            "ingressClassName": class,
            "defaultBackend": {"service": {"name": service, "port": {"number": port}}},
            "tls": [{"hosts": [settings.grafana.hostname.as_str()]}],
        },
    }))
}
