//! Why an object with a deletion timestamp still exists: its finalizers, and what a namespace reports.

use kube::api::ListParams;

use serde_json::Value;

use crate::cluster::discovery::served_kinds;
use crate::cluster::views::{ApiService, Condition, Conditions, Namespace};
use crate::cluster::{Cluster, ClusterError, ObjectRef, PartialObject, permitted};

/// The object that blocks the deletion, and how the user removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionReason {
    /// What the deletion waits for.
    pub why: String,
    /// The next step; `None`: it ends by itself.
    pub hint: Option<String>,
}

/// Finalizers, each with the condition for its removal.
const FINALIZERS: [(&str, &str); 5] = [
    ("tailscale.com/finalizer", "the Tailscale operator must be running to remove its finalizer"),
    ("kubernetes.io/pvc-protection", "a pod still mounts it"),
    ("kubernetes.io/pv-protection", "its claim still exists"),
    ("customresourcecleanup.apiextensions.k8s.io", "its objects are deleted first"),
    ("foregroundDeletion", "its dependents are deleted first"),
];
/// From this index on Kubernetes removes the finalizer itself; any other may need the user.
const OF_KUBERNETES: usize = 1;

/// The remaining object that explains most, and the number of others. `None`: no object remains.
pub fn deletion_reason(remaining: &[PartialObject]) -> Option<DeletionReason> {
    reason_of(remaining, |found| format!("{} {}", found.kind, found.name()))
}

fn reason_of(remaining: &[PartialObject], words: impl Fn(&PartialObject) -> String) -> Option<DeletionReason> {
    let first = remaining.iter().min_by_key(|found| weight(found))?;
    let mut reason = reported(first, &words(first));
    if remaining.len() > 1 {
        reason.why += &format!(" (and {} more)", remaining.len() - 1);
    }
    Some(reason)
}

fn weight(found: &PartialObject) -> usize {
    let needs_the_user = || found.finalizers().iter().any(|finalizer| !is_of_kubernetes(finalizer));
    match (found.is_terminating(), found.kind.as_str()) {
        (true, _) if needs_the_user() => 0,
        (true, "Pod") => 1,
        (true, _) => 2,
        (false, "Pod") => 3,
        (false, _) => 4,
    }
}

fn is_of_kubernetes(finalizer: &str) -> bool {
    FINALIZERS[OF_KUBERNETES..].iter().any(|(known, _)| *known == finalizer)
}

fn reported(found: &PartialObject, object: &str) -> DeletionReason {
    let ObjectRef { kind, namespace, name, .. } = found.reference();
    if !found.is_terminating() {
        return DeletionReason { why: format!("{object} still exists"), hint: None };
    }
    if kind == "Pod" && found.finalizers().is_empty() {
        let time = found.grace_seconds().filter(|seconds| *seconds > 1);
        let time = time.map(|seconds| format!(", it has {seconds} s")).unwrap_or_default();
        return DeletionReason { why: format!("{object} is terminating{time}"), hint: None };
    }
    let foreign = found.finalizers().iter().find(|finalizer| !is_of_kubernetes(finalizer));
    let Some(finalizer) = foreign.or(found.finalizers().first()) else {
        return DeletionReason { why: format!("{object} is terminating"), hint: None };
    };
    let known = FINALIZERS.iter().find(|(known, _)| known == finalizer).map(|(_, condition)| format!(": {condition}"));
    let why = format!("{object} waits for its finalizer {finalizer}{}", known.unwrap_or_default());
    let place = namespace.map(|namespace| format!("-n {namespace} ")).unwrap_or_default();
    let patch = format!(
        "kubectl {place}patch {} {name} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        kind.to_lowercase()
    );
    let hint = foreign.map(|finalizer| {
        format!("start the controller of {finalizer}; if it no longer exists, remove the finalizer: `{patch}`")
    });
    DeletionReason { why, hint }
}

/// Conditions of a namespace that explain most, first (kubernetes pkg/controller/namespace/deletion,
/// status_condition_utils.go). The last two repeat each other.
const NAMESPACE_CONDITIONS: [&str; 5] = [
    DISCOVERY_FAILURE,
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
];
const DISCOVERY_FAILURE: &str = "NamespaceDeletionDiscoveryFailure";

/// An APIService that does not answer: the API server cannot list its kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnavailableApi {
    /// Its name, e.g. `v1beta1.custom.metrics.k8s.io`.
    pub name: String,
    /// e.g. `custom.metrics.k8s.io/v1beta1`
    pub api_version: String,
    /// e.g. `points to Service monitoring/prometheus-adapter, which does not exist`
    pub why: String,
}

