//! Whether this context has exactly the permissions that the plan needs.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Intent, Kinds, PlannedRemoval, Proof, kind_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, PartialObject, Permission, Resource, namespace_of};
use crate::plan::PlannedRelease;
use crate::stack::HelmDriver;

/// Parallel access reviews.
const PARALLEL: usize = 8;
const RBAC: &str = "rbac.authorization.k8s.io";

/// (API group, plural or plural/subresource, verbs).
type Rule = (&'static str, &'static str, &'static [&'static str]);

/// helm's requests for release records (helm, pkg/storage/driver).
const OF_RECORDS: &[&str] = &["get", "list", "create", "update", "delete"];
/// helm's requests for the objects of a release; deletes those that a newer chart or a rollback does not have.
const OF_RELEASES: &[&str] = &["get", "create", "patch", "delete"];
/// helm's requests for hooks, with the wait.
const OF_HOOKS: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// Requests of an uninstall: objects are listed by kind until they are deleted.
const OF_REMOVALS: &[&str] = &["list", "delete"];
/// Server-side apply needs `create` for an absent object.
const APPLIED: &[&str] = &["get", "create", "patch"];

/// Requests of the run itself in the stack's namespace: lock, answers, notes, watches.
const OF_THE_RUN: [Rule; 12] = [
    ("coordination.k8s.io", "leases", &["get", "create", "update", "patch"]),
    ("", "configmaps", APPLIED),
    ("", "secrets", APPLIED),
    ("", "pods", &["list", "watch"]),
    ("", "pods/log", &["get"]),
    ("", "events", &["list", "watch"]),
    ("", "persistentvolumeclaims", &["list", "watch"]),
    ("apps", "deployments", &["list", "watch"]),
    ("apps", "statefulsets", &["list", "watch"]),
    ("apps", "daemonsets", &["list", "watch"]),
    ("batch", "jobs", &["list", "watch"]),
    ("networking.k8s.io", "ingresses", &["list", "watch"]),
];

/// Requests of the checks. A port-forward over a WebSocket is a GET; newer API servers also require `create`
/// (Kubernetes, AuthorizePodWebsocketUpgradeCreatePermission).
const OF_THE_CHECKS: [Rule; 7] = [
    ("", "pods/portforward", &["get", "create"]),
    ("", "services", &["get", "list"]),
    ("discovery.k8s.io", "endpointslices", &["list"]),
    ("batch", "jobs", &["get", "list", "create", "delete"]),
    ("monitoring.coreos.com", "prometheusrules", &["create"]),
    ("monitoring.coreos.com", "servicemonitors", &["list"]),
    ("monitoring.coreos.com", "podmonitors", &["list"]),
];

/// The number of needed permissions, and the missing ones.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    needed_count: usize,
    missing: Vec<Permission>,
    /// ClusterRoles with rules beyond this context's own permissions.
    exceeding: Vec<String>,
}

impl Permissions {
    #[cfg(test)]
    pub(super) fn with_exceeding(role: &str) -> Permissions {
        Permissions { exceeding: vec![role.into()], ..Permissions::default() }
    }

    /// Whether none is missing.
    pub(super) fn are_complete(&self) -> bool {
        self.missing.is_empty() && self.exceeding.is_empty()
    }
}

/// Reviews `*` first: an administrator needs no other review.
pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>, kinds: &Kinds) -> Result<Permissions, ClusterError> {
    let needed = needed(intent, kinds);
    let everything = Permission { resource: resource("*", "*"), namespace: None, verb: "*".into() };
    if cluster.may(&everything).await? {
        return Ok(Permissions { needed_count: needed.len(), ..Permissions::default() });
    }
    let needed_count = needed.len();
    let reviews = stream::iter(needed).map(|permission| async move {
        let allowed = cluster.may(&permission).await?;
        Ok::<_, ClusterError>((!allowed).then_some(permission))
    });
    let missing: Vec<Option<Permission>> = reviews.buffer_unordered(PARALLEL).try_collect().await?;
    let mut missing: Vec<Permission> = missing.into_iter().flatten().collect();
    missing.sort();
    let exceeding = exceeding(cluster, intent, &mut missing).await?;
    Ok(Permissions { needed_count, missing, exceeding })
}

