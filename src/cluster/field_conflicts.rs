//! Other field managers of CRDs that will be applied. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use kube::api::PatchParams;
use kube::core::Status;
use serde_json::Value;

use crate::cluster::apply::apply_patch;
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};

/// CRDs that are compared in parallel.
const AT_ONCE: usize = 4;

impl Cluster {
    /// Managers of fields that a server-side apply of these CRDs would change, each with the names of the CRDs. None
    /// for a CRD that does not exist or that only tailwatch has written. Other errors of the dry run are ignored: the
    /// apply reports them.
    pub async fn crd_conflicts(&self, crds: &[Value]) -> Result<BTreeMap<String, BTreeSet<String>>, ClusterError> {
        let looks = futures::stream::iter(crds).map(|crd| self.conflicts_of(crd)).buffered(AT_ONCE);
        let found: Vec<Result<(String, Vec<String>), ClusterError>> = looks.collect().await;
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for look in found {
            let (name, managers) = look?;
            for manager in managers {
                owners.entry(manager).or_default().insert(name.clone());
            }
        }
        Ok(owners)
    }

    async fn conflicts_of(&self, crd: &Value) -> Result<(String, Vec<String>), ClusterError> {
        let reference = ObjectRef::of(crd);
        let no_one = (reference.name.clone(), Vec::new());
        let Some(api) = self.api(&reference.api_version, &reference.kind, None).await? else { return Ok(no_one) };
        let failed = |error| ClusterError::from_kube(&format!("cannot read CRD {}", reference.name), error);
        let Some(live) = api.get_metadata_opt(&reference.name).await.map_err(failed)? else { return Ok(no_one) };
        let fields = live.metadata.managed_fields.into_iter().flatten();
        let mut others =
            fields.filter(|entry| entry.subresource.is_none() && entry.manager.as_deref() != Some(FIELD_MANAGER));
        if others.next().is_none() {
            return Ok(no_one);
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).dry_run();
        match api.patch_metadata(&reference.name, &parameters, &apply_patch(crd).map_err(failed)?).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok((reference.name, managers(&status))),
            _ => Ok(no_one),
        }
    }
}

/// `conflict with "kubectl-client-side-apply" using apiextensions.k8s.io/v1`, once for each field
/// (apimachinery, fieldmanager/internal/conflict.go).
fn managers(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let named = conflicts.filter_map(|cause| cause.message.split('"').nth(1).map(str::to_owned));
    let unique: BTreeSet<String> = named.collect();
    unique.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_reported_once() {
        let cause = |manager: &str, field: &str| {
            serde_json::json!({"reason": "FieldManagerConflict", "field": field,
                "message": format!("conflict with \"{manager}\" using apiextensions.k8s.io/v1")})
        };
        let status = serde_json::json!({
            "status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed",
            "details": {"causes": [cause("kubectl", ".spec.a"), cause("argocd", ".spec.b"), cause("kubectl", ".spec.c")]},
        });
        assert_eq!(managers(&serde_json::from_value(status).unwrap()), ["argocd", "kubectl"]);
    }
}