impl UnavailableApi {
    /// `APIService v1beta1.custom.metrics.k8s.io points to Service …`
    pub fn described(&self) -> String {
        format!("APIService {} {}", self.name, self.why)
    }

    /// How the user removes it.
    pub fn hint(&self) -> String {
        format!("repair its Service, or, if nothing needs it, run `kubectl delete apiservice {}`", self.name)
    }

    /// `None`: it is available, or not known yet.
    fn of(api: &ApiService) -> Option<UnavailableApi> {
        let condition = api.status.conditions.when_false("Available")?;
        let service = api.spec.service.as_ref()?;
        let place = format!("Service {}/{}", service.namespace, service.name);
        let why = match condition.reason.as_str() {
            "ServiceNotFound" => format!("points to {place}, which does not exist"),
            _ => format!("points to {place}, which is not available: {}", condition.summary()),
        };
        let api_version = format!("{}/{}", api.spec.group, api.spec.version);
        Some(UnavailableApi { name: api.metadata.name.clone(), api_version, why })
    }
}

/// A CRD with a deletion timestamp: no object of its kind can be created.
#[derive(Clone, Debug)]
pub struct TerminatingCrd {
    /// Its name.
    pub name: String,
    /// Its deletion timestamp.
    pub since: Option<jiff::Timestamp>,
    /// What its deletion waits for.
    pub reason: DeletionReason,
}

impl Cluster {
    /// The APIServices of other servers that are not available; `None`: this context may not list them.
    pub async fn unavailable_apis(&self) -> Result<Option<Vec<UnavailableApi>>, ClusterError> {
        let kind = ("apiregistration.k8s.io/v1", "APIService");
        let apis = permitted(self.views::<ApiService>(kind.0, kind.1, None, &ListParams::default()).await)?;
        Ok(apis.map(|apis| apis.iter().filter_map(UnavailableApi::of).collect()))
    }

    /// Live CRDs with the names of these that have a deletion timestamp, each with what its deletion waits for.
    pub async fn terminating_crds(&self, crds: &[Value]) -> Result<Vec<TerminatingCrd>, ClusterError> {
        let live = self.partial_objects("apiextensions.k8s.io/v1", "CustomResourceDefinition", None).await?;
        let mut terminating = Vec::new();
        for found in live.iter().filter(|found| found.is_terminating()) {
            let Some(crd) = crds.iter().find(|crd| ObjectRef::of(crd).name == found.name()) else { continue };
            let mut objects = Vec::new();
            for (api_version, kind) in served_kinds(crd) {
                objects = self.partial_objects(&api_version, &kind, None).await?;
                if !objects.is_empty() {
                    break;
                }
            }
            let words = |found: &PartialObject| match found.namespace() {
                "" => format!("{} {}", found.kind, found.name()),
                namespace => format!("{} {namespace}/{}", found.kind, found.name()),
            };
            let none = DeletionReason { why: "it has no objects any more".into(), hint: None };
            let reason = reason_of(&objects, words).unwrap_or(none);
            terminating.push(TerminatingCrd {
                name: found.name().to_owned(),
                since: found.terminating_since(),
                reason,
            });
        }
        Ok(terminating)
    }

