//! Admission webhooks that the API server cannot call: it rejects every object that one of them must admit.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, ValidatingWebhook};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ObjectRef, Resource, permitted};

const API_VERSION: &str = "admissionregistration.k8s.io/v1";
/// Services that are read in parallel.
const AT_ONCE: usize = 4;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A webhook with `failurePolicy: Fail` that the API server cannot call.
#[derive(Clone, Debug)]
pub struct BrokenWebhook {
    /// Kind and name of its configuration.
    pub configuration: ObjectRef,
    /// The Service that it calls.
    pub service: ObjectRef,
    /// Whether the Service exists; it then has no ready endpoint.
    pub has_service: bool,
    webhook: ValidatingWebhook,
}

/// An object that the API server would ask webhooks about.
#[derive(Clone, Copy, Debug)]
pub struct AdmittedObject<'a> {
    /// Its version.
    pub version: &'a str,
    /// Its resource.
    pub resource: &'a Resource,
    /// Its labels.
    pub labels: &'a Labels,
    /// The labels of its namespace, or its own if it is a namespace; `None`: another cluster-scoped object.
    pub namespace: Option<&'a Labels>,
}

impl Cluster {
    /// The webhooks that cannot be called; `None` without permission to list the configurations.
    pub async fn broken_webhooks(&self) -> Result<Option<Vec<BrokenWebhook>>, ClusterError> {
        let list = |kind: &'static str| self.list(API_VERSION, kind, None, None);
        let lists = futures::try_join!(list("ValidatingWebhookConfiguration"), list("MutatingWebhookConfiguration"));
        let Some((validating, mutating)) = permitted(lists)? else { return Ok(None) };
        let webhooks: Vec<BrokenWebhook> = validating.iter().chain(&mutating).flat_map(required_webhooks).collect();
        let mut services: Vec<&ObjectRef> = webhooks.iter().map(|webhook| &webhook.service).collect();
        services.sort();
        services.dedup();
        let states = futures::stream::iter(services)
            .map(async |service| Ok::<_, ClusterError>((service.clone(), self.service_state(service).await?)));
        let states: BTreeMap<ObjectRef, ServiceState> = states.buffered(AT_ONCE).try_collect().await?;
        let broken = webhooks.into_iter().filter_map(|webhook| match states.get(&webhook.service)? {
            ServiceState::Ready => None,
            state => Some(BrokenWebhook { has_service: *state == ServiceState::NoEndpoints, ..webhook }),
        });
        Ok(Some(broken.collect()))
    }

    async fn service_state(&self, service: &ObjectRef) -> Result<ServiceState, ClusterError> {
        // A Service that this context may not read counts as ready.
        match permitted(self.get(service).await)? {
            Some(None) => return Ok(ServiceState::Missing),
            // The name of another host.
            Some(Some(live)) if live["spec"]["type"] == "ExternalName" => return Ok(ServiceState::Ready),
            Some(Some(_)) => {}
            None => return Ok(ServiceState::Ready),
        }
        let namespace = service.namespace.as_deref().unwrap_or_default();
        let endpoints = permitted(self.endpoints_of(namespace, &service.name).await)?;
        let is_ready = endpoints.is_none_or(|endpoints| endpoints.iter().any(|endpoint| endpoint.is_ready));
        Ok(if is_ready { ServiceState::Ready } else { ServiceState::NoEndpoints })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceState {
    Ready,
    Missing,
    NoEndpoints,
}

/// The webhooks of a configuration that call a Service and must answer.
pub(super) fn required_webhooks(configuration: &Value) -> Vec<BrokenWebhook> {
    let reference = ObjectRef::of(configuration);
    let entries = configuration["webhooks"].as_array().into_iter().flatten();
    // A mutating webhook has the fields of a validating one.
    let webhooks = entries.filter_map(|entry| serde_json::from_value::<ValidatingWebhook>(entry.clone()).ok());
    let required = webhooks.filter(|webhook| webhook.failure_policy.as_deref() != Some("Ignore"));
    let required = required.filter_map(|webhook| {
        let service = webhook.client_config.service.as_ref()?;
        let service = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some(service.namespace.clone()),
            name: service.name.clone(),
        };
        Some(BrokenWebhook { configuration: reference.clone(), service, has_service: false, webhook })
    });
    required.collect()
}

impl BrokenWebhook {
    /// Whether the API server would ask it about an object that is created or updated.
    pub fn is_asked_about(&self, object: &AdmittedObject<'_>) -> bool {
        // It asks no webhook about their configurations.
        if object.resource.group == "admissionregistration.k8s.io" {
            return false;
        }
        let webhook = &self.webhook;
        webhook.rules.iter().flatten().any(|rule| rule_matches(rule, object))
            && selects(webhook.object_selector.as_ref(), object.labels)
            && object.namespace.is_none_or(|labels| selects(webhook.namespace_selector.as_ref(), labels))
    }

