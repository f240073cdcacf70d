//! What tailwatch does for each component beyond its chart: own objects, and rules of its install and its removal. No
//! other module compares names of components.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{ALLOY, KUBE_PROMETHEUS_STACK, OAUTH2_PROXY, Settings, TAILSCALE_OPERATOR};
use crate::stack::network_policies::network_policies;
use crate::stack::{
    ALERTS_SECRET, ChartNames, ClusterFacts, GRAFANA_SECRET, OAUTH2_PROXY_SECRET, OperatorClient, OwnObject,
    SecretData, StackError, TAILSCALE_NAMESPACE, TAILSCALE_SECRET, WEBHOOK_SECRET, manifests, secrets,
};

/// The rules of one component.
#[derive(Clone, Copy, Debug)]
pub struct ComponentRules {
    /// It serves Ingresses, also those of others, and adds finalizers to them: retained while another object uses it.
    pub serves_ingresses: bool,
    /// The stack's Ingress leads to it, and it signs users in.
    pub signs_users_in: bool,
    /// It creates a Service for the kubelets and never deletes it.
    pub leaves_kubelet_service: bool,
    /// Objects of its chart that an answer leaves out.
    pub omissions: &'static [Omission],
    /// How a second release of its chart in the cluster interferes with it.
    pub interference: Option<&'static str>,
    /// Leaves what is derived from own Secrets out of its values.
    pub(super) without_own_secrets: fn(&mut Value),
    pub(super) own_objects: fn(&Source<'_>) -> Result<Vec<OwnObject>, StackError>,
}

/// An object of a chart that an answer leaves out.
#[derive(Debug)]
pub struct Omission {
    /// Kind of the object.
    pub kind: &'static str,
    /// End of its name.
    pub name_end: &'static str,
    /// The answer: `key: value`.
    pub answer: &'static str,
    /// The answer with which GKE Autopilot accepts the object; `None`: it accepts none of these, whether or not it has
    /// rejected this one yet. It allows no object in kube-system, no host namespace and no volume of the node but
    /// /var/log (cloud.google.com/kubernetes-engine/docs/concepts/autopilot-security).
    pub if_rejected_by_autopilot: Option<&'static str>,
}

/// `answer` leaves out objects of this kind that end with this name.
const fn omission(kind: &'static str, name_end: &'static str, answer: &'static str) -> Omission {
    Omission { kind, name_end, answer, if_rejected_by_autopilot: None }
}

const OF_KUBE_PROMETHEUS_STACK: [Omission; 9] = [
    omission("DaemonSet", "", "values.kube-prometheus-stack.nodeExporter.enabled: false"),
    omission("ServiceMonitor", "-kubelet", "values.kube-prometheus-stack.kubelet.enabled: false"),
    omission("Service", "-kubelet", "values.kube-prometheus-stack.prometheusOperator.kubeletService.enabled: false"),
    omission("Service", "-coredns", "values.kube-prometheus-stack.coreDns.enabled: false"),
    omission("Service", "-kube-dns", "values.kube-prometheus-stack.kubeDns.enabled: false"),
    omission(
        "Service",
        "-kube-controller-manager",
        "values.kube-prometheus-stack.kubeControllerManager.enabled: false",
    ),
    omission("Service", "-kube-scheduler", "values.kube-prometheus-stack.kubeScheduler.enabled: false"),
    omission("Service", "-kube-etcd", "values.kube-prometheus-stack.kubeEtcd.enabled: false"),
    omission("Service", "-kube-proxy", "values.kube-prometheus-stack.kubeProxy.enabled: false"),
];
const OF_ALLOY: [Omission; 1] = [Omission {
    // The positions in the logs are then lost with each pod, and read again.
    if_rejected_by_autopilot: Some("values.alloy.controller.volumes.extra: [{ name: state, emptyDir: {} }]"),
    ..omission("DaemonSet", "", "logs: none")
}];

/// The own objects are made of it.
pub(super) struct Source<'a> {
    pub(super) settings: &'a Settings,
    pub(super) facts: &'a ClusterFacts,
    pub(super) names: ChartNames,
    pub(super) oauth2_proxy: SecretData,
    /// Data of [`ALERTS_SECRET`]; `None`: there is none.
    pub(super) alerts: Option<SecretData>,
    pub(super) webhook: SecretData,
    /// File name -> JSON.
    pub(super) dashboards: BTreeMap<String, String>,
}

