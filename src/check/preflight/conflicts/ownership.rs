//! Existing objects with the names of rendered ones that belong to no release of ours: helm fails with "invalid ownership
//! metadata" unless it runs with --take-ownership. Own objects are judged with them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::conflicts::intent::release_key;
use crate::check::preflight::conflicts::own_objects::{self, Foreign};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, ManagedObject, ObjectRef};
use crate::helm::{OLDEST_WITH_TAKE_OWNERSHIP, Ownership};
use crate::plan::{Drifted, PlannedRelease, Takeover};
use crate::stack::TAILSCALE_NAMESPACE;

/// Id of the row.
pub const OWNERSHIP: &str = "object-conflict";
/// Kinds that replace their pods when the template changes.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// An existing object that a release of ours renders, too.
#[derive(Clone, Debug)]
pub(super) struct Existing {
    component: String,
    managed: ManagedObject,
    /// For workloads: the live object and the rendered one.
    workload: Option<(Value, Value)>,
}

/// An object that the installed manifest does not have.
struct Added<'a> {
    incoming: &'a PlannedRelease<'a>,
    object: &'a Value,
}

/// (apiVersion, kind, namespace): one list of metadata each.
type ObjectKey = (String, String, String);

/// Reads the existing objects with the names of added ones.
pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Existing>, ClusterError> {
    let mut by_key: BTreeMap<ObjectKey, Vec<Added<'_>>> = BTreeMap::new();
    for (key, added) in incoming.iter().flat_map(added) {
        by_key.entry(key).or_default().push(added);
    }
    let lookups = by_key.iter().map(|((api_version, kind, namespace), added)| async move {
        let live = cluster.managed_objects((api_version, kind), Some(namespace)).await?;
        let existing = live.into_iter().filter_map(|managed| {
            let added = added.iter().find(|added| name_of(added.object) == managed.object.name)?;
            (!managed.is_part_of(release_key(added.incoming.release))).then_some((managed, added))
        });
        try_join_all(existing.map(|(managed, added)| with_workload(cluster, managed, added))).await
    });
    Ok(try_join_all(lookups).await?.concat())
}

/// Rendered objects that the installed manifest lacks: helm checks the owner of those only.
fn added<'a>(incoming: &'a PlannedRelease<'a>) -> impl Iterator<Item = (ObjectKey, Added<'a>)> {
    let key_of = |object: &Value| {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/apiVersion"), text("/kind"), incoming.namespace_of(object).to_owned())
    };
    let installed: BTreeSet<(ObjectKey, &str)> =
        incoming.installed.iter().map(|object| (key_of(object), name_of(object))).collect();
    let new = incoming.rendered.iter().map(move |object| (key_of(object), Added { incoming, object }));
    new.filter(move |(key, added)| !installed.contains(&(key.clone(), name_of(added.object))))
}

async fn with_workload(cluster: &Cluster, managed: ManagedObject, added: &Added<'_>) -> Result<Existing, ClusterError> {
    let live = match WORKLOADS.contains(&managed.object.kind.as_str()) {
        true => cluster.get(&managed.object).await?,
        false => None,
    };
    let component = added.incoming.release.component.to_string();
    Ok(Existing { component, managed, workload: live.map(|live| (live, added.object.clone())) })
}

/// `object-conflict`
pub(super) fn judge(
    existing: &[Existing],
    own: &[&Drifted],
    ownership: Ownership,
    helm: &semver::Version,
) -> (Finding, Vec<Takeover>) {
    let foreign: Vec<Foreign> = own.iter().filter_map(|own| own_objects::foreign(own)).collect();
    let all: Vec<String> = foreign.iter().map(ToString::to_string).chain(existing.iter().map(describe)).collect();
    if let Some(finding) = rejection(existing, &foreign, (ownership, helm)) {
        return (finding, Vec::new());
    }
    if all.is_empty() {
        return (Finding::pass(""), Vec::new());
    }
    let takeovers: Vec<Takeover> = foreign.iter().map(Foreign::takeover).chain(existing.iter().map(takeover)).collect();
    let detail = format!("adopted: {}", all.join("; "));
    let restarts: Vec<&str> =
        takeovers.iter().filter(|takeover| takeover.restarts).map(|takeover| takeover.object.as_str()).collect();
    let replaced = (!restarts.is_empty()).then(|| format!("this replaces the pods of {}", restarts.join(", ")));
    let removed = takeovers.iter().filter(|takeover| !takeover.removed_fields.is_empty());
    let removed = removed
        .map(|takeover| format!("this removes from {}: {}", takeover.object, takeover.removed_fields.join(", ")));
    let hints: Vec<String> = replaced.into_iter().chain(removed).collect();
    match hints.is_empty() {
        true => (Finding::pass(detail), takeovers),
        false => (Finding::warn(detail).hinting(hints.join("; ")), takeovers),
    }
}

