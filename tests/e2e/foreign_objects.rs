//! Objects of other owners that have the names of our own: left exactly as they are and named, or taken over with --adopt
//! so that nothing of theirs is served under our name.

use serde_json::{Value, json};
use support::{Run, Sandbox, Signal, named, of_kind, outcomes};

use crate::TAILWATCH;
use crate::interruption::install_until;
use crate::rerun::secret;

const FOREIGN: [(&str, &str); 7] = [
    ("Ingress", "grafana"),
    ("Secret", "grafana-admin"),
    ("Secret", "oauth2-proxy-auth0"),
    ("Secret", "kube-prometheus-stack-admission"),
    ("NetworkPolicy", "tailwatch-grafana"),
    ("NetworkPolicy", "tailwatch-oauth2-proxy"),
    ("ConfigMap", "tailwatch-revisions"),
];

fn foreign_ingress() -> Value {
    let path = json!({"path": "/shop", "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "grafana",
            "namespace": "monitoring",
            "labels": {"team": "shop"},
            "annotations": {"tailscale.com/funnel": "true", "note": "x"},
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": "shop.example", "http": {"paths": [path]}}],
            "tls": [{"hosts": ["shop.example"], "secretName": "shop-tls"}],
        },
    })
}

/// Each with something that must go, or must stay.
fn foreign(kind: &str, name: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "monitoring"});
    match kind {
        "Ingress" => foreign_ingress(),
        "Secret" => {
            let texts = json!({"admin-user": "root", "admin-password": "theirs", "more": "mine"});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "stringData": texts})
        }
        "NetworkPolicy" => {
            let spec = json!({"podSelector": {"matchLabels": {"app": "shop"}}, "ingress": [{}], "egress": [{}],
                "policyTypes": ["Ingress", "Egress"]});
            json!({"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
        }
        _ => json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"shop": "1"}}),
    }
}

pub fn create(sandbox: &Sandbox, object: &Value) {
    let file = sandbox.file("foreign.json");
    std::fs::write(&file, object.to_string()).unwrap();
    sandbox.kubectl(&["create", "-f", &file.display().to_string()]);
}

pub fn outcome_of(events: &[Value], component: &str) -> String {
    let steps = of_kind(events, "step-finished");
    let step = steps.into_iter().find(|step| step["component"] == component).expect("its step");
    step["outcome"].as_str().unwrap().to_owned()
}

pub fn live(sandbox: &Sandbox, kind: &str, name: &str) -> Value {
    sandbox.get(&["-n", "monitoring", kind, name, "--show-managed-fields"])
}

fn everything(sandbox: &Sandbox) -> Vec<Value> {
    FOREIGN.iter().map(|(kind, name)| live(sandbox, kind, name)).collect()
}

/// The row `ownership` of a preflight.
fn ownership(sandbox: &Sandbox, arguments: &[&str]) -> (String, String) {
    let answers = sandbox.answers();
    let all = [&["preflight", "--output", "json", "--answers", &answers], arguments].concat();
    let checks = sandbox.tailwatch(&all).json();
    let row =
        checks["checks"].as_array().unwrap().iter().find(|check| check["id"] == "object-conflict").unwrap().clone();
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text("verdict"), text("detail"))
}

#[track_caller]
fn is_only_ours(ingress: &Value) {
    let backend = json!({"service": {"name": "oauth2-proxy", "port": {"number": 80}}});
    let spec = json!({"ingressClassName": "tailscale", "defaultBackend": backend, "tls": [{"hosts": ["grafana"]}]});
    assert_eq!(ingress["spec"], spec);
    assert_eq!(ingress["metadata"]["annotations"], json!({"tailscale.com/tags": "tag:k8s"}));
}

