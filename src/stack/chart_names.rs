//! Names and ports of the charts' objects that other parts of the stack refer to. They follow `nameOverride`,
//! `fullnameOverride`, `cleanPrometheusOperatorObjectNames` and the ports in the values, as the charts do.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{ALLOY, KUBE_PROMETHEUS_STACK, LOKI, OAUTH2_PROXY};
use crate::stack::WEBHOOK_SECRET;

/// The Service of Grafana, which is also the name of its Deployment.
pub const GRAFANA: &str = "kube-prometheus-stack-grafana";
/// The Service of Prometheus.
pub const PROMETHEUS: &str = "kube-prometheus-stack-prometheus";
/// The Service of Alertmanager.
pub const ALERTMANAGER: &str = "kube-prometheus-stack-alertmanager";
/// The Service of the Prometheus operator.
pub const PROMETHEUS_OPERATOR: &str = "kube-prometheus-stack-operator";

/// Ports: of a Service or of the pods with a label, the port without a value, the component and the value.
const PORTS: [(&str, u16, &str, &str); 11] = [
    (GRAFANA, 80, KUBE_PROMETHEUS_STACK, "/grafana/service/port"),
    ("grafana", 3000, KUBE_PROMETHEUS_STACK, "/grafana/service/targetPort"),
    (PROMETHEUS, 9090, KUBE_PROMETHEUS_STACK, "/prometheus/service/port"),
    (ALERTMANAGER, 9093, KUBE_PROMETHEUS_STACK, "/alertmanager/service/port"),
    ("kube-state-metrics", 8080, KUBE_PROMETHEUS_STACK, "/kube-state-metrics/service/port"),
    (OPERATOR_LABEL, 10250, KUBE_PROMETHEUS_STACK, "/prometheusOperator/tls/internalPort"),
    (OAUTH2_PROXY, 80, OAUTH2_PROXY, "/service/portNumber"),
    (OAUTH2_PROXY, 4180, OAUTH2_PROXY, "/containerPort"),
    (OAUTH2_PROXY, 44180, OAUTH2_PROXY, "/metrics/port"),
    (LOKI, 3100, LOKI, "/loki/server/http_listen_port"),
    (ALLOY, 12345, ALLOY, "/alloy/listenPort"),
];

/// The label `app.kubernetes.io/name` of the Prometheus operator.
const OPERATOR_LABEL: &str = "kube-prometheus-stack-prometheus-operator";

