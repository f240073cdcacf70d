//! The rows, in the order of the report.

use std::time::Duration;

use crate::check::{Row, door, logs, metrics, workloads};
use crate::event::Verdict;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) static ROWS: &[Row] = &[
    Row {
        id: "workloads-available",
        group: "workloads",
        statement: "every workload of the stack is available",
        needs: &[],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(30),
        hint: "see `kubectl -n NAMESPACE get pods`, and `kubectl describe` of the one named above",
        docs: None,
        run: |context| Box::pin(workloads::available(context)),
    },
    Row {
        id: "prometheus-ready",
        group: "metrics",
        statement: "Prometheus is ready to serve",
        needs: &[],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(60),
        hint: "see the log of pod prometheus-kube-prometheus-stack-prometheus-0",
        docs: None,
        run: |context| Box::pin(metrics::prometheus_ready(context)),
    },
    Row {
        id: "prometheus-retention",
        group: "metrics",
        statement: "Prometheus keeps samples as long as asked",
        needs: &["prometheus-ready"],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(30),
        hint: "look for prometheus.prometheusSpec.retention under `values:`, then run `tailwatch install` again",
        docs: Some("https://prometheus.io/docs/prometheus/latest/storage/"),
        run: |context| Box::pin(metrics::retention(context)),
    },
    Row {
        id: "prometheus-targets-known",
        group: "metrics",
        statement: "Prometheus knows a target of every ServiceMonitor of the stack",
        needs: &["prometheus-ready"],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(90),
        hint: "compare the ServiceMonitor's selector with the Service's labels, and the Prometheus resource's serviceMonitorSelector with the ServiceMonitor's labels",
        docs: Some("https://prometheus-operator.dev/docs/platform/troubleshooting/"),
        run: |context| Box::pin(metrics::targets_known(context)),
    },
    Row {
        id: "prometheus-targets-up",
        group: "metrics",
        statement: "every target of the stack answers Prometheus",
        needs: &["prometheus-targets-known"],
        part: None,
        severity: Verdict::Warn,
        deadline: seconds(130),
        hint: "open the Prometheus target page: `kubectl -n NAMESPACE port-forward svc/kube-prometheus-stack-prometheus 9090`, then http://localhost:9090/targets",
        docs: None,
        run: |context| Box::pin(metrics::targets_up(context)),
    },
    Row {
        id: "grafana-healthy",
        group: "dashboards",
        statement: "Grafana is healthy",
        needs: &[],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(60),
        hint: "see the log of the Grafana pod: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-grafana -c grafana`",
        docs: None,
        run: |context| Box::pin(door::grafana_healthy(context)),
    },
    Row {
        id: "grafana-anonymous",
        group: "dashboards",
        statement: "Grafana lets in everybody who passed the door",
        needs: &["grafana-healthy"],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(15),
        hint: "look for grafana.ini auth.anonymous under `values:`; the organisation must be called Main Org.",
        docs: None,
        run: |context| Box::pin(door::grafana_anonymous(context)),
    },
    Row {
        id: "grafana-reads-prometheus",
        group: "dashboards",
        statement: "Grafana's Prometheus data source answers",
        needs: &["grafana-healthy", "prometheus-ready"],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(30),
        hint: "compare the data source's URL with the Service kube-prometheus-stack-prometheus, and see the NetworkPolicies",
        docs: None,
        run: |context| Box::pin(door::reads_prometheus(context)),
    },
    Row {
        id: "grafana-reads-loki",
        group: "dashboards",
        statement: "Grafana's Loki data source answers",
        needs: &["grafana-healthy", "loki-ready"],
        part: Some("loki"),
        severity: Verdict::Fail,
        deadline: seconds(30),
        hint: "compare the data source's URL with the Service loki, and see the NetworkPolicies",
        docs: None,
        run: |context| Box::pin(door::reads_loki(context)),
    },
    Row {
        id: "loki-ready",
        group: "logs",
        statement: "Loki is ready",
        needs: &[],
        part: Some("loki"),
        severity: Verdict::Fail,
        deadline: seconds(90),
        hint: "see the log of pod loki-0",
        docs: None,
        run: |context| Box::pin(logs::loki_ready(context)),
    },
    Row {
        id: "loki-answers",
        group: "logs",
        statement: "Loki answers a query",
        needs: &["loki-ready"],
        part: Some("loki"),
        severity: Verdict::Fail,
        deadline: seconds(30),
        hint: "see the log of pod loki-0; 401 means that loki.auth_enabled is on",
        docs: None,
        run: |context| Box::pin(logs::loki_answers(context)),
    },
    Row {
        id: "loki-retention",
        group: "logs",
        statement: "Loki deletes logs when asked",
        needs: &["loki-ready"],
        part: Some("loki"),
        severity: Verdict::Fail,
        deadline: seconds(15),
        hint: "look for loki.limits_config and loki.compactor under `values:`, then run `tailwatch install` again",
        docs: Some("https://grafana.com/docs/loki/latest/operations/storage/retention/"),
        run: |context| Box::pin(logs::loki_retention(context)),
    },
    Row {
        id: "alloy-ready",
        group: "logs",
        statement: "Alloy is ready on every node, with healthy components",
        needs: &[],
        part: Some("alloy"),
        severity: Verdict::Fail,
        deadline: seconds(60),
        hint: "see `kubectl -n NAMESPACE logs ds/alloy`",
        docs: None,
        run: |context| Box::pin(logs::alloy_ready(context)),
    },
    Row {
        id: "door-redirects",
        group: "door",
        statement: "oauth2-proxy sends people to the asked issuer, as the asked client, and back to Grafana",
        needs: &[],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(60),
        hint: "compare the auth0 answers (`tailwatch answers show`) with the application in Auth0",
        docs: Some("https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview"),
        run: |context| Box::pin(door::redirects(context)),
    },
    Row {
        id: "door-closed",
        group: "door",
        statement: "nobody reaches Grafana through the door without signing in",
        needs: &["door-redirects"],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(15),
        hint: "look for skip_auth_routes or other exemptions of oauth2-proxy under `values:`",
        docs: None,
        run: |context| Box::pin(door::closed(context)),
    },
    Row {
        id: "address-assigned",
        group: "door",
        statement: "the tailnet has given Grafana its address",
        needs: &[],
        part: None,
        severity: Verdict::Fail,
        deadline: seconds(60),
        hint: "see `kubectl -n NAMESPACE describe ingress grafana`: MagicDNS and HTTPS certificates must be on in the tailnet, and no other device may have the name",
        docs: Some("https://tailscale.com/kb/1439/kubernetes-operator-cluster-ingress"),
        run: |context| Box::pin(door::address(context)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_needs_exist() {
        let ids: Vec<_> = ROWS.iter().map(|row| row.id).collect();
        for (position, row) in ROWS.iter().enumerate() {
            assert!(!ids[..position].contains(&row.id), "{} twice", row.id);
            assert!(row.needs.iter().all(|need| ids.contains(need)), "{}", row.id);
        }
    }
}