fn resource(group: &str, plural: &str) -> Resource {
    Resource { group: group.to_owned(), plural: plural.to_owned(), is_namespaced: true }
}

/// All permissions that the plan needs.
fn needed(intent: &Intent<'_>, kinds: &Kinds) -> BTreeSet<Permission> {
    let mut needed = BTreeSet::new();
    let stack = intent.settings.namespace.as_str();
    add(&mut needed, &cluster_wide("", "namespaces"), None, APPLIED);
    for incoming in &intent.incoming {
        let namespace = incoming.release.namespace.as_str();
        add_records(&mut needed, intent.driver, namespace);
        for rule in OF_THE_RUN.iter().filter(|rule| rule.2.contains(&"watch")) {
            add_rule(&mut needed, *rule, namespace);
        }
        if !incoming.crds.is_empty() {
            let crds = cluster_wide("apiextensions.k8s.io", "customresourcedefinitions");
            add(&mut needed, &crds, None, &["get", "list", "create", "patch"]);
        }
        let waited = incoming.release.wait_for.iter().map(|wait| (wait.api_version.clone(), wait.kind.clone()));
        for resource in waited.filter_map(|kind| kinds.get(&kind)) {
            add(&mut needed, resource, Some(namespace), &["list", "watch"]);
        }
        let own = incoming.release.objects.iter().map(|object| &object.manifest);
        own.clone().filter(|object| object["kind"] == "Role").for_each(|role| add_granted(&mut needed, role, stack));
        for (objects, verbs) in [
            (incoming.rendered.iter().collect::<Vec<_>>(), OF_RELEASES),
            (incoming.hooks.iter().collect(), OF_HOOKS),
            (own.collect(), APPLIED),
        ] {
            for object in objects {
                if let Some(resource) = kinds.get(&kind_of(object)) {
                    let namespace = resource.is_namespaced.then(|| incoming.namespace_of(object));
                    add(&mut needed, resource, namespace, verbs);
                }
            }
        }
    }
    for removed in &intent.removed {
        add_records(&mut needed, intent.driver, removed.namespace);
        add_removal(&mut needed, removed, kinds);
    }
    OF_THE_RUN.into_iter().for_each(|rule| add_rule(&mut needed, rule, stack));
    if intent.proof == Proof::Checks {
        add(&mut needed, &cluster_wide("", "nodes"), None, &["list"]);
        OF_THE_CHECKS.into_iter().for_each(|rule| add_rule(&mut needed, rule, stack));
    }
    for namespace in &intent.growing {
        add_rule(&mut needed, ("", "persistentvolumeclaims", &["patch"]), namespace);
    }
    needed
}

/// To create an own Role, a user needs what it grants.
fn add_granted(needed: &mut BTreeSet<Permission>, role: &Value, namespace: &str) {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for rule in role["rules"].as_array().into_iter().flatten() {
        let verbs = texts(&rule["verbs"]);
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        for group in texts(&rule["apiGroups"]) {
            for plural in texts(&rule["resources"]) {
                add(needed, &resource(&group, &plural), Some(namespace), &verbs);
            }
        }
    }
}

fn add_removal(needed: &mut BTreeSet<Permission>, removed: &PlannedRemoval<'_>, kinds: &Kinds) {
    let owned = removed.dependents.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()));
    for resource in owned.filter_map(|kind| kinds.get(&kind)) {
        add(needed, resource, Some(removed.namespace), &["list"]);
    }
    for object in removed.objects.iter().filter(|object| !PartialObject::of(object).has_keep_policy()) {
        let Some(resource) = kinds.get(&kind_of(object)) else { continue };
        let namespace = resource.is_namespaced.then(|| namespace_of(object, removed.namespace));
        add(needed, resource, namespace, OF_REMOVALS);
    }
}

fn cluster_wide(group: &str, plural: &str) -> Resource {
    Resource { is_namespaced: false, ..resource(group, plural) }
}

/// helm's storage of releases, and the list of records of the other driver.
fn add_records(needed: &mut BTreeSet<Permission>, driver: HelmDriver, namespace: &str) {
    let plural = |driver: HelmDriver| format!("{}s", driver.kind().to_lowercase());
    add(needed, &resource("", &plural(driver)), Some(namespace), OF_RECORDS);
    add(needed, &resource("", &plural(driver.other())), Some(namespace), &["list"]);
}

