//! Predicts the effects of each step once its chart is rendered. Reads only.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{Cluster, ObjectRef, permitted, uid_of};
use crate::event::{ActionKind, Effects};
use crate::plan::effects::{self, by_key, words};
use crate::plan::volume_expansion::{Claim, growth};
use crate::plan::{Drifted, Plan, PlanError, Replacement, Step, Work, drift, immutable};
use crate::stack::OwnObject;

/// Predicts the effects of every step that makes a change, and finds the objects to re-create. An error is a change
/// that Kubernetes does not allow. `records` are own objects outside of the releases.
pub(super) async fn predict(cluster: &Cluster, plan: &mut Plan, records: &[OwnObject]) -> Result<(), PlanError> {
    let with_crds = plan.incoming().iter().any(|incoming| !incoming.crds.is_empty());
    let live_crds = if with_crds { cluster.crd_versions().await? } else { BTreeMap::new() };
    let claims = if plan.has_changes() { claims(cluster, plan).await? } else { Vec::new() };
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        match (&step.work, &step.rendered) {
            (Work::Helm, Some(rendered)) => {
                (step.effects, step.replacements) = by_helm(step, &claims)?;
                step.uids = uids(cluster, &step.replacements).await?;
                step.effects.crds = effects::crds(&rendered.crds, &live_crds);
                step.own = drift::of_own_objects(cluster, &step.release.objects).await?.objects;
                add_own(&mut step.effects, &step.own);
            }
            (Work::Objects { release }, _) => step.effects = effects::of_drift(&[&step.own[..], release].concat()),
            _ => {}
        }
    }
    predict_records(cluster, plan, records).await
}

/// UIDs of the live objects that are deleted.
async fn uids(cluster: &Cluster, replacements: &[Replacement]) -> Result<BTreeMap<ObjectRef, String>, PlanError> {
    let mut uids = BTreeMap::new();
    for replacements in replacements {
        let (Replacement::Orphan(object) | Replacement::Cascade(object)) = replacements else { continue };
        let live = cluster.get(object).await?;
        uids.extend(live.as_ref().and_then(uid_of).map(|uid| (object.clone(), uid.to_owned())));
    }
    Ok(uids)
}

/// Records are applied before the first step that makes a change, and are counted with it.
async fn predict_records(cluster: &Cluster, plan: &mut Plan, records: &[OwnObject]) -> Result<(), PlanError> {
    if !plan.has_changes() {
        return Ok(());
    }
    plan.records = drift::of_own_objects(cluster, records).await?.objects;
    let mut steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
    if let Some(first) = steps.find(|step| step.action != ActionKind::Unchanged) {
        add_own(&mut first.effects, &plan.records);
    }
    Ok(())
}

fn add_own(effects: &mut Effects, own: &[Drifted]) {
    let own = effects::of_drift(own);
    effects.added.extend(own.added);
    effects.changed.extend(own.changed);
}

/// The effects of the step's chart, and what must be re-created or grown for it.
fn by_helm(step: &Step, claims: &[Claim]) -> Result<(Effects, Vec<Replacement>), PlanError> {
    let namespace = step.release.namespace.as_str();
    let claims: Vec<Claim> = claims.iter().filter(|claim| claim.namespace == namespace).cloned().collect();
    let (old, new) = (step.installed(), step.manifest());
    let (mut effects, mut replacements) = (effects::between(old, new, namespace), Vec::new());
    let (before, after) = (by_key(old, namespace), by_key(new, namespace));
    for (key, new) in after {
        let old = before.get(&key).copied();
        for (claim, reported) in growth(old.unwrap_or(&Value::Null), new, &claims)? {
            replacements.push(claim);
            effects.growth.push(reported);
        }
        if let Some((way, field)) = old.and_then(|old| immutable::replacements(old, new, namespace)) {
            let object = words(key);
            match way {
                Replacement::Cascade(_) if !effects.restarts.contains(&object) => effects.restarts.push(object),
                Replacement::Cascade(_) => {}
                _ => effects.recreated.push(format!("{object} ({field})")),
            }
            replacements.push(way);
        }
    }
    Ok((effects, replacements))
}

/// The claims in the plan's namespaces, each with its StorageClass.
async fn claims(cluster: &Cluster, plan: &Plan) -> Result<Vec<Claim>, PlanError> {
    let mut namespaces: Vec<&str> = plan.releases().map(|release| release.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    // Without the permission to list them the API server decides.
    let classes = permitted(cluster.list("storage.k8s.io/v1", "StorageClass", None, None).await)?;
    let may_grow = |class: &str| {
        let is_growing = |known: &Value| ObjectRef::of(known).name == class && known["allowVolumeExpansion"] == true;
        classes.as_ref().is_none_or(|classes| classes.iter().any(is_growing))
    };
    let mut claims = Vec::new();
    for namespace in namespaces {
        for claim in cluster.list("v1", "PersistentVolumeClaim", Some(namespace), None).await? {
            let text = |path: &str| claim.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let class = text("/spec/storageClassName");
            claims.push(Claim {
                namespace: namespace.to_owned(),
                name: text("/metadata/name"),
                size: text("/spec/resources/requests/storage"),
                class: (class.clone(), may_grow(&class)),
            });
        }
    }
    Ok(claims)
}