/// Why the run must not start.
fn rejection(
    existing: &[Existing],
    foreign: &[Foreign],
    (ownership, helm): (Ownership, &semver::Version),
) -> Option<Finding> {
    let fixed: Vec<&Foreign> = foreign.iter().filter(|foreign| foreign.obstacle.is_some()).collect();
    if !fixed.is_empty() {
        let listed: Vec<String> = fixed.iter().map(|foreign| foreign.with_obstacle()).collect();
        let hints: BTreeSet<&str> = fixed.iter().filter_map(|foreign| Some(foreign.obstacle.as_ref()?.hint)).collect();
        let hints: Vec<&str> = hints.into_iter().collect();
        return Some(Finding::fail(listed.join("; ")).hinting(hints.join("; ")));
    }
    let listed =
        |existing: &[&Existing]| existing.iter().map(|existing| describe(existing)).collect::<Vec<_>>().join("; ");
    if ownership == Ownership::Respect && !(existing.is_empty() && foreign.is_empty()) {
        let all = foreign.iter().map(ToString::to_string).chain(existing.iter().map(describe));
        let operator = foreign.iter().any(|foreign| foreign.namespace() == TAILSCALE_NAMESPACE);
        let operator =
            if operator { ", use the Tailscale operator there with tailscale.operator: present" } else { "" };
        let hint = format!(
            "remove or rename them, install into another namespace with --namespace{operator}, or adopt them with \
             --adopt"
        );
        return Some(Finding::fail(all.collect::<Vec<_>>().join("; ")).hinting(hint));
    }
    if existing.is_empty() {
        return None;
    }
    if *helm < OLDEST_WITH_TAKE_OWNERSHIP {
        let hint =
            format!("helm {OLDEST_WITH_TAKE_OWNERSHIP} or later can adopt them, this one is {helm}; or remove them");
        return Some(Finding::fail(listed(&existing.iter().collect::<Vec<_>>())).hinting(hint));
    }
    let fixed: Vec<&Existing> =
        existing.iter().filter(|existing| existing.workload.as_ref().is_some_and(has_other_selector)).collect();
    if fixed.is_empty() {
        return None;
    }
    let detail = format!("{}: its selector is immutable and differs", listed(&fixed));
    Some(Finding::fail(detail).hinting("remove it; the release then creates its own"))
}

/// The objects that helm would adopt now.
pub(super) fn takeovers(existing: &[Existing]) -> Vec<Takeover> {
    existing.iter().map(takeover).collect()
}

fn takeover(existing: &Existing) -> Takeover {
    let ManagedObject { object, .. } = &existing.managed;
    Takeover {
        component: Some(existing.component.clone()),
        object: format!("{} {}", object.kind, object.name),
        owner: existing.managed.owner(),
        restarts: existing.workload.as_ref().is_some_and(has_other_pods),
        ..Takeover::default()
    }
}

/// `ServiceAccount loki in namespace monitoring (field manager kubectl-create)`
fn describe(existing: &Existing) -> String {
    let ObjectRef { kind, name, namespace, .. } = &existing.managed.object;
    let in_namespace = namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    format!("{kind} {name}{in_namespace} ({})", existing.managed.owner())
}

fn has_other_selector((live, desired): &(Value, Value)) -> bool {
    live.pointer("/spec/selector") != desired.pointer("/spec/selector")
}

/// Whether the rendered template changes the pods. The API server's defaults are no difference; any other additional
/// field of the live template is one.
fn has_other_pods((live, desired): &(Value, Value)) -> bool {
    let template = |object: &Value| object.pointer("/spec/template").cloned().unwrap_or_default();
    let (live, desired) = (template(live), template(desired));
    let metadata = |template: &Value, key: &str| template.pointer("/metadata").and_then(|all| all.get(key)).cloned();
    !is_within(&desired, &live)
        || ["labels", "annotations"].iter().any(|key| metadata(&live, key) != metadata(&desired, key))
        || has_more(&live["spec"], &desired["spec"], &POD_DEFAULTS)
        || containers(&live)
            .zip(containers(&desired))
            .any(|(live, desired)| has_more(live, desired, &CONTAINER_DEFAULTS))
}

/// Fields that the API server fills in (k8s.io/kubernetes pkg/apis/core/v1/defaults.go).
const POD_DEFAULTS: [&str; 7] = [
    "restartPolicy",
    "dnsPolicy",
    "schedulerName",
    "securityContext",
    "terminationGracePeriodSeconds",
    "serviceAccount",
    "enableServiceLinks",
];
const CONTAINER_DEFAULTS: [&str; 4] =
    ["imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy", "resources"];