#[test]
fn objects_of_others_with_the_names_of_ours_stay_as_they_are_or_become_exactly_ours() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    FOREIGN.iter().for_each(|(kind, name)| create(&sandbox, &foreign(kind, name)));
    let before = everything(&sandbox);

    let (verdict, detail) = ownership(&sandbox, &[]);
    assert_eq!(verdict, "fail");
    for (kind, name) in FOREIGN {
        assert!(detail.contains(&format!("{kind} {name}")), "{kind} {name} is missing in {detail}");
    }
    assert_eq!(detail.matches("kubectl-create").count(), FOREIGN.len(), "{detail}");
    let refused = sandbox.install(&["--skip-verify"]).ended_with(4);
    assert!(refused.stderr.contains("--adopt"), "{}", refused.stderr);
    assert_eq!(everything(&sandbox), before);
    assert!(sandbox.releases().is_empty());
    the_plan_shows_them(&sandbox);

    // An immutable field.
    sandbox.kubectl(&["-n", "monitoring", "delete", "secret", "grafana-admin"]);
    sandbox.kubectl(&["-n", "monitoring", "create", "secret", "generic", "grafana-admin", "--type=shop/own"]);
    let (verdict, detail) = ownership(&sandbox, &["--adopt"]);
    assert!(verdict == "fail" && detail.contains("shop/own"), "{verdict} {detail}");
    sandbox.kubectl(&["-n", "monitoring", "delete", "secret", "grafana-admin"]);
    create(&sandbox, &foreign("Secret", "grafana-admin"));

    let events = sandbox.install(&["--adopt", "--skip-verify", "--output", "json"]).ended_with(0).events();
    let notices: String = of_kind(&events, "notice").iter().map(|notice| notice["message"].as_str().unwrap()).collect();
    assert!(notices.contains("spec.rules"), "{notices}");
    is_only_ours(&live(&sandbox, "Ingress", "grafana"));
    let policy = live(&sandbox, "NetworkPolicy", "tailwatch-grafana");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap().len(), 2, "{policy:#}");
    assert!(policy["spec"].get("egress").is_none() && policy["spec"]["policyTypes"] == json!(["Ingress"]));
    let admin = |key: &str| secret(&sandbox, "grafana-admin", key);
    assert_eq!((admin("admin-user"), admin("more")), ("YWRtaW4=".into(), "bWluZQ==".into()));
    let again = sandbox.install(&["--skip-verify", "--output", "json"]).ended_with(0).events();
    assert_eq!(outcomes(&again), ["unchanged"; 4]);

    what_others_add_to_the_ingress_is_taken_away(&sandbox);
    an_operator_of_another_namespace_and_a_proxy_group_are_admitted(&sandbox);
    one_that_is_replaced_while_helm_has_nothing_to_do_is_found(&sandbox);
    a_release_that_others_change_under_a_run_is_left_to_them(&sandbox);
    copies_outlive_an_uninstall(&sandbox);
}

