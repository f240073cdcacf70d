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
        cause: "Grafana ends because two data sources are marked as default",
        hint: "find the other one with `kubectl get configmap -A -l grafana_datasource`, and set its isDefault to false",
        ..logged(&["Only one datasource per organization can be marked as default"])
    },
    Rule {
        id: "oauth2-proxy-issuer-mismatch",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy ends because auth0.issuer is not the issuer that the provider names",
        hint: "write auth0.issuer in the answers exactly as the provider does (see the log: Auth0 ends it with a slash), then run the same command again",
        ..logged(&["issuer did not match the issuer returned by provider"])
    },
    Rule {
        id: "oauth2-proxy-cookie-secret",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy ends because its cookie secret has a wrong length",
        hint: "remove the key cookie-secret from Secret oauth2-proxy-auth0, then run the same command again: it makes a new one",
        ..logged(&["cookie_secret must be 16, 24, or 32 bytes"])
    },
    Rule {
        id: "oauth2-proxy-issuer-unreachable",
        lasts: 20,
        repeats: 2,
        cause: "oauth2-proxy cannot reach the issuer from inside the cluster",
        hint: "see whether pods may go out to auth0.issuer on port 443 (DNS, NetworkPolicies, proxy)",
        ..logged(&["failed to discover OIDC configuration", "error while discovering the issuer"])
    },
    Rule {
        id: "oauth2-proxy-config-invalid",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "oauth2-proxy ends because it refuses its configuration",
        hint: "correct what its log names under values.oauth2-proxy in the answers, then run the same command again",
        ..logged(&["invalid configuration:", "has invalid keys"])
    },
    Rule {
        id: "loki-config-invalid",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "Loki ends because it refuses its configuration",
        hint: "correct what its log names under values.loki in the answers, then run the same command again",
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
        cause: "image {image} is made for another architecture than the node of pod {name}",
        hint: "choose a tag that has it, or keep the pod off these nodes with a nodeSelector, under values.{component} in the answers",
        ..logged(&["exec format error"])
    },
    Rule {
        id: "disk-full",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} ends because its volume is full",
        hint: "give it a larger volume with storage in the answers, or a shorter retention; `kubectl -n {namespace} get pvc` shows the volumes",
        ..logged(&["no space left on device"])
    },
    Rule {
        id: "volume-not-writable",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} may not write where it has to",
        hint: "see the path in its log; a volume needs the fsGroup of the pod, and a StorageClass that honours it",
        ..logged(&["permission denied"])
    },
    Rule {
        id: "too-many-open-files",
        severity: Severity::Fatal,
        lasts: 15,
        repeats: 2,
        cause: "container {container} of pod {name} ends because its node has no inotify instances left",
        hint: "raise fs.inotify.max_user_instances on the node (8192 is usual): `sysctl -w fs.inotify.max_user_instances=8192`",
        ..logged(&["too many open files"])
    },
    Rule {
        id: "loki-samples-too-old",
        severity: Severity::Notice,
        cause: "Loki refuses lines of pod logs that are older than it accepts; on a first start that is harmless",
        hint: "nothing to do in the first minutes; if it continues, see whether the clocks of the nodes are right",
        ..log_contains("alloy", &["timestamp too old", "entry too far behind"])
    },
    Rule {
        id: "oauth2-proxy-email-not-verified",
        severity: Severity::Notice,
        cause: "a user could not sign in because the provider reports the e-mail address as not verified",
        hint: "let the person verify the address in Auth0",
        ..log_contains("oauth2-proxy", &["isn't verified"])
    },
    Rule {
        id: "tailscale-tags-rejected",
        cause: "the tailnet does not let the Tailscale operator use its tags",
        hint: "let the tags be owned by the operator in the tailnet policy: `\"tagOwners\": {\"tag:k8s-operator\": [], \"tag:k8s\": [\"tag:k8s-operator\"]}`",
        ..log_contains("operator", &["are invalid or not permitted"])
    },
    Rule {
        id: "certificate-rate-limited",
        cause: "Let's Encrypt gives out no more certificates for this host name for now",
        hint: "wait until the time that the log names; do not delete and make the Ingress again, each try counts",
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
