//! `tailwatch rbac`: an account with exactly the printed permissions installs, verifies, upgrades and uninstalls, and
//! without any one of them the preflight names it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{CommandOutput, Sandbox, eventually, verdicts};

use crate::TAILWATCH;

/// Rules that a run of the suite takes away; with `TAILWATCH_EVERY_RULE` all of them.
const SAMPLE: usize = 6;

#[test]
fn the_printed_permissions_suffice_for_each_command() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let nothing = sandbox.tailwatch(&["rbac", "--answers", &sandbox.answers(), "--delete-data"]).ended_with(2);
    assert!(nothing.stderr.contains("--for uninstall"), "{}", nothing.stderr);

    // Applied as it is printed, by kubectl.
    let printed = sandbox.tailwatch(&["rbac", "--answers", &sandbox.answers()]).ended_with(0).stdout;
    assert!(printed.contains("escalate") && printed.contains("can read the secrets of all namespaces"), "{printed}");
    let file = sandbox.file("install.yaml").display().to_string();
    std::fs::write(&file, &printed).unwrap();
    sandbox.kubectl(&["apply", "-f", &file]);
    let installer = kubeconfig_of(&sandbox, "tailwatch");

    let checks = preflight(&sandbox, &installer).ended_with(0).json()["checks"].clone();
    let skipped = verdicts(&checks).into_iter().filter(|(_, verdict)| verdict == "skip").map(|(id, _)| id);
    assert_eq!(skipped.collect::<BTreeSet<_>>(), ["tailnet"].map(str::to_owned).into());
    sandbox.install(&["--kubeconfig", &installer]).ended_with(0);
    sandbox.tailwatch(&["status", "--check-updates", "--kubeconfig", &installer]).ended_with(0);
    let folder = sandbox.file("export").display().to_string();
    sandbox.tailwatch(&["export", "manifests", "--out", &folder, "--kubeconfig", &installer]).ended_with(0);
    assert_eq!(refused(&sandbox, "tailwatch"), BTreeSet::new());
    // The namespace is not tailwatch's own.
    sandbox.install(&["--kubeconfig", &installer]).ended_with(0);

    let verifier = granted(&sandbox, "verify", "verifier");
    sandbox.tailwatch(&["verify", "--kubeconfig", &verifier]).ended_with(0);
    sandbox.tailwatch(&["status", "--kubeconfig", &verifier]).ended_with(0);
    let of_the_operator = BTreeSet::from(OF_THE_OPERATOR.map(str::to_owned));
    assert!(refused(&sandbox, "verifier").is_subset(&of_the_operator), "{:#?}", refused(&sandbox, "verifier"));
    let more = ["--set", "logs=none", "--kubeconfig", &verifier];
    let detail = sandbox.install(&more).ended_with(4);
    assert!(detail.stderr.contains("tailwatch rbac"), "{}", detail.stderr);

    let upgrader = granted(&sandbox, "upgrade", "upgrader");
    let run = ["upgrade", "--to", "loki=6.55.0", "--yes", "--kubeconfig", &upgrader];
    sandbox.tailwatch(&run).ended_with(0);
    assert_eq!(refused(&sandbox, "upgrader"), BTreeSet::new());
    let without = ["--set", "logs=none", "--set", "versions.loki=6.55.0", "--kubeconfig", &upgrader];
    // Without the optional Role in the namespace `default`.
    sandbox.kubectl(&["-n", "default", "delete", "rolebinding", "tailwatch-upgrade-checks-monitoring"]);
    let unlocked = sandbox.install(&without).ended_with(0);
    assert!(unlocked.stderr.contains("no lock of the cluster"), "{}", unlocked.stderr);
    assert_eq!(sandbox.releases().len(), 2, "{:?}", sandbox.releases());

    let remover = granted(&sandbox, "uninstall", "remover");
    sandbox.tailwatch(&["uninstall", "--yes", "--kubeconfig", &remover]).ended_with(0);
    assert_eq!(sandbox.releases(), []);
    assert!(refused(&sandbox, "remover").is_subset(&of_the_operator), "{:#?}", refused(&sandbox, "remover"));
    sandbox.kubectl(&["-n", "monitoring", "get", "role", "tailwatch-install"]);
}

