//! Existing PersistentVolumeClaims with the names of the stack's: the StatefulSets use them as they are.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::row::Finding;
use crate::check::{name_of, some_of};
use crate::cluster::{Cluster, ClusterError, default_class};
use crate::plan::{ClaimTemplate, PlannedRelease, claim_templates};

/// An existing claim that differs from the planned one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differing {
    namespace: String,
    name: String,
    problem: Problem,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    /// It is being deleted; since when.
    Deleted(String),
    /// Its PersistentVolume does not exist any more.
    Lost,
    /// Found and planned StorageClass.
    Class(String, String),
    /// Found and planned access modes.
    Modes(String, String),
}

impl Problem {
    fn is_fatal(&self) -> bool {
        matches!(self, Problem::Deleted(_) | Problem::Lost)
    }
}

pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Differing>, ClusterError> {
    let templates = |objects: &[Value]| objects.iter().flat_map(claim_templates).collect::<Vec<_>>();
    // By namespace: the planned and the installed templates of its releases.
    let mut namespaces: BTreeMap<&str, (Vec<ClaimTemplate>, Vec<ClaimTemplate>)> = BTreeMap::new();
    for release in incoming {
        let planned = templates(release.rendered);
        if !planned.is_empty() {
            let (all_planned, all_installed) = namespaces.entry(release.release.namespace.as_str()).or_default();
            all_planned.extend(planned);
            all_installed.extend(templates(release.installed));
        }
    }
    if namespaces.is_empty() {
        return Ok(Vec::new());
    }
    let classes = cluster.storage_classes().await?;
    let default = default_class(&classes);
    let mut found = Vec::new();
    for (namespace, (planned, installed)) in namespaces {
        let claims = cluster.list("v1", "PersistentVolumeClaim", Some(namespace), None).await?;
        found.extend(claims.iter().filter_map(|claim| compare(claim, &planned, &installed, default)));
    }
    Ok(found)
}

/// `default`: the cluster's default StorageClass.
fn compare(
    claim: &Value,
    planned: &[ClaimTemplate],
    installed: &[ClaimTemplate],
    default: Option<&str>,
) -> Option<Differing> {
    let name = name_of(claim);
    let template = planned.iter().find(|template| template.fits(name))?;
    let text = |path: &str| claim.pointer(path).and_then(Value::as_str);
    let differing = |problem| {
        let namespace = text("/metadata/namespace").unwrap_or_default().to_owned();
        Some(Differing { namespace, name: name.to_owned(), problem })
    };
    if let Some(since) = text("/metadata/deletionTimestamp") {
        return differing(Problem::Deleted(since.to_owned()));
    }
    if text("/status/phase") == Some("Lost") {
        return differing(Problem::Lost);
    }
    let is_unchanged = |other: &&ClaimTemplate| other.class == template.class && other.modes == template.modes;
    if installed.iter().filter(|other| other.fits(name)).any(|other| is_unchanged(&other)) {
        return None;
    }
    let class = text("/spec/storageClassName").unwrap_or_default();
    if let Some(wanted) = template.class.as_deref().or(default).filter(|wanted| *wanted != class) {
        return differing(Problem::Class(class.to_owned(), wanted.to_owned()));
    }
    let modes = claim.pointer("/spec/accessModes").and_then(Value::as_array).into_iter().flatten();
    let modes: Vec<&str> = modes.filter_map(Value::as_str).collect();
    match template.modes.iter().all(|mode| modes.contains(&mode.as_str())) {
        true => None,
        false => differing(Problem::Modes(modes.join(", "), template.modes.join(", "))),
    }
}

pub(super) fn judge(found: &[Differing]) -> Finding {
    let Some(first) = found.iter().find(|one| one.problem.is_fatal()).or(found.first()) else {
        return Finding::pass("");
    };
    let detail = some_of(&found.iter().map(describe).collect::<Vec<_>>());
    let Differing { namespace, name, problem } = first;
    let delete = format!("`kubectl -n {namespace} delete pvc {name}`");
    let hint = match problem {
        Problem::Deleted(_) => format!(
            "let the deletion end (`kubectl -n {namespace} describe pvc {name}` shows the pods and finalizers that hold \
             it) and start with an empty volume, or install into another namespace"
        ),
        Problem::Lost => format!("restore its PersistentVolume, or start with an empty volume: {delete}"),
        Problem::Class(class, _) => {
            format!("keep its data: set storage.class to {class}; or start with an empty volume: {delete}")
        }
        Problem::Modes(modes, _) => {
            format!(
                "keep its data: set accessModes under `values:` to [{modes}]; or start with an empty volume: {delete}"
            )
        }
    };
    let is_fatal = found.iter().any(|one| one.problem.is_fatal());
    let finding = if is_fatal { Finding::fail(detail) } else { Finding::warn(detail) };
    finding.hinting(hint)
}

fn describe(Differing { name, problem, .. }: &Differing) -> String {
    match problem {
        Problem::Deleted(since) => format!("PersistentVolumeClaim {name} is being deleted since {since}"),
        Problem::Lost => format!("PersistentVolumeClaim {name} is Lost: its PersistentVolume does not exist"),
        Problem::Class(found, wanted) => {
            format!("PersistentVolumeClaim {name} exists and keeps StorageClass {found}, planned is {wanted}")
        }
        Problem::Modes(found, wanted) => {
            format!("PersistentVolumeClaim {name} exists with access modes {found}, planned are {wanted}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use serde_json::json;

    fn loki(class: Option<&str>) -> Vec<ClaimTemplate> {
        let spec = json!({"storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}}});
        let claims = json!([{"metadata": {"name": "storage"}, "spec": spec}]);
        claim_templates(
            &json!({"kind": "StatefulSet", "metadata": {"name": "loki"}, "spec": {"volumeClaimTemplates": claims}}),
        )
    }

    fn claim(more: &Value) -> Value {
        let mut claim = json!({"metadata": {"name": "storage-loki-0", "namespace": "m"},
            "spec": {"storageClassName": "old", "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}});
        crate::yaml::merge(&mut claim, more);
        claim
    }

    #[test]
    fn a_claim_of_an_earlier_stack_is_compared_with_the_planned_one() {
        let judged = |more: Value, planned: Option<&str>, installed: &[ClaimTemplate]| {
            let found = compare(&claim(&more), &loki(planned), installed, Some("standard"));
            judge(&found.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(judged(json!({}), Some("old"), &[]), Finding::pass(""));
        let other = judged(json!({}), None, &[]);
        assert_eq!(other.state, State::Warn);
        let hint = other.hint.unwrap();
        assert!(hint.contains("storage.class to old") && hint.contains("-n m delete pvc storage-loki-0"), "{hint}");
        assert_eq!(judged(json!({}), None, &loki(None)).state, State::Pass, "the installed release has it so");
        assert_eq!(judged(json!({}), Some("new"), &loki(None)).state, State::Warn, "the answers change the class");
        let modes = json!({"spec": {"accessModes": ["ReadOnlyMany"]}});
        assert_eq!(judged(modes, Some("old"), &[]).state, State::Warn);
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(judged(deleted, Some("old"), &loki(Some("old"))).state, State::Fail);
        assert_eq!(judged(json!({"status": {"phase": "Lost"}}), Some("old"), &[]).state, State::Fail);
        assert_eq!(judged(json!({"metadata": {"name": "storage-other-0"}}), None, &[]).state, State::Pass);
    }
}
