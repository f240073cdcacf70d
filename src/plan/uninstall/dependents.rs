//! Dependents: objects of other owners that use what an uninstall would remove. Reads only.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ObjectRef, PartialObject, containers};
use crate::config::INGRESS_CLASS;
use crate::plan::uninstall::ownership::{PROMETHEUS_OPERATOR, release_of};
use crate::stack::{CatalogueEntry, MANAGED_BY, TAILSCALE_NAMESPACE, TAILWATCH};

/// API group of the Tailscale operator's own kinds, and the prefix of its annotations.
const TAILSCALE_GROUP: &str = "tailscale.com";
/// Class of the Services that it gives an address (tailscale 1.102.3, cmd/k8s-operator/svc.go).
const LOAD_BALANCER_CLASS: &str = "tailscale";
/// Argument of prometheus-operator: the Service that it manages for the kubelets.
const KUBELET_ARGUMENT: &str = "--kubelet-service=";

/// The Service with its endpoints that prometheus-operator creates for the kubelets and never deletes.
#[derive(Clone, Debug, Default)]
pub struct KubeletService {
    /// It and its endpoints, as far as they exist.
    pub objects: Vec<PartialObject>,
    /// Another operator that manages it, e.g. `Deployment x in namespace y`.
    pub other_manager: Option<String>,
}

