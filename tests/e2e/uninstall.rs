//! What is installed goes again, what holds data stays until it is asked for, and what is foreign is never touched.

use serde_json::Value;
use support::{CommandOutput, Inventory, Run, Sandbox, Signal, children, eventually, named, of_kind, outcomes, signal};

use crate::TAILWATCH;
use crate::ignored_values::answers;
use crate::rerun::{claims, secret};
use crate::wizard::{answer, drive, exit_code};

const EVERYTHING: [&str; 5] = ["--delete-data", "--delete-crds", "--yes", "--output", "json"];

fn uninstall(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    sandbox.tailwatch(&[&["uninstall"], arguments].concat())
}

/// Every object of the last event `retained`, as `Kind name`, with its reason.
fn retained(events: &[Value]) -> Vec<(String, String)> {
    let objects = of_kind(events, "retained").last().expect("an event retained")["objects"].as_array().unwrap();
    let text = |object: &Value, key: &str| object[key].as_str().unwrap().to_owned();
    objects
        .iter()
        .map(|object| (format!("{} {}", text(object, "kind"), text(object, "name")), text(object, "reason")))
        .collect()
}

fn names(retained: &[(String, String)]) -> Vec<&str> {
    retained.iter().map(|(name, _)| name.as_str()).collect()
}

/// What the garbage collector and the endpoints' controllers clear away comes a moment later.
#[track_caller]
fn nothing_is_left(before: &Inventory, sandbox: &Sandbox) {
    let mut difference = Vec::new();
    for _ in 0..50 {
        difference = before.difference(&Inventory::of(sandbox));
        if difference.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("{difference:#?}");
}

fn apply(sandbox: &Sandbox, manifest: &str) {
    let file = sandbox.file("applied.yaml");
    std::fs::write(&file, manifest).unwrap();
    sandbox.kubectl(&["apply", "-f", &file.display().to_string()]);
}

#[test]
fn data_outlives_an_uninstall_and_everything_goes_when_asked() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    uninstall(&sandbox, &["--yes"]).ended_with(4);
    let before = Inventory::of(&sandbox);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let (claims_before, cookie) = (claims(&sandbox), secret(&sandbox, "oauth2-proxy-auth0", "cookie-secret"));
    let installed = Inventory::of(&sandbox);

    let removed = uninstall(&sandbox, &["--yes", "--output", "json"]).ended_with(0);
    let events = removed.events();
    the_waves_go_down(&events);
    let retained_now = retained(&events);
    let mut expected: Vec<String> =
        claims_before.iter().map(|(name, _)| format!("PersistentVolumeClaim {name}")).collect();
    expected.extend(
        ["Secret grafana-admin", "Secret oauth2-proxy-auth0", "Secret tailwatch-answers", "Namespace monitoring"]
            .map(str::to_owned),
    );
    expected.push("Directory /var/lib/alloy".into());
    assert!(expected.iter().all(|name| names(&retained_now).contains(&name.as_str())), "{retained_now:#?}");
    let crds = retained_now.iter().filter(|(name, _)| name.starts_with("CustomResourceDefinition")).count();
    assert_eq!(retained_now.len(), expected.len() + crds, "{retained_now:#?}");
    assert_eq!(crds, sandbox.kubectl(&["get", "crd", "-o", "name"]).lines().count());
    assert!(sandbox.releases().is_empty());
    assert_eq!(claims(&sandbox), claims_before);
    let left = before.difference(&Inventory::of(&sandbox));
    let reported = |line: &&String| {
        let (kind, name) = (line.split(' ').nth(1).unwrap(), line.split(' ').nth(3).unwrap());
        let of_nobody =
            ["kube-root-ca.crt", "default"].contains(&name) || ["APIService", "PersistentVolume"].contains(&kind);
        !of_nobody && !names(&retained_now).contains(&format!("{kind} {name}").as_str())
    };
    assert_eq!(left.iter().filter(reported).collect::<Vec<_>>(), Vec::<&String>::new());

    // Nothing more is to be done, and that changes nothing.
    let again = uninstall(&sandbox, &["--yes", "--output", "json"]).ended_with(0).events();
    assert!(outcomes(&again).is_empty() && retained(&again).len() + 1 == retained_now.len(), "{again:#?}");

    // Without an answers file and without the client secret in the environment.
    let mut command = sandbox.tailwatch_command(&["install", "--yes", "--output", "json"]);
    let output = command.env_remove("AUTH0_CLIENT_SECRET").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(claims(&sandbox), claims_before);
    assert_eq!(secret(&sandbox, "oauth2-proxy-auth0", "cookie-secret"), cookie);
    let (was, is) = (installed.normalised(), Inventory::of(&sandbox).normalised());
    let differing: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
    assert_eq!(differing, Vec::<&String>::new());

    // The user reads what cannot be restored.
    let mut asked = drive(sandbox.tailwatch_command(&["uninstall", "--delete-data"]));
    answer(&mut asked, "DELETE ITS DATA", "no");
    assert_eq!(exit_code(asked), 130);
    assert_eq!((sandbox.releases().len(), claims(&sandbox)), (4, claims_before));

    let events = uninstall(&sandbox, &EVERYTHING).ended_with(0).events();
    assert_eq!(names(&retained(&events)), ["Directory /var/lib/alloy"]);
    // The plan said so while the releases still stood.
    let predicted = events[0]["steps"].as_array().unwrap().last().unwrap()["effects"]["removed"].clone();
    assert!(predicted.as_array().unwrap().contains(&"Namespace monitoring".into()), "{predicted:#}");
    nothing_is_left(&before, &sandbox);
    uninstall(&sandbox, &EVERYTHING).ended_with(4);
}

