//! RBAC objects that grant exactly the permissions of a command.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::check::preflight::target::intent::{Intent, kinds};
use crate::check::preflight::target::needed::{Needed, namespaces, needed, roles_of};
use crate::check::preflight::target::rules::{NOT_GRANTED, Purpose, RBAC};
use crate::cluster::{Cluster, ClusterError, ObjectRef, PartialObject, Permission};
use crate::stack::TAILWATCH;

/// The account that gets the permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// A ServiceAccount: namespace, name.
    ServiceAccount(String, String),
    /// A group of users.
    Group(String),
}

/// Objects with the reason of each part, in the order in which they can be applied.
pub struct Grants {
    /// The parts.
    pub parts: Vec<(String, Vec<Value>)>,
    /// Whether the Secrets of all namespaces can be read, where the preflight would list them.
    pub of_all_secrets: Option<String>,
}

/// The roles with the permissions of a purpose, and their bindings. Reads only.
pub async fn grants(
    cluster: &Cluster,
    intent: &Intent<'_>,
    purpose: Purpose,
    grantee: &Grantee,
) -> Result<Grants, ClusterError> {
    let kinds = kinds(cluster, &intent.incoming).await?;
    let (mut absent, mut created) = (Vec::new(), BTreeSet::new());
    for name in namespaces(intent) {
        let live = cluster.get(&ObjectRef::of_namespace(name)).await?;
        absent.extend(live.is_none().then_some(name));
        let is_created = live.is_some_and(|live| PartialObject::of(&live).is_created_by_us());
        created.extend(is_created.then(|| name.to_owned()));
    }
    // The printed objects include the absent namespaces: an install creates none.
    let created = if matches!(purpose, Purpose::Uninstall(_)) { created } else { BTreeSet::new() };
    let Needed { required, optional } = needed(intent, &kinds, purpose, &created);
    let stack = intent.settings.namespace.as_str();
    let naming = Naming { purpose, stack, grantee };
    let mut parts = vec![(
        "The account, and namespaces that do not exist yet: a Role needs its namespace".to_owned(),
        naming.places(&absent),
    )];
    parts.push(("Required".to_owned(), naming.objects("", by_namespace(&required))));
    if matches!(purpose, Purpose::Install | Purpose::Upgrade) {
        let of_roles = granted_by_charts(intent);
        parts.push((
            "The permissions of the charts' roles: Kubernetes lets an account create a role only if it has the \
             permissions of the role. The verbs escalate and bind on clusterroles and roles would suffice, too; with \
             them the account can give itself every permission"
                .to_owned(),
            naming.objects("-charts", of_roles),
        ));
    }
    if !optional.is_empty() {
        let checks: BTreeSet<&str> = optional.values().copied().collect();
        let checks = checks.into_iter().collect::<Vec<_>>().join("; ");
        parts.push((
            format!("Optional; what is missing without them: {checks}"),
            naming.objects("-checks", by_namespace(&optional.into_keys().collect())),
        ));
    }
    parts.retain(|(_, objects)| !objects.is_empty());
    let is_checked = matches!(purpose, Purpose::Install | Purpose::Upgrade);
    Ok(Grants { of_all_secrets: is_checked.then(|| of_all_secrets(&parts)), parts })
}

/// What the objects do not grant; or, since roles of the charts have it, what they do.
fn of_all_secrets(parts: &[(String, Vec<Value>)]) -> String {
    let ((_, plural, _), check) = NOT_GRANTED;
    let has = |rule: &Value, key: &str, wanted: &str| {
        rule[key].as_array().is_some_and(|all| all.iter().any(|text| text == wanted || text == "*"))
    };
    let roles = parts.iter().flat_map(|(_, objects)| objects).filter(|object| object["kind"] == "ClusterRole");
    let mut rules = roles.flat_map(|role| role["rules"].as_array().into_iter().flatten());
    match rules.any(|rule| has(rule, "apiGroups", "") && has(rule, "resources", plural) && has(rule, "verbs", "list")) {
        true => format!("With the rules of the charts' roles the account can read the {plural} of all namespaces"),
        false => format!(
            "Not granted: list {plural} in all namespaces, with which every Secret can be read; without it {check} is not \
             checked"
        ),
    }
}

/// RBAC rules by namespace; `None`: in the whole cluster.
type RulesByNamespace = BTreeMap<Option<String>, Vec<Value>>;

/// One rule for all resources with the same group, verbs and names.
fn by_namespace(permissions: &BTreeSet<Permission>) -> RulesByNamespace {
    let mut verbs: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for Permission { resource, namespace, name, verb } in permissions {
        verbs.entry((namespace, &resource.group, &resource.plural, name)).or_default().insert(verb);
    }
    let mut names: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for ((namespace, group, plural, name), verbs) in verbs {
        let entry = names.entry((namespace, group, name.is_some(), verbs, plural)).or_default();
        entry.extend(name.as_deref());
    }
    let mut resources: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for ((namespace, group, _, verbs, plural), names) in names {
        resources.entry((namespace, group, verbs, names)).or_default().insert(plural);
    }
    let mut rules = RulesByNamespace::new();
    for ((namespace, group, verbs, names), resources) in resources {
        let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rules.entry(namespace.clone()).or_default().push(rule);
    }
    rules
}

