//! Whether this context has exactly the permissions that the plan needs.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::check::preflight::target::intent::{Intent, Kinds};
use crate::check::preflight::target::namespaces::Namespaces;
use crate::check::preflight::target::needed::{Needed, cluster_wide, needed, resource, roles_of};
use crate::check::preflight::target::rules::{Purpose, RBAC};
use crate::check::row::Finding;
use crate::check::{name_of, some_of};
use crate::cluster::{Cluster, ClusterError, ObjectRef, Permission, Resource};

/// Parallel access reviews.
const PARALLEL: usize = 8;

/// The number of required permissions, and the missing ones.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    required_count: usize,
    missing: Vec<Permission>,
    /// Missing ones that only checks need, each with these checks.
    unchecked: Vec<(Permission, &'static str)>,
    exceeding: Exceeding,
}

/// Roles with rules beyond this context's own permissions.
#[derive(Debug, Default)]
pub(super) struct Exceeding {
    /// `ClusterRole loki`
    roles: BTreeSet<String>,
    /// In the words of the API server.
    rules: BTreeSet<String>,
}

impl Permissions {
    #[cfg(test)]
    pub(super) fn with_exceeding(role: &str) -> Permissions {
        let exceeding = Exceeding { roles: [role.to_owned()].into(), rules: BTreeSet::new() };
        Permissions { exceeding, ..Permissions::default() }
    }

    /// Whether no required one is missing.
    pub(super) fn are_complete(&self) -> bool {
        self.missing.is_empty() && self.exceeding.roles.is_empty()
    }
}

/// Reviews `*` first: an administrator needs no other review.
pub(super) async fn read(
    cluster: &Cluster,
    intent: &Intent<'_>,
    kinds: &Kinds,
    namespaces: &Namespaces,
) -> Result<Permissions, ClusterError> {
    let absent = namespaces.missing();
    let Needed { required, optional } = needed(intent, kinds, Purpose::Install, &absent);
    let required_count = required.len();
    let everything = Permission { resource: resource("*", "*"), namespace: None, name: None, verb: "*".into() };
    if cluster.may(&everything).await? {
        return Ok(Permissions { required_count, ..Permissions::default() });
    }
    let mut missing = missing(cluster, required).await?;
    let unchecked = self::missing(cluster, optional.keys().cloned()).await?.into_iter();
    let unchecked = unchecked.filter_map(|permission| optional.get(&permission).map(|checks| (permission, *checks)));
    let unchecked = unchecked.collect();
    let exceeding = exceeding(cluster, intent, &mut missing, &absent).await?;
    Ok(Permissions { required_count, missing, unchecked, exceeding })
}

/// Those that this context does not have, sorted.
async fn missing(
    cluster: &Cluster,
    permissions: impl IntoIterator<Item = Permission>,
) -> Result<Vec<Permission>, ClusterError> {
    let reviews = stream::iter(permissions).map(|permission| async move {
        let allowed = cluster.may(&permission).await?;
        Ok::<_, ClusterError>((!allowed).then_some(permission))
    });
    let missing: Vec<Option<Permission>> = reviews.buffer_unordered(PARALLEL).try_collect().await?;
    let mut missing: Vec<Permission> = missing.into_iter().flatten().collect();
    missing.sort();
    Ok(missing)
}

