//! What this context may do, asked for exactly what the plan does.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Intent, Kinds, PlannedRemoval, Proof, kind_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, Found, Resource, Right, namespace_of};
use crate::plan::PlannedRelease;
use crate::stack::HelmDriver;

/// Reviews that are asked for side by side.
const AT_ONCE: usize = 8;
const RBAC: &str = "rbac.authorization.k8s.io";

/// (API group, plural or plural/subresource, verbs).
type Rule = (&'static str, &'static str, &'static [&'static str]);

/// What helm does with the records of its releases (helm, pkg/storage/driver).
const OF_RECORDS: &[&str] = &["get", "list", "create", "update", "delete"];
/// helm looks whether an object is there, makes or patches it, and deletes what a newer chart has no more or what a
/// rollback takes away.
const OF_RELEASES: &[&str] = &["get", "create", "patch", "delete"];
/// helm waits for its hooks.
const OF_HOOKS: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// What has gone is known by a look at all of its kind.
const OF_REMOVALS: &[&str] = &["list", "delete"];
/// Server-side apply of what is not there needs `create` beside `patch`.
const APPLIED: &[&str] = &["get", "create", "patch"];

/// What a run does in the stack's namespace beside the releases: lock, answers, notes, watches.
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

/// What the checks do afterwards. A port-forward over a WebSocket is a GET, and newer API servers ask for `create` too
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

/// What was asked, and what is not allowed.
#[derive(Debug, Default)]
pub(super) struct Rights {
    asked: usize,
    denied: Vec<Right>,
    /// ClusterRoles whose rules exceed what this context has itself.
    exceeding: Vec<String>,
}

/// Asks for all of it at once first: an administrator needs no further question.
pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>, kinds: &Kinds) -> Result<Rights, ClusterError> {
    let needed = needed(intent, kinds);
    let everything = Right { resource: resource("*", "*"), namespace: None, verb: "*".into() };
    if cluster.may(&everything).await? {
        return Ok(Rights { asked: needed.len(), ..Rights::default() });
    }
    let asked = needed.len();
    let reviews = stream::iter(needed).map(|right| async move {
        let allowed = cluster.may(&right).await?;
        Ok::<_, ClusterError>((!allowed).then_some(right))
    });
    let denied: Vec<Option<Right>> = reviews.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut denied: Vec<Right> = denied.into_iter().flatten().collect();
    denied.sort();
    let exceeding = exceeding(cluster, intent, &mut denied).await?;
    Ok(Rights { asked, denied, exceeding })
}

fn resource(group: &str, plural: &str) -> Resource {
    Resource { group: group.to_owned(), plural: plural.to_owned(), is_namespaced: true }
}

