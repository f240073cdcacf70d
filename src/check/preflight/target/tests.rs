use serde_json::{Value, json};

use super::*;
use crate::check::preflight::conflicts::fixtures::release;
use crate::check::preflight::target::intent::Kinds;
use crate::check::row::{Finding, State};
use crate::cluster::{DeletionReason, HostPort, Resource, TerminatingCrd, UnavailableApi};
use crate::plan::PlannedRelease;
use crate::stack::{HelmDriver, NodeStates};

/// No violation.
const NOTHING: [&str; 0] = [];

fn resource(group: &str, plural: &str) -> Resource {
    Resource { group: group.into(), plural: plural.into(), is_namespaced: true }
}

fn kinds_of_tests() -> Kinds {
    let known = [("apps/v1", "DaemonSet", "daemonsets"), ("apps/v1", "StatefulSet", "statefulsets")];
    let mut kinds: Kinds = known
        .into_iter()
        .map(|(version, kind, plural)| ((version.to_owned(), kind.to_owned()), resource("apps", plural)))
        .collect();
    kinds.insert(("v1".into(), "Service".into()), resource("", "services"));
    let role = Resource { is_namespaced: false, ..resource("rbac.authorization.k8s.io", "clusterroles") };
    kinds.insert(("rbac.authorization.k8s.io/v1".into(), "ClusterRole".into()), role);
    kinds
}

fn exporter(port: u16) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "kps-prometheus-node-exporter"},
        "spec": {"template": {"spec": {
            "hostNetwork": true,
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "node-exporter", "ports": [{"containerPort": port}],
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}],
        }}},
    })
}

fn loki() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "loki"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "loki", "resources": {"limits": {"memory": "1Gi"}}}]}},
            "volumeClaimTemplates": [
                {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "50Gi"}}}},
            ],
        },
    })
}

fn used(namespace: &str, owner: &str, port: u16) -> HostPort {
    HostPort {
        port,
        protocol: "TCP".into(),
        node: "one".into(),
        namespace: namespace.into(),
        pod: format!("{owner}-x"),
        owner: Some(("DaemonSet".into(), owner.into())),
    }
}

/// The finding for the ports of a release with these objects.
fn ports(rendered: &[Value], installed: &[Value], used: &[HostPort]) -> Finding {
    let stack = release("kube-prometheus-stack");
    let incoming = PlannedRelease { release: &stack, rendered, hooks: &[], crds: &[], installed };
    host_ports::judge(&host_ports::compare(host_ports::needed(&incoming), used))
}

#[test]
fn a_port_that_another_pod_holds_is_named_with_its_holder() {
    let other = used("default", "other-exporter", 9100);
    let found = ports(&[exporter(9100)], &[], std::slice::from_ref(&other));
    assert_eq!(found.state, State::Fail);
    assert!(
        found.detail.contains("is in use on node one by DaemonSet other-exporter in namespace default"),
        "{found:?}"
    );
    let hint = found.hint.unwrap();
    assert!(hint.contains("values.kube-prometheus-stack.prometheus-node-exporter.service.port"), "{hint}");
    assert_eq!(ports(&[exporter(9101)], &[], std::slice::from_ref(&other)).state, State::Pass);
    let ours = used("monitoring", "kps-prometheus-node-exporter", 9100);
    assert_eq!(ports(&[exporter(9100)], &[], &[ours]).state, State::Pass);
    assert_eq!(ports(&[exporter(9100)], &[exporter(9100)], &[other]).detail, "no additional port is needed");
}

