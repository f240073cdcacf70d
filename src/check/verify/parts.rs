//! Parts of kube-prometheus-stack that the values can switch off (`parts` of the catalogue).

pub(super) const PROMETHEUS: &str = "kube-prometheus-stack.prometheus.enabled";
pub(super) const ALERTMANAGER: &str = "kube-prometheus-stack.alertmanager.enabled";
pub(super) const GRAFANA: &str = "kube-prometheus-stack.grafana.enabled";
pub(super) const OPERATOR: &str = "kube-prometheus-stack.prometheusOperator.enabled";
pub(super) const WEBHOOKS: &str = "kube-prometheus-stack.prometheusOperator.admissionWebhooks.enabled";
