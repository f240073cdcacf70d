//! Objects of the names that the charts render, which stand already and are not of our releases: helm refuses a release
//! with "invalid ownership metadata" then, unless it is told to take them over. Our own objects are judged with them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::conflicts::intent::place;
use crate::check::preflight::conflicts::own_objects::{self, Foreign};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, Held, ObjectRef};
use crate::helm::{OLDEST_THAT_TAKES, Ownership};
use crate::plan::{Drifted, PlannedRelease, Takeover};
use crate::stack::TAILSCALE_NAMESPACE;

/// Id of the row.
pub const OWNERSHIP: &str = "object-conflict";
/// Kinds whose pods are replaced when their template changes.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// An object of a name that a release of ours wants for itself.
#[derive(Clone, Debug)]
pub(super) struct Met {
    component: String,
    held: Held,
    /// For workloads: as it stands, and as it will be.
    workload: Option<(Value, Value)>,
}

/// An object that a release adds.
struct Added<'a> {
    incoming: &'a PlannedRelease<'a>,
    object: &'a Value,
}

/// (apiVersion, kind, namespace): one list of metadata each.
type ObjectKey = (String, String, String);

/// Looks up what the releases add.
pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Met>, ClusterError> {
    let mut places: BTreeMap<ObjectKey, Vec<Added<'_>>> = BTreeMap::new();
    for (place, added) in incoming.iter().flat_map(added) {
        places.entry(place).or_default().push(added);
    }
    let lookups = places.iter().map(|((api_version, kind, namespace), added)| async move {
        let standing = cluster.held((api_version, kind), Some(namespace)).await?;
        let met = standing.into_iter().filter_map(|held| {
            let added = added.iter().find(|added| name_of(added.object) == held.object.name)?;
            (!held.is_part_of(place(added.incoming.release))).then_some((held, added))
        });
        try_join_all(met.map(|(held, added)| with_workload(cluster, held, added))).await
    });
    Ok(try_join_all(lookups).await?.concat())
}

/// What is rendered and does not stand in the release's manifest: of those alone helm asks whose they are.
fn added<'a>(incoming: &'a PlannedRelease<'a>) -> impl Iterator<Item = (ObjectKey, Added<'a>)> {
    let place_of = |object: &Value| {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/apiVersion"), text("/kind"), incoming.namespace_of(object).to_owned())
    };
    let standing: BTreeSet<(ObjectKey, &str)> =
        incoming.standing.iter().map(|object| (place_of(object), name_of(object))).collect();
    let new = incoming.rendered.iter().map(move |object| (place_of(object), Added { incoming, object }));
    new.filter(move |(place, added)| !standing.contains(&(place.clone(), name_of(added.object))))
}

async fn with_workload(cluster: &Cluster, held: Held, added: &Added<'_>) -> Result<Met, ClusterError> {
    let live = match WORKLOADS.contains(&held.object.kind.as_str()) {
        true => cluster.get(&held.object).await?,
        false => None,
    };
    let component = added.incoming.release.component.to_string();
    Ok(Met { component, held, workload: live.map(|live| (live, added.object.clone())) })
}

/// `ownership`
pub(super) fn judge(
    met: &[Met],
    own: &[&Drifted],
    ownership: Ownership,
    helm: &semver::Version,
) -> (Finding, Vec<Takeover>) {
    let foreign: Vec<Foreign> = own.iter().filter_map(|own| own_objects::foreign(own)).collect();
    let all: Vec<String> = foreign.iter().map(ToString::to_string).chain(met.iter().map(words)).collect();
    if let Some(finding) = refused(met, &foreign, (ownership, helm)) {
        return (finding, Vec::new());
    }
    if all.is_empty() {
        return (Finding::pass(""), Vec::new());
    }
    let taken: Vec<Takeover> = foreign.iter().map(Foreign::taken).chain(met.iter().map(take)).collect();
    let detail = format!("taken over: {}", all.join("; "));
    let restarts: Vec<&str> = taken.iter().filter(|taken| taken.restarts).map(|taken| taken.object.as_str()).collect();
    let replaced = (!restarts.is_empty()).then(|| format!("this replaces the pods of {}", restarts.join(", ")));
    let lost = taken.iter().filter(|taken| !taken.loses.is_empty());
    let lost = lost.map(|taken| format!("this removes from {}: {}", taken.object, taken.loses.join(", ")));
    let hints: Vec<String> = replaced.into_iter().chain(lost).collect();
    match hints.is_empty() {
        true => (Finding::pass(detail), taken),
        false => (Finding::warn(detail).hinting(hints.join("; ")), taken),
    }
}

