//! Checks of the target cluster before the first write: permissions, host ports, quotas, the tailnet.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::{Sandbox, check, verdicts};

use crate::TAILWATCH;
use crate::preflight::objects;

/// The missing permissions are reported, and exactly these suffice for an installation with its checks.
#[test]
fn the_reported_permissions_are_those_that_an_install_needs() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let no_one = sandbox.file("kubeconfig-unprivileged").display().to_string();
    grant(&sandbox, "reads", &json!([rule("get/list/watch", "*", "*")]));

    let missing = scope(&sandbox, "permissions", &["--kubeconfig", &no_one], 4);
    let detail = missing["detail"].as_str().unwrap();
    assert!(missing["hint"].as_str().unwrap().contains("cluster-admin"), "{missing:#}");
    assert!(detail.contains("create namespaces") || detail.contains("create/patch namespaces"), "{detail}");
    assert!(!detail.contains("get/"), "what it may do already is named: {detail}");
    grant(&sandbox, "makes", &rules(detail));

    let handed_on = scope(&sandbox, "permissions", &["--kubeconfig", &no_one], 4);
    let detail = handed_on["detail"].as_str().unwrap();
    assert!(detail.contains("may not grant") && detail.contains("kube-prometheus-stack-operator"), "{detail}");
    let roles = "clusterroles.rbac.authorization.k8s.io, roles.rbac.authorization.k8s.io";
    grant(&sandbox, "hands-on", &rules(&format!("0 of 0 permissions are missing: escalate/bind {roles}")));

    scope(&sandbox, "permissions", &["--kubeconfig", &no_one], 0);
    sandbox.install(&["--kubeconfig", &no_one]).ended_with(0);

    // An uninstall needs permissions as well.
    sandbox.kubectl(&["delete", "clusterrolebinding", "makes"]);
    let without_logs = ["--kubeconfig", &no_one, "--set", "logs=none"];
    let missing = scope(&sandbox, "permissions", &without_logs, 4);
    let detail = missing["detail"].as_str().unwrap();
    assert!(detail.contains("delete") && detail.contains("statefulsets.apps"), "{detail}");
    grant(&sandbox, "removes", &rules(detail));
    sandbox.install(&without_logs).ended_with(0);
    assert_eq!(sandbox.releases().len(), 2, "{:?}", sandbox.releases());
}

#[test]
fn what_has_no_room_in_the_cluster_is_reported_before_the_first_object() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "2"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["-n", "monitoring", "create", "quota", "tight", "--hard=pods=3,requests.storage=1Gi"]);
    let quota = ["-n", "monitoring", "wait", "resourcequota/tight", "--for=jsonpath={.status.used.pods}=0"];
    sandbox.kubectl(&quota);
    let exporter = sandbox.file("exporter.yaml");
    std::fs::write(&exporter, OTHER_EXPORTER).unwrap();
    sandbox.kubectl(&["create", "-f", &exporter.display().to_string()]);
    sandbox.kubectl(&["rollout", "status", "daemonset/other-exporter", "--timeout=30s"]);
    let before = objects(&sandbox);

    let quotas = scope(&sandbox, "quotas", &[], 4);
    for part in
        ["ResourceQuota tight", "more pods needed, 3 allowed of which 0", "more requests.storage needed, 1Gi allowed"]
    {
        assert!(quotas["detail"].as_str().unwrap().contains(part), "{quotas:#}");
    }
    let ports = scope(&sandbox, "host-ports", &[], 4);
    for part in ["TCP port 9100", "2 nodes", "DaemonSet other-exporter in namespace default"] {
        assert!(ports["detail"].as_str().unwrap().contains(part), "{ports:#}");
    }
    let refused = sandbox.install(&["--output", "json"]).ended_with(4).run_finished();
    let failed = verdicts(&refused["checks"]).into_iter().filter(|(_, verdict)| verdict == "fail").map(|(id, _)| id);
    assert_eq!(failed.collect::<Vec<_>>(), ["host-ports", "quotas"]);
    for (check, way_out) in [(&ports, "service.port"), (&quotas, "describe quota")] {
        assert!(check["hint"].as_str().unwrap().contains(way_out), "{check:#}");
    }
    assert_eq!(objects(&sandbox), before);
    assert!(sandbox.releases().is_empty());

    // What each hint says helps.
    sandbox.kubectl(&["-n", "monitoring", "delete", "quota", "tight"]);
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    let port = "values:\n  kube-prometheus-stack:\n    prometheus-node-exporter:\n      service: { port: 9101, targetPort: 9101 }\n      resources: { requests: { cpu: 100m } }\n";
    let file = sandbox.file("other-port.yaml").display().to_string();
    std::fs::write(&file, format!("{answers}{port}")).unwrap();
    let set_cpu = |cpu: &str| {
        let patch = json!({"status": {"allocatable": {"cpu": cpu}}}).to_string();
        sandbox.kubectl(&["patch", "node", "node-0", "--subresource=status", "--type=merge", "-p", &patch]);
    };
    let room = |cpu: &str| {
        set_cpu(cpu);
        let checks = sandbox.tailwatch(&["preflight", "--output", "json", "--answers", &file]).ended_with(0).json();
        check(&checks["checks"], "node-room").clone()
    };
    let lacking = room("119m");
    assert_eq!(lacking["verdict"], "warn");
    let detail = lacking["detail"].as_str().unwrap();
    assert!(detail.contains("on node node-0 (cpu: 20m of 119m requested, 100m more needed)"), "{detail}");
    assert_eq!(room("120m")["verdict"], "pass");
    // The probe jobs of the verification need more.
    set_cpu("32");
    sandbox.tailwatch(&["install", "--yes", "--answers", &file]).ended_with(0);
}

