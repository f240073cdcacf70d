//! Known errors of the API server: a table from its messages to cause and next step. helm repeats the messages on its
//! stderr, so the table serves both. Messages of Kubernetes 1.30 to 1.36.

use crate::event::{DiagnosedObject, Diagnosis, Severity};

/// A known error.
#[derive(Debug)]
pub struct KnownError {
    /// Stable id, kebab-case; the anchor in docs/diagnosis.md.
    pub id: &'static str,
    /// The message contains one of these, case-insensitively.
    pub phrases: &'static [&'static str],
    /// The cause.
    pub cause: &'static str,
    /// The next step.
    pub hint: &'static str,
}

impl KnownError {
    /// The diagnosis of a release with this error.
    pub fn of_release(&self, component: &str, namespace: &str, message: &str) -> Diagnosis {
        Diagnosis {
            rule: self.id.to_owned(),
            severity: Severity::Fatal,
            cause: self.cause.to_owned(),
            place: DiagnosedObject {
                component: Some(component.to_owned()),
                namespace: Some(namespace.to_owned()),
                object: format!("release {component}"),
                ..DiagnosedObject::default()
            },
            evidence: message.split_whitespace().collect::<Vec<_>>().join(" "),
            since: jiff::Timestamp::now(),
            log: Vec::new(),
            hint: self.hint.to_owned(),
            docs: Diagnosis::docs_of(self.id),
        }
    }
}

/// By precedence: an error of a webhook because of a quota is about the quota.
pub const API_ERRORS: &[KnownError] = &[
    KnownError {
        id: "owned-by-another-release",
        phrases: &["invalid ownership metadata"],
        cause: "an object of the chart belongs to another release",
        hint: "remove or rename the object named above, or install the stack into another namespace with --namespace",
    },
    KnownError {
        id: "field-immutable",
        phrases: &["field is immutable", "updates to statefulset spec for fields other than", "may not be changed"],
        cause: "a field of an existing object cannot be changed",
        hint: "delete that object with `kubectl delete --cascade=orphan` (pods and volumes stay), then run the same \
               command again",
    },
    KnownError {
        id: "pod-security-violated",
        phrases: &["violates PodSecurity"],
        cause: "Pod Security Admission of the namespace rejected an object",
        hint: "label the namespace: `kubectl label namespace NAMESPACE \
               pod-security.kubernetes.io/enforce=privileged --overwrite`",
    },
    KnownError {
        id: "webhook-unreachable",
        phrases: &["failed calling webhook"],
        cause: "an admission webhook could not be called",
        hint: "check that its Service has ready pods; on private clusters the firewall must allow the API server to \
               reach ports 10250 and 8443 of the nodes",
    },
    KnownError {
        id: "admission-rejected",
        phrases: &["denied the request", "denied request"],
        cause: "an admission policy denied an object",
        hint: "read its message, then change the object or the policy",
    },
    KnownError {
        id: "quota-needs-requests",
        phrases: &["failed quota", "must specify"],
        cause: "a ResourceQuota requires resources that an object does not set",
        hint: "set its resources under `values:` in the answers, or create a LimitRange with defaults in the namespace",
    },
    KnownError {
        id: "quota-exceeded",
        phrases: &["exceeded quota"],
        cause: "an object exceeds a ResourceQuota",
        hint: "raise the quota of the namespace, or lower the requests under `values:` in the answers",
    },
    KnownError {
        id: "limit-range-violated",
        phrases: &["per Container is", "per Pod is", "per PersistentVolumeClaim is"],
        cause: "an object violates a LimitRange",
        hint: "correct its resources under `values:` in the answers, or the LimitRange",
    },
    KnownError {
        id: "namespace-terminating",
        phrases: &["because it is being terminated"],
        cause: "the namespace is being deleted",
        hint: "wait until `kubectl get namespace` no longer shows it, then run the same command again",
    },
    KnownError {
        id: "release-too-large",
        phrases: &["1048576 bytes", "Request entity too large", "exceeds the limit"],
        cause: "the release's record is larger than a Secret may be",
        hint: "remove dashboards or rules from `values:` in the answers",
    },
    KnownError {
        id: "annotation-too-long",
        phrases: &["262144 bytes"],
        cause: "a CRD is applied client-side and is too large for the annotation",
        hint: "apply it with `kubectl apply --server-side`, as tailwatch does",
    },
    KnownError {
        id: "node-port-in-use",
        phrases: &["provided port is already allocated"],
        cause: "a node port is already allocated to another Service",
        hint: "choose another nodePort under `values:` in the answers",
    },
    KnownError {
        id: "crd-missing",
        phrases: &["no matches for kind", "could not find the requested resource", "ensure CRDs are installed first"],
        cause: "the API server does not serve a kind of the chart",
        hint: "find the missing CRD with `kubectl get crd`; `tailwatch install` applies the CRDs of the chart",
    },
    KnownError {
        id: "crd-too-old",
        phrases: &["unknown field", "field not declared in schema", "strict decoding error"],
        cause: "a CRD in the cluster is older than the chart and lacks a field",
        hint: "find the owner of the CRD with `kubectl get crd NAME --show-managed-fields -o yaml`",
    },
    KnownError {
        id: "field-conflict",
        phrases: &["conflict occurred while applying", "conflict with", "conflicts with"],
        cause: "another field manager owns a field of an object",
        hint: "release the field in the other field manager, or install into another namespace with --namespace",
    },
    KnownError {
        id: "api-throttled",
        phrases: &["client rate limiter", "too many requests", "TooManyRequests", "request is throttled", "429"],
        cause: "the API server throttles requests",
        hint: "find the client that causes the load, then run the same command again",
    },
    KnownError {
        id: "api-forbidden",
        phrases: &["is forbidden: User", "cannot be authorized", "attempting to grant RBAC permissions"],
        cause: "RBAC does not permit this request",
        hint: "use a context with cluster-admin permissions, or ask an administrator to apply the output of `tailwatch rbac`",
    },
    KnownError {
        id: "cluster-unreachable",
        phrases: &[
            "cluster unreachable",
            "connection refused",
            "connection reset",
            "no route to host",
            "error sending request",
            "client connection lost",
            "unexpected EOF",
            ": EOF",
            "i/o timeout",
            "TLS handshake timeout",
            "use of closed network connection",
            "broken pipe",
            "network is unreachable",
            "server sent GOAWAY",
            "apiserver is shutting down",
            "etcdserver: ",
        ],
        cause: "the API server cannot be reached",
        hint: "check that `kubectl get nodes` works with the same kubeconfig and context",
    },
];

