//! Own objects that already exist with another owner. An object is ours if it has our label and our field manager set it;
//! any other needs consent. Pure: the plan has read the live objects.

use std::fmt;

use serde_json::Value;

use crate::cluster::{ManagedObject, ObjectRef, PartialObject, PreviousOwner, surplus};
use crate::plan::{Drifted, Takeover};

/// An object of another owner with the name of an own object.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    managed: ManagedObject,
    uid: String,
    removed_fields: Vec<String>,
    pub(super) obstacle: Option<Obstacle>,
}

/// Why an object cannot be adopted, even with consent.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    why: String,
    pub(super) hint: &'static str,
}

impl Foreign {
    pub(super) fn namespace(&self) -> &str {
        self.managed.object.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn with_obstacle(&self) -> String {
        let why = self.obstacle.as_ref().map(|obstacle| format!(": {}", obstacle.why));
        format!("{self}{}", why.unwrap_or_default())
    }

    pub(super) fn takeover(&self) -> Takeover {
        Takeover {
            component: None,
            uid: Some(self.uid.clone()),
            object: format!("{} {}", self.managed.object.kind, self.managed.object.name),
            owner: self.managed.owner(),
            restarts: false,
            removed_fields: self.removed_fields.clone(),
        }
    }
}

/// `Ingress grafana in namespace monitoring (field manager kubectl-create)`
impl fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef { kind, name, namespace, .. } = &self.managed.object;
        write!(formatter, "{kind} {name}")?;
        if let Some(namespace) = namespace {
            write!(formatter, " in namespace {namespace}")?;
        }
        write!(formatter, " ({})", self.managed.owner())
    }
}

/// The foreign object; `None`: absent, or ours. A namespace may have any owner if its labels do not conflict.
pub(super) fn foreign(own: &Drifted) -> Option<Foreign> {
    let live = own.live.as_ref()?;
    let found = PartialObject::of(live);
    let obstacle = if found.kind == "Namespace" {
        Some(other_labels(&found, &own.desired)?)
    } else if found.is_ours() {
        return None;
    } else {
        obstacle(&found, live, &own.desired)
    };
    Some(Foreign {
        managed: ManagedObject::of(live),
        uid: found.uid().to_owned(),
        removed_fields: surplus(live, &own.desired, PreviousOwner::Foreign),
        obstacle,
    })
}

/// Labels of a namespace with other values than the stack needs.
fn other_labels(found: &PartialObject, desired: &Value) -> Option<Obstacle> {
    let labels = desired["metadata"]["labels"].as_object().into_iter().flatten();
    let differing = labels.filter_map(|(key, value)| {
        let (live, value) = (found.label(key), value.as_str()?);
        let is_other = !live.is_empty() && live != value && !found.is_label_of_ours(key);
        is_other.then(|| format!("label {key} is {live}, the stack needs {value}"))
    });
    let differing: Vec<String> = differing.collect();
    let hint = "remove the label, or install into another namespace with --namespace";
    (!differing.is_empty()).then(|| Obstacle { why: differing.join(", "), hint })
}