/// What earlier stacks and other operators left in the cluster.
const LEFT: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: storage-loki-0, namespace: monitoring }
spec: { storageClassName: local, accessModes: [ReadWriteOnce], resources: { requests: { storage: 50Gi } } }
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: local }
provisioner: kubernetes.io/no-provisioner
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: gp2 }
provisioner: kubernetes.io/aws-ebs
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: nfs }
provisioner: example.com/nfs
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: example.com-nfs, namespace: default }
spec: { holderIdentity: gone, leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: ts-prod }
spec: { controller: tailscale.com/ts-ingress }
---
apiVersion: v1
kind: Secret
type: helm.sh/release.v1
metadata:
  name: sh.helm.release.v1.other.v1
  namespace: monitoring
  labels: { owner: helm, name: other, status: deployed, version: '1' }
data: { release: bm90IGEgcmVsZWFzZQ== }
";

#[test]
fn claims_classes_and_records_of_earlier_stacks_are_judged_by_name() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let file = sandbox.file("left.yaml");
    std::fs::write(&file, LEFT).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);

    // Of another class: a warning with both ways. The unreadable record of another release is no reason to fail.
    let claims = judged(&sandbox, "volume-claims", &[], 0);
    assert_eq!(claims["verdict"], "warn");
    let hint = claims["hint"].as_str().unwrap();
    assert!(hint.contains("storage.class to local") && hint.contains("delete pvc storage-loki-0"), "{hint}");
    let class = judged(&sandbox, "ingress-class", &[], 0);
    let found = json!("IngressClass ts-prod, proxies in namespace tailscale");
    assert_eq!((&class["verdict"], &class["detail"]), (&json!("pass"), &found));
    let class = judged(&sandbox, "storage-class", &["--set", "storage.class=local"], 4);
    assert_eq!(class["verdict"], "fail");
    let class = judged(&sandbox, "storage-class", &["--set", "storage.class=gp2"], 0);
    assert!(class["verdict"] == "warn" && class["detail"].as_str().unwrap().contains("ebs.csi.aws.com"), "{class}");
    let class = judged(&sandbox, "storage-class", &["--set", "storage.class=nfs"], 0);
    assert!(class["verdict"] == "warn" && class["detail"].as_str().unwrap().contains("example.com/nfs"), "{class}");
    let proxy = judged(&sandbox, "tailscale-proxy", &["--set", "tailscale.proxyGroup=proxies"], 4);
    assert_eq!(proxy["verdict"], "fail");

    let finalizer = r#"{"metadata":{"finalizers":["example.com/held"]}}"#;
    sandbox.kubectl(&["-n", "monitoring", "patch", "pvc", "storage-loki-0", "--type=merge", "-p", finalizer]);
    sandbox.kubectl(&["-n", "monitoring", "delete", "pvc", "storage-loki-0", "--wait=false"]);
    assert_eq!(judged(&sandbox, "volume-claims", &[], 4)["verdict"], "fail");
    // The unreadable record of a release of ours ends the plan with its name.
    let record = std::fs::read_to_string(&file).unwrap().replace("other", "loki");
    std::fs::write(&file, record.rsplit("---").next().unwrap()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    let plan = sandbox.tailwatch(&["plan", "--answers", &sandbox.answers()]).ended_with(4);
    assert!(plan.stderr.contains("sh.helm.release.v1.loki.v1"), "{}", plan.stderr);
}

