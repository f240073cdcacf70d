//! Preconditions: the state of the live objects that a plan was built from. Reads only.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::{Cluster, ObjectRef, uid_of};
use crate::plan::{Plan, PlanError, Work};

/// Objects that are read in parallel.
const READS_AT_ONCE: usize = 8;

/// A live object that the plan changes or deletes.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Precondition {
    /// e.g. `apps/v1`
    pub api_version: String,
    /// e.g. `Deployment`
    pub kind: String,
    /// Namespace, `None` for cluster-scoped kinds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its `metadata.generation`, which a status update does not change, or else its `metadata.resourceVersion`;
    /// `None`: only the UID is compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
}

impl Precondition {
    /// The precondition of a live object.
    fn of(live: &Value) -> Precondition {
        let metadata = &live["metadata"];
        let version = match metadata["generation"].as_i64() {
            Some(generation) => Some(format!("generation {generation}")),
            // It is applied before the lock that is in it, which changes its resourceVersion.
            None if live["kind"] == "Namespace" => None,
            None => metadata["resourceVersion"].as_str().map(|version| format!("resourceVersion {version}")),
        };
        Precondition { version, ..Precondition::of_uid(&ObjectRef::of(live), uid_of(live).unwrap_or_default()) }
    }

    fn of_uid(object: &ObjectRef, uid: &str) -> Precondition {
        let ObjectRef { api_version, kind, namespace, name } = object.clone();
        Precondition { api_version, kind, namespace, name, uid: uid.to_owned(), version: None }
    }

    fn object(&self) -> ObjectRef {
        let Precondition { api_version, kind, namespace, name, .. } = self.clone();
        ObjectRef { api_version, kind, namespace, name }
    }

    fn holds(&self, live: Option<&Value>) -> bool {
        live.map(Precondition::of)
            .is_some_and(|now| now.uid == self.uid && (self.version.is_none() || now.version == self.version))
    }
}

impl Plan {
    /// Every live object that tailwatch itself changes or deletes, in order. The revision of a release covers the
    /// objects that helm changes.
    pub fn preconditions(&self) -> Vec<Precondition> {
        let steps = self.each_step();
        let repaired = steps.flat_map(|step| {
            let of_work = match &step.work {
                Work::Objects { release } => release.as_slice(),
                Work::Helm | Work::Wait => &[],
            };
            step.conflicting_drift.iter().chain(of_work)
        });
        let changed = repaired.chain(self.own_changes()).filter_map(|drifted| drifted.live.as_ref());
        let deleted = self.each_step().flat_map(|step| &step.uids);
        let all: BTreeSet<Precondition> = changed
            .map(Precondition::of)
            .chain(deleted.map(|(object, uid)| Precondition::of_uid(object, uid)))
            .collect();
        all.into_iter().collect()
    }
}

/// An error if an object that the plan changes or deletes has changed since.
pub async fn check_preconditions(cluster: &Cluster, plan: &Plan) -> Result<(), PlanError> {
    let reads = stream::iter(plan.preconditions()).map(|precondition| async move {
        let live = cluster.get(&precondition.object()).await?;
        match precondition.holds(live.as_ref()) {
            true => Ok(()),
            false => Err(PlanError::Stale { what: format!("{} {}", precondition.kind, precondition.name) }),
        }
    });
    // In order: of several changed objects, every run names the same one.
    reads.buffered(READS_AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_the_specification_or_another_uid_breaks_a_precondition() {
        let live = |metadata: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        let planned =
            live(json!({"name": "web", "namespace": "m", "uid": "1", "generation": 3, "resourceVersion": "7"}));
        let precondition = Precondition::of(&planned);
        for (metadata, holds) in [
            (json!({"name": "web", "namespace": "m", "uid": "1", "generation": 3, "resourceVersion": "8"}), true),
            (json!({"name": "web", "namespace": "m", "uid": "1", "generation": 4, "resourceVersion": "8"}), false),
            (json!({"name": "web", "namespace": "m", "uid": "2", "generation": 3, "resourceVersion": "7"}), false),
        ] {
            assert_eq!(precondition.holds(Some(&live(metadata.clone()))), holds, "{metadata}");
        }
        assert!(!precondition.holds(None));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "uid": "1", "resourceVersion": "7"}});
        let mut changed = secret.clone();
        changed["metadata"]["resourceVersion"] = "8".into();
        assert!(Precondition::of(&secret).holds(Some(&secret)) && !Precondition::of(&secret).holds(Some(&changed)));
        let deleted = Precondition::of_uid(&ObjectRef::of(&planned), "1");
        assert!(deleted.holds(Some(&live(json!({"name": "web", "uid": "1", "generation": 9})))));
    }
}