#[test]
fn without_one_of_the_printed_rules_the_preflight_names_it() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let installer = granted(&sandbox, "install", "tailwatch");
    let roles = roles(&printed(&sandbox, "install", "tailwatch"));
    let rules: Vec<Rule<'_>> = roles.iter().flat_map(Rule::of_role).collect();
    // A rule counts only as far as no other one has the same permissions.
    let alone: Vec<(&Rule<'_>, Request)> =
        rules.iter().filter_map(|rule| Some((rule, rule.requests().find(|one| rule.is_alone(one, &rules))?))).collect();
    assert!(alone.len() > 20, "{}", alone.len());
    let step = if std::env::var_os("TAILWATCH_EVERY_RULE").is_some() { 1 } else { alone.len().div_ceil(SAMPLE) };
    let mut unnamed = Vec::new();
    for (rule, request) in alone.iter().step_by(step) {
        replace(&sandbox, rule, request, false);
        let said = preflight(&sandbox, &installer);
        let text = format!("{}{}", said.stdout, said.stderr);
        let expected = if rule.role_name().contains("-checks") { 0 } else { 4 };
        let is_named = text.contains(&request.verb) && text.contains(&request.resource);
        if said.code != Some(expected) || !is_named {
            unnamed.push(format!("{} {}: {:?}\n{text}", rule.role_name(), rule.value, said.code));
        }
        replace(&sandbox, rule, request, true);
    }
    assert!(unnamed.is_empty(), "{} of {}: {}", unnamed.len(), alone.len(), unnamed.join("\n"));
    assert_eq!(sandbox.releases(), []);
}

/// A rule of a printed role.
struct Rule<'a> {
    role: &'a Value,
    index: usize,
    value: &'a Value,
}