/// The violations of a quota by the exporter and Loki on three nodes.
fn quotas(hard: Value, used: Value, installed: &[Value], limit_ranges: Vec<Value>) -> Vec<String> {
    let stack = release("loki");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "loki"}});
    let rendered = [exporter(9100), loki(), service];
    let incoming = PlannedRelease { release: &stack, rendered: &rendered, hooks: &[], crds: &[], installed };
    let kinds = kinds_of_tests();
    let quota = json!({"metadata": {"name": "tight"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
    let scope =
        quotas::NamespaceQuotas { namespace: "monitoring", quotas: vec![quota], limit_ranges, nodes: 3, kinds: &kinds };
    quotas::compare(&scope, &[incoming]).violations
}

#[test]
fn a_quota_is_compared_with_the_lower_bound() {
    let violations = |hard: Value, used: Value| quotas(hard, used, &[], vec![]);
    assert_eq!(violations(json!({"pods": "5"}), json!({"pods": "0"})), NOTHING);
    assert_eq!(
        violations(json!({"pods": "5"}), json!({"pods": "1"})),
        ["ResourceQuota tight of namespace monitoring leaves no room: 5 more pods needed, 5 allowed of which 1 in use"]
    );
    for (name, enough, short) in [
        ("services", "1", "0"),
        ("count/statefulsets.apps", "1", "0"),
        ("persistentvolumeclaims", "2", "1"),
        ("requests.storage", "100Gi", "99Gi"),
        ("fast.storageclass.storage.k8s.io/requests.storage", "107374182400", "100G"),
    ] {
        assert_eq!(violations(json!({ name: enough }), json!({ name: "0" })), NOTHING, "{name}");
        assert_eq!(violations(json!({ name: short }), json!({ name: "0" })).len(), 1, "{name}");
    }
    // Three exporters of 64Mi and two of Loki with a limit of 1Gi, which is their request.
    assert_eq!(violations(json!({"memory": "2240Mi"}), json!({"memory": "0"})), NOTHING);
    assert_eq!(violations(json!({"memory": "2239Mi"}), json!({"memory": "0"})).len(), 1);
    assert_eq!(quotas(json!({"pods": "5"}), json!({"pods": "5"}), &[exporter(9100), loki()], vec![]), NOTHING);
}

#[test]
fn a_quota_reports_containers_without_a_required_limit() {
    let unset =
        |ranges: Vec<Value>| quotas(json!({"limits.memory": "100Gi"}), json!({"limits.memory": "0"}), &[], ranges);
    assert_eq!(
        unset(vec![]),
        ["ResourceQuota tight of namespace monitoring requires limits.memory of every container, which is not set in \
          node-exporter of DaemonSet kps-prometheus-node-exporter"]
    );
    let default = json!({"spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]}});
    assert_eq!(unset(vec![default]), NOTHING);
}

#[test]
fn the_permissions_are_those_of_the_rendered_objects() {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}});
    let stack = release("loki");
    let settings = crate::config::settings_for_tests();
    let needed = |proof: Proof| {
        let rendered = [loki(), role.clone()];
        let incoming = PlannedRelease { release: &stack, rendered: &rendered, hooks: &[], crds: &[], installed: &[] };
        let intent = Intent {
            settings: &settings,
            incoming: vec![incoming],
            stack: vec![],
            removed: vec![],
            growing: vec![],
            recreated: vec![],
            is_client_side: false,
            nodes: &NodeStates::default(),
            driver: HelmDriver::default(),
            proof,
            machine: None,
        };
        permissions::needed_for_tests(&intent, &kinds_of_tests())
    };
    let all = needed(Proof::Checks);
    for permission in [
        "create statefulsets.apps in namespace monitoring",
        "patch clusterroles.rbac.authorization.k8s.io",
        "update secrets in namespace monitoring",
        "create pods/portforward in namespace monitoring",
        "get ingresses.networking.k8s.io in namespace monitoring",
        "create namespaces",
        "list nodes",
    ] {
        assert!(all.iter().any(|found| found == permission), "{permission} is missing in {all:#?}");
    }
    assert!(!all.iter().any(|found| found.contains("daemonsets") && found.contains("create")), "{all:#?}");
    assert!(!needed(Proof::None).iter().any(|found| found.contains("portforward")));
}

/// An uninstall deletes all objects but kept ones, and lists their dependents.
#[test]
fn the_permissions_of_a_removal_are_those_of_the_installed_objects() {
    let kept = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kept", "annotations": {"helm.sh/resource-policy": "keep"}}});
    let settings = crate::config::settings_for_tests();
    let objects = [loki(), kept];
    let removed = PlannedRemoval { namespace: "monitoring", objects: &objects, dependents: &[("v1", "Service")] };
    let intent = Intent {
        settings: &settings,
        incoming: vec![],
        stack: vec![],
        removed: vec![removed],
        growing: vec![],
        recreated: vec![],
        is_client_side: false,
        nodes: &NodeStates::default(),
        driver: HelmDriver::default(),
        proof: Proof::None,
        machine: None,
    };
    let needed = permissions::needed_for_tests(&intent, &kinds_of_tests());
    for permission in ["delete statefulsets.apps", "list statefulsets.apps", "list services", "delete secrets"] {
        let permission = format!("{permission} in namespace monitoring");
        assert!(needed.contains(&permission), "{permission} is missing in {needed:#?}");
    }
    assert!(!needed.contains(&"delete services in namespace monitoring".to_owned()), "{needed:#?}");
}

#[test]
fn the_tailnet_is_compared_with_this_machine_and_the_ingresses() {
    let machine = |certificates: bool| TailnetStatus {
        suffix: "tail1.ts.net".into(),
        has_certificates: certificates,
        has_magic_dns: true,
        names: vec!["laptop.tail1.ts.net".into()],
    };
    let judge = |machine: Option<TailnetStatus>, served: &[&str]| {
        let served = served.iter().map(|name| ("apps/wiki".to_owned(), (*name).to_owned())).collect();
        let own = "monitoring/grafana".to_owned();
        let (configured, address) = ("tail1.ts.net".to_owned(), "grafana.tail1.ts.net".to_owned());
        tailnet::judge(&tailnet::Tailnet { configured, address, own, machine, served })
    };
    assert_eq!(judge(None, &[]).state, State::Skip);
    assert_eq!(judge(Some(machine(true)), &[]).state, State::Pass);
    assert_eq!(judge(None, &["wiki.tail1.ts.net"]).state, State::Pass);
    let off = judge(Some(machine(false)), &[]);
    assert_eq!((off.state, off.detail.as_str()), (State::Fail, "HTTPS certificates are disabled in tail1.ts.net"));
    let other = judge(Some(machine(true)), &["wiki.tail2.ts.net"]);
    assert_eq!((other.state, other.hint.as_deref()), (State::Fail, Some("set `tailnet` to tail2.ts.net")));
    let other_tailnet = TailnetStatus { suffix: "tail2.ts.net".into(), ..machine(true) };
    assert_eq!(judge(Some(other_tailnet), &[]).state, State::Warn);
    let in_use = TailnetStatus { names: vec!["grafana.tail1.ts.net".into()], ..machine(true) };
    assert_eq!(judge(Some(in_use), &[]).state, State::Warn);
}

#[test]
fn a_pending_deletion_fails_with_its_reason_and_the_next_step() {
    let reason = |why: &str, hint: Option<&str>| DeletionReason { why: why.into(), hint: hint.map(str::to_owned) };
    let crd = TerminatingCrd {
        name: "probes.monitoring.coreos.com".into(),
        since: "2026-01-01T00:00:00Z".parse().ok(),
        reason: reason("Probe default/old waits for its finalizer example.com/held", Some("remove it")),
    };
    let namespaces = vec![reason("Namespace m is terminating", None)];
    let found = deletions::judge(&deletions::Deletions { namespaces, crds: vec![crd] });
    assert_eq!(found.state, State::Fail);
    let expected = "Namespace m is terminating; CRD probes.monitoring.coreos.com is being deleted since \
                    2026-01-01T00:00:00Z: Probe default/old waits for its finalizer example.com/held";
    assert_eq!((found.detail.as_str(), found.hint.as_deref()), (expected, Some("remove it")));
    assert_eq!(deletions::judge(&deletions::Deletions::default()).state, State::Pass);
}

#[test]
fn an_api_service_that_does_not_answer_is_a_warning() {
    let api = UnavailableApi {
        name: "v1.x".into(),
        api_version: "x/v1".into(),
        why: "points to Service a/b, which does not exist".into(),
    };
    let found = api_services::judge(Some(&[api]));
    assert_eq!(
        (found.state, found.detail.as_str()),
        (State::Warn, "APIService v1.x points to Service a/b, which does not exist")
    );
    assert!(found.hint.unwrap().contains("kubectl delete apiservice v1.x"));
    assert_eq!(api_services::judge(Some(&[])).state, State::Pass);
    assert_eq!(api_services::judge(None).state, State::Skip);
}