fn add_rule(needed: &mut BTreeSet<Permission>, (group, plural, verbs): Rule, namespace: &str) {
    add(needed, &resource(group, plural), Some(namespace), verbs);
}

fn add(needed: &mut BTreeSet<Permission>, resource: &Resource, namespace: Option<&str>, verbs: &[&str]) {
    needed.extend(verbs.iter().map(|verb| Permission {
        resource: resource.clone(),
        namespace: namespace.map(str::to_owned),
        verb: (*verb).to_owned(),
    }));
}

/// To create a role, a user needs its permissions, or the verbs `escalate` and `bind` (Kubernetes, "Privilege escalation
/// prevention"). Tested with a dry run of the ClusterRoles only, since the namespace of a Role may not exist yet.
async fn exceeding(
    cluster: &Cluster,
    intent: &Intent<'_>,
    missing: &mut Vec<Permission>,
) -> Result<Vec<String>, ClusterError> {
    let roles = intent.incoming.iter().flat_map(PlannedRelease::everything);
    let roles: Vec<&Value> = roles.filter(|object| object["kind"] == "ClusterRole").collect();
    let is_role = |permission: &Permission| permission.resource.plural == "clusterroles" && permission.verb == "create";
    if roles.is_empty() || missing.iter().any(is_role) {
        return Ok(Vec::new());
    }
    let resource = cluster_wide(RBAC, "clusterroles");
    let permission = |verb: &str| Permission { resource: resource.clone(), namespace: None, verb: verb.to_owned() };
    if cluster.may(&permission("escalate")).await? {
        if !cluster.may(&permission("bind")).await? {
            missing.push(permission("bind"));
        }
        return Ok(Vec::new());
    }
    let tries = stream::iter(roles).map(|role| async move {
        match cluster.would_create(role).await {
            Err(ClusterError::Forbidden { .. }) => Ok(Some(name_of(role).to_owned())),
            // `AlreadyExists` comes after the authorization.
            Err(ClusterError::Rejected { .. }) | Ok(()) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found: Vec<Option<String>> = tries.buffer_unordered(PARALLEL).try_collect().await?;
    let mut found: Vec<String> = found.into_iter().flatten().collect();
    found.sort();
    Ok(found)
}

pub(super) fn judge(permissions: &Permissions) -> Finding {
    if !permissions.missing.is_empty() {
        let (count, needed_count) = (permissions.missing.len(), permissions.needed_count);
        return Finding::fail(format!(
            "{count} of {needed_count} permissions are missing: {}",
            describe(&permissions.missing)
        ));
    }
    if permissions.exceeding.is_empty() {
        return Finding::pass(format!("{} permissions", permissions.needed_count));
    }
    let roles = permissions.exceeding.join(", ");
    Finding::fail(format!("it may not grant permissions that it does not have: ClusterRole {roles}")).hinting(
        "use a context with cluster-admin permissions, or ask an administrator to grant the verbs escalate and bind on \
         clusterroles and roles",
    )
}

/// `get/create secrets, services in namespace monitoring; create namespaces`
fn describe(permissions: &[Permission]) -> String {
    let mut verbs: BTreeMap<(Option<&str>, &Resource), Vec<&str>> = BTreeMap::new();
    for permission in permissions {
        verbs.entry((permission.namespace.as_deref(), &permission.resource)).or_default().push(&permission.verb);
    }
    let mut by_verbs: BTreeMap<(Option<&str>, String), Vec<String>> = BTreeMap::new();
    for ((namespace, resource), verbs) in verbs {
        by_verbs.entry((namespace, verbs.join("/"))).or_default().push(resource.to_string());
    }
    let reported = by_verbs.iter().map(|((namespace, verbs), resources)| {
        let in_namespace = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        format!("{verbs} {}{in_namespace}", resources.join(", "))
    });
    reported.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub(super) fn needed_for_tests(intent: &Intent<'_>, kinds: &Kinds) -> Vec<String> {
    needed(intent, kinds).into_iter().map(|permission| describe(&[permission])).collect()
}
