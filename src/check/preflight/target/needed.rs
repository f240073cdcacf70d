//! The permissions that a command needs: the rows, and what follows from the rendered objects. The preflight compares them
//! with the permissions of this context, and `tailwatch rbac` prints them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Intent, Kinds, PlannedRemoval, Proof, kind_of};
use crate::check::preflight::target::rules::{
    APPLIED, CONTENTS, EXPLAINING, LOCK, LOGS, MONITORED, MONITORS, NAMED, OF_EVERY_COMMAND, OF_HOOKS, OF_RECORDS,
    OF_RELEASES, OF_REMOVALS, OF_THE_CHECKS, OF_THE_KUBELET_SERVICE, OF_THE_PLAN, OF_THE_RUN, OPERATORS, OPTIONAL,
    OPTIONAL_IN_NAMESPACES, OWN_REMOVALS, Purpose, RBAC, READ, Rule, USERS, USERS_OF_THE_OPERATOR,
};
use crate::check::verify::monitored_namespaces;
use crate::cluster::{PartialObject, Permission, Resource, namespace_of};
use crate::plan::{PlannedRelease, UninstallOptions, kubelet_service};
use crate::stack::{CLUSTER_LOCK, HelmDriver};

/// The permissions of a command.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Without one of them the command fails.
    pub(super) required: BTreeSet<Permission>,
    /// Each with the checks that are not made without it.
    pub(super) optional: BTreeMap<Permission, &'static str>,
}

/// The permissions that a purpose needs. `created`: namespaces that an install creates, and that an uninstall deletes.
pub(super) fn needed(intent: &Intent<'_>, kinds: &Kinds, purpose: Purpose, created: &BTreeSet<String>) -> Needed {
    let mut rights = Needed::default();
    let stack = intent.settings.namespace.as_str();
    for namespace in namespaces(intent) {
        OF_EVERY_COMMAND.into_iter().for_each(|rule| rights.add_rule(rule, Some(namespace)));
        rights.add_named(&cluster_wide("", "namespaces"), (None, namespace), &["get"]);
    }
    rights.optional.insert(identity(), "the identity of the cluster");
    match purpose {
        Purpose::Install | Purpose::Upgrade => {
            rights.of_the_plan(intent, kinds);
            rights.of_a_change(intent, kinds, created);
            intent.removed.iter().for_each(|removed| rights.of_a_removal(removed, intent.driver, kinds));
            if intent.proof == Proof::Checks {
                rights.of_the_checks(intent);
            }
        }
        Purpose::Verify => {
            rights.of_the_plan(intent, kinds);
            rights.of_the_checks(intent);
        }
        Purpose::Uninstall(options) => rights.of_an_uninstall((intent, kinds), options, created),
    }
    if purpose == Purpose::Upgrade {
        rights.add_rule(("", "persistentvolumeclaims", &["patch"]), Some(stack));
    }
    let required = &rights.required;
    rights.optional.retain(|permission, _| !required.contains(permission));
    rights
}

/// The stack's namespace, and those of its releases.
pub(super) fn namespaces<'a>(intent: &'a Intent<'_>) -> BTreeSet<&'a str> {
    let incoming = intent.incoming.iter().map(|incoming| incoming.release.namespace.as_str());
    let removed = intent.removed.iter().map(|removed| removed.namespace);
    incoming.chain(removed).chain([intent.settings.namespace.as_str()]).collect()
}

/// To read the UID of the namespace kube-system.
fn identity() -> Permission {
    let namespaces = cluster_wide("", "namespaces");
    Permission { resource: namespaces, namespace: None, name: Some("kube-system".into()), verb: "get".into() }
}