fn the_waves_go_down(events: &[Value]) {
    assert_eq!((&events[0]["event"], &events[0]["command"]), (&"run-started".into(), &"uninstall".into()));
    let steps: Vec<_> = events[0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (step["component"].as_str().unwrap(), step["wave"].as_u64().unwrap(), step["action"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("alloy", 33, "remove"),
        ("loki", 32, "remove"),
        ("oauth2-proxy", 30, "remove"),
        ("kube-prometheus-stack", 30, "remove"),
        ("own-objects", 10, "remove"),
    ];
    assert_eq!(steps, expected);
    assert_eq!(outcomes(events), ["removed"; 5]);
    let waves: Vec<u64> = of_kind(events, "wave-finished").iter().map(|wave| wave["wave"].as_u64().unwrap()).collect();
    assert_eq!(waves, [33, 32, 30, 10]);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"succeeded".into()));
    let kept_at = events.iter().position(|event| event["event"] == "retained").unwrap();
    assert_eq!(kept_at, events.len() - 2);
}

const FOREIGN: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: notes, namespace: monitoring }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: storage-loki-9, namespace: monitoring }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: prices, namespace: shop }
spec: { groups: [{ name: prices, rules: [{ alert: Expensive, expr: vector(1) }] }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: other-operator, namespace: shop }
spec:
  selector: { matchLabels: { app: other } }
  template:
    metadata: { labels: { app: other } }
    spec:
      containers:
      - { name: other, image: other, args: [--kubelet-service=kube-system/kube-prometheus-stack-kubelet] }
";

/// Of kinds that `--delete-data` deletes, created while the uninstall runs.
const LATE: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: storage-loki-7, namespace: monitoring, labels: { app.kubernetes.io/instance: loki } }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: Secret
metadata: { name: late, namespace: monitoring, labels: { app.kubernetes.io/managed-by: tailwatch } }
";