    /// What the deletion of a namespace waits for; `None`: no deletion is pending.
    pub async fn namespace_deletion(&self, name: &str) -> Result<Option<DeletionReason>, ClusterError> {
        let object = ObjectRef::of_namespace(name);
        let Some(namespace) = self.view::<Namespace>(&object).await? else { return Ok(None) };
        if namespace.metadata.deletion_timestamp.is_none() {
            return Ok(None);
        }
        let condition = explaining(&namespace.status.conditions);
        let apis = match condition {
            Some(condition) if condition.kind == DISCOVERY_FAILURE => {
                self.unavailable_apis().await?.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Ok(Some(of_namespace(name, condition, &apis)))
    }
}

fn explaining(conditions: &Conditions) -> Option<&Condition> {
    NAMESPACE_CONDITIONS.iter().find_map(|kind| conditions.when_true(kind))
}

fn of_namespace(name: &str, condition: Option<&Condition>, apis: &[UnavailableApi]) -> DeletionReason {
    let Some(condition) = condition else {
        return DeletionReason { why: format!("Namespace {name} is terminating"), hint: None };
    };
    let failed = apis.iter().find(|api| condition.message.contains(&api.api_version));
    if let Some(api) = failed {
        let cannot = format!("the API server cannot list {}: {}", api.api_version, api.described());
        let why = format!("Namespace {name} is terminating: {cannot}");
        return DeletionReason { why, hint: Some(api.hint()) };
    }
    let hint = match condition.kind.as_str() {
        "NamespaceContentRemaining" => None,
        "NamespaceFinalizersRemaining" => Some(
            "start the controllers of these finalizers; if one no longer exists, remove its finalizer from the objects"
                .to_owned(),
        ),
        _ => Some(format!("see `kubectl get namespace {name} -o yaml`")),
    };
    DeletionReason { why: format!("Namespace {name} is terminating: {}", condition.message), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn terminating(finalizers: &[&str]) -> Value {
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30, "finalizers": finalizers})
    }

    #[test]
    fn the_object_that_explains_most_is_reported() {
        let pod = PartialObject::for_tests("Pod", "loki-0", terminating(&[]));
        let claim = PartialObject::for_tests(
            "PersistentVolumeClaim",
            "storage",
            terminating(&["kubernetes.io/pvc-protection"]),
        );
        let ingress = PartialObject::for_tests("Ingress", "grafana", terminating(&["tailscale.com/finalizer"]));
        let why = |remaining: &[PartialObject]| deletion_reason(remaining).unwrap().why;
        assert_eq!(why(&[claim.clone(), pod.clone()]), "Pod loki-0 is terminating, it has 30 s (and 1 more)");
        let expected = "Ingress grafana waits for its finalizer tailscale.com/finalizer: \
            the Tailscale operator must be running to remove its finalizer";
        assert_eq!(why(std::slice::from_ref(&ingress)), expected);
        assert!(why(&[pod, ingress.clone()]).starts_with("Ingress grafana"));
        let hint = deletion_reason(&[ingress]).unwrap().hint.unwrap();
        assert!(hint.contains("`kubectl -n m patch ingress grafana --type=merge"), "{hint}");
        let expected = "PersistentVolumeClaim storage waits for its finalizer kubernetes.io/pvc-protection: \
            a pod still mounts it";
        assert_eq!(deletion_reason(&[claim]), Some(DeletionReason { why: expected.into(), hint: None }));
        assert_eq!(why(&[PartialObject::for_tests("Service", "x", json!({}))]), "Service x still exists");
        assert_eq!(deletion_reason(&[]), None);
    }

    fn condition(kind: &str, message: &str) -> Condition {
        Condition { kind: kind.into(), status: "True".into(), message: message.into(), ..Condition::default() }
    }

    #[test]
    fn the_api_service_that_blocks_a_namespace_is_reported() {
        let api = json!({
            "metadata": {"name": "v1beta1.custom.metrics.k8s.io"},
            "spec": {"group": "custom.metrics.k8s.io", "version": "v1beta1",
                "service": {"name": "prometheus-adapter", "namespace": "monitoring"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound"}]},
        });
        let api: ApiService = serde_json::from_value(api).unwrap();
        let apis = [UnavailableApi::of(&api).unwrap()];
        let stale = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
                     custom.metrics.k8s.io/v1beta1: stale GroupVersion discovery: custom.metrics.k8s.io/v1beta1";
        let conditions = Conditions(vec![
            condition("NamespaceContentRemaining", "Some resources are remaining"),
            condition(DISCOVERY_FAILURE, stale),
        ]);
        let found = of_namespace("m", explaining(&conditions), &apis);
        let expected = "Namespace m is terminating: the API server cannot list custom.metrics.k8s.io/v1beta1: APIService \
                        v1beta1.custom.metrics.k8s.io points to Service monitoring/prometheus-adapter, which does not \
                        exist";
        assert_eq!(found.why, expected);
        assert!(found.hint.unwrap().contains("`kubectl delete apiservice v1beta1.custom.metrics.k8s.io`"));
        let unknown = of_namespace("m", explaining(&conditions), &[]);
        assert_eq!(unknown.why, format!("Namespace m is terminating: {stale}"));
    }

    #[test]
    fn a_namespace_reports_finalizers_before_its_content() {
        let conditions = Conditions(vec![
            condition("NamespaceContentRemaining", "probes.monitoring.coreos.com has 1 resource instances"),
            condition("NamespaceFinalizersRemaining", "example.com/held in 1 resource instances"),
        ]);
        let found = of_namespace("m", explaining(&conditions), &[]);
        assert_eq!(found.why, "Namespace m is terminating: example.com/held in 1 resource instances");
        assert!(found.hint.is_some());
        assert_eq!(of_namespace("m", None, &[]).hint, None);
    }
}