/// The components with rules of their own.
const ROWS: [(&str, ComponentRules); 4] = [
    (
        TAILSCALE_OPERATOR,
        ComponentRules {
            serves_ingresses: true,
            interference: Some("both serve the IngressClass tailscale"),
            own_objects: of_tailscale_operator,
            ..ComponentRules::BLANK
        },
    ),
    (
        KUBE_PROMETHEUS_STACK,
        ComponentRules {
            leaves_kubelet_service: true,
            omissions: &OF_KUBE_PROMETHEUS_STACK,
            interference: Some(
                "both run a node-exporter on port 9100 of every node, and each operator reconciles the other's \
                 Prometheus",
            ),
            // Jobs of the chart then create the certificate, and write its authority into the webhook's configuration.
            without_own_secrets: |values| {
                if let Some(Value::Object(webhooks)) = values.pointer_mut("/prometheusOperator/admissionWebhooks") {
                    webhooks.remove("caBundle");
                    webhooks["patch"]["enabled"] = true.into();
                }
            },
            own_objects: |source| Ok(of_kube_prometheus_stack(source)),
            ..ComponentRules::BLANK
        },
    ),
    (
        OAUTH2_PROXY,
        ComponentRules {
            signs_users_in: true,
            without_own_secrets: |values| {
                if let Some(Value::Object(annotations)) = values.pointer_mut("/podAnnotations") {
                    annotations.remove("tailwatch/secret-sha");
                }
            },
            own_objects: |source| Ok(of_oauth2_proxy(source)),
            ..ComponentRules::BLANK
        },
    ),
    (
        ALLOY,
        ComponentRules {
            omissions: &OF_ALLOY,
            interference: Some("both read the log of every pod"),
            ..ComponentRules::BLANK
        },
    ),
];

impl ComponentRules {
    const BLANK: ComponentRules = ComponentRules {
        serves_ingresses: false,
        signs_users_in: false,
        leaves_kubelet_service: false,
        omissions: &[],
        interference: None,
        without_own_secrets: |_| {},
        own_objects: |_| Ok(Vec::new()),
    };

    /// The omissions of all components, with their names.
    pub fn omissions() -> impl Iterator<Item = (&'static str, &'static Omission)> {
        ROWS.into_iter().flat_map(|(name, rules)| rules.omissions.iter().map(move |omission| (name, omission)))
    }

    /// Of a component, by its name.
    pub fn of(component: &str) -> ComponentRules {
        ROWS.into_iter().find(|(name, _)| *name == component).map_or(ComponentRules::BLANK, |(_, rules)| rules)
    }
}

fn of_tailscale_operator(source: &Source<'_>) -> Result<Vec<OwnObject>, StackError> {
    let operator = OperatorClient::resolve(&source.settings.tailscale, source.facts.tailscale.as_ref())?;
    Ok(vec![
        manifests::namespace(TAILSCALE_NAMESPACE, source.facts),
        manifests::notes(TAILSCALE_NAMESPACE),
        manifests::secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET, operator.data()),
    ])
}

fn of_kube_prometheus_stack(source: &Source<'_>) -> Vec<OwnObject> {
    let Source { settings, facts, names, webhook, .. } = source;
    let namespace = settings.namespace.as_str();
    let mut objects = vec![
        manifests::namespace(namespace, facts),
        manifests::notes(namespace),
        manifests::secret(namespace, GRAFANA_SECRET, secrets::grafana_admin(facts)),
        manifests::secret(namespace, names.object(WEBHOOK_SECRET), webhook.clone()),
    ];
    objects.extend(source.alerts.clone().map(|data| manifests::secret(namespace, ALERTS_SECRET, data)));
    objects.push(manifests::dashboards(namespace, &source.dashboards));
    objects.extend(manifests::dashboards_access(namespace, names.grafana_account()));
    // Before the first pod: Grafana must never accept connections from other pods.
    objects.extend(network_policies(settings, facts, names));
    objects
}

fn of_oauth2_proxy(source: &Source<'_>) -> Vec<OwnObject> {
    let Source { settings, facts, names, .. } = source;
    let backend = (names.object(OAUTH2_PROXY), names.port(OAUTH2_PROXY, 80));
    vec![
        manifests::secret(settings.namespace.as_str(), OAUTH2_PROXY_SECRET, source.oauth2_proxy.clone()),
        manifests::ingress(settings, facts.ingress_class.name(), backend),
    ]
}