/// To create a role, a user needs its permissions, or the verbs `escalate` and `bind` (Kubernetes, "Privilege escalation
/// prevention"). Tested with a dry run of the ClusterRoles, and of the Roles in namespaces that exist.
async fn exceeding(
    cluster: &Cluster,
    intent: &Intent<'_>,
    missing: &mut Vec<Permission>,
    absent: &BTreeSet<String>,
) -> Result<Exceeding, ClusterError> {
    let roles: Vec<Value> = intent.incoming.iter().flat_map(roles_of).collect();
    let is_creatable = |role: &&Value| {
        let resource = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
        let namespace = ObjectRef::of(role).namespace;
        let is_it = |missing: &Permission| missing.resource.plural == resource && missing.namespace == namespace;
        let may_create = !missing.iter().any(|permission| is_it(permission) && permission.verb == "create");
        may_create && namespace.is_none_or(|namespace| !absent.contains(&namespace))
    };
    let roles: Vec<&Value> = roles.iter().filter(is_creatable).collect();
    let resource = cluster_wide(RBAC, "clusterroles");
    let permission =
        |verb: &str| Permission { resource: resource.clone(), namespace: None, name: None, verb: verb.to_owned() };
    if roles.is_empty() {
        return Ok(Exceeding::default());
    }
    if cluster.may(&permission("escalate")).await? {
        if !cluster.may(&permission("bind")).await? {
            missing.push(permission("bind"));
        }
        return Ok(Exceeding::default());
    }
    let tries = stream::iter(roles).map(|role| async move {
        match cluster.would_create(role).await {
            Err(ClusterError::Forbidden { message }) if is_escalation(&message) => Ok(Some((role, message))),
            // `AlreadyExists` comes after the authorization; the check `dry-run` reports admission policies.
            Err(ClusterError::Forbidden { .. } | ClusterError::Rejected { .. }) | Ok(()) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let found: Vec<Option<(&Value, String)>> = tries.buffer_unordered(PARALLEL).try_collect().await?;
    let mut exceeding = Exceeding::default();
    for (role, message) in found.into_iter().flatten() {
        exceeding.roles.insert(format!("{} {}", role["kind"].as_str().unwrap_or_default(), name_of(role)));
        // One rule in a line (kubernetes, pkg/registry/rbac/validation/rule.go, ConfirmNoEscalation).
        exceeding.rules.extend(message.lines().filter(|line| line.starts_with('{')).map(str::to_owned));
    }
    Ok(exceeding)
}

/// In the words of the API server (kubernetes, pkg/registry/rbac/validation/rule.go, ConfirmNoEscalation, and
/// pkg/registry/rbac/clusterrole/policybased/storage.go).
fn is_escalation(message: &str) -> bool {
    ["attempting to grant RBAC permissions not currently held", "to use the aggregationRule"]
        .iter()
        .any(|words| message.contains(words))
}

pub(super) fn judge(permissions: &Permissions) -> Finding {
    let Permissions { required_count, missing, unchecked, exceeding } = permissions;
    if !missing.is_empty() {
        let count = missing.len();
        return Finding::fail(format!("{count} of {required_count} permissions are missing: {}", describe(missing)));
    }
    if exceeding.roles.is_empty() {
        let mut by_checks: BTreeMap<&str, Vec<Permission>> = BTreeMap::new();
        for (permission, checks) in unchecked {
            by_checks.entry(checks).or_default().push(permission.clone());
        }
        let unchecked =
            by_checks.iter().map(|(checks, missing)| format!("; {checks}: not permitted to {}", describe(missing)));
        return Finding::pass(format!("{required_count} permissions{}", unchecked.collect::<String>()));
    }
    let roles: Vec<&str> = exceeding.roles.iter().map(String::as_str).collect();
    let rules: Vec<&String> = exceeding.rules.iter().collect();
    let rules = if rules.is_empty() { String::new() } else { format!(": {}", some_of(&rules)) };
    Finding::fail(format!("it may not grant permissions that it does not have, of {}{rules}", roles.join(", "))).hinting(
        "use a context with cluster-admin permissions, or apply the output of `tailwatch rbac` as an administrator, or \
         ask one to grant the verbs escalate and bind on clusterroles and roles",
    )
}

/// `get/create secrets, services in namespace monitoring; create namespaces`
fn describe(permissions: &[Permission]) -> String {
    let mut verbs: BTreeMap<(Option<&str>, &Resource), BTreeSet<&str>> = BTreeMap::new();
    for permission in permissions {
        verbs.entry((permission.namespace.as_deref(), &permission.resource)).or_default().insert(&permission.verb);
    }
    let mut by_verbs: BTreeMap<(Option<&str>, String), Vec<String>> = BTreeMap::new();
    for ((namespace, resource), verbs) in verbs {
        let verbs = verbs.into_iter().collect::<Vec<_>>().join("/");
        by_verbs.entry((namespace, verbs)).or_default().push(resource.to_string());
    }
    let reported = by_verbs.iter().map(|((namespace, verbs), resources)| {
        let in_namespace = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        format!("{verbs} {}{in_namespace}", resources.join(", "))
    });
    reported.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub(super) fn needed_for_tests(intent: &Intent<'_>, kinds: &Kinds) -> Vec<String> {
    let absent = [intent.settings.namespace.to_string()].into();
    let Needed { required, .. } = needed(intent, kinds, Purpose::Install, &absent);
    required.into_iter().map(|permission| describe(&[permission])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admission_policy_that_rejects_a_role_is_no_missing_permission() {
        let escalation = "clusterroles.rbac.authorization.k8s.io \"loki\" is forbidden: user \"ci\" (groups=[\"a\"]) is \
                          attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"]}";
        assert!(is_escalation(escalation));
        assert!(is_escalation("is forbidden: must have cluster-admin privileges to use the aggregationRule"));
        assert!(!is_escalation("admission webhook \"x\" denied the request: no ClusterRoles"));
    }
}
