//! What the ServiceAccounts of the stack may do: each what its configuration needs, and nothing that opens the cluster.
//! The API server judges, so the rules and bindings of the charts count, whichever are served: with
//! TAILWATCH_SANDBOX_REAL_CHARTS the real ones.

use serde_json::{Value, json};
use support::{Sandbox, repository};

use crate::TAILWATCH;

/// (verb, group, resource, namespace or "" for all)
type Request = (&'static str, &'static str, &'static str, &'static str);

/// What no account needs, but for [`ALLOWED`].
const DANGEROUS: [Request; 12] = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("get", "", "secrets", "monitoring"),
    ("get", "", "secrets", "kube-system"),
    ("create", "", "pods", "kube-system"),
    ("create", "", "pods/exec", "monitoring"),
    ("get", "", "nodes/proxy", ""),
    ("create", "", "serviceaccounts/token", "kube-system"),
    ("impersonate", "", "users", ""),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
];

/// (ServiceAccount, resource, why)
const ALLOWED: [(&str, &str, &str); 1] = [(
    "monitoring/kube-prometheus-stack-operator",
    "secrets",
    "it writes the configuration of Prometheus and Alertmanager to Secrets, and copies those that monitors name",
)];

/// What the accounts need.
const NEEDED: [(&str, Request); 5] = [
    ("monitoring/alloy", ("list", "", "pods", "")),
    ("monitoring/alloy", ("watch", "", "pods", "")),
    ("monitoring/kube-prometheus-stack-grafana", ("list", "", "configmaps", "monitoring")),
    ("monitoring/kube-prometheus-stack-grafana", ("watch", "", "configmaps", "monitoring")),
    ("monitoring/kube-prometheus-stack-kube-state-metrics", ("list", "discovery.k8s.io", "endpointslices", "")),
];

/// What they have by the defaults of their charts, and do not need.
const NOT_NEEDED: [(&str, Request); 4] = [
    ("monitoring/alloy", ("list", "", "configmaps", "")),
    ("monitoring/alloy", ("get", "", "pods/log", "")),
    ("monitoring/kube-prometheus-stack-grafana", ("list", "", "configmaps", "")),
    ("monitoring/kube-prometheus-stack-kube-state-metrics", ("watch", "", "secrets", "")),
];

#[test]
fn each_account_may_do_what_it_needs_and_no_more_and_values_that_add_a_right_are_reported() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    an_older_stack_is_narrowed_with_a_notice(&sandbox);
    let accounts = accounts(&sandbox);
    assert!(accounts.len() > 8, "{accounts:?}");
    let dangerous = accounts.iter().flat_map(|account| DANGEROUS.map(|request| (account.as_str(), request)));
    let dangerous: Vec<(&str, Request)> = dangerous.collect();
    let mut used = Vec::new();
    for ((account, request), allowed) in dangerous.iter().zip(answers(&sandbox, &dangerous)) {
        let reason = ALLOWED.iter().find(|(allowed, resource, _)| allowed == account && *resource == request.2);
        assert!(!allowed || reason.is_some(), "{account} may {request:?}");
        used.extend(reason.filter(|_| allowed));
    }
    assert!(ALLOWED.iter().all(|row| used.contains(&row)), "not needed: {ALLOWED:?}");
    assert_eq!(answers(&sandbox, &NEEDED), NEEDED.map(|_| true));
    assert_eq!(answers(&sandbox, &NOT_NEEDED), NOT_NEEDED.map(|_| false));
    values_that_add_a_right_are_reported(&sandbox);
}

/// Lines of the values that have narrowed what the stack reads.
const NARROWING: [&str; 4] = ["rbac: ", "rules: [", "clusterRules: [", "dashboards: { searchNamespace"];