/// Everything that the plan does.
fn needed(intent: &Intent<'_>, kinds: &Kinds) -> BTreeSet<Right> {
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
        for (objects, verbs) in [
            (incoming.rendered.iter().collect::<Vec<_>>(), OF_RELEASES),
            (incoming.hooks.iter().collect(), OF_HOOKS),
            (own.collect(), APPLIED),
        ] {
            for object in objects {
                if let Some(resource) = kinds.get(&kind_of(object)) {
                    let place = resource.is_namespaced.then(|| incoming.namespace_of(object));
                    add(&mut needed, resource, place, verbs);
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

fn add_removal(needed: &mut BTreeSet<Right>, removed: &PlannedRemoval<'_>, kinds: &Kinds) {
    let owned = removed.dependents.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()));
    for resource in owned.filter_map(|kind| kinds.get(&kind)) {
        add(needed, resource, Some(removed.namespace), &["list"]);
    }
    for object in removed.objects.iter().filter(|object| !Found::of(object).has_keep_policy()) {
        let Some(resource) = kinds.get(&kind_of(object)) else { continue };
        let place = resource.is_namespaced.then(|| namespace_of(object, removed.namespace));
        add(needed, resource, place, OF_REMOVALS);
    }
}

fn cluster_wide(group: &str, plural: &str) -> Resource {
    Resource { is_namespaced: false, ..resource(group, plural) }
}

/// helm's storage of releases, and a look for records of the other driver.
fn add_records(needed: &mut BTreeSet<Right>, driver: HelmDriver, namespace: &str) {
    let plural = |driver: HelmDriver| format!("{}s", driver.kind().to_lowercase());
    add(needed, &resource("", &plural(driver)), Some(namespace), OF_RECORDS);
    add(needed, &resource("", &plural(driver.other())), Some(namespace), &["list"]);
}

fn add_rule(needed: &mut BTreeSet<Right>, (group, plural, verbs): Rule, namespace: &str) {
    add(needed, &resource(group, plural), Some(namespace), verbs);
}

fn add(needed: &mut BTreeSet<Right>, resource: &Resource, namespace: Option<&str>, verbs: &[&str]) {
    needed.extend(verbs.iter().map(|verb| Right {
        resource: resource.clone(),
        namespace: namespace.map(str::to_owned),
        verb: (*verb).to_owned(),
    }));
}

/// Who makes a role must have its rights, or the verbs `escalate` and `bind` (Kubernetes, "Privilege escalation
/// prevention"). That only the API server can tell, by a dry run: of cluster-wide roles, since a role's namespace may be
/// yet to come.
async fn exceeding(
    cluster: &Cluster,
    intent: &Intent<'_>,
    denied: &mut Vec<Right>,
) -> Result<Vec<String>, ClusterError> {
    let roles = intent.incoming.iter().flat_map(PlannedRelease::everything);
    let roles: Vec<&Value> = roles.filter(|object| object["kind"] == "ClusterRole").collect();
    let is_role = |right: &Right| right.resource.plural == "clusterroles" && right.verb == "create";
    if roles.is_empty() || denied.iter().any(is_role) {
        return Ok(Vec::new());
    }
    let resource = cluster_wide(RBAC, "clusterroles");
    let right = |verb: &str| Right { resource: resource.clone(), namespace: None, verb: verb.to_owned() };
    if cluster.may(&right("escalate")).await? {
        if !cluster.may(&right("bind")).await? {
            denied.push(right("bind"));
        }
        return Ok(Vec::new());
    }
    let tries = stream::iter(roles).map(|role| async move {
        match cluster.would_create(role).await {
            Err(ClusterError::Forbidden { .. }) => Ok(Some(name_of(role).to_owned())),
            // It stands already, which is asked only after the rights.
            Err(ClusterError::Rejected { .. }) | Ok(()) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found: Vec<Option<String>> = tries.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut found: Vec<String> = found.into_iter().flatten().collect();
    found.sort();
    Ok(found)
}

pub(super) fn judge(rights: &Rights) -> Finding {
    if !rights.denied.is_empty() {
        let (count, asked) = (rights.denied.len(), rights.asked);
        return Finding::fail(format!("{count} of {asked} rights are missing: {}", in_words(&rights.denied)));
    }
    if rights.exceeding.is_empty() {
        return Finding::pass(format!("{} rights", rights.asked));
    }
    let roles = rights.exceeding.join(", ");
    Finding::fail(format!("it may not hand on rights that it does not have itself, as ClusterRole {roles} would")).hinting(
        "use a context with cluster-admin rights, or have somebody who has them grant the verbs escalate and bind on \
         clusterroles and roles",
    )
}

/// `get/create secrets, services in namespace monitoring; create namespaces`
fn in_words(rights: &[Right]) -> String {
    let mut verbs: BTreeMap<(Option<&str>, &Resource), Vec<&str>> = BTreeMap::new();
    for right in rights {
        verbs.entry((right.namespace.as_deref(), &right.resource)).or_default().push(&right.verb);
    }
    let mut alike: BTreeMap<(Option<&str>, String), Vec<String>> = BTreeMap::new();
    for ((namespace, resource), verbs) in verbs {
        alike.entry((namespace, verbs.join("/"))).or_default().push(resource.to_string());
    }
    let reported = alike.iter().map(|((namespace, verbs), resources)| {
        let place = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        format!("{verbs} {}{place}", resources.join(", "))
    });
    reported.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub(super) fn needed_for_tests(intent: &Intent<'_>, kinds: &Kinds) -> Vec<String> {
    needed(intent, kinds).into_iter().map(|right| in_words(&[right])).collect()
}