#[test]
fn the_tailnet_is_compared_with_what_the_cluster_and_this_machine_know() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    assert_eq!(scope(&sandbox, "tailnet", &[], 0)["verdict"], "skip");

    let status = |certificates: Value, peer: &str| {
        json!({
            "BackendState": "Running",
            "CurrentTailnet": {"MagicDNSSuffix": "tail1a2b.ts.net", "MagicDNSEnabled": true},
            "CertDomains": certificates,
            "Peer": {"nodekey:1": {"DNSName": peer}},
        })
    };
    // This machine has no tailscale: a script takes its place here.
    let program = sandbox.file("home").join("bin/tailscale");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let says = |status: Value| {
        std::fs::write(&program, format!("#!/bin/sh\ncat <<'END'\n{status}\nEND\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let look = |code: i32| {
        let mut command =
            sandbox.tailwatch_command(&["preflight", "--output", "json", "--answers", &sandbox.answers()]);
        let path = format!("{}:{}", program.parent().unwrap().display(), sandbox.variable("PATH"));
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        let said = support::CommandOutput::of(command.output().unwrap()).ended_with(code);
        check(&said.json()["checks"], "tailnet").clone()
    };
    says(status(Value::Null, "laptop.tail1a2b.ts.net."));
    let off = look(4);
    assert_eq!(off["detail"], "HTTPS certificates are disabled in tail1a2b.ts.net");
    assert!(off["hint"].as_str().unwrap().contains("admin console"), "{off:#}");
    says(status(json!(["here.tail1a2b.ts.net"]), "grafana.tail1a2b.ts.net."));
    let taken = look(0);
    assert_eq!(taken["verdict"], "warn", "{taken:#}");
    says(status(json!(["here.tail1a2b.ts.net"]), "laptop.tail1a2b.ts.net."));
    assert_eq!(look(0)["verdict"], "pass");

    let wiki = sandbox.file("wiki.yaml");
    std::fs::write(&wiki, WIKI).unwrap();
    sandbox.kubectl(&["create", "-f", &wiki.display().to_string()]);
    let named = "--for=jsonpath={.status.loadBalancer.ingress[0].hostname}";
    sandbox.kubectl(&["wait", "ingress/wiki", named, "--timeout=30s"]);
    let slip = scope(&sandbox, "tailnet", &["--set", "tailnet=tail1a2c.ts.net"], 4);
    let detail = slip["detail"].as_str().unwrap();
    assert!(detail.contains("Ingress default/wiki") && detail.contains("wiki.tail1a2b.ts.net"), "{detail}");
    assert_eq!(slip["hint"], "set `tailnet` to tail1a2b.ts.net");
}

/// The policies of a GKE Autopilot cluster, and a value of a wrong type.
#[test]
fn what_the_api_server_rejects_is_reported_before_the_first_object() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    assert_eq!(scope(&sandbox, "dry-run", &[], 0)["verdict"], "pass");

    let with = |values: &str| {
        let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
        let file = sandbox.file("values.yaml").display().to_string();
        std::fs::write(&file, format!("{answers}values:\n{values}")).unwrap();
        let said = sandbox.tailwatch(&["preflight", "--output", "json", "--answers", &file]);
        check(&said.json()["checks"], "dry-run").clone()
    };
    let octal = with(
        "  alloy: { controller: { volumes: { extra: [{ name: ca, configMap: { name: ca, defaultMode: '0444' } }] } } }\n",
    );
    let detail = octal["detail"].as_str().unwrap();
    assert_eq!(octal["verdict"], "fail", "{octal:#}");
    assert!(detail.contains("DaemonSet monitoring/alloy") && detail.contains("expected numeric"), "{detail}");

    // A webhook of the namespace that does not exist yet, so that no dry run reaches it.
    let file = sandbox.file("webhook.yaml");
    std::fs::write(&file, LEFTOVER_WEBHOOK).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    let leftover = scope(&sandbox, "admission-webhooks", &[], 4);
    let (detail, hint) = (leftover["detail"].as_str().unwrap(), leftover["hint"].as_str().unwrap());
    assert!(detail.contains("Service gone in namespace policy, which does not exist"), "{detail}");
    assert!(hint.contains("kubectl delete validatingwebhookconfiguration leftover"), "{hint}");
    sandbox.kubectl(&["delete", "validatingwebhookconfiguration", "leftover"]);

    let file = sandbox.file("policies.yaml");
    std::fs::write(&file, AUTOPILOT).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    // The API server takes a moment to enforce a new policy.
    let service = ["create", "service", "clusterip", "try", "--tcp=80", "-n", "kube-system", "--dry-run=server"];
    let is_enforced =
        || !sandbox.command(&sandbox.file("bin/kubectl")).args(service).output().unwrap().status.success();
    support::eventually("the policy is enforced", is_enforced);
    let before = objects(&sandbox);
    let rejected = scope(&sandbox, "dry-run", &[], 4);
    let detail = rejected["detail"].as_str().unwrap();
    for part in [
        "Service kube-system/kube-prometheus-stack-coredns",
        "Service kube-system/kube-prometheus-stack-kubelet, which the Prometheus operator creates: Validating",
        "the namespace \"kube-system\" is managed",
        "DaemonSet monitoring/kube-prometheus-stack-prometheus-node-exporter: ValidatingAdmissionPolicy 'host'",
        "GKE Warden rejected the request",
    ] {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }
    let hint = rejected["hint"].as_str().unwrap();
    for key in ["coreDns", "nodeExporter", "kubelet", "prometheusOperator.kubeletService"] {
        assert!(hint.contains(&format!("values.kube-prometheus-stack.{key}.enabled: false")), "{hint}");
    }
    let refused = sandbox.install(&["--output", "json"]).ended_with(4).run_finished();
    assert_eq!(verdicts(&refused["checks"])["dry-run"], "fail", "{refused:#}");
    assert_eq!(objects(&sandbox), before);

    // What the hint says helps.
    let without = "  kube-prometheus-stack: { coreDns: { enabled: false }, nodeExporter: { enabled: false }, \
                   kubelet: { enabled: false }, prometheusOperator: { kubeletService: { enabled: false } } }\n";
    let found = with(without);
    assert_eq!(found["verdict"], "pass", "{found:#}");
    sandbox.kubectl(&["delete", "validatingadmissionpolicybinding", "managed", "host"]);

    // A level of Pod Security that the pods violate, and answers with which they do not.
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["label", "namespace", "monitoring", "pod-security.kubernetes.io/enforce=baseline"]);
    let violating = scope(&sandbox, "dry-run", &[], 4);
    let (detail, hint) = (violating["detail"].as_str().unwrap(), violating["hint"].as_str().unwrap());
    for part in ["violates PodSecurity \"baseline:latest\"", "the pods of DaemonSet monitoring/alloy", "node-exporter"]
    {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }
    for part in ["pod-security.kubernetes.io/enforce=privileged", "logs: none", "nodeExporter.enabled: false"] {
        assert!(hint.contains(part), "{part:?} is missing in {hint}");
    }
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    let file = sandbox.file("baseline.yaml").display().to_string();
    let values = "logs: none\nvalues: { kube-prometheus-stack: { nodeExporter: { enabled: false } } }\n";
    std::fs::write(&file, format!("{answers}{values}")).unwrap();
    sandbox.tailwatch(&["install", "--yes", "--answers", &file]).ended_with(0);
    let labels = sandbox.get(&["namespace", "monitoring"])["metadata"]["labels"].clone();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline", "{labels:#}");
}

