//! What controllers create, and no dry run of a release tries: a pod of each workload, which Pod Security and many policies
//! look at, and the Service of the Prometheus operator for the kubelets.

use serde_json::{Value, json};

use crate::check::name_of;
use crate::check::preflight::target::answers::Part;
use crate::cluster::containers;
use crate::plan::{PlannedRelease, managed_services};
use crate::stack::RELOADER;

/// Kinds of the Prometheus operator that it creates pods for, with the name of their container.
const OF_OPERATOR: [(&str, &str); 2] = [("Prometheus", "prometheus"), ("Alertmanager", "alertmanager")];
/// Fields of these kinds that the operator copies to the pods.
const COPIED: [&str; 11] = [
    "affinity",
    "automountServiceAccountToken",
    "dnsPolicy",
    "hostNetwork",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// The pods with their workloads and the names that findings use, without ServiceAccounts, which do not exist yet.
pub(super) fn pods<'a>(
    incoming: &'a PlannedRelease<'_>,
    objects: impl Iterator<Item = &'a Value>,
) -> impl Iterator<Item = (Part, String, Value)> {
    let arguments =
        incoming.rendered.iter().flat_map(containers).filter_map(|container| container["args"].as_array()).flatten();
    let reloader = arguments.filter_map(Value::as_str).find_map(|argument| argument.strip_prefix(RELOADER));
    objects.filter_map(move |object| {
        let kind = object["kind"].as_str()?;
        let mut pod = match OF_OPERATOR.iter().find(|(known, _)| *known == kind) {
            Some((_, container)) => of_operator(&object["spec"], container, reloader),
            None => of_workload(kind, object)?,
        };
        let (name, namespace) = (name_of(object), incoming.namespace_of(object));
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = format!("{name}-pod").into();
        pod["metadata"]["namespace"] = namespace.into();
        if let Some(spec) = pod["spec"].as_object_mut() {
            spec.remove("serviceAccount");
            spec.insert("serviceAccountName".into(), json!("default"));
        }
        let part = Part::of(incoming.release.component.as_str(), object);
        Some((part, format!("the pods of {kind} {namespace}/{name}"), pod))
    })
}

fn of_workload(kind: &str, object: &Value) -> Option<Value> {
    let template = match kind {
        "Deployment" | "DaemonSet" | "StatefulSet" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    let mut pod = object.pointer(template)?.clone();
    // The StatefulSet's controller adds a volume for each claim.
    let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
    let claims: Vec<Value> = claims.map(|claim| json!({"name": name_of(claim), "emptyDir": {}})).collect();
    if !claims.is_empty()
        && let Some(spec) = pod["spec"].as_object_mut()
        && let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut()
    {
        volumes.extend(claims);
    }
    Some(pod)
}

/// The pod that the Prometheus operator would create, as far as policies look at it: its containers without arguments,
/// mounts and probes (prometheus-operator pkg/prometheus/server/statefulset.go, pkg/alertmanager/statefulset.go).
fn of_operator(spec: &Value, container: &str, reloader: Option<&str>) -> Value {
    let security = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}});
    let of = |name: &str, image: &str| json!({"name": name, "image": image, "securityContext": security});
    let mut first = of(container, spec["image"].as_str().unwrap_or(container));
    first["resources"] = spec["resources"].clone();
    let mut containers = vec![first];
    containers.extend(reloader.map(|image| of("config-reloader", image)));
    for own in spec["containers"].as_array().into_iter().flatten() {
        match containers.iter_mut().find(|known| known["name"] == own["name"]) {
            Some(known) => own.as_object().into_iter().flatten().for_each(|(key, value)| known[key] = value.clone()),
            None => containers.push(own.clone()),
        }
    }
    let mut pod = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "prometheus-operator"}},
        "spec": {"containers": containers}});
    pod["spec"]["initContainers"] = spec["initContainers"].clone();
    for key in COPIED {
        pod["spec"][key] = spec[key].clone();
    }
    for key in ["labels", "annotations"] {
        let own = spec["podMetadata"][key].as_object().into_iter().flatten();
        own.for_each(|(name, value)| pod["metadata"][key][name] = value.clone());
    }
    pod
}

