//! Problems that operators report on their resources, and of objects that belong to no release.

use semver::Version;

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::readiness::workloads::judge;
use crate::cluster::views::{
    CustomResourceDefinition, Event, Ingress, OperatorResource, Pod, Service, WebhookConfiguration,
};
use crate::config::INGRESS_CLASS;
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "operator-not-reconciled",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "the operator cannot reconcile {kind} {name}: {said}",
        hint: "correct the field that it reports under values.{component} in the answers, then run the same command again",
        ..with(When::Resource(not_reconciled))
    },
    Rule {
        id: "operator-not-running",
        named_after: 4,
        lasts: 30,
        cause: "no operator has reconciled {kind} {name}",
        hint: "check that the operator runs and watches namespace {namespace}: `kubectl -n {namespace} logs deployment/kube-prometheus-stack-operator`",
        ..with(When::Resource(not_observed))
    },
    Rule {
        id: "tailnet-https-disabled",
        cause: "HTTPS certificates are disabled in the tailnet, so Ingress {name} gets no address",
        hint: "enable MagicDNS and HTTPS Certificates on the DNS page of the tailnet's admin console",
        ..with(When::Ingress(https_disabled))
    },
    Rule {
        id: "ingress-host-in-use",
        cause: "the tailnet assigned another host name to Ingress {name}: {said}",
        hint: "remove the old device of that name from the tailnet and delete the Ingress, or set another grafana.hostname in the answers; then run the same command again",
        ..with(When::Ingress(host_in_use))
    },
    Rule {
        id: "ingress-rejected",
        cause: "the Tailscale operator rejects Ingress {name}",
        hint: "see the message above and the operator's log: `kubectl get pods -A -l app=operator` shows its namespace",
        ..with(When::Ingress(ingress_rejected))
    },
    Rule {
        id: "ingress-without-address",
        named_after: 4,
        lasts: 60,
        cause: "Ingress {name} has no address in the tailnet yet",
        hint: "check that the Tailscale operator runs, and its log: `kubectl get pods -A -l app=operator` shows its namespace",
        ..with(When::Ingress(without_address))
    },
    Rule {
        id: "crd-too-old",
        cause: "CRD {name} is older than the running operator: {said}",
        hint: "run `tailwatch install` again: it applies the CRDs of the chart first",
        ..with(When::Crd(crd_too_old))
    },
    Rule {
        id: "webhook-leftover",
        severity: Severity::Notice,
        cause: "{kind} {name} calls a Service that does not exist: {said}",
        hint: "install the Service again, or delete the configuration if it is no longer needed: `kubectl delete {kind} {name}`",
        ..with(When::Webhooks(leftover))
    },
];

const fn with(when: When) -> Rule {
    Rule { when, ..Rule::BLANK }
}

fn not_reconciled(_: &Subject<'_>, resource: &OperatorResource) -> Option<String> {
    Some(resource.status.conditions.when_false("Reconciled")?.summary())
}

fn not_observed(subject: &Subject<'_>, resource: &OperatorResource) -> Option<String> {
    // An operator that still starts has had no time yet.
    let mut deployments = subject.release.roots.iter().filter(|root| root.kind == "Deployment");
    let runs = deployments.all(|root| judge(subject.cache, root).is_ok());
    (runs && resource.status.conditions.0.is_empty()).then(String::new)
}

/// The newest event of an Ingress without an address: an address means that the problem is solved.
fn warned<'a>(subject: &Subject<'a>, ingress: &Ingress) -> Option<&'a Event> {
    subject.events().first().copied().filter(|_| ingress.hostname().is_empty())
}

fn https_disabled(subject: &Subject<'_>, ingress: &Ingress) -> Option<String> {
    let event = warned(subject, ingress).filter(|event| event.reason == "HTTPSNotEnabled")?;
    Some(event.message.clone())
}

fn ingress_rejected(subject: &Subject<'_>, ingress: &Ingress) -> Option<String> {
    warned(subject, ingress).map(|event| format!("{}: {}", event.reason, event.message))
}

fn host_in_use(_: &Subject<'_>, ingress: &Ingress) -> Option<String> {
    let expected = ingress.spec.tls.first().and_then(|tls| tls.hosts.first()).map_or("", String::as_str);
    let assigned = ingress.hostname();
    let label = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    (!assigned.is_empty() && label(expected) != label(assigned)).then(|| format!("{assigned} instead of {expected}"))
}

fn without_address(_: &Subject<'_>, ingress: &Ingress) -> Option<String> {
    let is_of_tailscale = ingress.spec.ingress_class_name == INGRESS_CLASS || ingress.metadata.name == "grafana";
    (is_of_tailscale && ingress.hostname().is_empty()).then(String::new)
}

/// The tag of the operator's image is its version; the CRDs have theirs in an annotation. Only a one-time read finds it:
/// the watches drop the containers of ready pods.
fn crd_too_old(subject: &Subject<'_>, crd: &CustomResourceDefinition) -> Option<String> {
    let crd = Version::parse(&crd.metadata.annotations.operator_version).ok()?;
    let pods = subject.cache.all::<Pod>(&subject.release.namespace);
    let containers = pods.flat_map(|pod| &pod.status.container_statuses);
    let tags = containers.filter_map(|container| container.image.rsplit_once("/prometheus-operator:v"));
    let operator = tags.filter_map(|(_, tag)| Version::parse(tag).ok()).max()?;
    (crd < operator).then(|| format!("{crd}, the operator is {operator}"))
}

fn leftover(subject: &Subject<'_>, configuration: &WebhookConfiguration) -> Option<String> {
    let mut services = configuration.webhooks.iter().filter_map(|webhook| webhook.client_config.service.as_ref());
    let gone = services.find(|service| subject.cache.get::<Service>(&service.namespace, &service.name).is_none())?;
    Some(format!("{} in namespace {}", gone.name, gone.namespace))
}
