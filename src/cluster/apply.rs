//! Server-side apply of chart objects and CRDs, and deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::discovery::Scope;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::discovery::served_kinds;
use crate::cluster::{Cluster, ClusterError, DeletionReason, FIELD_MANAGER, ObjectRef};
use crate::yaml::json_line;

/// The UID of a live object.
pub fn uid_of(live: &Value) -> Option<&str> {
    live.pointer("/metadata/uid").and_then(Value::as_str)
}

/// Annotation of the Prometheus operator's CRDs (prometheus-operator, `make generate-crds`).
pub const OPERATOR_VERSION: &str = "operator.prometheus.io/version";
/// CRDs that are applied in parallel.
const CRDS_AT_ONCE: usize = 4;

/// The body of a server-side apply, which the API server reads as YAML (`application/apply-patch+yaml`).
pub(super) fn apply_patch(manifest: &Value) -> Result<Patch<Box<RawValue>>, kube::Error> {
    RawValue::from_string(json_line(manifest)).map(Patch::Apply).map_err(kube::Error::SerdeError)
}

/// Field manager of an apply, and whether it forces conflicts.
#[derive(Clone, Copy)]
pub(super) struct ApplyMode<'a> {
    manager: &'a str,
    force: bool,
}

impl<'a> ApplyMode<'a> {
    /// Takes the ownership of conflicting fields.
    pub(super) fn force(manager: &'a str) -> ApplyMode<'a> {
        ApplyMode { manager, force: true }
    }

    /// A field of another manager with another value is an error.
    pub(super) fn fail_on_conflict(manager: &'a str) -> ApplyMode<'a> {
        ApplyMode { manager, force: false }
    }
}

impl Cluster {
    /// Removes tailwatch's fields from a retained object; fields of others stay.
    pub async fn remove_labels(&self, object: &ObjectRef) -> Result<(), ClusterError> {
        let bare = json!({"apiVersion": object.api_version, "kind": object.kind, "metadata": {"name": object.name}});
        self.apply_value(&bare, ApplyMode::fail_on_conflict(FIELD_MANAGER)).await
    }

    /// Applies an object of a release as in its manifest, with helm's field manager.
    pub async fn repair(&self, object: &Value, release: (&str, &str)) -> Result<(), ClusterError> {
        self.apply_value(&self.as_of_release(object, release).await?, ApplyMode::force("helm")).await
    }

    /// An object of a manifest as helm applies it: with its namespace and the marks of its release, (name, namespace).
    pub(super) async fn as_of_release(
        &self,
        object: &Value,
        (name, namespace): (&str, &str),
    ) -> Result<Value, ClusterError> {
        let mut object = object.clone();
        let reference = ObjectRef::of(&object);
        let namespaced =
            matches!(self.kind(&reference.api_version, &reference.kind).await?, Some((_, Scope::Namespaced)));
        if namespaced && reference.namespace.is_none() {
            object["metadata"]["namespace"] = namespace.into();
        }
        // helm adds these to every object (helm pkg/action/validate.go).
        let marks = [
            ("labels", "app.kubernetes.io/managed-by", "Helm"),
            ("annotations", "meta.helm.sh/release-name", name),
            ("annotations", "meta.helm.sh/release-namespace", namespace),
        ];
        for (place, key, value) in marks {
            object["metadata"][place][key] = value.into();
        }
        Ok(object)
    }

    pub(super) async fn apply_value(&self, manifest: &Value, mode: ApplyMode<'_>) -> Result<(), ClusterError> {
        let reference = ObjectRef::of(manifest);
        let what = format!("cannot apply {} {}", reference.kind, reference.name);
        let Some(api) = self.api(&reference.api_version, &reference.kind, reference.namespace.as_deref()).await? else {
            return Err(ClusterError::Rejected { what, message: "the API server does not serve this kind".into() });
        };
        let failed = |error| ClusterError::from_kube(&what, error);
        let mut parameters = PatchParams::apply(mode.manager);
        parameters.force = mode.force;
        let patch = apply_patch(manifest).map_err(failed)?;
        api.patch_metadata(&reference.name, &parameters, &patch).await.map(drop).map_err(failed)
    }

    /// Server-side apply of CRDs, once no earlier one of the same name is being deleted; then waits until the kind of each is
    /// in discovery, which helm needs. The API server adds it there once the CRD is Established (apiextensions-apiserver
    /// pkg/apiserver/customresource_discovery_controller.go); a CRD itself, of up to a megabyte, is too large to be read again
    /// and again. A downgrade of the operator's version annotation is an error before any apply.
    pub async fn apply_crds(&self, crds: &[Value], timeout: Duration) -> Result<(), ClusterError> {
        let live = self.crd_versions().await?;
        for crd in crds {
            let name = ObjectRef::of(crd).name;
            if let Some((live, chart)) = live.get(&name).and_then(|live| downgrade(live.as_deref(), crd)) {
                return Err(ClusterError::CrdDowngrade { name, live, chart });
            }
        }
        let until = Instant::now() + timeout;
        while let Some(crd) = self.terminating_crds(crds).await?.into_iter().next() {
            if Instant::now() >= until {
                let DeletionReason { why, hint: next } = crd.reason;
                return Err(ClusterError::CrdTerminating { name: crd.name, why, next });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mode = ApplyMode::force(FIELD_MANAGER);
        let applied = futures::stream::iter(crds).map(|crd| self.apply_value(crd, mode)).buffer_unordered(CRDS_AT_ONCE);
        applied.collect::<Vec<Result<(), ClusterError>>>().await.into_iter().collect::<Result<(), _>>()?;
        loop {
            let Some(name) = self.first_unserved(crds).await? else { return Ok(()) };
            if Instant::now() >= until {
                return Err(ClusterError::CrdNotEstablished { name });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every CRD by name, with the version of the Prometheus operator in its annotation.
    pub async fn crd_versions(&self) -> Result<BTreeMap<String, Option<String>>, ClusterError> {
        let live = self.annotations("apiextensions.k8s.io/v1", "CustomResourceDefinition").await?;
        Ok(live.into_iter().map(|(name, mut annotations)| (name, annotations.remove(OPERATOR_VERSION))).collect())
    }

    async fn first_unserved(&self, crds: &[Value]) -> Result<Option<String>, ClusterError> {
        let served: BTreeSet<String> = self.api_versions().await?.into_iter().collect();
        let is_unserved = |(api_version, kind): &(String, String)| !served.contains(&format!("{api_version}/{kind}"));
        let unserved = crds.iter().find(|crd| served_kinds(crd).iter().any(is_unserved));
        Ok(unserved.map(|crd| ObjectRef::of(crd).name))
    }

    /// Deletes the object with this UID and its dependents; `false` if it no longer exists, also if another object has
    /// its name.
    pub async fn delete(&self, object: &ObjectRef, uid: &str) -> Result<bool, ClusterError> {
        self.delete_with(object, DeleteParams::background(), uid).await
    }

    /// Deletes an object that was created at this time or later.
    pub async fn delete_if_since(
        &self,
        object: &ObjectRef,
        moment: Option<jiff::Timestamp>,
    ) -> Result<bool, ClusterError> {
        let live = self.get(object).await?.unwrap_or_default();
        let created = live.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        let created: Option<jiff::Timestamp> = created.and_then(|text| text.parse().ok());
        match (created, moment, uid_of(&live)) {
            (Some(created), Some(moment), Some(uid)) if created >= moment => self.delete(object, uid).await,
            _ => Ok(false),
        }
    }

    /// Deletes the object with this UID and orphans its dependents: its pods keep running.
    pub async fn delete_orphaning(&self, object: &ObjectRef, uid: &str) -> Result<bool, ClusterError> {
        self.delete_with(object, DeleteParams::orphan(), uid).await
    }

    async fn delete_with(&self, object: &ObjectRef, parameters: DeleteParams, uid: &str) -> Result<bool, ClusterError> {
        let parameters = parameters.preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let Some(api) = self.api(&object.api_version, &object.kind, object.namespace.as_deref()).await? else {
            return Ok(false);
        };
        match api.delete(&object.name, &parameters).await {
            Ok(_) => Ok(true),
            // 409: the precondition failed, the object with this UID no longer exists
            // (k8s.io/apiserver pkg/registry/generic/registry/store.go, Delete).
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => {
                Err(ClusterError::from_kube(&format!("cannot delete {} {}", object.kind, object.name), error))
            }
        }
    }

    /// Resolves once the object with this UID no longer exists.
    pub async fn until_deleted(&self, object: &ObjectRef, uid: &str, timeout: Duration) -> Result<(), ClusterError> {
        let until = Instant::now() + timeout;
        while self.get(object).await?.as_ref().and_then(uid_of) == Some(uid) {
            if Instant::now() >= until {
                let what = format!("{} {} still exists", object.kind, object.name);
                return Err(ClusterError::Rejected { what, message: "its deletion did not finish".into() });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Expands a claim; the storage driver expands the volume while pods run.
    pub async fn expand_claim(&self, namespace: &str, name: &str, size: &str) -> Result<(), ClusterError> {
        let what = format!("cannot expand PersistentVolumeClaim {name}");
        let failed = |error| ClusterError::from_kube(&what, error);
        let Some(api) = self.api("v1", "PersistentVolumeClaim", Some(namespace)).await? else { return Ok(()) };
        let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch_metadata(name, &parameters, &Patch::Merge(&patch)).await.map(drop).map_err(failed)
    }
}

/// The version of the Prometheus operator in a CRD's annotation.
pub fn operator_version(crd: &Value) -> Option<&str> {
    crd.pointer("/metadata/annotations")?.get(OPERATOR_VERSION)?.as_str()
}

/// (live, chart) if the live CRD has a newer operator version.
fn downgrade(live: Option<&str>, chart: &Value) -> Option<(String, String)> {
    let version = |text: &str| semver::Version::parse(text.trim_start_matches('v')).ok();
    let (live, chart) = (live?, operator_version(chart)?);
    (version(live)? > version(chart)?).then(|| (live.to_owned(), chart.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_awaited_in_each_version_that_is_served() {
        let versions = json!([{"name": "v1", "served": true}, {"name": "v1alpha1", "served": false}]);
        let crd = json!({"spec": {"group": "x.example", "names": {"kind": "Thing"}, "versions": versions}});
        assert_eq!(served_kinds(&crd), [("x.example/v1".to_owned(), "Thing".to_owned())]);
    }

    #[test]
    fn only_an_older_operators_crds_are_a_downgrade() {
        let crd = |version: &str| json!({"metadata": {"annotations": {OPERATOR_VERSION: version}}});
        assert_eq!(downgrade(Some("0.87.0"), &crd("0.86.2")), Some(("0.87.0".into(), "0.86.2".into())));
        assert_eq!(downgrade(Some("0.86.2"), &crd("0.86.10")), None);
        assert_eq!(downgrade(None, &crd("0.86.2")), None);
    }

    #[tokio::test]
    async fn a_crd_that_is_being_deleted_is_not_applied() {
        let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.x.example"}, "spec": {"group": "x.example", "names": {"kind": "Thing"}}});
        let service = tower::service_fn(|request: http::Request<kube::client::Body>| async move {
            assert_eq!(request.method(), http::Method::GET, "{}", request.uri());
            let resource = json!({"name": "customresourcedefinitions", "singularName": "", "namespaced": false,
                "kind": "CustomResourceDefinition", "verbs": ["list"]});
            let metadata = json!({"name": "things.x.example", "deletionTimestamp": "2026-01-01T00:00:00Z"});
            let found = match request.uri().path() {
                "/apis/apiextensions.k8s.io/v1" => {
                    json!({"groupVersion": "apiextensions.k8s.io/v1", "resources": [resource]})
                }
                _ => json!({"metadata": {}, "items": [{"metadata": metadata}]}),
            };
            http::Response::builder().body(kube::client::Body::from(found.to_string().into_bytes()))
        });
        let cluster = Cluster::for_tests(kube::Client::new(service, "m"), Default::default(), Default::default());
        let error = cluster.apply_crds(&[crd], Duration::ZERO).await.unwrap_err();
        assert!(matches!(&error, ClusterError::CrdTerminating { name, .. } if name == "things.x.example"), "{error}");
    }
}