impl Needed {
    fn of_the_plan(&mut self, intent: &Intent<'_>, kinds: &Kinds) {
        OF_THE_PLAN.into_iter().for_each(|rule| self.add_rule(rule, None));
        let services = resource("", "services");
        let kubernetes = named(&services, (Some("default"), "kubernetes"), &["get"]);
        self.optional.extend(kubernetes.map(|permission| (permission, "the IP family of the Services")));
        for namespace in namespaces(intent) {
            for (group, plural) in EXPLAINING {
                self.add_rule((group, plural, &["list"]), Some(namespace));
            }
            self.add_rule(LOGS, Some(namespace));
        }
        for (rule, checks) in [OPERATORS, MONITORS] {
            self.add_optional(rule, None, checks);
        }
        for incoming in &intent.incoming {
            for object in objects(incoming) {
                self.add_object((object, incoming.namespace_of(object)), kinds, READ);
            }
        }
    }

    fn of_a_change(&mut self, intent: &Intent<'_>, kinds: &Kinds, created: &BTreeSet<String>) {
        let stack = intent.settings.namespace.as_str();
        OF_THE_RUN.into_iter().for_each(|rule| self.add_rule(rule, Some(stack)));
        self.of_the_cluster_lock(&["get", "update", "patch"]);
        for namespace in namespaces(intent) {
            self.add_named(&cluster_wide("", "namespaces"), (None, namespace), &["patch"]);
            for (rule, checks) in OPTIONAL_IN_NAMESPACES {
                self.add_optional(rule, Some(namespace), checks);
            }
            if created.contains(namespace) {
                self.add_rule(("", "namespaces", &["create"]), None);
                self.add_rule(("", "serviceaccounts", &["get"]), Some(namespace));
            }
        }
        for (rule, checks) in OPTIONAL {
            self.add_optional(rule, None, checks);
        }
        for incoming in &intent.incoming {
            let namespace = incoming.release.namespace.as_str();
            self.add_records(intent.driver, namespace);
            for (group, plural) in EXPLAINING {
                self.add_rule((group, plural, &["list", "watch"]), Some(namespace));
            }
            for crd in incoming.crds {
                let crds = cluster_wide("apiextensions.k8s.io", "customresourcedefinitions");
                self.add_named(&crds, (None, name_of(crd)), &["get", "patch"]);
                self.add(&crds, None, &["list", "create"]);
            }
            let waited = incoming.release.wait_for.iter().map(|wait| (wait.api_version.clone(), wait.kind.clone()));
            for resource in waited.filter_map(|kind| kinds.get(&kind)) {
                self.add(resource, Some(namespace), &["list", "watch"]);
            }
            for (objects, verbs) in [
                (incoming.rendered.iter().chain(incoming.installed).collect::<Vec<_>>(), OF_RELEASES),
                (incoming.hooks.iter().collect(), OF_HOOKS),
                (own(incoming).collect(), APPLIED),
            ] {
                for object in objects {
                    self.add_object((object, incoming.namespace_of(object)), kinds, verbs);
                }
            }
        }
        self.of_the_bindings(intent);
        for namespace in &intent.growing {
            self.add_rule(("", "persistentvolumeclaims", &["patch"]), Some(namespace));
        }
    }

    /// A binding to a role that is not of the stack needs the verb `bind`; to one of the stack, the permissions of the
    /// role.
    fn of_the_bindings(&mut self, intent: &Intent<'_>) {
        for incoming in &intent.incoming {
            let roles: Vec<Value> = roles_of(incoming);
            for binding in incoming.everything().filter(|object| object["roleRef"].is_object()) {
                let (kind, name) =
                    (&binding["roleRef"]["kind"], binding["roleRef"]["name"].as_str().unwrap_or_default());
                if roles.iter().any(|role| role["kind"] == *kind && name_of(role) == name) {
                    continue;
                }
                match *kind == "ClusterRole" {
                    true => self.add_named(&cluster_wide(RBAC, "clusterroles"), (None, name), &["bind"]),
                    false => {
                        let namespace = Some(incoming.namespace_of(binding));
                        self.add_named(&resource(RBAC, "roles"), (namespace, name), &["bind"]);
                    }
                }
            }
        }
    }