const LEFTOVER_WEBHOOK: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: leftover }
webhooks:
- name: a.policy.example
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: { service: { name: gone, namespace: policy } }
  namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } }
  rules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }]
";

const AUTOPILOT: &str = r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: managed }
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{ apiGroups: [""], apiVersions: ["*"], operations: [CREATE], resources: [services] }]
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: kube-system } }
  validations:
  - expression: "false"
    message: 'GKEAutopilot authz: the namespace "kube-system" is managed and the request''s verb "create" is denied'
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: managed }
spec: { policyName: managed, validationActions: [Deny] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: host }
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{ apiGroups: [apps], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [daemonsets] }]
  validations:
  - expression: "!has(object.spec.template.spec.hostNetwork) || !object.spec.template.spec.hostNetwork"
    message: "GKE Warden rejected the request because it violates one or more constraints: host namespaces"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: host }
spec: { policyName: host, validationActions: [Deny] }
"#;

const OTHER_EXPORTER: &str = "apiVersion: apps/v1
kind: DaemonSet
metadata: { name: other-exporter, namespace: default }
spec:
  selector: { matchLabels: { app: other-exporter } }
  template:
    metadata: { labels: { app: other-exporter } }
    spec:
      hostNetwork: true
      containers:
      - { name: exporter, image: 'exporter:1', ports: [{ containerPort: 9100 }], resources: { requests: { cpu: 20m } } }
