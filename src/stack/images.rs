//! The images that an object of a manifest names. Pure.

use std::collections::BTreeSet;

use oci_client::Reference;
use serde_json::Value;

/// Flag of the Prometheus operator: the image of a container in each of its pods.
pub const RELOADER: &str = "--prometheus-config-reloader=";

/// Every image: of containers, of resources of the Prometheus operator, in its flag for the reloader, and in variables such
/// as `PROXY_IMAGE`, from which the Tailscale operator creates pods.
pub fn images(object: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut waiting = vec![object];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str);
                found.extend(text("image"));
                found.extend(text("value").filter(|_| text("name").is_some_and(|name| name.ends_with("_IMAGE"))));
                waiting.extend(map.values());
            }
            Value::Array(items) => waiting.extend(items),
            Value::String(text) => found.extend(text.strip_prefix(RELOADER)),
            _ => {}
        }
    }
    found.retain(|image| !image.is_empty());
    found.sort_unstable();
    found.dedup();
    found
}

/// An image of the publisher, as it was when its digest was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PublishedImage {
    /// With registry and tag, e.g. `quay.io/prometheus/prometheus:v3.7.3`.
    pub image: String,
    /// e.g. `sha256:…`; `None`: not read.
    pub digest: Option<String>,
}

impl std::fmt::Display for PublishedImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PublishedImage { image, digest } = self;
        match digest {
            Some(digest) if !image.contains('@') => write!(formatter, "{image}@{digest}"),
            _ => formatter.write_str(image),
        }
    }
}

/// The images of all objects, each with its registry, as a tool that copies images needs it.
pub fn image_names<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let whole = |image: &str| Reference::try_from(image).map_or_else(|_| image.to_owned(), |image| image.whole());
    objects.into_iter().flat_map(images).map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn images_are_found_wherever_an_operator_or_the_kubelet_reads_them() {
        let operator = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "initContainers": [{"image": "init:1"}],
            "containers": [{"image": "operator:1", "args": ["--a=b:1", "--prometheus-config-reloader=reloader:1"],
                "env": [{"name": "PROXY_IMAGE", "value": "proxy:1"}, {"name": "IMAGE_PULL", "value": "no:1"}]}],
        }}}});
        assert_eq!(images(&operator), ["init:1", "operator:1", "proxy:1", "reloader:1"]);
        assert_eq!(images(&json!({"kind": "Prometheus", "spec": {"image": "prometheus:1"}})), ["prometheus:1"]);
        assert_eq!(images(&json!({"kind": "CustomResourceDefinition", "image": {"type": "string"}})), [""; 0]);
        let proxy = json!({"kind": "Pod", "spec": {"containers": [{"image": "tailscale/tailscale:v1"}]}});
        assert_eq!(image_names([&proxy, &proxy]), ["docker.io/tailscale/tailscale:v1".to_owned()].into());
    }
}
