//! Our own objects of whose names an object of another owner exists. An object is ours where it has our label and a field
//! manager of ours set that; everything else needs a yes. Pure: the plan has read what there is.

use std::fmt;

use serde_json::Value;

use crate::cluster::{Before, Found, Held, ObjectRef, surplus};
use crate::plan::{Drifted, Takeover};

/// An object of another owner that has the name of one of ours.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    held: Held,
    uid: String,
    loses: Vec<String>,
    pub(super) obstacle: Option<Obstacle>,
}

/// Why an object cannot be taken over, whatever is agreed to.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    why: String,
    pub(super) hint: &'static str,
}

impl Foreign {
    pub(super) fn namespace(&self) -> &str {
        self.held.object.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn with_obstacle(&self) -> String {
        let why = self.obstacle.as_ref().map(|obstacle| format!(": {}", obstacle.why));
        format!("{self}{}", why.unwrap_or_default())
    }

    pub(super) fn taken(&self) -> Takeover {
        Takeover {
            component: None,
            uid: Some(self.uid.clone()),
            object: format!("{} {}", self.held.object.kind, self.held.object.name),
            owner: self.held.owner(),
            restarts: false,
            loses: self.loses.clone(),
        }
    }
}

/// `Ingress grafana in namespace monitoring (field manager kubectl-create)`
impl fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef { kind, name, namespace, .. } = &self.held.object;
        write!(formatter, "{kind} {name}")?;
        if let Some(namespace) = namespace {
            write!(formatter, " in namespace {namespace}")?;
        }
        write!(formatter, " ({})", self.held.owner())
    }
}

/// Judges one; `None`: it is absent, or ours. A namespace may be of anybody, but what its owner says of it stays.
pub(super) fn foreign(own: &Drifted) -> Option<Foreign> {
    let live = own.live.as_ref()?;
    let found = Found::of(live);
    let obstacle = if found.kind == "Namespace" {
        Some(other_labels(&found, &own.desired)?)
    } else if found.is_ours() {
        return None;
    } else {
        obstacle(&found, live, &own.desired)
    };
    Some(Foreign {
        held: Held::of(live),
        uid: found.uid().to_owned(),
        loses: surplus(live, &own.desired, Before::Foreign),
        obstacle,
    })
}

/// Labels of a namespace that its owner set to other values than the stack needs.
fn other_labels(found: &Found, wanted: &Value) -> Option<Obstacle> {
    let labels = wanted["metadata"]["labels"].as_object().into_iter().flatten();
    let differing = labels.filter_map(|(key, value)| {
        let (live, value) = (found.label(key), value.as_str()?);
        let is_other = !live.is_empty() && live != value && !found.is_label_of_ours(key);
        is_other.then(|| format!("label {key} is {live}, the stack needs {value}"))
    });
    let differing: Vec<String> = differing.collect();
    let hint = "remove the label, or install into another namespace with --namespace";
    (!differing.is_empty()).then(|| Obstacle { why: differing.join(", "), hint })
}