/// The Service for the kubelets, if the operator creates one.
pub(super) fn kubelet_service(incoming: &PlannedRelease<'_>) -> Option<(Part, String, Value)> {
    let place = incoming.rendered.iter().flat_map(managed_services).next()?;
    let (namespace, name) = place.split_once('/')?;
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"k8s-app": "kubelet"}},
        "spec": {"clusterIP": "None", "ports": [{"name": "https-metrics", "port": 10250}]}});
    let part = Part::of(incoming.release.component.as_str(), &service);
    Some((part, format!("Service {place}, which the Prometheus operator creates"), service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::release;

    fn pods_of(rendered: &[Value]) -> Vec<(String, Value)> {
        let release = release("kube-prometheus-stack");
        let incoming = PlannedRelease { release: &release, rendered, hooks: &[], crds: &[], installed: &[] };
        pods(&incoming, rendered.iter()).map(|(_, name, pod)| (name, pod)).collect()
    }

    #[test]
    fn the_operators_pods_have_the_fields_of_their_resource() {
        let spec = json!({"image": "prometheus:1", "hostNetwork": true, "securityContext": {"runAsUser": 0},
            "podMetadata": {"labels": {"team": "a"}}, "priorityClassName": "high",
            "containers": [{"name": "prometheus", "securityContext": {"privileged": true}}, {"name": "more", "image": "more:1"}]});
        let prometheus = json!({"kind": "Prometheus", "metadata": {"name": "p"}, "spec": spec});
        let template = json!({"spec": {"containers": [{"args": ["--a", "--prometheus-config-reloader=reloader:1"]}]}});
        let operator = json!({"kind": "Deployment", "metadata": {"name": "o"}, "spec": {"template": template}});
        let pods = pods_of(&[prometheus, operator]);
        let (name, pod) = &pods[0];
        assert_eq!(name, "the pods of Prometheus monitoring/p");
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let images: Vec<&str> = containers.iter().filter_map(|container| container["image"].as_str()).collect();
        assert_eq!(images, ["prometheus:1", "reloader:1", "more:1"]);
        assert_eq!(containers[0]["securityContext"], json!({"privileged": true}), "the user's fields win");
        assert_eq!(containers[1]["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(pod["spec"]["hostNetwork"], true);
        assert_eq!(pod["spec"]["priorityClassName"], "high");
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 0);
        assert_eq!(pod["metadata"]["labels"]["team"], "a");
    }

    #[test]
    fn the_service_of_the_kubelets_is_that_of_the_operators_argument() {
        let of = |argument: &str| {
            let template = json!({"spec": {"containers": [{"args": [argument]}]}});
            let rendered = [json!({"kind": "Deployment", "metadata": {"name": "o"}, "spec": {"template": template}})];
            let release = release("kube-prometheus-stack");
            let incoming =
                PlannedRelease { release: &release, rendered: &rendered, hooks: &[], crds: &[], installed: &[] };
            kubelet_service(&incoming).map(|(_, _, service)| service["metadata"]["namespace"].clone())
        };
        assert_eq!(of("--kubelet-service=kube-system/a-kubelet"), Some(json!("kube-system")));
        assert_eq!(of("--kubelet-object=a"), None);
    }

    #[test]
    fn a_pod_of_each_workload_has_no_service_account_and_a_volume_for_each_claim() {
        let template = json!({"spec": {"serviceAccountName": "loki", "containers": []}});
        let set = json!({"kind": "StatefulSet", "metadata": {"name": "loki"}, "spec": {"template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "storage"}}]}});
        let jobs = json!({"kind": "CronJob", "metadata": {"name": "j"},
            "spec": {"jobTemplate": {"spec": {"template": template}}}});
        let pods = pods_of(&[set, jobs, json!({"kind": "Service", "metadata": {"name": "s"}})]);
        assert_eq!(pods.len(), 2);
        assert_eq!(pods[0].1["spec"]["serviceAccountName"], "default");
        assert_eq!(pods[0].1["spec"]["volumes"], json!([{"name": "storage", "emptyDir": {}}]));
    }
}