/// Counted, with the keys of Secrets and without their data.
fn the_plan_shows_them(sandbox: &Sandbox) {
    let answers = sandbox.answers();
    let plan = sandbox.tailwatch(&["plan", "--diff", "--answers", &answers, "--output", "json"]).ended_with(0);
    for data in ["dGhlaXJz", "theirs", "cm9vdA", "bWluZQ"] {
        assert!(!plan.stdout.contains(data), "data of a Secret is shown: {data}");
    }
    let plan = plan.json();
    let effects = |component: &str, key: &str| -> Vec<String> {
        let step = plan["steps"].as_array().unwrap().iter().find(|step| step["component"] == component).unwrap();
        step["effects"][key].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    assert!(effects("oauth2-proxy", "changed").contains(&"Ingress grafana".to_owned()));
    assert!(effects("kube-prometheus-stack", "changed").contains(&"Secret grafana-admin".to_owned()));
    assert!(effects("kube-prometheus-stack", "added").contains(&"NetworkPolicy tailwatch-loki".to_owned()));
    let diffs = plan["diff"].as_array().unwrap().iter().flat_map(|step| step["objects"].as_array().unwrap());
    let diff = diffs.clone().find(|diff| diff["object"] == "Secret grafana-admin").unwrap()["diff"].as_str().unwrap();
    assert!(diff.contains("+  admin-user: (hidden, another)"), "{diff}");
    assert!(diffs.clone().any(|diff| diff["object"] == "Ingress grafana"));
}

fn what_others_add_to_the_ingress_is_taken_away(sandbox: &Sandbox) {
    let rules = json!({"spec": {"rules": foreign_ingress()["spec"]["rules"]}, "metadata": {"annotations": {"tailscale.com/funnel": "true"}}});
    sandbox.kubectl(&["-n", "monitoring", "patch", "ingress", "grafana", "--type=merge", "-p", &rules.to_string()]);
    let events = sandbox.install(&["--skip-verify", "--output", "json"]).ended_with(0).events();
    assert_eq!(outcomes(&events), ["unchanged", "repaired", "unchanged", "unchanged"]);
    is_only_ours(&live(sandbox, "Ingress", "grafana"));
}

fn an_operator_of_another_namespace_and_a_proxy_group_are_admitted(sandbox: &Sandbox) {
    const GROUP: &str = "tailscale.com/proxy-group";
    sandbox.kubectl(&["create", "namespace", "networking"]);
    let operator =
        ["-n", "networking", "create", "deployment", "ts", "--image=mirror.example/k8s-operator:v1", "--replicas=0"];
    sandbox.kubectl(&operator);
    sandbox.kubectl(&["-n", "networking", "label", "deployment", "ts", "app=operator", "--overwrite"]);
    let annotate = |value: &str| sandbox.kubectl(&["-n", "monitoring", "annotate", "ingress", "grafana", value]);
    annotate(&format!("{GROUP}=proxies"));
    let events = sandbox.install(&["--skip-verify", "--output", "json"]).ended_with(0).events();
    assert_eq!(outcomes(&events), ["repaired", "unchanged", "unchanged", "unchanged"]);
    assert_eq!(live(sandbox, "Ingress", "grafana")["metadata"]["annotations"][GROUP], "proxies");
    let policy = live(sandbox, "NetworkPolicy", "tailwatch-oauth2-proxy");
    for peer in policy["spec"]["ingress"][0]["from"].as_array().unwrap() {
        assert_eq!(peer["namespaceSelector"]["matchExpressions"][0]["values"], json!(["networking"]), "{policy:#}");
    }
    annotate(&format!("{GROUP}-"));
}

/// The same object, our label included, but of another hand.
fn one_that_is_replaced_while_helm_has_nothing_to_do_is_found(sandbox: &Sandbox) {
    let mut copy = sandbox.get(&["-n", "monitoring", "ingress", "grafana"]);
    let ours = copy.clone();
    sandbox.kubectl(&["-n", "monitoring", "delete", "ingress", "grafana"]);
    for key in ["uid", "resourceVersion", "creationTimestamp", "generation", "finalizers"] {
        copy["metadata"].as_object_mut().unwrap().remove(key);
    }
    create(sandbox, &copy);
    let before = live(sandbox, "Ingress", "grafana");
    assert_eq!(before["metadata"]["labels"], ours["metadata"]["labels"]);
    assert_eq!(ownership(sandbox, &[]).0, "fail");
    sandbox.install(&["--skip-verify"]).ended_with(4);
    let now = live(sandbox, "Ingress", "grafana");
    assert_eq!((&now["spec"], &now["metadata"]["uid"]), (&before["spec"], &before["metadata"]["uid"]));
    assert_eq!(now["metadata"]["labels"], before["metadata"]["labels"]);
    sandbox.install(&["--skip-verify", "--adopt"]).ended_with(0);
    assert_eq!(ownership(sandbox, &[]), ("pass".into(), String::new()));
}

/// `kubectl get -o yaml | sed | kubectl apply`, also with the records of the field managers.
fn copies_outlive_an_uninstall(sandbox: &Sandbox) {
    let mut copy = sandbox.get(&["-n", "monitoring", "secret", "oauth2-proxy-auth0"]);
    copy["metadata"] = json!({"name": "copy", "namespace": "monitoring", "labels": copy["metadata"]["labels"]});
    create(sandbox, &copy);
    let events = sandbox.tailwatch(&["uninstall", "--delete-data", "--yes", "--output", "json"]).ended_with(0).events();
    let kept = of_kind(&events, "retained").last().unwrap()["objects"].clone();
    let kept: Vec<&str> = kept.as_array().unwrap().iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert!(kept.contains(&"copy"), "{kept:?}");
    let left = sandbox.kubectl(&["-n", "monitoring", "get", "secret,ingress,networkpolicy", "-o", "name"]);
    assert_eq!(left.lines().collect::<Vec<_>>(), ["secret/copy"], "what was taken over went as our own");
}

/// Made by others after the look, and before it is our own object's turn.
#[test]
fn an_object_that_comes_under_a_run_is_a_conflict_and_stays() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let run = install_until(&sandbox, named("step-started", "kube-prometheus-stack"));
    // helm continues meanwhile, and oauth2-proxy's step would start before the object exists.
    run.signal(Signal::SIGSTOP);
    // Nothing in it would be a conflict of fields.
    let mut ingress = foreign_ingress();
    ingress["spec"].as_object_mut().unwrap().retain(|key, _| key == "rules");
    create(&sandbox, &ingress);
    let before = live(&sandbox, "Ingress", "grafana");
    run.signal(Signal::SIGCONT);
    let failed = run.end().ended_with(5);
    let (events, said) = (failed.events(), failed.talk());
    for part in ["Ingress grafana", "kubectl-create", "--adopt"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(live(&sandbox, "Ingress", "grafana"), before);
    // Their wave goes on until both have ended.
    assert_eq!(outcome_of(&events, "kube-prometheus-stack"), "installed");
    assert_eq!(outcome_of(&events, "oauth2-proxy"), "failed");
}

/// An object of the chart that comes up after the plan was agreed to is not taken over with the others.
#[test]
fn helm_takes_over_what_was_agreed_to_and_nothing_that_comes_up_under_the_run() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    sandbox.kubectl(&["-n", "monitoring", "create", "serviceaccount", "loki"]);
    let answers = sandbox.answers();
    let mut install = sandbox.tailwatch_command(&["install", "--answers", &answers, "--yes", "--adopt"]);
    let run = Run::start(install.args(["--output", "json"])).until(named("step-started", "kube-prometheus-stack"));
    sandbox.kubectl(&["-n", "monitoring", "create", "configmap", "loki", "--from-literal=shop=1"]);
    let before = live(&sandbox, "ConfigMap", "loki");
    let failed = run.end().ended_with(5);
    let (events, said) = (failed.events(), failed.talk());
    for part in ["ConfigMap loki", "kubectl-create"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(live(&sandbox, "ConfigMap", "loki"), before);
    // To apply the labels of the existing namespace is no change that makes the plan stale.
    assert!(!said.contains("Namespace monitoring"), "{said}");
    assert_eq!(outcome_of(&events, "loki"), "failed");
    assert!(sandbox.releases().iter().all(|(name, _)| name != "loki"), "{:?}", sandbox.releases());
}

fn a_release_that_others_change_under_a_run_is_left_to_them(sandbox: &Sandbox) {
    let changes = ["--set", "retention.metrics=9d", "--set", "retention.logs=9d", "--output", "json"];
    let answers = sandbox.answers();
    let mut install = sandbox.tailwatch_command(&["install", "--answers", &answers, "--yes"]);
    let run = Run::start(install.args(changes)).until(named("step-started", "kube-prometheus-stack"));
    sandbox.helm(&["rollback", "loki", "1", "-n", "monitoring"]).ended_with(0);
    let failed = run.end().ended_with(5);
    let events = failed.events();
    assert_eq!(outcome_of(&events, "loki"), "failed");
    let revisions = sandbox.helm(&["history", "loki", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
    assert_eq!(revisions.as_array().map(Vec::len), Some(2), "{revisions:#}");
    sandbox.install(&["--skip-verify"]).ended_with(0);
}

/// The Secret that the Tailscale operator's chart reads has a name that others use, too.
#[test]
fn the_secret_of_an_operator_of_others_stays_as_it_is_and_is_named() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    sandbox.kubectl(&["create", "namespace", "tailscale"]);
    let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "operator-oauth", "namespace": "tailscale"},
        "stringData": {"client_id": "theirs", "client_secret": "tskey-theirs"}});
    create(&sandbox, &foreign);
    let secret = || sandbox.get(&["-n", "tailscale", "secret", "operator-oauth", "--show-managed-fields"]);
    let before = secret();
    let file = sandbox.file("tailscale-secret").display().to_string();
    std::fs::write(&file, "tskey-ours").unwrap();
    let source = format!("tailscale.oauth.clientSecret={{ file: {file} }}");
    for client in ["kOurs", "theirs"] {
        let client = format!("tailscale.oauth.clientId={client}");
        let given = ["--set", &client, "--set", &source];
        let (verdict, detail) = ownership(&sandbox, &given);
        let is_named = detail.contains("Secret operator-oauth") && detail.contains("kubectl-create");
        assert!(verdict == "fail" && is_named, "{verdict} {detail}");
        let said = sandbox.install(&[&given[..], &["--skip-verify"]].concat()).ended_with(4);
        let words = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("Secret operator-oauth") && words.contains("--adopt"), "{words}");
        assert!(!words.contains("tskey-"), "a secret is shown: {words}");
        assert_eq!(secret(), before);
    }
    assert!(sandbox.releases().is_empty());
    // Where the cluster has an operator, the Secret is none of the stack's, for an uninstall, too.
    let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "tailscale"},
        "spec": {"controller": "tailscale.com/ts-ingress"}});
    create(&sandbox, &class);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    assert_eq!(secret(), before);
    sandbox.tailwatch(&["uninstall", "--delete-data", "--yes"]).ended_with(0);
    assert_eq!(secret(), before);
}
