//! NetworkPolicies. Grafana trusts every client that reaches its port, so only oauth2-proxy and Prometheus may. Each
//! row selects pods and lists the clients of their container ports. Policies of the charts stay off: policies add up.

use serde_json::{Value, json};

use crate::config::{self, Settings};
use crate::stack::manifests::{labels, plain};
use crate::stack::{ChartNames, ClusterFacts, OwnObject};

/// Clients of container ports; `from: None` admits all.
struct Admission {
    from: Option<&'static [(&'static str, &'static str)]>,
    ports: &'static [u16],
}

struct Row {
    name: &'static str,
    selects: &'static [(&'static str, &'static str)],
    admits: &'static [Admission],
}

type Labels = &'static [(&'static str, &'static str)];

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const GRAFANA: Labels = &[(NAME, "grafana"), (INSTANCE, "kube-prometheus-stack")];
// The operator's pods have the name of their resource as instance (prometheus-operator 0.86, pkg/prometheus/server).
const PROMETHEUS: Labels = &[(NAME, "prometheus"), (INSTANCE, "kube-prometheus-stack-prometheus")];
const ALERTMANAGER: Labels = &[(NAME, "alertmanager"), (INSTANCE, "kube-prometheus-stack-alertmanager")];
const OAUTH2_PROXY: Labels = &[(NAME, "oauth2-proxy"), (INSTANCE, "oauth2-proxy")];
const LOKI: Labels = &[(NAME, "loki"), (INSTANCE, "loki")];
const ALLOY: Labels = &[(NAME, "alloy"), (INSTANCE, "alloy")];

const ROWS: &[Row] = &[
    Row {
        name: "tailwatch-grafana",
        selects: GRAFANA,
        admits: &[
            Admission { from: Some(OAUTH2_PROXY), ports: &[3000] },
            Admission { from: Some(PROMETHEUS), ports: &[3000] },
        ],
    },
    Row {
        name: "tailwatch-prometheus",
        selects: PROMETHEUS,
        admits: &[Admission { from: Some(GRAFANA), ports: &[9090] }],
    },
    Row {
        name: "tailwatch-alertmanager",
        selects: ALERTMANAGER,
        admits: &[Admission { from: Some(PROMETHEUS), ports: &[9093, 8080] }],
    },
    Row {
        name: "tailwatch-loki",
        selects: LOKI,
        admits: &[
            Admission { from: Some(ALLOY), ports: &[3100] },
            Admission { from: Some(GRAFANA), ports: &[3100] },
            Admission { from: Some(PROMETHEUS), ports: &[3100] },
        ],
    },
    Row { name: "tailwatch-alloy", selects: ALLOY, admits: &[Admission { from: Some(PROMETHEUS), ports: &[12345] }] },
    Row {
        // The source address of the API server's webhook calls is not known.
        name: "tailwatch-operator",
        selects: &[(NAME, "kube-prometheus-stack-prometheus-operator"), (INSTANCE, "kube-prometheus-stack")],
        admits: &[Admission { from: None, ports: &[10250] }],
    },
    Row {
        name: "tailwatch-kube-state-metrics",
        selects: &[(NAME, "kube-state-metrics"), (INSTANCE, "kube-prometheus-stack")],
        admits: &[Admission { from: Some(PROMETHEUS), ports: &[8080] }],
    },
];

/// Every policy, in a stable order.
pub(super) fn network_policies(settings: &Settings, facts: &ClusterFacts, names: &ChartNames) -> Vec<OwnObject> {
    let namespace = settings.namespace.as_str();
    let mut policies: Vec<OwnObject> = ROWS.iter().map(|row| plain(policy(namespace, row, names))).collect();
    policies.push(plain(oauth2_proxy_policy(namespace, &facts.tailscale_namespaces, names)));
    policies
}

fn policy(namespace: &str, row: &Row, names: &ChartNames) -> Value {
    let selected = row.selects[0].1;
    let ingress: Vec<Value> = row.admits.iter().map(|one| admission(one, selected, names)).collect();
    document(namespace, row.name, &map(row.selects, names), &ingress)
}

/// `selected`: the name label of the pods with the ports.
fn admission(admission: &Admission, selected: &'static str, names: &ChartNames) -> Value {
    let mut rule = json!({"ports": ports(admission.ports, selected, names)});
    if let Some(from) = admission.from {
        rule["from"] = json!([{"podSelector": {"matchLabels": map(from, names)}}]);
    }
    rule
}

