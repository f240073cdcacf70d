//! Admission webhooks that cannot be called, but which the API server asks about objects of the stack.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Kinds, kind_of};
use crate::check::preflight::target::namespaces::{Namespaces, labels_of};
use crate::check::preflight::target::trial::Trial;
use crate::check::row::Finding;
use crate::cluster::{AdmittedObject, BrokenWebhook, Cluster, ClusterError, ObjectRef};
use crate::list::first_of;

/// Objects that a finding reports.
const REPORTED: usize = 3;

/// A webhook that cannot be called, and the objects that it must admit.
#[derive(Debug)]
pub(super) struct Blocking {
    webhook: BrokenWebhook,
    objects: BTreeSet<String>,
}

/// `None`: this context may not list the configurations.
pub(super) async fn read(
    cluster: &Cluster,
    trials: &[Trial<'_>],
    kinds: &Kinds,
    namespaces: &Namespaces,
) -> Result<Option<Vec<Blocking>>, ClusterError> {
    let Some(broken) = cluster.broken_webhooks().await? else { return Ok(None) };
    Ok(Some(blocking(broken, trials, kinds, namespaces)))
}

fn blocking(broken: Vec<BrokenWebhook>, trials: &[Trial<'_>], kinds: &Kinds, namespaces: &Namespaces) -> Vec<Blocking> {
    // A Service of the stack itself is repaired by the run.
    let is_of_stack = |service: &ObjectRef| trials.iter().any(|trial| ObjectRef::of(trial.manifest()) == *service);
    let broken = broken.into_iter().filter(|webhook| !is_of_stack(&webhook.service));
    let all = broken.map(|webhook| {
        let asked = trials.iter().filter(|trial| is_asked(&webhook, trial.manifest(), kinds, namespaces));
        Blocking { objects: asked.map(|trial| trial.name.clone()).collect(), webhook }
    });
    all.filter(|blocking| !blocking.objects.is_empty()).collect()
}

fn is_asked(webhook: &BrokenWebhook, object: &Value, kinds: &Kinds, namespaces: &Namespaces) -> bool {
    let kind = kind_of(object);
    let Some(resource) = kinds.get(&kind) else { return false };
    let labels = labels_of(object);
    let version = kind.0.rsplit('/').next().unwrap_or_default();
    let namespace = match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(name) => Some(namespaces.labels(name)),
        None if kind.1 == "Namespace" => Some(namespaces.labels(name_of(object))),
        None => None,
    };
    let object = AdmittedObject { version, resource, labels: &labels, namespace: namespace.as_ref() };
    webhook.is_asked_about(&object)
}

/// `admission-webhooks`
pub(super) fn judge(found: Option<&[Blocking]>) -> Finding {
    let Some(found) = found else { return Finding::skip("this context may not list webhook configurations") };
    // A Service without ready endpoints may have some before the install; only the API server evaluates expressions.
    let is_certain = |blocking: &&Blocking| !blocking.webhook.has_service && !blocking.webhook.has_conditions();
    let Some(first) = found.iter().find(is_certain).or(found.first()) else { return Finding::pass("") };
    let detail = found.iter().map(describe).collect::<Vec<_>>().join("; ");
    let finding = if is_certain(&first) { Finding::fail(detail) } else { Finding::warn(detail) };
    let BrokenWebhook { configuration, service, has_service, .. } = &first.webhook;
    let delete = format!("`kubectl delete {} {}`", configuration.kind.to_lowercase(), configuration.name);
    let namespace = service.namespace.as_deref().unwrap_or_default();
    finding.hinting(match has_service {
        true => format!("see `kubectl -n {namespace} get pods` for the pods of Service {}, or {delete}", service.name),
        false => format!("install Service {} again, or, if nothing needs the webhook, {delete}", service.name),
    })
}

fn describe(Blocking { webhook, objects }: &Blocking) -> String {
    let BrokenWebhook { configuration, service, has_service, .. } = webhook;
    let fault = if *has_service { "has no ready endpoint" } else { "does not exist" };
    let namespace = service.namespace.as_deref().unwrap_or_default();
    format!(
        "{} {} must admit {} and calls Service {} in namespace {namespace}, which {fault}",
        configuration.kind,
        configuration.name,
        first_of(objects, REPORTED),
        service.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use crate::cluster::Resource;
    use serde_json::json;

    fn judged(has_service: bool, more: &[(&str, Value)], trials: &[Trial<'_>]) -> Finding {
        let mut webhook = json!({"name": "a.b", "clientConfig": {"service": {"name": "gone", "namespace": "policy"}},
            "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["deployments"]}]});
        for (key, value) in more {
            webhook[key] = value.clone();
        }
        let resource =
            |group: &str, plural: &str| Resource { group: group.into(), plural: plural.into(), is_namespaced: true };
        let kinds = Kinds::from([
            (("apps/v1".into(), "Deployment".into()), resource("apps", "deployments")),
            (("v1".into(), "Service".into()), resource("", "services")),
        ]);
        let broken = BrokenWebhook::for_tests(has_service, webhook);
        judge(Some(&blocking(vec![broken], trials, &kinds, &Namespaces::default())))
    }

    #[test]
    fn a_webhook_without_its_service_fails_for_the_objects_that_it_must_admit() {
        let trial = |api_version: &str, kind: &str, namespace: &str, name: &str| {
            Trial::for_tests(
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}),
            )
        };
        let deployment = [trial("apps/v1", "Deployment", "monitoring", "grafana")];
        let found = judged(false, &[], &deployment);
        assert_eq!(found.state, State::Fail);
        assert_eq!(
            found.detail,
            "ValidatingWebhookConfiguration policy must admit Deployment monitoring/grafana and calls Service gone in \
             namespace policy, which does not exist"
        );
        assert!(found.hint.unwrap().contains("kubectl delete validatingwebhookconfiguration policy"));
        assert_eq!(judged(true, &[], &deployment).state, State::Warn);
        assert_eq!(
            judged(false, &[("matchConditions", json!([{"name": "a", "expression": "false"}]))], &deployment).state,
            State::Warn
        );
        assert_eq!(judged(false, &[], &[trial("v1", "Service", "monitoring", "grafana")]).state, State::Pass);
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
        assert_eq!(judged(false, &[("namespaceSelector", selector)], &deployment).state, State::Pass);
        let both = [trial("apps/v1", "Deployment", "policy", "a"), trial("v1", "Service", "policy", "gone")];
        assert_eq!(judged(false, &[], &both).state, State::Pass, "the run creates the Service");
    }
}