/// A stack with the permissions of the charts' defaults; then an installation with those of today.
fn an_older_stack_is_narrowed_with_a_notice(sandbox: &Sandbox) {
    let older = sandbox.file("older-values");
    std::fs::create_dir_all(older.join("upgrades")).unwrap();
    for file in ["", "upgrades"].iter().flat_map(|folder| {
        let read = std::fs::read_dir(repository().join("values").join(folder)).unwrap();
        read.map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    }) {
        let text = std::fs::read_to_string(&file).unwrap();
        let kept = text.lines().filter(|line| !NARROWING.iter().any(|start| line.trim_start().starts_with(start)));
        let below = file.strip_prefix(repository().join("values")).unwrap();
        std::fs::write(older.join(below), kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    sandbox.install(&["--skip-verify", "--values-dir", &older.display().to_string()]).ended_with(0);
    sandbox.kubectl(&["create", "namespace", "shop"]);
    let objects = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"grafana_dashboard": "1"}}});
    let file = sandbox.file("shop.json");
    std::fs::write(&file, objects.to_string()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    let notices = || -> String {
        let plan = sandbox.tailwatch(&["plan", "--output", "json"]).ended_with(0).json();
        plan["notices"].as_array().unwrap().iter().map(|notice| format!("{}\n", notice.as_str().unwrap())).collect()
    };
    insta::assert_snapshot!(notices(), @"Grafana no longer loads the dashboards in the ConfigMaps of shop: move them to namespace monitoring, or set grafana.sidecar.dashboards.searchNamespace: ALL below values.kube-prometheus-stack");
    sandbox.install(&[]).ended_with(0);
    assert_eq!(notices(), "");
}

/// `namespace/name` of every ServiceAccount of the stack's namespaces.
fn accounts(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.get(&["serviceaccounts", "-A"]);
    let text = |account: &Value, key: &str| account["metadata"][key].as_str().unwrap().to_owned();
    let all = found["items"].as_array().unwrap().iter();
    let of_stack = all.filter(|account| ["monitoring", "tailscale"].contains(&text(account, "namespace").as_str()));
    of_stack.map(|account| format!("{}/{}", text(account, "namespace"), text(account, "name"))).collect()
}

fn answers(sandbox: &Sandbox, requests: &[(&str, Request)]) -> Vec<bool> {
    let review = |(account, (verb, group, resource, namespace)): &(&str, Request)| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "namespace": namespace});
        (format!("system:serviceaccount:{}", account.replace('/', ":")), attributes)
    };
    sandbox.permits(&requests.iter().map(review).collect::<Vec<_>>())
}

fn values_that_add_a_right_are_reported(sandbox: &Sandbox) {
    let notices = |values: &str| -> Vec<String> {
        let file = sandbox.file("more-rights.yaml");
        let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
        std::fs::write(&file, format!("{answers}values:\n  {values}\n")).unwrap();
        let file = file.display().to_string();
        let plan = sandbox.tailwatch(&["plan", "--output", "json", "--answers", &file]).ended_with(0).json();
        plan["notices"].as_array().unwrap().iter().map(|notice| notice.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(notices("alloy: { controller: { podAnnotations: { a: b } } }"), Vec::<String>::new());
    assert_eq!(
        notices("alloy: { rbac: { rules: [{ apiGroups: [''], resources: [pods, secrets], verbs: [list, watch] }] } }"),
        ["values.alloy grant ServiceAccount alloy: list/watch secrets in the cluster"]
    );
    let binding = "{ apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: { name: more }, \
                   roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin }, \
                   subjects: [{ kind: ServiceAccount, name: default, namespace: shop }] }";
    assert_eq!(
        notices(&format!("oauth2-proxy: {{ extraObjects: [{binding}] }}")),
        ["values.oauth2-proxy grant ServiceAccount shop/default: ClusterRole cluster-admin in the cluster"]
    );
    let every_namespace = "kube-prometheus-stack: { grafana: { sidecar: { dashboards: { searchNamespace: ALL } } } }";
    assert_eq!(
        notices(every_namespace),
        [
            "values.kube-prometheus-stack grant ServiceAccount kube-prometheus-stack-grafana: get/list/watch configmaps in \
          the cluster, get/list/watch secrets in the cluster"
        ]
    );
}