#[test]
fn what_is_foreign_survives_and_is_named() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let before = Inventory::of(&sandbox);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    apply(&sandbox, FOREIGN);
    let mut command = sandbox.tailwatch_command(&[&["uninstall"], &EVERYTHING[..]].concat());
    let run = Run::start(&mut command).until(|event| event["event"] == "run-started");
    let file = sandbox.file("late.yaml").display().to_string();
    std::fs::write(&file, LATE).unwrap();
    sandbox.kubectl(&["apply", "--server-side", "--field-manager", "tailwatch", "-f", &file]);
    let events = run.end().ended_with(0).events();
    let retained_now = retained(&events);
    let reason = |name: &str| {
        let found = retained_now.iter().find(|(retained, _)| retained == name);
        found.unwrap_or_else(|| panic!("{name} is not named: {retained_now:#?}")).1.clone()
    };
    let rules = "CustomResourceDefinition prometheusrules.monitoring.coreos.com";
    for (retained, keeper) in [
        ("ConfigMap notes", ""),
        ("PersistentVolumeClaim storage-loki-9", ""),
        ("PersistentVolumeClaim storage-loki-7", ""),
        ("Secret late", ""),
        ("Namespace monitoring", "ConfigMap notes, PersistentVolumeClaim storage-loki-9"),
        (rules, "PrometheusRule prices in namespace shop"),
        ("Service kube-prometheus-stack-kubelet", "Deployment other-operator in namespace shop"),
    ] {
        assert!(reason(retained).contains(keeper), "{retained}: {retained_now:#?}");
    }
    let (foreign, late) = (reason("ConfigMap notes"), reason("Secret late"));
    assert_eq!(foreign, reason("PersistentVolumeClaim storage-loki-9"), "not of tailwatch");
    assert_eq!(late, reason("PersistentVolumeClaim storage-loki-7"), "of tailwatch, but not in the plan");
    assert_ne!(foreign, late);
    assert_eq!(retained_now.len(), 8, "{retained_now:#?}");
    sandbox.get(&["-n", "monitoring", "configmap", "notes"]);
    sandbox.get(&["-n", "shop", "prometheusrule", "prices"]);
    assert_eq!(claims(&sandbox).len(), 2);
    assert_eq!(sandbox.kubectl(&["get", "crd", "-o", "name"]).lines().count(), 1);

    // Once they have gone, a later call goes on with what was left of ours.
    sandbox.kubectl(&["delete", "namespace", "shop"]);
    sandbox.kubectl(&["-n", "monitoring", "delete", "configmap/notes", "pvc/storage-loki-9"]);
    let events = uninstall(&sandbox, &EVERYTHING).ended_with(0).events();
    assert_eq!(outcomes(&events), ["removed"]);
    assert!(retained(&events).is_empty(), "{events:#?}");
    nothing_is_left(&before, &sandbox);
}

#[test]
fn a_namespace_that_was_there_stays_as_it_was() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["label", "namespace", "monitoring", "team=x"]);
    a_release_of_another_owner_survives(&sandbox);
    let labels = |sandbox: &Sandbox| sandbox.get(&["namespace", "monitoring"])["metadata"]["labels"].clone();
    let before = (Inventory::of(&sandbox), labels(&sandbox));
    sandbox.install(&["--skip-verify"]).ended_with(0);
    assert_ne!(labels(&sandbox), before.1);
    let events = uninstall(&sandbox, &EVERYTHING).ended_with(0).events();
    // Our labels are off, so that nothing of ours is left to name.
    assert!(!names(&retained(&events)).contains(&"Namespace monitoring"), "{events:#?}");
    assert_eq!(labels(&sandbox), before.1);
    nothing_is_left(&before.0, &sandbox);
}