fn has_more(live: &Value, desired: &Value, defaults: &[&str]) -> bool {
    let mut keys = live.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.any(|key| desired.get(key).is_none() && !defaults.contains(&key.as_str()))
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|key| template["spec"][key].as_array());
    lists.flatten()
}

/// Whether `live` contains `desired`; lists entry by entry. Empty, zero and false values may be absent, as the API server
/// omits them.
fn is_within(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| is_within(value, live.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len() && desired.iter().zip(live).all(|(desired, live)| is_within(desired, live))
        }
        (Value::Object(desired), Value::Null) => desired.values().all(|value| is_within(value, &Value::Null)),
        (Value::Array(desired), Value::Null) => desired.is_empty(),
        (Value::String(desired), Value::Null) => desired.is_empty(),
        (Value::Number(desired), Value::Null) => desired.as_f64() == Some(0.0),
        (Value::Bool(desired), Value::Null) => !desired,
        (desired, live) => desired == live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{managed, release};
    use crate::check::row::State;
    use serde_json::json;

    const NEW: semver::Version = semver::Version::new(3, 19, 4);

    fn role() -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "loki"}})
    }

    fn existing(workload: Option<(Value, Value)>) -> Existing {
        let object = match &workload {
            Some((live, _)) => live.clone(),
            None => role(),
        };
        Existing { component: "loki".into(), managed: managed(&object, None, &["kubectl-create"]), workload }
    }

    fn deployment(template: Value) -> Value {
        let metadata = json!({"name": "loki", "namespace": "monitoring"});
        let spec = json!({"selector": {"matchLabels": {"app": "loki"}}, "template": template});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    }

    #[test]
    fn only_objects_that_the_manifest_lacks_are_read() {
        let loki = release("loki");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loki"}});
        let (rendered, installed) = ([role(), account.clone()], [account]);
        let incoming =
            PlannedRelease { release: &loki, rendered: &rendered, hooks: &[], crds: &[], installed: &installed };
        let found: Vec<ObjectKey> = added(&incoming).map(|(key, _)| key).collect();
        assert_eq!(found, [("rbac.authorization.k8s.io/v1".into(), "ClusterRole".into(), "monitoring".into())]);
    }

    #[test]
    fn a_foreign_object_fails_with_a_hint_and_is_adopted_with_consent() {
        let (row, takeovers) = judge(&[existing(None)], &[], Ownership::Respect, &NEW);
        assert_eq!((row.state, row.detail.as_str()), (State::Fail, "ClusterRole loki (field manager kubectl-create)"));
        assert!(row.hint.unwrap().contains("--adopt") && takeovers.is_empty());
        let (row, takeovers) = judge(&[existing(None)], &[], Ownership::Take, &NEW);
        assert_eq!((row.state, takeovers.len(), takeovers[0].restarts), (State::Pass, 1, false));
        let (row, takeovers) = judge(&[existing(None)], &[], Ownership::Take, &semver::Version::new(3, 16, 4));
        assert_eq!((row.state, takeovers.len()), (State::Fail, 0));
        assert!(row.hint.unwrap().starts_with("helm 3.17.0 or later"));
        assert_eq!(judge(&[], &[], Ownership::Respect, &NEW).0.state, State::Pass);
    }

    #[test]
    fn the_restart_of_an_adopted_workload_is_reported() {
        let desired = json!({"metadata": {"labels": {"app": "loki"}}, "spec": {"containers": [{"image": "a", "env": [], "probe": {"delay": 0}}]}});
        let mut same = desired.clone();
        same["spec"]["restartPolicy"] = "Always".into();
        same["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent".into();
        same["spec"]["containers"][0].as_object_mut().unwrap().retain(|key, _| key != "env" && key != "probe");
        let judged = |live: Value| {
            judge(&[existing(Some((deployment(live), deployment(desired.clone()))))], &[], Ownership::Take, &NEW)
        };
        let (row, takeovers) = judged(same.clone());
        assert_eq!((row.state, takeovers[0].restarts), (State::Pass, false));
        for (pointer, value) in [
            ("/spec/containers/0/image", json!("b")),
            ("/metadata/labels", json!({"app": "loki", "more": "x"})),
            ("/spec/containers/0", json!({"image": "a", "args": ["x"]})),
        ] {
            let mut other = same.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let (row, takeovers) = judged(other);
            assert_eq!((row.state, takeovers[0].restarts), (State::Warn, true), "{pointer}");
            assert_eq!(row.hint.unwrap(), "this replaces the pods of Deployment loki");
        }
        let mut elsewhere = deployment(same);
        elsewhere["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
        let (row, takeovers) = judge(&[existing(Some((elsewhere, deployment(desired))))], &[], Ownership::Take, &NEW);
        assert_eq!((row.state, takeovers.len()), (State::Fail, 0));
    }
}
