//! Permissions that the user's values add to those of a chart. Renders the chart without these values, and compares
//! what each subject of the role bindings may do. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::namespace_of;
use crate::helm::{Capabilities, Helm, ReleaseRequest};
use crate::list::first_of;
use crate::plan::render::rendered_release::RenderedRelease;
use crate::stack::Release;

/// Number of permissions that a notice lists.
const NAMED: usize = 4;

/// (namespace or "" for the cluster, resource or role, verb)
type Permission = (String, String, String);
type Permissions = BTreeSet<Permission>;

/// One notice for each subject that is granted more.
pub(super) async fn added_permissions(
    helm: &Helm,
    release: &Release,
    rendered: &RenderedRelease,
    capabilities: &Capabilities,
) -> Vec<String> {
    if release.overrides.as_object().is_none_or(serde_json::Map::is_empty) {
        return Vec::new();
    }
    let after: Vec<&Value> = rendered.manifest.iter().chain(&rendered.hooks).collect();
    let after = by_subject(after, &release.namespace);
    if after.is_empty() {
        return Vec::new();
    }
    let request = ReleaseRequest { values: &release.defaults, ..ReleaseRequest::new(release, &rendered.chart) };
    let component = &release.component;
    let Ok(before) = helm.template(&request, capabilities).await else {
        return vec![format!(
            "values.{component}: the chart does not render without them, so the permissions that they add are unknown"
        )];
    };
    let sentence = |(subject, added): (String, Permissions)| {
        format!("values.{component} grant {subject}: {}", first_of(described(&added), NAMED))
    };
    added(by_subject(&before, &release.namespace), after).into_iter().map(sentence).collect()
}

/// What each subject may do. A role that no binding of the chart refers to is a subject of its own.
fn by_subject<'a>(
    objects: impl IntoIterator<Item = &'a Value> + Clone,
    namespace: &str,
) -> BTreeMap<String, Permissions> {
    let of_kind =
        |end: &'static str| objects.clone().into_iter().filter(move |object| text(&object["kind"]).ends_with(end));
    let roles: BTreeMap<(&str, &str), &Value> =
        of_kind("Role").map(|role| ((text(&role["kind"]), text(&role["metadata"]["name"])), role)).collect();
    let mut unbound = roles.clone();
    let mut found: BTreeMap<String, Permissions> = BTreeMap::new();
    for binding in of_kind("RoleBinding") {
        let place = if binding["kind"] == "RoleBinding" { namespace_of(binding, namespace) } else { "" };
        let reference = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
        unbound.remove(&reference);
        let granted = match roles.get(&reference) {
            Some(role) => permissions(role, place),
            None => BTreeSet::from([(place.to_owned(), format!("{} {}", reference.0, reference.1), String::new())]),
        };
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            found.entry(name(subject, namespace)).or_default().extend(granted.clone());
        }
    }
    for ((kind, role), object) in unbound {
        let place = if kind == "Role" { namespace_of(object, namespace) } else { "" };
        found.insert(format!("{kind} {role}"), permissions(object, place));
    }
    found
}