/// Names without overrides -> names by the values.
#[derive(Clone, Debug, Default)]
pub struct ChartNames {
    objects: BTreeMap<&'static str, String>,
    /// Values of the label `app.kubernetes.io/name`.
    labels: BTreeMap<&'static str, String>,
    /// Values of the label `app.kubernetes.io/instance` of the operator's pods: the names of their resources.
    instances: BTreeMap<&'static str, String>,
    /// The ServiceAccount of Grafana.
    grafana_account: String,
    /// Phrases of hints.
    phrases: Vec<(&'static str, String)>,
    /// Changed ports.
    ports: BTreeMap<(&'static str, u16), u16>,
}

impl ChartNames {
    /// The names by the values of each component.
    pub fn of<'a>(values: impl Fn(&str) -> Option<&'a Value>) -> ChartNames {
        let of = |component: &str| values(component).unwrap_or(&Value::Null);
        let (stack, oauth2_proxy, loki, alloy) = (of(KUBE_PROMETHEUS_STACK), of(OAUTH2_PROXY), of(LOKI), of(ALLOY));
        // The charts' limit leaves room for the suffixes of the operator.
        let prefix = fullname(stack, KUBE_PROMETHEUS_STACK, KUBE_PROMETHEUS_STACK, 26);
        let operator = text(&stack["prometheusOperator"], "fullnameOverride").map(str::to_owned);
        let resource = |kind: &str| match stack["cleanPrometheusOperatorObjectNames"] == true {
            true => prefix.clone(),
            false => format!("{prefix}-{kind}"),
        };
        let label = |values: &Value, chart: &str| truncated(text(values, "nameOverride").unwrap_or(chart), 63);
        let operator_label = truncated(text(stack, "nameOverride").unwrap_or(KUBE_PROMETHEUS_STACK), 50);
        let objects = BTreeMap::from([
            (GRAFANA, fullname(&stack["grafana"], KUBE_PROMETHEUS_STACK, "grafana", 63)),
            (PROMETHEUS, format!("{prefix}-prometheus")),
            (ALERTMANAGER, format!("{prefix}-alertmanager")),
            (PROMETHEUS_OPERATOR, operator.unwrap_or_else(|| format!("{prefix}-operator"))),
            (WEBHOOK_SECRET, format!("{prefix}-admission")),
            (OAUTH2_PROXY, fullname(oauth2_proxy, OAUTH2_PROXY, OAUTH2_PROXY, 63)),
            (LOKI, fullname(loki, LOKI, LOKI, 63)),
            (ALLOY, fullname(alloy, ALLOY, ALLOY, 63)),
        ]);
        let labels = BTreeMap::from([
            ("grafana", label(&stack["grafana"], "grafana")),
            ("kube-state-metrics", label(&stack["kube-state-metrics"], "kube-state-metrics")),
            (OPERATOR_LABEL, format!("{operator_label}-prometheus-operator")),
            (OAUTH2_PROXY, label(oauth2_proxy, OAUTH2_PROXY)),
            (LOKI, label(loki, LOKI)),
            (ALLOY, label(alloy, ALLOY)),
        ]);
        let instances =
            BTreeMap::from([(PROMETHEUS, resource("prometheus")), (ALERTMANAGER, resource("alertmanager"))]);
        let phrases = vec![
            ("prometheus-kube-prometheus-stack-prometheus-0", format!("prometheus-{}-0", resource("prometheus"))),
            (
                "alertmanager-kube-prometheus-stack-alertmanager-0",
                format!("alertmanager-{}-0", resource("alertmanager")),
            ),
            (GRAFANA, objects[GRAFANA].clone()),
            (PROMETHEUS, objects[PROMETHEUS].clone()),
            (PROMETHEUS_OPERATOR, objects[PROMETHEUS_OPERATOR].clone()),
            ("deploy/oauth2-proxy", format!("deploy/{}", objects[OAUTH2_PROXY])),
            ("ds/alloy", format!("ds/{}", objects[ALLOY])),
            ("pod loki-0", format!("pod {}-0", objects[LOKI])),
            ("Service loki", format!("Service {}", objects[LOKI])),
        ];
        let ports = PORTS.iter().filter_map(|&(of_name, default, component, value)| {
            Some(((of_name, default), of(component).pointer(value)?.as_u64()?.try_into().ok()?))
        });
        let account = &stack["grafana"]["serviceAccount"];
        let grafana_account = match (text(account, "name"), account["create"] == false) {
            (Some(name), _) => name.to_owned(),
            (None, true) => "default".into(),
            (None, false) => objects[GRAFANA].clone(),
        };
        ChartNames { objects, labels, instances, grafana_account, phrases, ports: ports.collect() }
    }

    /// The name of the object that is called `default` without overrides.
    pub fn object<'a>(&'a self, default: &'a str) -> &'a str {
        self.objects.get(default).map_or(default, String::as_str)
    }

    /// The value of the label `app.kubernetes.io/name` that is `default` without overrides.
    pub fn label<'a>(&'a self, default: &'a str) -> &'a str {
        self.labels.get(default).map_or(default, String::as_str)
    }

    /// The value of the label `app.kubernetes.io/instance` that is `default` without overrides.
    pub fn instance<'a>(&'a self, default: &'a str) -> &'a str {
        self.instances.get(default).map_or(default, String::as_str)
    }

    /// The name of Grafana's ServiceAccount.
    pub fn grafana_account(&self) -> &str {
        &self.grafana_account
    }

    /// The port that is `default` without a value, of a Service or of the pods with a label.
    pub fn port(&self, name: &'static str, default: u16) -> u16 {
        self.ports.get(&(name, default)).copied().unwrap_or(default)
    }

    /// The address `NAME.NAMESPACE.svc:PORT` of a Service.
    pub fn address(&self, (name, port): (&'static str, u16), namespace: &str) -> String {
        format!("{}.{namespace}.svc:{}", self.object(name), self.port(name, port))
    }

    /// A hint with the names by the values.
    pub fn in_hint(&self, hint: &str) -> String {
        let renamed = self.phrases.iter().filter(|(default, name)| default != name);
        renamed.fold(hint.to_owned(), |hint, (default, name)| hint.replace(default, name))
    }
}

/// `fullname` of helm's starter chart (helm 4.2, internal/chart/v3/util/create.go).
fn fullname(values: &Value, release: &str, chart: &str, limit: usize) -> String {
    let name = text(values, "nameOverride").unwrap_or(chart);
    let full = match text(values, "fullnameOverride") {
        Some(full) => full.to_owned(),
        None if release.contains(name) => release.to_owned(),
        None => format!("{release}-{name}"),
    };
    truncated(&full, limit)
}

/// helm's `trunc` and `trimSuffix "-"`.
fn truncated(name: &str, limit: usize) -> String {
    let name: String = name.chars().take(limit).collect();
    name.strip_suffix('-').map(str::to_owned).unwrap_or(name)
}

fn text<'a>(values: &'a Value, key: &str) -> Option<&'a str> {
    values[key].as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_follow_the_overrides_and_are_the_defaults_without() {
        let plain = ChartNames::of(|_| None);
        assert!(plain.objects.iter().all(|(default, name)| default == name), "{plain:?}");
        assert!(plain.labels.iter().all(|(default, name)| default == name), "{plain:?}");
        assert!(plain.instances.iter().all(|(default, name)| default == name), "{plain:?}");
        assert!(plain.phrases.iter().all(|(default, name)| default == name), "{plain:?}");
        assert_eq!(plain.grafana_account(), GRAFANA);
        let stack = json!({
            "fullnameOverride": "observability-of-acme-shops-eu", "cleanPrometheusOperatorObjectNames": true,
            "grafana": {"nameOverride": "graf"}, "kube-state-metrics": {"nameOverride": "ksm"},
        });
        let loki = json!({"fullnameOverride": "logs", "loki": {"server": {"http_listen_port": 3200}}});
        let names = ChartNames::of(|component| match component {
            KUBE_PROMETHEUS_STACK => Some(&stack),
            LOKI => Some(&loki),
            _ => None,
        });
        assert_eq!(names.object(PROMETHEUS), "observability-of-acme-shop-prometheus");
        assert_eq!(names.instance(PROMETHEUS), "observability-of-acme-shop");
        assert_eq!(names.object(WEBHOOK_SECRET), "observability-of-acme-shop-admission");
        assert_eq!(names.object(GRAFANA), "kube-prometheus-stack-graf");
        assert_eq!((names.label("grafana"), names.label("kube-state-metrics")), ("graf", "ksm"));
        assert_eq!((names.object(LOKI), names.label(LOKI), names.object(ALLOY)), ("logs", "loki", "alloy"));
        assert_eq!(names.address((LOKI, 3100), "m"), "logs.m.svc:3200");
        assert_eq!(names.address((PROMETHEUS, 9090), "m"), "observability-of-acme-shop-prometheus.m.svc:9090");
        let hint = names.in_hint("see pod prometheus-kube-prometheus-stack-prometheus-0 and pod loki-0");
        assert_eq!(hint, "see pod prometheus-observability-of-acme-shop-0 and pod logs-0");
        assert_eq!(names.grafana_account(), "kube-prometheus-stack-graf");
        let named = json!({"nameOverride": "obs", "grafana": {"serviceAccount": {"create": false, "name": "charts"}}, "prometheusOperator": {"fullnameOverride": "prom-op"}});
        let names = ChartNames::of(|component| (component == KUBE_PROMETHEUS_STACK).then_some(&named));
        assert_eq!(names.object(PROMETHEUS), "kube-prometheus-stack-obs-prometheus");
        assert_eq!(names.object(PROMETHEUS_OPERATOR), "prom-op");
        assert_eq!(names.grafana_account(), "charts");
        assert_eq!(names.label("kube-prometheus-stack-prometheus-operator"), "obs-prometheus-operator");
    }
}