    fn of_the_checks(&mut self, intent: &Intent<'_>) {
        let stack = intent.settings.namespace.as_str();
        OF_THE_CHECKS.into_iter().for_each(|rule| self.add_rule(rule, Some(stack)));
        for incoming in &intent.incoming {
            let is_monitor =
                |object: &&Value| ["ServiceMonitor", "PodMonitor"].iter().any(|kind| object["kind"] == *kind);
            for monitor in incoming.rendered.iter().filter(is_monitor) {
                for namespace in monitored_namespaces(monitor, incoming.namespace_of(monitor)) {
                    let is_of_pods = monitor["kind"] == "PodMonitor";
                    let rules = if is_of_pods { &MONITORED[2..] } else { &MONITORED[..2] };
                    rules.iter().for_each(|rule| self.add_rule(*rule, namespace.as_deref()));
                }
            }
        }
    }

    /// A release that is removed: every object but kept ones, and the dependents that are listed until they are deleted.
    fn of_a_removal(&mut self, removed: &PlannedRemoval<'_>, driver: HelmDriver, kinds: &Kinds) {
        self.add_records(driver, removed.namespace);
        let owned = removed.dependents.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()));
        for resource in owned.filter_map(|kind| kinds.get(&kind)) {
            self.add(resource, Some(removed.namespace), &["list"]);
        }
        for object in removed.objects.iter().filter(|object| !PartialObject::of(object).has_keep_policy()) {
            self.add_object((object, namespace_of(object, removed.namespace)), kinds, OF_REMOVALS);
        }
    }

    fn of_an_uninstall(
        &mut self,
        (intent, kinds): (&Intent<'_>, &Kinds),
        options: UninstallOptions,
        created: &BTreeSet<String>,
    ) {
        let stack = intent.settings.namespace.as_str();
        intent.removed.iter().for_each(|removed| self.of_a_removal(removed, intent.driver, kinds));
        self.add_rule(LOCK, Some(stack));
        self.of_the_cluster_lock(&["get", "update", "patch", "delete"]);
        let namespaces = namespaces(intent);
        for namespace in &namespaces {
            let verbs: &[&str] = if created.contains(*namespace) { &["patch", "delete"] } else { &["patch"] };
            self.add_named(&cluster_wide("", "namespaces"), (None, namespace), verbs);
            self.add_rule(CONTENTS, Some(namespace));
            OWN_REMOVALS.into_iter().for_each(|rule| self.add_rule(rule, Some(namespace)));
            if options.data {
                self.add_rule(("", "persistentvolumeclaims", OF_REMOVALS), Some(namespace));
            }
        }
        let serves_ingresses = intent.stack.iter().any(|(release, _)| release.rules().serves_ingresses);
        let of_the_operator = USERS_OF_THE_OPERATOR.into_iter().filter(|_| serves_ingresses);
        USERS.into_iter().chain(of_the_operator).for_each(|rule| self.add_rule(rule, None));
        let objects: Vec<Value> = intent.removed.iter().flat_map(|removed| removed.objects).cloned().collect();
        let kubelet = kubelet_service(&objects).namespace;
        OF_THE_KUBELET_SERVICE.into_iter().for_each(|rule| self.add_rule(rule, kubelet.as_deref()));
        if options.data {
            self.add_rule(("", "persistentvolumes", READ), None);
        }
        if options.crds {
            for crd in intent.incoming.iter().flat_map(|incoming| incoming.crds) {
                let crds = cluster_wide("apiextensions.k8s.io", "customresourcedefinitions");
                self.add_named(&crds, (None, name_of(crd)), &["delete"]);
            }
        }
    }

    /// A run continues without this lock, with a notice.
    fn of_the_cluster_lock(&mut self, verbs: &[&str]) {
        let (namespace, name) = CLUSTER_LOCK;
        let leases = resource(LOCK.0, LOCK.1);
        let named = named(&leases, (Some(namespace), name), verbs);
        let all = permissions(&leases, Some(namespace), &["create"]).chain(named);
        self.optional.extend(all.map(|permission| (permission, "the lock of the cluster")));
    }

    /// helm's storage of releases, and the list of records of the other driver.
    fn add_records(&mut self, driver: HelmDriver, namespace: &str) {
        let plural = |driver: HelmDriver| format!("{}s", driver.kind().to_lowercase());
        self.add(&resource("", &plural(driver)), Some(namespace), OF_RECORDS);
        self.add(&resource("", &plural(driver.other())), Some(namespace), &["list"]);
    }

    /// The namespace counts only for a namespaced kind.
    fn add_object(&mut self, (object, namespace): (&Value, &str), kinds: &Kinds, verbs: &[&str]) {
        let Some(resource) = kinds.get(&kind_of(object)) else { return };
        match resource.is_namespaced {
            true => self.add(resource, Some(namespace), verbs),
            false => self.add_cluster_scoped(resource, name_of(object), verbs),
        }
    }

    /// Only on the object of this name, where a request has one.
    fn add_cluster_scoped(&mut self, resource: &Resource, name: &str, verbs: &[&str]) {
        let (named, others): (Vec<&str>, Vec<&str>) = verbs.iter().copied().partition(|verb| NAMED.contains(verb));
        self.add_named(resource, (None, name), &named);
        self.add(resource, None, &others);
    }

    fn add_named(&mut self, resource: &Resource, place: (Option<&str>, &str), verbs: &[&str]) {
        self.required.extend(named(resource, place, verbs));
    }

    fn add_rule(&mut self, (group, plural, verbs): Rule, namespace: Option<&str>) {
        let resource = Resource { is_namespaced: namespace.is_some(), ..resource(group, plural) };
        self.add(&resource, namespace, verbs);
    }

    fn add(&mut self, resource: &Resource, namespace: Option<&str>, verbs: &[&str]) {
        self.required.extend(permissions(resource, namespace, verbs));
    }

    fn add_optional(&mut self, (group, plural, verbs): Rule, namespace: Option<&str>, checks: &'static str) {
        let resource = Resource { is_namespaced: namespace.is_some(), ..resource(group, plural) };
        self.optional.extend(permissions(&resource, namespace, verbs).map(|permission| (permission, checks)));
    }
}

