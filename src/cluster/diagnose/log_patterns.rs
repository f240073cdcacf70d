//! What the logs of known programs mean. The texts are those of Grafana 12, Loki 3, oauth2-proxy 7.15, Prometheus 3
//! and the Tailscale operator 1.90.

use crate::cluster::diagnose::matcher::{When, line_with};
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::views::{ContainerStatus, Pod};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "grafana-two-default-data-sources",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "Grafana exits because two data sources are marked as default",
        hint: "find the other one with `kubectl get configmap -A -l grafana_datasource`, and set its isDefault to false",
        ..logged(&["Only one datasource per organization can be marked as default"])
    },
    Rule {
        id: "oauth2-proxy-issuer-mismatch",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy exits because auth0.issuer differs from the issuer in the provider's discovery document",
        hint: "set auth0.issuer in the answers to the issuer that the log shows (Auth0's ends with a slash), then run the same command again",
        ..logged(&["issuer did not match the issuer returned by provider"])
    },
    Rule {
        id: "oauth2-proxy-cookie-secret",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy exits because its cookie secret is not 16, 24 or 32 bytes long",
        hint: "remove the key cookie-secret from Secret oauth2-proxy-auth0, then run the same command again: it generates a new one",
        ..logged(&["cookie_secret must be 16, 24, or 32 bytes"])
    },
    Rule {
        id: "oauth2-proxy-issuer-unreachable",
        lasts: 20,
        repeats: 2,
        cause: "oauth2-proxy cannot reach the issuer from inside the cluster",
        hint: "check that pods can connect to auth0.issuer on port 443 (DNS, NetworkPolicies, proxy)",
        ..logged(&["failed to discover OIDC configuration", "error while discovering the issuer"])
    },
    Rule {
        id: "oauth2-proxy-config-invalid",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy exits because its configuration is invalid",
        hint: "correct the setting that its log shows under values.oauth2-proxy in the answers, then run the same command again",
        ..logged(&["invalid configuration:", "has invalid keys"])
    },
    Rule {
        id: "loki-config-invalid",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "Loki exits because its configuration is invalid",
        hint: "correct the setting that its log shows under values.loki in the answers, then run the same command again",
        ..logged(&[
            "failed parsing config",
            "delete-request-store should be configured",
            "validating config",
            "failed to load config",
        ])
    },
    Rule {
        id: "image-wrong-architecture",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "image {image} is built for another architecture than that of the node of pod {name}",
        hint: "choose a tag that has this architecture, or exclude these nodes with a nodeSelector, under values.{component} in the answers",
        ..logged(&["exec format error"])
    },
    Rule {
        id: "disk-full",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} exits because its volume is full",
        hint: "set a larger volume (storage) or a shorter retention in the answers; `kubectl -n {namespace} get pvc` shows the volumes",
        ..logged(&["no space left on device"])
    },
    Rule {
        id: "volume-not-writable",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} has no write permission for its files",
        hint: "see the path in its log; the volume needs the pod's fsGroup, and a storage driver that applies it",
        ..logged(&["permission denied"])
    },
    Rule {
        id: "too-many-open-files",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} exits because its node has no free inotify instances",
        hint: "raise fs.inotify.max_user_instances on the node (8192 is usual): `sysctl -w fs.inotify.max_user_instances=8192`",
        ..logged(&["too many open files"])
    },
    Rule {
        id: "prometheus-storage-corrupt",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "Prometheus exits because it cannot open its storage",
        hint: "see the file in its log; delete the file, or the claim if you do not need its metrics (`kubectl -n {namespace} get pvc`), then run the same command again",
        ..logged(&["opening storage failed"])
    },
    Rule {
        id: "loki-samples-too-old",
        severity: Severity::Notice,
        cause: "Loki rejects log lines that are older than reject_old_samples_max_age; after a first installation this is expected",
        hint: "wait some minutes; if it continues, check the clocks of the nodes",
        ..log_contains("alloy", &["timestamp too old", "entry too far behind"])
    },
    Rule {
        id: "oauth2-proxy-email-not-verified",
        severity: Severity::Notice,
        cause: "a user could not sign in because the provider reports the e-mail address as not verified",
        hint: "the user must verify the address in Auth0",
        ..log_contains("oauth2-proxy", &["isn't verified"])
    },
    Rule {
        id: "tailscale-tags-rejected",
        cause: "the tailnet policy does not allow the Tailscale operator to use its tags",
        hint: "make the operator an owner of the tags in the tailnet policy: `\"tagOwners\": {\"tag:k8s-operator\": [], \"tag:k8s\": [\"tag:k8s-operator\"]}`",
        ..log_contains("operator", &["are invalid or not permitted"])
    },
    Rule {
        id: "certificate-rate-limited",
        cause: "Let's Encrypt limits the rate of certificates for this host name",
        hint: "wait until the time in the log; do not recreate the Ingress, since each attempt counts",
        when: When::Container(certificate_limit),
        ..Rule::BLANK
    },
];

const fn logged(phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::Logged(phrases), ..Rule::BLANK }
}

const fn log_contains(app: &'static str, phrases: &'static [&'static str]) -> Rule {
    Rule { when: When::LogContains { app, phrases }, ..Rule::BLANK }
}

/// A proxy pod of the Tailscale operator has a label with the name of its Ingress.
fn certificate_limit(subject: &Subject<'_>, pod: &Pod, container: &ContainerStatus) -> Option<String> {
    let is_proxy = !pod.metadata.labels.parent_resource.is_empty();
    is_proxy.then(|| line_with(subject, pod, container, &["rateLimited", "too many certificates"])).flatten()
}