/// Of a name, a namespace and a chart as ours have them.
fn a_release_of_another_owner_survives(sandbox: &Sandbox) {
    let chart = sandbox.file("charts/loki-6.46.0.tgz").display().to_string();
    let values = "deploymentMode=SingleBinary,loki.storage.type=filesystem,loki.useTestSchema=true,\
                  singleBinary.replicas=1,read.replicas=0,write.replicas=0,backend.replicas=0,gateway.enabled=false,\
                  chunksCache.enabled=false,resultsCache.enabled=false,lokiCanary.enabled=false,test.enabled=false";
    sandbox.helm(&["install", "loki", &chart, "-n", "monitoring", "--set", values]).ended_with(0);
    eventually("it has a claim", || claims(sandbox).len() == 1);
    let connection = (sandbox.releases(), claims(sandbox));
    let said = uninstall(sandbox, &["--delete-data", "--yes", "--output", "json"]).ended_with(0);
    let retained = of_kind(&said.events(), "retained").last().unwrap()["objects"].clone();
    let release = retained.as_array().unwrap().iter().find(|object| object["kind"] == "Release").unwrap().clone();
    assert_eq!(release["name"], "loki", "{retained:#}");
    let removal = "helm uninstall loki -n monitoring";
    assert!(release.to_string().contains(removal), "{release:#}");
    assert_eq!((sandbox.releases(), claims(sandbox)), connection);
    assert_eq!(sandbox.releases().len(), 1);
    sandbox.helm(&["uninstall", "loki", "-n", "monitoring"]).ended_with(0);
    sandbox.kubectl(&["-n", "monitoring", "delete", "pvc", "--all"]);
    eventually("its volume has gone", || {
        sandbox.kubectl(&["-n", "monitoring", "get", "pv,pods", "-o", "name"]).is_empty()
    });
}

/// Starts an uninstall of everything, and ends it by a signal at the first event that satisfies the predicate; returns
/// its exit code.
fn ended_by(sandbox: &Sandbox, kind: Signal, is_reached: impl Fn(&Value) -> bool) -> Option<i32> {
    let mut command = sandbox.tailwatch_command(&[&["uninstall"], &EVERYTHING[..]].concat());
    let run = Run::start(&mut command).until(is_reached);
    let helms = children(run.pid());
    run.signal(kind);
    for helm in helms.into_iter().filter(|_| kind == Signal::SIGKILL) {
        signal(helm, Signal::SIGKILL);
    }
    run.end().code
}

#[test]
fn an_uninstall_that_is_interrupted_or_killed_goes_on() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let before = Inventory::of(&sandbox);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    assert_eq!(ended_by(&sandbox, Signal::SIGTERM, named("step-started", "alloy")), Some(130));
    assert_eq!(ended_by(&sandbox, Signal::SIGKILL, named("step-started", "kube-prometheus-stack")), None);
    assert_eq!(ended_by(&sandbox, Signal::SIGKILL, named("step-started", "own-objects")), None);
    let dead = "v1beta1.custom.metrics.k8s.io";
    apply(&sandbox, DEAD_API_SERVICE);
    sandbox.kubectl(&["wait", &format!("apiservice/{dead}"), "--for=condition=Available=false", "--timeout=30s"]);
    let waits_for_namespace =
        |event: &Value| event["waiting"].as_str().is_some_and(|waiting| waiting.starts_with("Namespace monitoring"));
    assert_eq!(ended_by(&sandbox, Signal::SIGKILL, waits_for_namespace), None);
    let held = uninstall(&sandbox, &[&EVERYTHING[..], &["--timeout", "10s"]].concat()).ended_with(5);
    let way_out = format!("`kubectl delete apiservice {dead}`");
    held.tells(&["Service monitoring/prometheus-adapter", &way_out]);
    sandbox.kubectl(&["delete", "apiservice", dead]);
    let last = uninstall(&sandbox, &EVERYTHING);
    assert!(matches!(last.code, Some(0 | 4)), "{}", last.stderr);
    nothing_is_left(&before, &sandbox);
}

