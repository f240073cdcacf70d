//! Rows: the requests of each command, as RBAC rules. What follows from the rendered objects is added to them.

use crate::plan::UninstallOptions;

/// (API group, plural or plural/subresource, verbs).
pub(super) type Rule = (&'static str, &'static str, &'static [&'static str]);

/// API group of roles and bindings.
pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

/// helm's requests for release records (helm, pkg/storage/driver).
pub(super) const OF_RECORDS: &[&str] = &["get", "list", "create", "update", "delete"];
/// helm's requests for the objects of a release; deletes those that a newer chart or a rollback does not have. The plan
/// lists them, to find drift and objects of other owners.
pub(super) const OF_RELEASES: &[&str] = &["get", "list", "create", "patch", "delete"];
/// helm's requests for hooks, with the wait.
pub(super) const OF_HOOKS: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// Requests of an uninstall: objects are listed by kind until they are deleted.
pub(super) const OF_REMOVALS: &[&str] = &["get", "list", "delete"];
/// Server-side apply needs `create` for an absent object.
pub(super) const APPLIED: &[&str] = &["get", "list", "create", "patch"];
/// Reads by name and by kind.
pub(super) const READ: &[&str] = &["get", "list"];
/// Verbs of requests with the name of an object.
pub(super) const NAMED: [&str; 4] = ["get", "patch", "update", "delete"];

/// Reads of every command in each namespace of the stack: own Secrets, saved answers, notes, helm's records.
pub(super) const OF_EVERY_COMMAND: [Rule; 2] = [("", "secrets", READ), ("", "configmaps", READ)];
/// Reads of the plan, and of `verify`, which compares the installed stack with its plan.
pub(super) const OF_THE_PLAN: [Rule; 2] =
    [("", "nodes", &["list"]), ("networking.k8s.io", "ingressclasses", &["list"])];
/// What a diagnosis reads in each namespace of the stack; a run watches it.
pub(super) const EXPLAINING: [(&str, &str); 8] = [
    ("", "pods"),
    ("", "events"),
    ("", "persistentvolumeclaims"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"),
];
pub(super) const LOGS: Rule = ("", "pods/log", &["get"]);
pub(super) const LOCK: Rule = ("coordination.k8s.io", "leases", &["get", "create", "update", "patch"]);
/// Writes of the run itself in the stack's namespace: answers and notes.
pub(super) const OF_THE_RUN: [Rule; 3] = [LOCK, ("", "configmaps", APPLIED), ("", "secrets", APPLIED)];

/// Requests of the checks. A port-forward over a WebSocket is a GET; newer API servers also require `create`
/// (Kubernetes, AuthorizePodWebsocketUpgradeCreatePermission).
pub(super) const OF_THE_CHECKS: [Rule; 9] = [
    ("", "pods", READ),
    ("", "pods/portforward", &["get", "create"]),
    ("", "services", READ),
    ("discovery.k8s.io", "endpointslices", &["list"]),
    ("batch", "jobs", &["get", "list", "create", "delete"]),
    ("networking.k8s.io", "ingresses", READ),
    ("monitoring.coreos.com", "prometheusrules", &["create"]),
    ("monitoring.coreos.com", "servicemonitors", &["list"]),
    ("monitoring.coreos.com", "podmonitors", &["list"]),
];
/// What Prometheus scrapes, in each namespace that a ServiceMonitor or PodMonitor selects.
pub(super) const MONITORED: [Rule; 3] =
    [("", "services", &["list"]), ("discovery.k8s.io", "endpointslices", &["list"]), ("", "pods", &["list"])];

/// (permission in all namespaces, checks that are not made without it); `verify` needs the Tailscale operator's namespace.
pub(super) const OPERATORS: (Rule, &str) = (("apps", "deployments", READ), "prometheus-operator-conflict");
/// The same, of both.
pub(super) const MONITORS: (Rule, &str) =
    (("monitoring.coreos.com", "servicemonitors", &["list"]), "service-monitor-tokens, prometheus-token-private");
/// The same, of the preflight.
pub(super) const OPTIONAL: [(Rule, &str); 11] = [
    (("storage.k8s.io", "storageclasses", &["list", "watch"]), "storage-class, volume-claims"),
    (("", "pods", &["list"]), "host-ports, node-room"),
    (("networking.k8s.io", "ingresses", &["list"]), "tailnet"),
    (("admissionregistration.k8s.io", "validatingwebhookconfigurations", &["list"]), "admission-webhooks"),
    (("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["list"]), "admission-webhooks"),
    (("", "services", &["get"]), "admission-webhooks"),
    (("discovery.k8s.io", "endpointslices", &["list"]), "admission-webhooks"),
    (("apiregistration.k8s.io", "apiservices", &["list"]), "api-services"),
    (("storage.k8s.io", "csidrivers", &["list"]), "storage-class"),
    (("coordination.k8s.io", "leases", &["list"]), "storage-class"),
    (("", "persistentvolumes", &["list"]), "storage-class"),
];
/// The same, in each namespace of the stack.
pub(super) const OPTIONAL_IN_NAMESPACES: [(Rule, &str); 2] =
    [(("", "resourcequotas", &["list"]), "quotas"), (("", "limitranges", &["list"]), "quotas")];
/// The same, but not granted by `tailwatch rbac`: it allows to read every Secret of the cluster.
pub(super) const NOT_GRANTED: (Rule, &str) = (("", "secrets", &["list"]), "release-conflict");

/// Reads of an uninstall in all namespaces: who else uses the CRDs and the kubelet Service.
pub(super) const USERS: [Rule; 3] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", &["list"]),
    ("monitoring.coreos.com", "*", &["list"]),
    ("apps", "deployments", READ),
];
/// The same, of the Tailscale operator.
pub(super) const USERS_OF_THE_OPERATOR: [Rule; 4] = [
    ("networking.k8s.io", "ingressclasses", &["list"]),
    ("networking.k8s.io", "ingresses", &["list"]),
    ("", "services", &["list"]),
    ("tailscale.com", "*", &["list"]),
];
/// Own objects that an uninstall deletes in each namespace of the stack.
pub(super) const OWN_REMOVALS: [Rule; 6] = [
    (RBAC, "rolebindings", OF_REMOVALS),
    (RBAC, "roles", OF_REMOVALS),
    ("networking.k8s.io", "ingresses", OF_REMOVALS),
    ("networking.k8s.io", "networkpolicies", OF_REMOVALS),
    ("", "configmaps", OF_REMOVALS),
    ("coordination.k8s.io", "leases", &["delete"]),
];
/// A namespace is deleted or loses its labels only after everything in it was listed.
pub(super) const CONTENTS: Rule = ("*", "*", &["list"]);
/// The kubelet Service, which prometheus-operator never deletes.
pub(super) const OF_THE_KUBELET_SERVICE: [Rule; 3] = [
    ("", "services", OF_REMOVALS),
    ("", "endpoints", OF_REMOVALS),
    ("discovery.k8s.io", "endpointslices", OF_REMOVALS),
];

/// What the permissions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A first installation, and its repetition.
    Install,
    /// Changes of the installed stack, too: other versions, larger volumes, components that are left out.
    Upgrade,
    /// The checks of the installed stack.
    Verify,
    /// The removal.
    Uninstall(UninstallOptions),
}

impl Purpose {
    /// Name of the command.
    pub fn command(self) -> &'static str {
        match self {
            Purpose::Install => "install",
            Purpose::Upgrade => "upgrade",
            Purpose::Verify => "verify",
            Purpose::Uninstall(_) => "uninstall",
        }
    }
}