/// Users and groups are not named: an answer with a secret source or an e-mail address may be their name.
fn name(subject: &Value, namespace: &str) -> String {
    let (kind, name) = (text(&subject["kind"]), text(&subject["name"]));
    if kind != "ServiceAccount" {
        return format!("a {kind}");
    }
    match subject["namespace"].as_str().filter(|own| *own != namespace) {
        Some(other) => format!("{kind} {other}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn permissions(role: &Value, place: &str) -> Permissions {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Permissions::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let names = texts(&rule["resourceNames"]).join(", ");
        let named = if names.is_empty() { String::new() } else { format!(" {names}") };
        let resources = texts(&rule["apiGroups"]).into_iter().flat_map(|group| {
            let of_group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let named = named.clone();
            texts(&rule["resources"]).into_iter().map(move |resource| format!("{resource}{of_group}{named}"))
        });
        let resources: Vec<String> = resources.chain(texts(&rule["nonResourceURLs"])).collect();
        for verb in texts(&rule["verbs"]) {
            found.extend(resources.iter().map(|resource| (place.to_owned(), resource.clone(), verb.clone())));
        }
    }
    found
}

/// A subject without a namesake is compared with one that is gone and could do as much: values may rename.
fn added(
    mut before: BTreeMap<String, Permissions>,
    after: BTreeMap<String, Permissions>,
) -> BTreeMap<String, Permissions> {
    let (same, renamed): (Vec<_>, Vec<_>) = after.into_iter().partition(|(subject, _)| before.contains_key(subject));
    let mut found = BTreeMap::new();
    for (subject, granted) in same {
        let known = before.remove(&subject).unwrap_or_default();
        found.insert(subject, granted.difference(&known).cloned().collect::<Permissions>());
    }
    for (subject, granted) in renamed {
        match before.iter().find(|(_, known)| known.is_superset(&granted)).map(|(gone, _)| gone.clone()) {
            Some(gone) => drop(before.remove(&gone)),
            None => drop(found.insert(subject, granted)),
        }
    }
    found.retain(|_, granted| !granted.is_empty());
    found
}

/// `get/list secrets in the cluster`, the cluster first.
fn described(added: &Permissions) -> Vec<String> {
    let mut verbs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (place, resource, verb) in added {
        verbs.entry((place, resource)).or_default().push(verb);
    }
    let described = verbs.into_iter().map(|((place, resource), verbs)| {
        let verbs = verbs.join("/");
        let place = if place.is_empty() { "in the cluster".to_owned() } else { format!("in namespace {place}") };
        format!("{verbs} {resource} {place}").trim_start().to_owned()
    });
    described.collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(kind: &str, name: &str, rules: Value) -> Value {
        json!({"kind": kind, "metadata": {"name": name}, "rules": rules})
    }

    fn binding(kind: &str, (role_kind, role): (&str, &str), account: &str) -> Value {
        json!({"kind": kind, "metadata": {"name": role}, "roleRef": {"kind": role_kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "monitoring"}]})
    }

    fn reads(resource: &str) -> Value {
        json!([{"apiGroups": [""], "resources": [resource], "verbs": ["get", "list"]}])
    }

    fn found(before: &[Value], after: &[Value]) -> Vec<String> {
        let of = |objects| by_subject(objects, "monitoring");
        let added = added(of(before), of(after));
        added.iter().map(|(subject, more)| format!("{subject}: {}", described(more).join("; "))).collect()
    }

    #[test]
    fn what_a_subject_may_do_beyond_the_chart_is_reported() {
        let bound = binding("ClusterRoleBinding", ("ClusterRole", "alloy"), "alloy");
        let before = [role("ClusterRole", "alloy", reads("pods")), bound.clone()];
        assert!(found(&before, &before).is_empty());
        let after = [role("ClusterRole", "alloy", reads("secrets")), bound.clone()];
        assert_eq!(found(&before, &after), ["ServiceAccount alloy: get/list secrets in the cluster"]);
        assert!(found(&after, &[]).is_empty());
        let admin = binding("ClusterRoleBinding", ("ClusterRole", "cluster-admin"), "alloy");
        let after = [&before[..], &[admin]].concat();
        assert_eq!(found(&before, &after), ["ServiceAccount alloy: ClusterRole cluster-admin in the cluster"]);
    }

    #[test]
    fn a_role_of_the_chart_for_another_account_is_reported() {
        let operator = [
            role("ClusterRole", "operator", reads("secrets")),
            binding("ClusterRoleBinding", ("ClusterRole", "operator"), "operator"),
        ];
        let more = binding("RoleBinding", ("ClusterRole", "operator"), "theirs");
        let after = [&operator[..], &[more]].concat();
        assert_eq!(found(&operator, &after), ["ServiceAccount theirs: get/list secrets in namespace monitoring"]);
        let mut user = binding("ClusterRoleBinding", ("ClusterRole", "cluster-admin"), "mallory@example.com");
        user["subjects"][0]["kind"] = "User".into();
        let after = [&operator[..], &[user]].concat();
        assert_eq!(found(&operator, &after), ["a User: ClusterRole cluster-admin in the cluster"]);
        let unbound = [&operator[..], &[role("Role", "more", reads("pods"))]].concat();
        assert_eq!(found(&operator, &unbound), ["Role more: get/list pods in namespace monitoring"]);
    }

    #[test]
    fn another_name_is_no_permission() {
        let named = |name: &str| [role("Role", name, reads("pods")), binding("RoleBinding", ("Role", name), name)];
        assert!(found(&named("a"), &named("b")).is_empty());
    }
}