/// The kubelet Service, from the release's manifest; else with the chart's default name.
pub fn kubelet_service(manifest: &[Value]) -> ObjectRef {
    let named = manifest.iter().flat_map(managed_services).find_map(|name| name.split_once('/'));
    let (namespace, name) = named.unwrap_or(("kube-system", "kube-prometheus-stack-kubelet"));
    ObjectRef {
        api_version: "v1".into(),
        kind: "Service".into(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

/// `namespace/name` of every Service that a workload's containers manage for the kubelets.
pub fn managed_services(workload: &Value) -> impl Iterator<Item = &str> {
    let arguments = containers(workload).filter_map(|container| container.get("args")?.as_array()).flatten();
    arguments.filter_map(|argument| argument.as_str()?.strip_prefix(KUBELET_ARGUMENT))
}

/// Reads a kubelet Service with its endpoints, and the operator outside of `rows` that manages it.
pub async fn kubelet_objects(
    cluster: &Cluster,
    service: &ObjectRef,
    rows: &[CatalogueEntry],
) -> Result<KubeletService, ClusterError> {
    let place = service.namespace.as_deref();
    let mut objects = Vec::new();
    for (api_version, kind) in [("v1", "Service"), ("v1", "Endpoints"), ("discovery.k8s.io/v1", "EndpointSlice")] {
        let of_it = |found: &PartialObject| {
            let named = found.name() == service.name || found.label("kubernetes.io/service-name") == service.name;
            named && found.label(MANAGED_BY) == PROMETHEUS_OPERATOR
        };
        objects.extend(cluster.partial_objects(api_version, kind, place).await?.into_iter().filter(of_it));
    }
    if objects.is_empty() {
        return Ok(KubeletService::default());
    }
    let deployments = cluster.list("apps/v1", "Deployment", None, None).await?;
    Ok(KubeletService { objects, other_manager: other_manager(service, &deployments, rows) })
}

fn other_manager(service: &ObjectRef, deployments: &[Value], rows: &[CatalogueEntry]) -> Option<String> {
    let desired = format!("{}/{}", service.namespace.as_deref().unwrap_or_default(), service.name);
    let keeps = |deployment: &&Value| managed_services(deployment).any(|kept| kept == desired);
    let foreign =
        deployments.iter().filter(keeps).find(|deployment| release_of(&PartialObject::of(deployment), rows).is_none());
    foreign.map(|deployment| describe(&ObjectRef::of(deployment)))
}

/// Objects outside of this namespace's stack that use the Tailscale operator; without it they lose their address or
/// their finalizer is never removed.
pub async fn operator_users(
    cluster: &Cluster,
    namespace: &str,
    rows: &[CatalogueEntry],
) -> Result<Vec<ObjectRef>, ClusterError> {
    let (mut classes, ingresses, services, balancers, resources) = futures::try_join!(
        cluster.tailscale_classes(),
        cluster.list("networking.k8s.io/v1", "Ingress", None, None),
        cluster.partial_objects("v1", "Service", None),
        cluster.load_balancers(LOAD_BALANCER_CLASS),
        cluster.of_group(TAILSCALE_GROUP),
    )?;
    // An uninstall that was interrupted may have deleted the class of the chart.
    classes.push(INGRESS_CLASS.to_owned());
    let of_ours = |found: &PartialObject| found.namespace() == namespace && found.label(MANAGED_BY) == TAILWATCH;
    let ingresses =
        ingresses.iter().filter(|object| !of_ours(&PartialObject::of(object)) && has_class(object, &classes));
    let mut users: Vec<ObjectRef> = ingresses.map(ObjectRef::of).collect();
    let marked = services.iter().filter(|found| is_marked(found)).map(PartialObject::reference);
    let services: BTreeSet<ObjectRef> = marked.chain(balancers).collect();
    // The operator's own objects for its proxies are no users.
    users.extend(services.into_iter().filter(|service| service.namespace.as_deref() != Some(TAILSCALE_NAMESPACE)));
    let resources = resources.iter().filter(|found| release_of(found, rows).is_none() && !found.is_terminating());
    users.extend(resources.map(PartialObject::reference));
    Ok(users)
}

fn has_class(ingress: &Value, classes: &[String]) -> bool {
    let object = PartialObject::of(ingress);
    let class = ingress.pointer("/spec/ingressClassName").and_then(Value::as_str);
    let class = class.unwrap_or_else(|| object.annotation("kubernetes.io/ingress.class"));
    classes.iter().any(|known| known == class)
}

/// Whether it has an annotation of the operator.
fn is_marked(found: &PartialObject) -> bool {
    found.annotations().any(|key| key.split_once('/').is_some_and(|(group, _)| group == TAILSCALE_GROUP))
}

/// `Ingress web in namespace shop`
pub fn describe(object: &ObjectRef) -> String {
    let place = object.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    format!("{} {}{place}", object.kind, object.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Catalogue;
    use serde_json::json;

    fn operator(namespace: &str, argument: &str, release: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "operator", "namespace": namespace, "annotations":
                {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}},
            "spec": {"template": {"spec": {"containers": [{"args": ["--x", argument]}]}}}})
    }

    #[test]
    fn the_kubelet_service_is_retained_while_another_operator_manages_it() {
        let rows = Catalogue::embedded().unwrap().overview("m");
        let argument = "--kubelet-service=kube-system/kube-prometheus-stack-kubelet";
        let ours = operator("m", argument, "kube-prometheus-stack");
        let service = kubelet_service(std::slice::from_ref(&ours));
        assert_eq!(
            (service.namespace.as_deref(), service.name.as_str()),
            (Some("kube-system"), "kube-prometheus-stack-kubelet")
        );
        assert_eq!(service, kubelet_service(&[]));
        assert_eq!(other_manager(&service, std::slice::from_ref(&ours), &rows), None);
        let others = operator("n", "--kubelet-service=kube-system/other-kubelet", "kube-prometheus-stack");
        assert_eq!(other_manager(&service, &[ours.clone(), others], &rows), None);
        let same = operator("n", argument, "kube-prometheus-stack");
        let expected = Some("Deployment operator in namespace n".to_owned());
        assert_eq!(other_manager(&service, &[ours, same], &rows), expected);
    }

    #[test]
    fn users_of_the_tailscale_operator_are_found() {
        let classes = ["ts-prod".to_owned(), "tailscale".to_owned()];
        let ingress = |metadata: Value, class: Value| {
            let object = json!({"kind": "Ingress", "metadata": metadata, "spec": {"ingressClassName": class}});
            has_class(&object, &classes)
        };
        assert!(ingress(json!({"name": "x"}), json!("tailscale")) && ingress(json!({"name": "x"}), json!("ts-prod")));
        assert!(ingress(json!({"annotations": {"kubernetes.io/ingress.class": "ts-prod"}}), Value::Null));
        assert!(!ingress(json!({"name": "x"}), json!("nginx")) && !ingress(json!({"name": "x"}), Value::Null));
        let marked = |key: &str| is_marked(&PartialObject::of(&json!({"metadata": {"annotations": {key: "true"}}})));
        assert!(marked("tailscale.com/expose"));
        assert!(!marked("example.com/expose"));
    }
}