/// Why the run must not begin.
fn refused(met: &[Met], foreign: &[Foreign], (ownership, helm): (Ownership, &semver::Version)) -> Option<Finding> {
    let fixed: Vec<&Foreign> = foreign.iter().filter(|foreign| foreign.obstacle.is_some()).collect();
    if !fixed.is_empty() {
        let listed: Vec<String> = fixed.iter().map(|foreign| foreign.with_obstacle()).collect();
        let hints: BTreeSet<&str> = fixed.iter().filter_map(|foreign| Some(foreign.obstacle.as_ref()?.hint)).collect();
        let hints: Vec<&str> = hints.into_iter().collect();
        return Some(Finding::fail(listed.join("; ")).hinting(hints.join("; ")));
    }
    let listed = |met: &[&Met]| met.iter().map(|met| words(met)).collect::<Vec<_>>().join("; ");
    if ownership == Ownership::Respect && !(met.is_empty() && foreign.is_empty()) {
        let all = foreign.iter().map(ToString::to_string).chain(met.iter().map(words));
        let operator = foreign.iter().any(|foreign| foreign.namespace() == TAILSCALE_NAMESPACE);
        let operator =
            if operator { ", use the Tailscale operator there with tailscale.operator: present" } else { "" };
        let hint = format!(
            "remove or rename them, install into another namespace with --namespace{operator}, or let the stack take \
             them over with --adopt"
        );
        return Some(Finding::fail(all.collect::<Vec<_>>().join("; ")).hinting(hint));
    }
    if met.is_empty() {
        return None;
    }
    if *helm < OLDEST_THAT_TAKES {
        let hint = format!("helm {OLDEST_THAT_TAKES} or later can take them over, this one is {helm}; or remove them");
        return Some(Finding::fail(listed(&met.iter().collect::<Vec<_>>())).hinting(hint));
    }
    let fixed: Vec<&Met> = met.iter().filter(|met| met.workload.as_ref().is_some_and(has_other_selector)).collect();
    if fixed.is_empty() {
        return None;
    }
    let detail = format!("{}: its selector is another one, and cannot be changed", listed(&fixed));
    Some(Finding::fail(detail).hinting("remove it; the release then makes its own"))
}

/// What helm would take over now.
pub(super) fn takeable(met: &[Met]) -> Vec<Takeover> {
    met.iter().map(take).collect()
}

fn take(met: &Met) -> Takeover {
    let Held { object, .. } = &met.held;
    Takeover {
        component: Some(met.component.clone()),
        object: format!("{} {}", object.kind, object.name),
        owner: met.held.owner(),
        restarts: met.workload.as_ref().is_some_and(has_other_pods),
        ..Takeover::default()
    }
}

/// `ServiceAccount loki in namespace monitoring (field manager kubectl-create)`
fn words(met: &Met) -> String {
    let ObjectRef { kind, name, namespace, .. } = &met.held.object;
    let place = namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    format!("{kind} {name}{place} ({})", met.held.owner())
}

fn has_other_selector((live, wanted): &(Value, Value)) -> bool {
    live.pointer("/spec/selector") != wanted.pointer("/spec/selector")
}

/// Whether the rendered template changes the pods. What the server fills in by itself is no difference; whatever else
/// the live template has and ours does not, is one.
fn has_other_pods((live, wanted): &(Value, Value)) -> bool {
    let template = |object: &Value| object.pointer("/spec/template").cloned().unwrap_or_default();
    let (live, wanted) = (template(live), template(wanted));
    let marks = |template: &Value, key: &str| template.pointer("/metadata").and_then(|all| all.get(key)).cloned();
    !is_within(&wanted, &live)
        || ["labels", "annotations"].iter().any(|key| marks(&live, key) != marks(&wanted, key))
        || has_more(&live["spec"], &wanted["spec"], &POD_DEFAULTS)
        || containers(&live).zip(containers(&wanted)).any(|(live, wanted)| has_more(live, wanted, &CONTAINER_DEFAULTS))
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

fn has_more(live: &Value, wanted: &Value, defaults: &[&str]) -> bool {
    let mut keys = live.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.any(|key| wanted.get(key).is_none() && !defaults.contains(&key.as_str()))
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|key| template["spec"][key].as_array());
    lists.flatten()
}