fn obstacle(found: &Found, live: &Value, wanted: &Value) -> Option<Obstacle> {
    if found.is_terminating() {
        let hint = "wait until it is gone, then run the same command again";
        return Some(Obstacle { why: "it is being deleted".into(), hint });
    }
    if let Some(controller) = found.controller() {
        let hint = "change or remove the object that makes it, or install into another namespace with --namespace";
        return Some(Obstacle { why: format!("{controller} makes it, and would make it again"), hint });
    }
    let hint = "remove or rename it, or install into another namespace with --namespace";
    // The API server lets nobody change either (kubernetes pkg/apis/core/validation, ValidateSecretUpdate).
    if found.kind == "Secret" && live["type"] != wanted["type"] {
        let (is, needed) = (live["type"].as_str().unwrap_or_default(), wanted["type"].as_str().unwrap_or_default());
        return Some(Obstacle { why: format!("its type is {is}, not {needed}, and cannot be changed"), hint });
    }
    (live["immutable"] == true).then(|| Obstacle { why: "it is immutable".into(), hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::ownership::judge;
    use crate::check::row::State;
    use crate::helm::Ownership;
    use serde_json::json;

    const HELM: semver::Version = semver::Version::new(3, 14, 0);

    fn wanted(kind: &str) -> Value {
        json!({"kind": kind, "type": "Opaque", "metadata": {"name": "x", "namespace": "m",
            "labels": {"app.kubernetes.io/managed-by": "tailwatch"}}, "spec": {"a": "b"}})
    }

    fn live(kind: &str, change: Value) -> Value {
        let mut live = json!({"apiVersion": "v1", "kind": kind, "type": "Opaque", "metadata": {"name": "x", "namespace": "m",
            "uid": "u-1", "managedFields": [{"manager": "kubectl-create"}]}});
        let (Value::Object(object), Value::Object(change)) = (&mut live, change) else { unreachable!() };
        for (key, value) in change {
            match (object.get_mut(&key), value) {
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                (_, value) => drop(object.insert(key, value)),
            }
        }
        live
    }

    fn judged(live: &Value, wanted: &Value, ownership: Ownership) -> (Finding, Vec<Takeover>) {
        let change = Drifted { live: Some(live.clone()), desired: wanted.clone() };
        judge(&[], &[&change], ownership, &HELM)
    }

    use crate::check::row::Finding;

    #[test]
    fn an_object_of_another_owner_fails_and_is_taken_when_asked_whatever_helm() {
        for kind in ["Ingress", "Secret", "NetworkPolicy", "ConfigMap"] {
            let (live, wanted) = (live(kind, json!({})), wanted(kind));
            let (row, taken) = judged(&live, &wanted, Ownership::Respect);
            assert_eq!((row.state, taken.len()), (State::Fail, 0));
            assert_eq!(row.detail, format!("{kind} x in namespace m (field manager kubectl-create)"));
            assert!(row.hint.unwrap().contains("--adopt"));
            let (row, taken) = judged(&live, &wanted, Ownership::Take);
            assert_eq!((row.state, taken[0].uid.as_deref()), (State::Pass, Some("u-1")));
            assert!(taken[0].component.is_none() && taken[0].loses.is_empty());
        }
        let new = Drifted { live: None, desired: wanted("Secret") };
        assert_eq!(judge(&[], &[&new], Ownership::Respect, &HELM).0.state, State::Pass);
    }

    #[test]
    fn what_goes_with_the_takeover_is_reported() {
        let rules = live("Ingress", json!({"spec": {"rules": [], "a": "c"}, "metadata": {"labels": {"team": "shop"}}}));
        let (row, taken) = judged(&rules, &wanted("Ingress"), Ownership::Take);
        assert_eq!(
            (row.state, &taken[0].loses[..]),
            (State::Warn, &["spec.rules".to_owned(), "label team".to_owned()][..])
        );
        assert_eq!(row.hint.unwrap(), "this removes from Ingress x: spec.rules, label team");
    }

    #[test]
    fn a_copy_of_our_label_is_not_ours() {
        let copied = live("Secret", json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "tailwatch"}}}));
        let (row, _) = judged(&copied, &wanted("Secret"), Ownership::Respect);
        assert_eq!(row.state, State::Fail);
        assert!(row.detail.contains("label app.kubernetes.io/managed-by=tailwatch"), "{}", row.detail);
    }

    #[test]
    fn what_cannot_be_taken_over_fails_even_when_asked() {
        for change in [
            json!({"type": "kubernetes.io/tls"}),
            json!({"immutable": true}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"ownerReferences": [{"apiVersion": "x/v1", "kind": "Grafana", "name": "g", "uid": "1"}]}}),
        ] {
            for ownership in [Ownership::Respect, Ownership::Take] {
                let (row, taken) = judged(&live("Secret", change.clone()), &wanted("Secret"), ownership);
                assert_eq!((row.state, taken.len()), (State::Fail, 0), "{change}");
                assert!(!row.hint.unwrap().contains("--adopt"), "{change}");
            }
        }
    }

    #[test]
    fn a_namespace_of_others_is_used_unless_its_labels_are_in_the_way() {
        let labels = |value: &str| json!({"metadata": {"name": "m", "labels": {"enforce": value}}});
        let wanted = json!({"kind": "Namespace", "metadata": {"name": "m", "labels": {"enforce": "privileged"}}});
        for (value, state) in [("privileged", State::Pass), ("", State::Pass), ("restricted", State::Fail)] {
            let live = live("Namespace", labels(value));
            assert_eq!(judged(&live, &wanted, Ownership::Take).0.state, state, "{value}");
        }
        let mut ours = live("Namespace", labels("restricted"));
        ours["metadata"]["managedFields"] = json!([{"manager": "tailwatch", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:enforce": {}}}}}]);
        assert_eq!(judged(&ours, &wanted, Ownership::Take).0.state, State::Pass, "of an earlier version");
    }
}