    /// Of the ValidatingWebhookConfiguration `policy`.
    #[cfg(test)]
    pub(crate) fn for_tests(has_service: bool, webhook: Value) -> BrokenWebhook {
        let configuration = serde_json::json!({"apiVersion": API_VERSION, "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "policy"}, "webhooks": [webhook]});
        BrokenWebhook { has_service, ..required_webhooks(&configuration).remove(0) }
    }

    /// Whether it also looks at the object with expressions, which only the API server evaluates.
    pub fn has_conditions(&self) -> bool {
        self.webhook.match_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty())
    }
}

fn rule_matches(rule: &RuleWithOperations, object: &AdmittedObject<'_>) -> bool {
    let has = |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|one| one == "*" || one == word);
    let Resource { group, plural, is_namespaced } = object.resource;
    let scope = if *is_namespaced { "Namespaced" } else { "Cluster" };
    let is_in_scope = rule.scope.as_deref().is_none_or(|found| found == "*" || found == scope);
    let is_named = |one: &String| {
        let (name, subresource) = one.split_once('/').unwrap_or((one, ""));
        (name == "*" || name == plural) && matches!(subresource, "" | "*")
    };
    is_in_scope
        && rule.resources.iter().flatten().any(is_named)
        && has(&rule.api_groups, group)
        && has(&rule.api_versions, object.version)
        && (has(&rule.operations, "CREATE") || has(&rule.operations, "UPDATE"))
}

/// Without a selector, and with an empty one, every object is selected.
fn selects(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return true };
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn webhook(more: &Value) -> BrokenWebhook {
        let mut entry = json!({"name": "a.b", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "gone", "namespace": "policy"}},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]});
        for (key, value) in more.as_object().unwrap() {
            entry[key] = value.clone();
        }
        BrokenWebhook::for_tests(false, entry)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_webhook_is_asked_by_its_rules_and_selectors() {
        let resource =
            |group: &str, plural: &str| Resource { group: group.into(), plural: plural.into(), is_namespaced: true };
        let (deployment, service) = (resource("apps", "deployments"), resource("", "services"));
        let (own, place) = (labels(&[("app", "x")]), labels(&[("kubernetes.io/metadata.name", "monitoring")]));
        let asked = |more: Value, resource: &Resource| {
            let object = AdmittedObject { version: "v1", resource, labels: &own, namespace: Some(&place) };
            webhook(&more).is_asked_about(&object)
        };
        let rule = |key: &str, value: Value| {
            let mut rule = json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]});
            rule[key] = value;
            json!({"rules": [rule]})
        };
        assert!(asked(json!({}), &deployment) && !asked(json!({}), &service));
        assert!(asked(rule("resources", json!(["*/*"])), &service) && asked(rule("scope", json!("*")), &service));
        assert!(!asked(rule("operations", json!(["DELETE"])), &service));
        assert!(!asked(rule("resources", json!(["services/status"])), &service));
        assert!(!asked(rule("scope", json!("Cluster")), &service));
        let not_in = |value: &str| {
            json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [value]}]})
        };
        assert!(asked(json!({"namespaceSelector": not_in("kube-system")}), &deployment));
        assert!(!asked(json!({"namespaceSelector": not_in("monitoring")}), &deployment));
        assert!(!asked(json!({"objectSelector": {"matchLabels": {"app": "y"}}}), &deployment));
        assert!(asked(json!({"objectSelector": {}, "namespaceSelector": {}}), &deployment));
    }

    #[test]
    fn a_webhook_that_may_fail_or_calls_no_service_is_left_out() {
        let found = |client: Value, policy: Value| {
            let mut entry = json!({"name": "a", "sideEffects": "None", "admissionReviewVersions": ["v1"]});
            entry["clientConfig"] = client;
            entry["failurePolicy"] = policy;
            required_webhooks(&json!({"webhooks": [entry]})).len()
        };
        let service = json!({"service": {"name": "a", "namespace": "b"}});
        assert_eq!(found(service.clone(), Value::Null), 1, "the default is Fail");
        assert_eq!(found(service, json!("Ignore")), 0);
        assert_eq!(found(json!({"url": "https://x"}), json!("Fail")), 0);
    }
}