/// The ClusterRoles and Roles of a release and of its own objects; a Role has its namespace.
pub(super) fn roles_of(incoming: &PlannedRelease<'_>) -> Vec<Value> {
    let of_kind = |kind: &'static str| incoming.everything().filter(move |role| role["kind"] == kind);
    let namespaced = of_kind("Role").map(|found| {
        let mut role = found.clone();
        role["metadata"]["namespace"] = incoming.namespace_of(found).into();
        role
    });
    of_kind("ClusterRole").cloned().chain(namespaced).collect()
}

/// The rendered and the installed objects of a release, and its own objects.
fn objects<'a>(incoming: &'a PlannedRelease<'_>) -> impl Iterator<Item = &'a Value> {
    incoming.rendered.iter().chain(incoming.installed).chain(own(incoming))
}

fn own<'a>(incoming: &'a PlannedRelease<'_>) -> impl Iterator<Item = &'a Value> {
    incoming.release.objects.iter().map(|own| &own.manifest).filter(|object| object["kind"] != "Namespace")
}

fn permissions(resource: &Resource, namespace: Option<&str>, verbs: &[&str]) -> impl Iterator<Item = Permission> {
    verbs.iter().map(move |verb| Permission {
        resource: resource.clone(),
        namespace: namespace.map(str::to_owned),
        name: None,
        verb: (*verb).to_owned(),
    })
}

/// On one object: its namespace and name.
fn named<'a>(
    resource: &Resource,
    (namespace, name): (Option<&'a str>, &'a str),
    verbs: &'a [&'a str],
) -> impl Iterator<Item = Permission> {
    let unnamed = permissions(resource, namespace, verbs);
    unnamed.map(|permission| Permission { name: Some(name.to_owned()), ..permission })
}

pub(super) fn resource(group: &str, plural: &str) -> Resource {
    Resource { group: group.to_owned(), plural: plural.to_owned(), is_namespaced: true }
}

pub(super) fn cluster_wide(group: &str, plural: &str) -> Resource {
    Resource { is_namespaced: false, ..resource(group, plural) }
}
