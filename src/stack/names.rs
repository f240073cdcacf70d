//! Names, labels and annotations of the objects that tailwatch writes.

/// Name of the Secret with oauth2-proxy's credentials.
pub const OAUTH2_PROXY_SECRET: &str = "oauth2-proxy-auth0";
/// Name of the Secret with Grafana's admin password.
pub const GRAFANA_SECRET: &str = "grafana-admin";
/// Name of the Secret with the URL or key of the receiver of alerts.
pub const ALERTS_SECRET: &str = "tailwatch-alerts";
/// Name of the ConfigMap with dashboards, and of the Role and RoleBinding of Grafana's sidecar.
pub const DASHBOARDS: &str = "tailwatch-dashboards";
/// Name of the Secret with the operator's webhook certificate; the chart fixes it, without overrides to this one.
pub const WEBHOOK_SECRET: &str = "kube-prometheus-stack-admission";
/// Name of the Secret with the Tailscale operator's OAuth client; the chart fixes it.
pub const TAILSCALE_SECRET: &str = "operator-oauth";
/// Namespace of the Tailscale operator.
pub const TAILSCALE_NAMESPACE: &str = "tailscale";

/// Label of every own object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value, and the name of the Lease.
pub const TAILWATCH: &str = "tailwatch";
/// Namespace and name of the Lease for all stacks of the cluster, which share CRDs and cluster-scoped objects. Every
/// cluster has this namespace, and no distribution reserves it.
pub const CLUSTER_LOCK: (&str, &str) = ("default", "tailwatch-cluster");
/// Annotation of a namespace that tailwatch created.
pub const MADE_BY_US: &str = "tailwatch.dev/created";

/// Annotation of the stack's namespace: the security-relevant answers of the last run.
pub const ANSWERS_RECORD: &str = "tailwatch.dev/answers";
/// The same: the applied charts with their digests, see [`RecordedCharts`](crate::stack::RecordedCharts).
pub const CHARTS_RECORD: &str = "tailwatch.dev/charts";
/// Further keys of the Secret with the saved answers: the version of tailwatch that wrote them, and random bytes.
pub const WRITTEN_BY: &str = "written-by";
/// See [`WRITTEN_BY`].
pub const SALT: &str = "salt";
/// Name of the ConfigMap with the notes on releases: the last healthy revision of each.
pub const REVISIONS: &str = "tailwatch-revisions";
/// Label that each helm call of tailwatch sets on its revision; helm copies it to later revisions.
pub const RUN_LABEL: &str = "tailwatch-run";
/// The same, with the machine of the run.
pub const MACHINE_LABEL: &str = "tailwatch-machine";
/// The same, with the seconds that the helm call may take.
pub const LIMIT_LABEL: &str = "tailwatch-limit";