#[test]
fn the_tailscale_operator_goes_last_and_not_while_others_need_it() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    let before = Inventory::of(&sandbox);
    let file = sandbox.file("tailscale-secret").display().to_string();
    std::fs::write(&file, "tskey-canary\n").unwrap();
    let source = format!("tailscale.oauth.clientSecret={{ file: {file} }}");
    sandbox.install(&["--set", "tailscale.oauth.clientId=k", "--set", &source, "--skip-verify"]).ended_with(0);
    eventually("the operator holds the Ingress", || {
        sandbox.get(&["-n", "monitoring", "ingress", "grafana"])["metadata"]["finalizers"].is_array()
    });

    // Without the operator the Ingress hangs, which is reported with the way out.
    sandbox.fault("tailscale=operator-not-running", "on");
    let stuck = uninstall(&sandbox, &["--yes", "--timeout", "30s"]).ended_with(5);
    stuck.tells(&["oauth2-proxy", "finalizer", "patch ingress grafana"]);
    sandbox.fault("tailscale", "off");

    apply(&sandbox, "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: ts-prod }
spec: { controller: tailscale.com/ts-ingress }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: shop }
spec: { ingressClassName: ts-prod, defaultBackend: { service: { name: web, port: { number: 80 } } }, tls: [{ hosts: [web] }] }
");
    let retained_now = retained(&uninstall(&sandbox, &EVERYTHING).ended_with(0).events());
    let is_kept = |(name, reason): &(String, String)| {
        name == "Release tailscale-operator" && reason.contains("Ingress web in namespace shop")
    };
    assert!(retained_now.iter().any(is_kept), "{retained_now:#?}");
    assert_eq!(sandbox.releases(), [("tailscale-operator".to_owned(), "tailscale-operator-1.90.6".to_owned())]);
    sandbox.get(&["-n", "tailscale", "secret", "operator-oauth"]);

    sandbox.kubectl(&["delete", "namespace/shop", "ingressclass/ts-prod"]);
    the_operator_that_carries_the_api_is_retained(&sandbox);
    let events = uninstall(&sandbox, &EVERYTHING).ended_with(0).events();
    assert_eq!(outcomes(&events), ["removed"; 2]);
    assert!(retained(&events).is_empty(), "{events:#?}");
    nothing_is_left(&before, &sandbox);

    // Without oauth2-proxy our own Ingress is no reason to keep the operator.
    sandbox.install(&["--set", "tailscale.oauth.clientId=k", "--set", &source, "--skip-verify"]).ended_with(0);
    sandbox.helm(&["uninstall", "oauth2-proxy", "-n", "monitoring"]).ended_with(0);
    uninstall(&sandbox, &["--yes"]).ended_with(0);
    assert!(sandbox.releases().is_empty(), "{:?}", sandbox.releases());
}

/// `tailscale configure kubeconfig` names the context after the operator's device.
fn the_operator_that_carries_the_api_is_retained(sandbox: &Sandbox) {
    let through = sandbox.file("through-the-operator").display().to_string();
    std::fs::copy(sandbox.variable("KUBECONFIG"), &through).unwrap();
    let current = sandbox.kubectl(&["config", "current-context"]);
    let device = "tailscale-operator.tail1a2b.ts.net";
    sandbox.kubectl(&["config", "rename-context", current.trim(), device, "--kubeconfig", &through]);
    let file = answers(sandbox, "tailscale-operator: { operatorConfig: { logging: debug } }");
    let id = "tailscale.oauth.clientId=k";
    let mut command = sandbox.tailwatch_command(&["plan", "--output", "json", "--answers", &file, "--set", id]);
    let output = command.env("KUBECONFIG", &through).output().unwrap();
    let plan = CommandOutput::of(output).ended_with(0).json();
    let notices = plan["notices"].as_array().unwrap();
    let breaks = |notice: &&Value| notice.as_str().unwrap().contains("Deployment operator in namespace tailscale");
    assert_eq!(notices.iter().filter(breaks).count(), 1, "{plan:#}");
    let mut command = sandbox.tailwatch_command(&[&["uninstall"], &EVERYTHING[..]].concat());
    let output = command.env("KUBECONFIG", &through).output().unwrap();
    let retained = retained(&CommandOutput::of(output).ended_with(0).events());
    let is_kept =
        |(name, reason): &&(String, String)| name == "Release tailscale-operator" && reason.contains("another context");
    assert_eq!(retained.iter().filter(is_kept).count(), 1, "{retained:#?}");
    assert_eq!(sandbox.releases().len(), 1);
}

/// An APIService without its Service.
pub const DEAD_API_SERVICE: &str = "apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: { name: v1beta1.custom.metrics.k8s.io }
spec:
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: { name: prometheus-adapter, namespace: monitoring }
";
