//! Known errors in helm's stderr: their causes and next steps.

use crate::known_errors::KnownError;

pub(super) const SCHEMA_INVALID: &str = "chart-schema-invalid";

/// Errors of helm itself; errors of the API server are in the shared table of known errors.
pub(super) const CLASSES: &[KnownError] = &[
    KnownError {
        id: "release-locked",
        phrases: &["another operation (install/upgrade/rollback) is in progress"],
        cause: "another helm operation on this release is in progress, or was killed",
        hint: "if no helm process is running, re-run the command: it repairs the release",
    },
    KnownError {
        id: "release-name-in-use",
        phrases: &["cannot re-use a name that is still in use"],
        cause: "a release with this name already exists",
        hint: "re-run the command; it plans from the installed releases",
    },
    KnownError {
        id: "chart-values-invalid",
        phrases: &["execution error at"],
        cause: "the chart's templates reject these values",
        hint: "correct the reported answer or key below `values:`",
    },
    KnownError {
        id: SCHEMA_INVALID,
        phrases: &["values don't meet the specifications of the schema"],
        cause: "the values do not match the chart's schema",
        hint: "correct the reported key below `values:`",
    },
];

/// Errors of fetching charts.
pub(super) const FETCHING: &[KnownError] = &[
    KnownError {
        id: "repository-unauthorized",
        phrases: &[
            "unauthorized",
            "not authorized",
            "authentication failure",
            "basic credential not found",
            "403 forbidden",
            "status code 403",
            "denied: ",
        ],
        cause: "the repository requires credentials, or rejects them",
        hint: "set charts.username and charts.password in the answers, or log in with `helm registry login HOST` \
               (oci://) or `helm repo add NAME ADDRESS --username USER --password-stdin` (https://)",
    },
    KnownError {
        id: "repository-without-tls",
        phrases: &[
            "first record does not look like a tls handshake",
            "server gave http response to https client",
            "invalidcontenttype",
        ],
        cause: "the repository answers without TLS",
        hint: "write an http:// address in charts.repository, or set charts.plainHttp: true for an oci:// address",
    },
    KnownError {
        id: "repository-with-tls",
        phrases: &["http request to an https server", "malformed http response"],
        cause: "the repository answers with TLS only",
        hint: "write an https:// address in charts.repository, or leave charts.plainHttp out for an oci:// address",
    },
    KnownError {
        id: "repository-unknown-authority",
        phrases: &["signed by unknown authority", "certificate is not trusted", "unknownissuer"],
        cause: "this machine does not trust the CA of the repository's certificate",
        hint: "set charts.caFile to the PEM file of that CA, or add the CA to the trusted ones of this machine",
    },
    KnownError {
        id: "repository-certificate-invalid",
        phrases: &["x509: ", "invalid peer certificate"],
        cause: "the repository's certificate is invalid for its address",
        hint: "correct the address in charts.repository, or the repository's certificate",
    },
    KnownError {
        id: "chart-version-missing",
        phrases: &["not found in", ": not found", "no chart version found"],
        cause: "the repository does not have this chart version",
        hint: "compare `versions:` in the answers with the repository's index",
    },
    KnownError {
        id: "repository-unknown-host",
        phrases: &["no such host", "failed to lookup address", "dns error"],
        cause: "the repository's host name does not resolve",
        hint: "check DNS, the network and the proxy, or set charts.repository to a mirror",
    },
    KnownError {
        id: "repository-unreachable",
        phrases: &[
            "connection refused",
            "connection reset",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "deadline exceeded",
            "proxyconnect",
        ],
        cause: "the repository cannot be reached",
        hint: "check its address and HTTPS_PROXY, or set charts.repository to a mirror",
    },
    KnownError {
        id: "repository-without-index",
        phrases: &["is not a valid chart repository", "404 not found"],
        cause: "the address is not a chart repository",
        hint: "correct charts.repository: index.yaml must be directly below that address",
    },
];

/// Unspecific phrases, matched last.
pub(super) const VAGUE: &[KnownError] = &[
    KnownError {
        id: "hook-timeout",
        phrases: &["timed out waiting for the condition", "BackoffLimitExceeded", "hooks failed", "hook failed"],
        cause: "a hook of the chart failed or timed out",
        hint: "check the Jobs and pods of the namespace",
    },
    KnownError {
        id: "helm-timeout",
        phrases: &["context deadline exceeded"],
        cause: "helm timed out",
        hint: "check the Jobs and pods of the namespace, or raise --timeout",
    },
];

/// States of a release without a running operation.
pub(super) const STATES: &[KnownError] = &[
    KnownError {
        id: "release-pending",
        phrases: &[],
        cause: "an interrupted operation left the release pending",
        hint: "re-run `tailwatch install`: it repairs the release",
    },
    KnownError {
        id: "release-failed",
        phrases: &[],
        cause: "the last operation on the release failed",
        hint: "fix the cause, then re-run `tailwatch install`",
    },
];

/// Every row about helm, for the documentation.
pub fn rows() -> impl Iterator<Item = &'static KnownError> {
    [CLASSES, FETCHING, VAGUE, STATES].into_iter().flatten()
}