/// The rules of the charts' roles, each once.
fn granted_by_charts(intent: &Intent<'_>) -> RulesByNamespace {
    let mut rules = RulesByNamespace::new();
    for role in intent.incoming.iter().flat_map(roles_of) {
        let of_namespace = rules.entry(ObjectRef::of(&role).namespace).or_default();
        for rule in role["rules"].as_array().into_iter().flatten() {
            if !of_namespace.contains(rule) {
                of_namespace.push(rule.clone());
            }
        }
    }
    rules.retain(|_, rules| !rules.is_empty());
    rules
}

/// Names of the objects.
struct Naming<'a> {
    purpose: Purpose,
    stack: &'a str,
    grantee: &'a Grantee,
}

impl Naming<'_> {
    /// The namespaces, and the ServiceAccount.
    fn places(&self, absent: &[&str]) -> Vec<Value> {
        let namespaces =
            absent.iter().map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        let account = match self.grantee {
            Grantee::ServiceAccount(namespace, name) => {
                let metadata = json!({"name": name, "namespace": namespace});
                Some(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
            }
            Grantee::Group(_) => None,
        };
        namespaces.chain(account).collect()
    }

    /// A role and its binding for each namespace, and for the cluster.
    fn objects(&self, suffix: &str, rules: RulesByNamespace) -> Vec<Value> {
        let command = self.purpose.command();
        let pairs = rules.into_iter().flat_map(|(namespace, rules)| {
            let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
            let name = match namespace.as_deref() == Some(self.stack) {
                true => format!("{TAILWATCH}-{command}{suffix}"),
                // Another stack of the cluster has its own.
                false => format!("{TAILWATCH}-{command}{suffix}-{}", self.stack),
            };
            let api_version = format!("{RBAC}/v1");
            let mut metadata = json!({"name": name});
            if let Some(namespace) = namespace {
                metadata["namespace"] = namespace.into();
            }
            let reference = json!({"apiGroup": RBAC, "kind": kind, "name": name});
            let binding = json!({"apiVersion": api_version, "kind": format!("{kind}Binding"), "metadata": metadata,
                "roleRef": reference, "subjects": [self.subject()]});
            [json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules}), binding]
        });
        pairs.collect()
    }

    fn subject(&self) -> Value {
        match self.grantee {
            Grantee::ServiceAccount(namespace, name) => {
                json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
            }
            Grantee::Group(name) => json!({"apiGroup": RBAC, "kind": "Group", "name": name}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Resource;

    fn permission(namespace: Option<&str>, plural: &str, name: Option<&str>, verb: &str) -> Permission {
        let resource = Resource { group: String::new(), plural: plural.into(), is_namespaced: namespace.is_some() };
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Permission { resource, namespace, name, verb: verb.into() }
    }

    #[test]
    fn resources_with_the_same_verbs_and_names_share_a_rule() {
        let mut permissions = BTreeSet::new();
        for plural in ["secrets", "configmaps"] {
            permissions.extend(["get", "list"].map(|verb| permission(Some("m"), plural, None, verb)));
        }
        permissions.insert(permission(Some("m"), "pods", None, "list"));
        permissions.extend(["a", "b"].map(|name| permission(None, "namespaces", Some(name), "get")));
        permissions.insert(permission(None, "namespaces", None, "create"));
        let rules = by_namespace(&permissions);
        let expected = [
            json!({"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}),
        ];
        assert_eq!(rules[&Some("m".to_owned())], expected);
        let expected = [
            json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]}),
            json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["a", "b"], "verbs": ["get"]}),
        ];
        assert_eq!(rules[&None], expected);
    }

    #[test]
    fn the_subject_is_the_account_or_the_group() {
        let objects = |grantee: &Grantee| {
            let naming = Naming { purpose: Purpose::Verify, stack: "m", grantee };
            naming.objects("", by_namespace(&[permission(None, "nodes", None, "list")].into()))
        };
        let account = objects(&Grantee::ServiceAccount("ci".into(), "deployer".into()));
        assert_eq!(account[0]["metadata"]["name"], "tailwatch-verify-m");
        assert_eq!(account[1]["roleRef"]["name"], "tailwatch-verify-m");
        for (place, name) in [("m", "tailwatch-verify"), ("default", "tailwatch-verify-m")] {
            let naming = Naming { purpose: Purpose::Verify, stack: "m", grantee: &Grantee::Group("operators".into()) };
            let roles = naming.objects("", by_namespace(&[permission(Some(place), "pods", None, "list")].into()));
            assert_eq!(roles[0]["metadata"], json!({"name": name, "namespace": place}));
        }
        assert_eq!(account[1]["subjects"], json!([{"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"}]));
        let group = objects(&Grantee::Group("operators".into()));
        assert_eq!(group[1]["subjects"][0]["name"], "operators");
    }
}