";

const WIKI: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: wiki, namespace: default }
spec:
  ingressClassName: tailscale
  defaultBackend: { service: { name: kubernetes, port: { number: 443 } } }
  tls: [{ hosts: [wiki] }]
";

/// One row of `preflight`, which ends with this code.
#[track_caller]
fn scope(sandbox: &Sandbox, id: &str, arguments: &[&str], code: i32) -> Value {
    let found = judged(sandbox, id, arguments, code);
    let expected = if code == 0 { ["pass", "skip"] } else { ["fail", "fail"] };
    assert!(expected.iter().any(|verdict| found["verdict"] == *verdict), "{found:#}");
    found
}

/// The check of an id, of a preflight that ends with this code.
fn judged(sandbox: &Sandbox, id: &str, arguments: &[&str], code: i32) -> Value {
    let answers = sandbox.answers();
    let mut all = vec!["preflight", "--output", "json", "--answers", &answers];
    all.extend(arguments);
    let checks = sandbox.tailwatch(&all).ended_with(code).json()["checks"].clone();
    check(&checks, id).clone()
}

/// The rules for what a finding says is missing.
fn rules(detail: &str) -> Value {
    let (_, missing) = detail.split_once("missing: ").unwrap();
    let rules = missing.split("; ").flat_map(|group| {
        let (verbs, rest) = group.split_once(' ').unwrap();
        let resources = rest.split(" in namespace ").next().unwrap();
        resources.split(", ").map(|resource| {
            let (named, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let (plural, group) = named.split_once('.').unwrap_or((named, ""));
            let resource = if subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{subresource}") };
            rule(verbs, group, &resource)
        })
    });
    rules.collect()
}

fn rule(verbs: &str, group: &str, resource: &str) -> Value {
    let verbs: Vec<&str> = verbs.split('/').collect();
    json!({"verbs": verbs, "apiGroups": [group], "resources": [resource]})
}

/// Gives the user who may do nothing these rules.
fn grant(sandbox: &Sandbox, name: &str, rules: &Value) {
    let rbac = "rbac.authorization.k8s.io";
    let role =
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let file = sandbox.file("role.json");
    std::fs::write(&file, role.to_string()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
    sandbox.kubectl(&["create", "clusterrolebinding", name, "--clusterrole", name, "--user", "sandbox-unprivileged"]);
}