/// oauth2-proxy admits Prometheus' scrapes and, from a namespace of a Tailscale operator, the proxy of the stack's
/// Ingress and the pods of ProxyGroups, which have no label of the Ingress (tailscale 1.102.3,
/// cmd/k8s-operator/proxygroup_specs.go). A ProxyGroup reaches oauth2-proxy only for an Ingress of this namespace.
fn oauth2_proxy_policy(namespace: &str, operators: &[String], names: &ChartNames) -> Value {
    let own = json!({"tailscale.com/parent-resource": "grafana", "tailscale.com/parent-resource-ns": namespace});
    let group = json!({"tailscale.com/managed": "true", "tailscale.com/parent-resource-type": "proxygroup"});
    let peer = |labels: &Value| {
        json!({
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": operators},
            ]},
            "podSelector": {"matchLabels": labels},
        })
    };
    let scrapes = Admission { from: Some(PROMETHEUS), ports: &[44180] };
    let ports = ports(&[4180], config::OAUTH2_PROXY, names);
    let ingress =
        [json!({"from": [peer(&own), peer(&group)], "ports": ports}), admission(&scrapes, config::OAUTH2_PROXY, names)];
    document(namespace, "tailwatch-oauth2-proxy", &map(OAUTH2_PROXY, names), &ingress)
}

fn document(namespace: &str, name: &str, selects: &Value, ingress: &[Value]) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": labels()},
        "spec": {"podSelector": {"matchLabels": selects}, "policyTypes": ["Ingress"], "ingress": ingress},
    })
}

fn ports(ports: &[u16], selected: &'static str, names: &ChartNames) -> Vec<Value> {
    ports.iter().map(|port| json!({"port": names.port(selected, *port), "protocol": "TCP"})).collect()
}

/// The labels follow the values of the charts.
fn map(pairs: Labels, names: &ChartNames) -> Value {
    let value =
        |key: &str, value: &str| Value::from(if key == NAME { names.label(value) } else { names.instance(value) });
    Value::Object(pairs.iter().map(|(key, default)| ((*key).to_owned(), value(key, default))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oauth2_proxy_and_prometheus_reach_grafana() {
        let grafana = policy("monitoring", &ROWS[0], &ChartNames::of(|_| None));
        let admitted: Vec<_> = grafana["spec"]["ingress"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["from"][0]["podSelector"]["matchLabels"][NAME].as_str().unwrap())
            .collect();
        assert_eq!(admitted, ["oauth2-proxy", "prometheus"]);
    }

    #[test]
    fn no_policy_selects_or_admits_a_pod_of_another_release() {
        let names = ChartNames::of(|_| None);
        for policy in ROWS.iter().map(|row| policy("m", row, &names)).chain([oauth2_proxy_policy("m", &[], &names)]) {
            let rules = policy["spec"]["ingress"].as_array().unwrap().iter();
            let peers = rules.flat_map(|rule| rule["from"].as_array().into_iter().flatten());
            let own = peers.filter(|peer| peer.get("namespaceSelector").is_none()).map(|peer| &peer["podSelector"]);
            for selector in own.chain([&policy["spec"]["podSelector"]]) {
                assert!(selector["matchLabels"][INSTANCE].is_string(), "{policy}");
            }
        }
    }

    #[test]
    fn no_rule_admits_everybody_but_the_webhooks() {
        for row in ROWS {
            let open = row.admits.iter().any(|admission| admission.from.is_none());
            assert_eq!(open, row.name == "tailwatch-operator", "{}", row.name);
        }
        let policy = oauth2_proxy_policy("m", &["networking".into()], &ChartNames::of(|_| None));
        for peer in policy["spec"]["ingress"][0]["from"].as_array().unwrap() {
            assert_eq!(peer["namespaceSelector"]["matchExpressions"][0]["values"], json!(["networking"]));
        }
        let peers: Vec<_> = policy["spec"]["ingress"][0]["from"].as_array().unwrap().iter().collect();
        let labels: Vec<_> = peers.iter().map(|peer| &peer["podSelector"]["matchLabels"]).collect();
        let own = json!({"tailscale.com/parent-resource": "grafana", "tailscale.com/parent-resource-ns": "m"});
        let group = json!({"tailscale.com/managed": "true", "tailscale.com/parent-resource-type": "proxygroup"});
        assert_eq!(labels, [&own, &group]);
    }
}
