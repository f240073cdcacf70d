//! The objects of a plan, as the API server gets them.

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::answers::Part;
use crate::check::preflight::target::intent::{Intent, Kinds, kind_of};
use crate::check::preflight::target::pods::{kubelet_service, pods};
use crate::cluster::{DryRunObject, namespace_of};

/// An object to try, and how a finding names it.
pub(super) struct Trial<'a> {
    pub(super) object: DryRunObject<'a>,
    pub(super) name: String,
    pub(super) part: Part,
    rank: u8,
    /// Whether a controller creates it, so that this context needs no permission for it.
    pub(super) is_of_controller: bool,
}

/// Every object that the plan applies, and a pod of each workload: some policies look at pods only.
pub(super) fn of_plan<'a>(intent: &'a Intent<'_>, kinds: &Kinds) -> Vec<Trial<'a>> {
    let mut trials = Vec::new();
    for incoming in &intent.incoming {
        let release = incoming.release;
        let by_helm = (release.component.as_str(), release.namespace.as_str());
        let is_recreated = |object: &Value| {
            let (kind, name) = (object["kind"].as_str().unwrap_or_default(), name_of(object));
            intent.recreated.iter().any(|recreated| recreated.kind == kind && recreated.name == name)
        };
        let mut add = |object: &Value, by_helm: Option<(&'a str, &'a str)>, is_new: bool| {
            let mut manifest = object.clone();
            let kind = kinds.get(&kind_of(object));
            if kind.is_some_and(|kind| kind.is_namespaced) {
                manifest["metadata"]["namespace"] = incoming.namespace_of(object).into();
            }
            trials.push(Trial::of(release.component.as_str(), DryRunObject { manifest, release: by_helm, is_new }));
        };
        for object in incoming.crds.iter().chain(incoming.release.objects.iter().map(|own| &own.manifest)) {
            add(object, None, false);
        }
        for object in incoming.rendered {
            add(object, Some(by_helm), is_recreated(object));
        }
        let hooks = || incoming.hooks.iter().filter(|hook| is_of_the_change(hook));
        for object in hooks() {
            add(object, Some(by_helm), true);
        }
        trials.extend(pods(incoming, incoming.rendered.iter().chain(hooks())).map(|(part, name, pod)| {
            let object = DryRunObject { manifest: pod, release: Some(by_helm), is_new: true };
            Trial { object, name, part, rank: 0, is_of_controller: true }
        }));
        trials.extend(kubelet_service(incoming).map(|(part, name, manifest)| {
            let object = DryRunObject { manifest, release: None, is_new: false };
            Trial { object, name, part, rank: 1, is_of_controller: true }
        }));
    }
    trials.sort_by_key(|trial| trial.rank);
    trials
}

impl<'a> Trial<'a> {
    fn of(component: &str, object: DryRunObject<'a>) -> Trial<'a> {
        let manifest = &object.manifest;
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let rank = match kind {
            "ConfigMap" | "Secret" | "PrometheusRule" | "CustomResourceDefinition" => 2,
            "Deployment" | "DaemonSet" | "StatefulSet" | "Job" | "CronJob" | "Namespace" => 0,
            _ => 1,
        };
        let name = match namespace_of(manifest, "") {
            "" => format!("{kind} {}", name_of(manifest)),
            namespace => format!("{kind} {namespace}/{}", name_of(manifest)),
        };
        Trial { part: Part::of(component, manifest), object, name, rank, is_of_controller: false }
    }

    /// Of an own object of kube-prometheus-stack.
    #[cfg(test)]
    pub(super) fn for_tests(manifest: Value) -> Trial<'static> {
        Trial::of(crate::config::KUBE_PROMETHEUS_STACK, DryRunObject { manifest, release: None, is_new: false })
    }

    /// The object.
    pub(super) fn manifest(&self) -> &Value {
        &self.object.manifest
    }

    /// Its namespace, "" if it has none.
    pub(super) fn namespace(&self) -> &str {
        namespace_of(&self.object.manifest, "")
    }
}

/// Whether an install or upgrade runs the hook.
fn is_of_the_change(hook: &Value) -> bool {
    let events = hook.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str).unwrap_or_default();
    events.contains("install") && !events.contains("uninstall") || events.contains("upgrade")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hooks_of_tests_and_removals_are_left_out() {
        let hook = |events: &str| json!({"metadata": {"annotations": {"helm.sh/hook": events}}});
        assert!(is_of_the_change(&hook("pre-install,pre-upgrade")) && is_of_the_change(&hook("post-install")));
        assert!(!is_of_the_change(&hook("test")) && !is_of_the_change(&hook("pre-delete")));
    }
}