/// The first known error in a text.
pub fn find<'a>(rows: &'a [KnownError], text: &str) -> Option<&'a KnownError> {
    let text = text.to_lowercase();
    rows.iter().find(|row| row.phrases.iter().any(|phrase| has(&text, phrase)))
}

/// Whether a text contains one of the phrases, case-insensitively.
pub fn contains_any(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|phrase| has(&text, phrase))
}

/// A number must be a word: a status code must not match a part of a port or digest.
fn has(lower_case: &str, phrase: &str) -> bool {
    match phrase.parse::<u16>() {
        Ok(_) => lower_case.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == phrase),
        Err(_) => lower_case.contains(&phrase.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_errors_are_found_by_the_message() {
        let rows = [
            (
                "StatefulSet.apps \"loki\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas'",
                Some("field-immutable"),
            ),
            (
                "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
                Some("quota-exceeded"),
            ),
            ("pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: c", Some("quota-needs-requests")),
            (
                "Internal error occurred: failed calling webhook \"a.b\": failed to call webhook: Post …: connection refused",
                Some("webhook-unreachable"),
            ),
            ("secrets is forbidden: User \"x\" cannot list resource \"secrets\"", Some("api-forbidden")),
            (
                "Get \"https://127.0.0.1:24297/api/v1\": dial tcp 127.0.0.1:24297: connect: connection refused",
                Some("cluster-unreachable"),
            ),
            ("Get \"https://127.0.0.1:24297/version\": net/http: TLS handshake timeout", Some("cluster-unreachable")),
            ("Patch \"https://127.0.0.1:24297/api/v1/x\": EOF", Some("cluster-unreachable")),
            ("the server answered with 429", Some("api-throttled")),
            ("the sky is blue", None),
        ];
        for (text, id) in rows {
            assert_eq!(find(API_ERRORS, text).map(|row| row.id), id, "{text}");
        }
    }
}
