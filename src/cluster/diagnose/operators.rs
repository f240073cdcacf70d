//! What operators say of their resources, and objects that belong to no release.

use semver::Version;
use serde_json::Value;

use crate::cluster::diagnose::target::Level;
use crate::cluster::diagnose::{Rule, Subject, When};
use crate::cluster::readiness::workloads::{judge, said};
use crate::cluster::watch::cache::{denied, mark, text};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "operator-not-reconciled",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "the operator cannot make {kind} {name} true: {said}",
        hint: "correct what it names under values.{component} in the answers, then run the same command again",
        ..on_resource(When::Fact(not_reconciled))
    },
    Rule {
        id: "operator-not-running",
        named_after: 4,
        lasts: 30,
        cause: "no operator has looked at {kind} {name}",
        hint: "see whether the operator runs and watches namespace {namespace}: `kubectl -n {namespace} logs deployment/kube-prometheus-stack-operator`",
        ..on_resource(When::Fact(silent))
    },
    Rule {
        id: "tailnet-https-disabled",
        cause: "the tailnet gives out no certificates, so Ingress {name} gets no address",
        hint: "switch on MagicDNS and HTTPS Certificates on the DNS page of the tailnet's admin console",
        ..on_ingress(When::Fact(https_off))
    },
    Rule {
        id: "ingress-host-in-use",
        cause: "Ingress {name} got another host name than its own: {said}",
        hint: "remove the old device of that name from the tailnet and delete the Ingress once, or choose another grafana.hostname in the answers",
        ..on_ingress(When::Fact(host_taken))
    },
    Rule {
        id: "ingress-rejected",
        cause: "the Tailscale operator does not accept Ingress {name}",
        hint: "read its words above, and `kubectl -n tailscale logs deployment/operator`",
        ..on_ingress(When::Fact(ingress_refused))
    },
    Rule {
        id: "ingress-without-address",
        named_after: 4,
        lasts: 60,
        cause: "Ingress {name} has no address on the tailnet yet",
        hint: "see whether the Tailscale operator runs: `kubectl -n tailscale logs deployment/operator`",
        ..on_ingress(When::Fact(without_address))
    },
    Rule {
        id: "crd-too-old",
        cause: "CRD {name} is older than the operator that runs: {said}",
        hint: "run `tailwatch install` again: it applies the CRDs of the chart first",
        ..on_cluster(When::Fact(crd_too_old))
    },
    Rule {
        id: "webhook-leftover",
        severity: Severity::Notice,
        cause: "{kind} {name} calls a Service that does not exist: {said}",
        hint: "if nothing needs it any more: `kubectl delete {kind} {name}`",
        ..on_cluster(When::Fact(leftover))
    },
];

const fn on_resource(when: When) -> Rule {
    Rule { level: Level::Resource, when, ..Rule::BLANK }
}

const fn on_ingress(when: When) -> Rule {
    Rule { level: Level::Ingress, when, ..Rule::BLANK }
}

const fn on_cluster(when: When) -> Rule {
    Rule { level: Level::Cluster, when, ..Rule::BLANK }
}

fn not_reconciled(subject: &Subject<'_>) -> Option<String> {
    denied(subject.object, "Reconciled").map(said)
}

fn silent(subject: &Subject<'_>) -> Option<String> {
    let conditions = subject.object.pointer("/status/conditions").and_then(Value::as_array);
    // An operator that still starts is no silent one.
    let mut deployments = subject.release.roots.iter().filter(|root| root.kind == "Deployment");
    let runs = deployments.all(|root| judge(subject.cache, root).is_ok());
    (runs && conditions.is_none_or(Vec::is_empty)).then(String::new)
}

const HOST: &str = "/status/loadBalancer/ingress/0/hostname";

fn warned<'a>(subject: &'a Subject<'_>) -> Option<&'a Value> {
    // An address means that whatever was wrong is mended.
    subject.events().first().copied().filter(|_| text(subject.object, HOST).is_empty())
}

fn https_off(subject: &Subject<'_>) -> Option<String> {
    let event = warned(subject).filter(|event| text(event, "/reason") == "HTTPSNotEnabled")?;
    Some(text(event, "/message").to_owned())
}

fn ingress_refused(subject: &Subject<'_>) -> Option<String> {
    warned(subject).map(|event| format!("{}: {}", text(event, "/reason"), text(event, "/message")))
}

fn host_taken(subject: &Subject<'_>) -> Option<String> {
    let (asked, got) = (text(subject.object, "/spec/tls/0/hosts/0"), text(subject.object, HOST));
    let label = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    (!got.is_empty() && label(asked) != label(got)).then(|| format!("{got} instead of {asked}"))
}

fn without_address(subject: &Subject<'_>) -> Option<String> {
    let is_ours = text(subject.object, "/spec/ingressClassName") == "tailscale";
    (is_ours && text(subject.object, HOST).is_empty()).then(String::new)
}

/// The operator's image tag is its version; the CRDs carry theirs as an annotation.
fn crd_too_old(subject: &Subject<'_>) -> Option<String> {
    let crd = Version::parse(mark(subject.object, "operator.prometheus.io/version")).ok()?;
    let pods = subject.cache.all("Pod", &subject.release.namespace);
    let images = pods.filter_map(|pod| pod.pointer("/status/containerStatuses")?.as_array()).flatten();
    let tags = images.filter_map(|status| text(status, "/image").rsplit_once("/prometheus-operator:v"));
    let operator = tags.filter_map(|(_, tag)| Version::parse(tag).ok()).max()?;
    (crd < operator).then(|| format!("{crd}, the operator is {operator}"))
}

fn leftover(subject: &Subject<'_>) -> Option<String> {
    let webhooks = subject.object.get("webhooks").and_then(Value::as_array)?;
    let services = webhooks.iter().filter_map(|webhook| webhook.pointer("/clientConfig/service"));
    let mut gone = services.map(|service| (text(service, "/namespace"), text(service, "/name")));
    let (namespace, name) = gone.find(|(namespace, name)| subject.cache.get("Service", namespace, name).is_none())?;
    Some(format!("{name} in namespace {namespace}"))
}