fn obstacle(found: &PartialObject, live: &Value, desired: &Value) -> Option<Obstacle> {
    if found.is_terminating() {
        let hint = "wait until it is deleted, then run the same command again";
        return Some(Obstacle { why: "it is terminating".into(), hint });
    }
    if let Some(controller) = found.controller() {
        let hint = "change or remove its controller, or install into another namespace with --namespace";
        return Some(Obstacle { why: format!("{controller} controls it and would re-create it"), hint });
    }
    let hint = "remove or rename it, or install into another namespace with --namespace";
    // The API server rejects a change of both (kubernetes pkg/apis/core/validation, ValidateSecretUpdate).
    if found.kind == "Secret" && live["type"] != desired["type"] {
        let (is, needed) = (live["type"].as_str().unwrap_or_default(), desired["type"].as_str().unwrap_or_default());
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

    fn desired(kind: &str) -> Value {
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

    fn judged(live: &Value, desired: &Value, ownership: Ownership) -> (Finding, Vec<Takeover>) {
        let change = Drifted { live: Some(live.clone()), desired: desired.clone() };
        judge(&[], &[&change], ownership, &HELM)
    }

    use crate::check::row::Finding;

    #[test]
    fn an_object_of_another_owner_fails_and_is_adopted_with_consent_by_any_helm() {
        for kind in ["Ingress", "Secret", "NetworkPolicy", "ConfigMap"] {
            let (live, desired) = (live(kind, json!({})), desired(kind));
            let (row, takeovers) = judged(&live, &desired, Ownership::Respect);
            assert_eq!((row.state, takeovers.len()), (State::Fail, 0));
            assert_eq!(row.detail, format!("{kind} x in namespace m (field manager kubectl-create)"));
            assert!(row.hint.unwrap().contains("--adopt"));
            let (row, takeovers) = judged(&live, &desired, Ownership::Take);
            assert_eq!((row.state, takeovers[0].uid.as_deref()), (State::Pass, Some("u-1")));
            assert!(takeovers[0].component.is_none() && takeovers[0].removed_fields.is_empty());
        }
        let new = Drifted { live: None, desired: desired("Secret") };
        assert_eq!(judge(&[], &[&new], Ownership::Respect, &HELM).0.state, State::Pass);
    }

    #[test]
    fn fields_that_a_takeover_removes_are_reported() {
        let rules = live("Ingress", json!({"spec": {"rules": [], "a": "c"}, "metadata": {"labels": {"team": "shop"}}}));
        let (row, takeovers) = judged(&rules, &desired("Ingress"), Ownership::Take);
        assert_eq!(
            (row.state, &takeovers[0].removed_fields[..]),
            (State::Warn, &["spec.rules".to_owned(), "label team".to_owned()][..])
        );
        assert_eq!(row.hint.unwrap(), "this removes from Ingress x: spec.rules, label team");
    }

    #[test]
    fn a_copied_label_does_not_make_an_object_ours() {
        let copied = live("Secret", json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "tailwatch"}}}));
        let (row, _) = judged(&copied, &desired("Secret"), Ownership::Respect);
        assert_eq!(row.state, State::Fail);
        assert!(row.detail.contains("label app.kubernetes.io/managed-by=tailwatch"), "{}", row.detail);
    }

    #[test]
    fn objects_that_cannot_be_adopted_fail_even_with_consent() {
        for change in [
            json!({"type": "kubernetes.io/tls"}),
            json!({"immutable": true}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"ownerReferences": [{"apiVersion": "x/v1", "kind": "Grafana", "name": "g", "uid": "1"}]}}),
        ] {
            for ownership in [Ownership::Respect, Ownership::Take] {
                let (row, takeovers) = judged(&live("Secret", change.clone()), &desired("Secret"), ownership);
                assert_eq!((row.state, takeovers.len()), (State::Fail, 0), "{change}");
                assert!(!row.hint.unwrap().contains("--adopt"), "{change}");
            }
        }
    }

    #[test]
    fn a_namespace_of_another_owner_is_used_unless_its_labels_conflict() {
        let labels = |value: &str| json!({"metadata": {"name": "m", "labels": {"enforce": value}}});
        let desired = json!({"kind": "Namespace", "metadata": {"name": "m", "labels": {"enforce": "privileged"}}});
        for (value, state) in [("privileged", State::Pass), ("", State::Pass), ("restricted", State::Fail)] {
            let live = live("Namespace", labels(value));
            assert_eq!(judged(&live, &desired, Ownership::Take).0.state, state, "{value}");
        }
        let mut ours = live("Namespace", labels("restricted"));
        ours["metadata"]["managedFields"] = json!([{"manager": "tailwatch", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:enforce": {}}}}}]);
        assert_eq!(judged(&ours, &desired, Ownership::Take).0.state, State::Pass, "of an earlier version");
    }
}