/// What a rule permits.
#[derive(Debug)]
struct Request {
    verb: String,
    group: String,
    resource: String,
    name: Option<String>,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

impl<'a> Rule<'a> {
    fn of_role(role: &'a Value) -> Vec<Rule<'a>> {
        let rules = role["rules"].as_array().unwrap().iter().enumerate();
        rules.map(|(index, value)| Rule { role, index, value }).collect()
    }

    fn role_name(&self) -> &str {
        self.role["metadata"]["name"].as_str().unwrap()
    }

    fn namespace(&self) -> Option<&str> {
        self.role["metadata"]["namespace"].as_str()
    }

    fn requests(&self) -> impl Iterator<Item = Request> {
        let names = texts(&self.value["resourceNames"]).into_iter().map(Some).collect::<Vec<_>>();
        let names = if names.is_empty() { vec![None] } else { names };
        let mut requests = Vec::new();
        for verb in texts(&self.value["verbs"]) {
            for resource in texts(&self.value["resources"]) {
                for name in &names {
                    let group = texts(&self.value["apiGroups"]).swap_remove(0);
                    let (verb, resource) = (verb.clone(), resource.clone());
                    requests.push(Request { verb, group, resource, name: name.clone() });
                }
            }
        }
        requests.into_iter()
    }

    /// Whether no other rule permits it.
    fn is_alone(&self, request: &Request, all: &[Rule<'_>]) -> bool {
        let has = |value: &Value, wanted: &str| texts(value).iter().any(|text| text == wanted || text == "*");
        !all.iter().filter(|other| !std::ptr::eq(other.value, self.value)).any(|other| {
            let names = texts(&other.value["resourceNames"]);
            (other.namespace().is_none() || other.namespace() == self.namespace())
                && has(&other.value["verbs"], &request.verb)
                && has(&other.value["apiGroups"], &request.group)
                && has(&other.value["resources"], &request.resource)
                && (names.is_empty() || request.name.as_ref().is_some_and(|name| names.contains(name)))
        })
    }
}

/// The role without the rule or as it was printed, once the API server answers so.
fn replace(sandbox: &Sandbox, rule: &Rule<'_>, request: &Request, is_permitted: bool) {
    let mut role = rule.role.clone();
    if !is_permitted {
        role["rules"].as_array_mut().unwrap().remove(rule.index);
    }
    apply(sandbox, &[role]);
    let (resource, subresource) = request.resource.split_once('/').unwrap_or((&request.resource, ""));
    let attributes = json!({"verb": request.verb, "group": request.group, "resource": resource,
        "subresource": subresource, "name": request.name.as_deref().unwrap_or_default(),
        "namespace": rule.namespace().unwrap_or_default()});
    let review = [(ACCOUNT.to_owned(), attributes)];
    eventually(&format!("{request:?}: {is_permitted}"), || sandbox.permits(&review) == [is_permitted]);
}

/// The account of `granted(…, "tailwatch")`.
const ACCOUNT: &str = "system:serviceaccount:monitoring:tailwatch";

/// Requests that may be refused, as nothing needs them: another stack may have installed the Tailscale operator. Those
/// that wait beside a refused one are not sent.
const OF_THE_OPERATOR: [&str; 4] = [
    "get namespaces tailscale/tailscale",
    "get secrets tailscale/operator-oauth",
    "list configmaps tailscale/",
    "list secrets tailscale/",
];
/// `verb resource namespace/name` of each request of an account that the API server did not permit.
fn refused(sandbox: &Sandbox, account: &str) -> BTreeSet<String> {
    let account = format!("system:serviceaccount:monitoring:{account}");
    let log = std::fs::read_to_string(sandbox.file("audit.log")).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_account = events.filter(|event| event["impersonatedUser"]["username"] == account.as_str());
    // A dry run of a pod as a controller would create it needs no permission.
    let is_dry_run = |event: &Value| event["requestURI"].as_str().unwrap().contains("dryRun");
    let refused = of_account.filter(|event| event["responseStatus"]["code"] == 403 && !is_dry_run(event));
    let described = refused.map(|event| {
        let text = |key: &str| event["objectRef"][key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}/{}", event["verb"].as_str().unwrap(), text("resource"), text("namespace"), text("name"))
    });
    described.collect()
}

fn preflight(sandbox: &Sandbox, kubeconfig: &str) -> CommandOutput {
    let answers = sandbox.answers();
    sandbox.tailwatch(&["preflight", "--output", "json", "--answers", &answers, "--kubeconfig", kubeconfig])
}

/// What `tailwatch rbac` prints for an account in the namespace of the stack.
fn printed(sandbox: &Sandbox, command: &str, account: &str) -> Vec<Value> {
    let (answers, account) = (sandbox.answers(), format!("monitoring/{account}"));
    let arguments =
        ["rbac", "--for", command, "--service-account", &account, "--answers", &answers, "--output", "json"];
    sandbox.tailwatch(&arguments).ended_with(0).json()["objects"].as_array().unwrap().clone()
}

fn roles(objects: &[Value]) -> Vec<Value> {
    let is_role = |object: &&Value| object["kind"] == "Role" || object["kind"] == "ClusterRole";
    objects.iter().filter(is_role).cloned().collect()
}

fn apply(sandbox: &Sandbox, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let file = sandbox.file("objects.json").display().to_string();
    std::fs::write(&file, list.to_string()).unwrap();
    sandbox.kubectl(&["apply", "-f", &file]);
}

/// Grants an account the permissions of a command; returns its kubeconfig.
fn granted(sandbox: &Sandbox, command: &str, account: &str) -> String {
    apply(sandbox, &printed(sandbox, command, account));
    kubeconfig_of(sandbox, account)
}

/// The administrator's kubeconfig, impersonating the account: the audit log has these requests.
fn kubeconfig_of(sandbox: &Sandbox, account: &str) -> String {
    let text = sandbox.kubectl(&["config", "view", "--raw", "-o", "json"]);
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"]["as"] = format!("system:serviceaccount:monitoring:{account}").into();
    }
    let file = sandbox.file(&format!("kubeconfig-{account}")).display().to_string();
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    file
}