/// Whether all that `wanted` says stands in `live`; lists entry by entry. What is empty, zero or false may be absent, as
/// the API server leaves it out.
fn is_within(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.iter().all(|(key, value)| is_within(value, live.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_within(wanted, live))
        }
        (Value::Object(wanted), Value::Null) => wanted.values().all(|value| is_within(value, &Value::Null)),
        (Value::Array(wanted), Value::Null) => wanted.is_empty(),
        (Value::String(wanted), Value::Null) => wanted.is_empty(),
        (Value::Number(wanted), Value::Null) => wanted.as_f64() == Some(0.0),
        (Value::Bool(wanted), Value::Null) => !wanted,
        (wanted, live) => wanted == live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{held, release};
    use crate::check::row::State;
    use serde_json::json;

    const NEW: semver::Version = semver::Version::new(3, 19, 4);

    fn role() -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "loki"}})
    }

    fn met(workload: Option<(Value, Value)>) -> Met {
        let object = match &workload {
            Some((live, _)) => live.clone(),
            None => role(),
        };
        Met { component: "loki".into(), held: held(&object, None, &["kubectl-create"]), workload }
    }

    fn deployment(template: Value) -> Value {
        let metadata = json!({"name": "loki", "namespace": "monitoring"});
        let spec = json!({"selector": {"matchLabels": {"app": "loki"}}, "template": template});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    }

    #[test]
    fn only_what_the_manifest_does_not_have_is_asked_for() {
        let loki = release("loki");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loki"}});
        let (rendered, standing) = ([role(), account.clone()], [account]);
        let incoming =
            PlannedRelease { release: &loki, rendered: &rendered, hooks: &[], crds: &[], standing: &standing };
        let found: Vec<ObjectKey> = added(&incoming).map(|(place, _)| place).collect();
        assert_eq!(found, [("rbac.authorization.k8s.io/v1".into(), "ClusterRole".into(), "monitoring".into())]);
    }

    #[test]
    fn what_is_foreign_fails_with_ways_out_and_is_taken_when_asked() {
        let (row, taken) = judge(&[met(None)], &[], Ownership::Respect, &NEW);
        assert_eq!((row.state, row.detail.as_str()), (State::Fail, "ClusterRole loki (field manager kubectl-create)"));
        assert!(row.hint.unwrap().contains("--adopt") && taken.is_empty());
        let (row, taken) = judge(&[met(None)], &[], Ownership::Take, &NEW);
        assert_eq!((row.state, taken.len(), taken[0].restarts), (State::Pass, 1, false));
        let (row, taken) = judge(&[met(None)], &[], Ownership::Take, &semver::Version::new(3, 16, 4));
        assert_eq!((row.state, taken.len()), (State::Fail, 0));
        assert!(row.hint.unwrap().starts_with("helm 3.17.0 or later"));
        assert_eq!(judge(&[], &[], Ownership::Respect, &NEW).0.state, State::Pass);
    }

    #[test]
    fn a_workload_is_taken_with_its_restart_announced() {
        let wanted = json!({"metadata": {"labels": {"app": "loki"}}, "spec": {"containers": [{"image": "a", "env": [], "probe": {"delay": 0}}]}});
        let mut same = wanted.clone();
        same["spec"]["restartPolicy"] = "Always".into();
        same["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent".into();
        same["spec"]["containers"][0].as_object_mut().unwrap().retain(|key, _| key != "env" && key != "probe");
        let judged = |live: Value| {
            judge(&[met(Some((deployment(live), deployment(wanted.clone()))))], &[], Ownership::Take, &NEW)
        };
        let (row, taken) = judged(same.clone());
        assert_eq!((row.state, taken[0].restarts), (State::Pass, false));
        for (pointer, value) in [
            ("/spec/containers/0/image", json!("b")),
            ("/metadata/labels", json!({"app": "loki", "more": "x"})),
            ("/spec/containers/0", json!({"image": "a", "args": ["x"]})),
        ] {
            let mut other = same.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let (row, taken) = judged(other);
            assert_eq!((row.state, taken[0].restarts), (State::Warn, true), "{pointer}");
            assert_eq!(row.hint.unwrap(), "this replaces the pods of Deployment loki");
        }
        let mut elsewhere = deployment(same);
        elsewhere["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
        let (row, taken) = judge(&[met(Some((elsewhere, deployment(wanted))))], &[], Ownership::Take, &NEW);
        assert_eq!((row.state, taken.len()), (State::Fail, 0));
    }
}
