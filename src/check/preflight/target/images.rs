//! Images outside of the registry of the answers: the values of a chart can miss one, or a person's values can name another.

use serde_json::Value;

use crate::check::preflight::target::intent::Intent;
use crate::check::row::Finding;
use crate::check::{name_of, some_of};
use crate::cluster::namespace_of;
use crate::stack::{Release, images};

/// The images of the stack.
#[derive(Debug)]
pub(super) struct Images {
    /// `images.registry`
    registry: Option<String>,
    /// `KIND NAMESPACE/NAME: IMAGE` of those that are not in it.
    elsewhere: Vec<String>,
}

pub(super) fn find(intent: &Intent<'_>) -> Images {
    let registry = intent.settings.image_registry.as_ref().map(ToString::to_string);
    let rendered = intent.stack.iter().flat_map(|(release, objects)| objects.iter().map(|object| (*release, object)));
    let hooks = intent.incoming.iter().flat_map(|incoming| incoming.hooks.iter().map(|hook| (incoming.release, hook)));
    let elsewhere = registry.as_ref().map(|registry| outside(registry, rendered.chain(hooks))).unwrap_or_default();
    Images { registry, elsewhere }
}

fn outside<'a>(registry: &str, objects: impl Iterator<Item = (&'a Release, &'a Value)>) -> Vec<String> {
    let of_object = |(release, object): (&Release, &'a Value)| {
        let place = format!("{}/{}", namespace_of(object, &release.namespace), name_of(object));
        let kind = object["kind"].as_str().unwrap_or_default();
        let is_outside = |image: &&str| image.strip_prefix(registry).is_none_or(|rest| !rest.starts_with('/'));
        let named = images(object).into_iter().filter(is_outside).map(|image| format!("{kind} {place}: {image}"));
        named.collect::<Vec<_>>()
    };
    objects.flat_map(of_object).collect()
}

/// `image-registry`
pub(super) fn judge(Images { registry, elsewhere }: &Images) -> Finding {
    match registry {
        None => Finding::pass("images.registry is not set"),
        Some(registry) if elsewhere.is_empty() => Finding::pass(registry.as_str()),
        Some(registry) => Finding::fail(format!("not in {registry}: {}", some_of(elsewhere))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_outside_of_the_registry_is_named_with_its_object() {
        let release = Release::for_tests("loki", "1.0.0");
        let pod =
            |image: &str| json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"image": image}]}});
        let objects = [
            pod("registry.acme.example/mirror/grafana/loki:1"),
            pod("registry.acme.example/mirrors/grafana/loki:2"),
            pod("docker.io/grafana/loki:3"),
            json!({"kind": "Service", "metadata": {"name": "x"}}),
        ];
        let found = outside("registry.acme.example/mirror", objects.iter().map(|object| (&release, object)));
        let expected = ["registry.acme.example/mirrors/grafana/loki:2", "docker.io/grafana/loki:3"];
        assert_eq!(found, expected.map(|image| format!("Pod monitoring/x: {image}")));
    }
}
