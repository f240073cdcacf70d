//! Server-side apply of own objects. The live object is read right before: an absent one is created and never merged
//! into one that was created meanwhile, an own object is updated, and an object of another owner is adopted only if
//! that was confirmed.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::cluster::apply::{ApplyMode, apply_patch};
use crate::cluster::foreign_fields::{PreviousOwner, removal};
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ManagedObject, ObjectRef, PartialObject};
use crate::stack::{MADE_BY_US, OwnObject};

/// Field manager of the annotation of a namespace that tailwatch created.
const ORIGIN: &str = "tailwatch-origin";
/// A resourceVersion that no object has: an apply with it creates an absent object and conflicts with an existing one
/// (k8s.io/apiserver pkg/registry/generic/registry/store.go, Update).
pub(super) const ABSENT: &str = "1";
/// Attempts if the object changes between the read and the apply.
const ATTEMPTS: usize = 5;

impl Cluster {
    /// Applies an own object; `adopted` has the UIDs of objects of other owners that may be adopted. Any other object
    /// of another owner is an error and is not changed. A field conflict in a Namespace is an error.
    pub async fn apply(&self, object: &OwnObject, adopted: &BTreeSet<String>) -> Result<(), ClusterError> {
        let mut manifest = object.manifest.clone();
        if !object.secret_data.is_empty() {
            let encoded: Map<String, Value> = object
                .secret_data
                .iter()
                .map(|(key, value)| (key.clone(), STANDARD.encode(value.expose()).into()))
                .collect();
            manifest["data"] = Value::Object(encoded);
        }
        let reference = ObjectRef::of(&manifest);
        if reference.kind != "Namespace" {
            return self.apply_own(&manifest, FIELD_MANAGER, adopted).await;
        }
        let created = self.create_namespace(&reference).await?;
        self.apply_value(&manifest, ApplyMode::fail_on_conflict(FIELD_MANAGER)).await?;
        if created { self.await_default_account(&reference.name).await } else { Ok(()) }
    }

    /// The same for an object of any kind but Namespace, with this field manager.
    pub(super) async fn apply_own(
        &self,
        manifest: &Value,
        manager: &str,
        adopted: &BTreeSet<String>,
    ) -> Result<(), ClusterError> {
        let reference = ObjectRef::of(manifest);
        let what = format!("cannot apply {} {}", reference.kind, reference.name);
        let Some(api) = self.api(&reference.api_version, &reference.kind, reference.namespace.as_deref()).await? else {
            return Err(ClusterError::Rejected { what, message: "the API server does not serve this kind".into() });
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let live = self.get(&reference).await?;
            let before = live.as_ref().map(|live| before(live, adopted)).transpose()?;
            let changed = match (&live, before) {
                (Some(live), Some(before)) => put(&api, manifest, (live, before), manager).await,
                _ => create(&api, manifest, manager).await,
            };
            match changed {
                Err(kube::Error::Api(status)) if status.code == 409 && attempts < ATTEMPTS => {}
                ended => return ended.map_err(|error| ClusterError::from_kube(&what, error)),
            }
        }
    }

    /// Creates a namespace with tailwatch's annotation; `false`: it existed. The annotation has its own field manager:
    /// no later apply removes it or adds it to another namespace.
    async fn create_namespace(&self, reference: &ObjectRef) -> Result<bool, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let failed = |error| ClusterError::from_kube(&format!("cannot create namespace {}", reference.name), error);
        if api.get_metadata_opt(&reference.name).await.map_err(failed)?.is_some() {
            return Ok(false);
        }
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(reference.name.clone());
        namespace.metadata.annotations = Some([(MADE_BY_US.to_owned(), "true".to_owned())].into());
        let parameters = PostParams { field_manager: Some(ORIGIN.into()), ..PostParams::default() };
        match api.create(&parameters, &namespace).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// In a new namespace the `default` ServiceAccount is missing for some 100 ms; until then pods are rejected.
    async fn await_default_account(&self, namespace: &str) -> Result<(), ClusterError> {
        let account = ObjectRef {
            api_version: "v1".into(),
            kind: "ServiceAccount".into(),
            namespace: Some(namespace.to_owned()),
            name: "default".into(),
        };
        let until = Instant::now() + Duration::from_secs(10);
        while self.get(&account).await?.is_none() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// The owner of the live object; an error if it must not be changed.
fn before(live: &Value, adopted: &BTreeSet<String>) -> Result<PreviousOwner, ClusterError> {
    let found = PartialObject::of(live);
    if found.is_ours() {
        return Ok(PreviousOwner::Ours);
    }
    if adopted.contains(found.uid()) {
        return Ok(PreviousOwner::Foreign);
    }
    let ObjectRef { kind, namespace, name, .. } = found.reference();
    let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    Err(ClusterError::Foreign { object: format!("{kind} {name}{place}"), owner: ManagedObject::of(live).owner() })
}

async fn create(api: &Api<DynamicObject>, manifest: &Value, manager: &str) -> Result<(), kube::Error> {
    let mut desired = manifest.clone();
    desired["metadata"]["resourceVersion"] = ABSENT.into();
    let name = ObjectRef::of(manifest).name;
    api.patch_metadata(&name, &PatchParams::apply(manager), &apply_patch(&desired)?).await.map(drop)
}

/// Surplus fields are removed before the apply: fields of others are never served with tailwatch's label.
async fn put(
    api: &Api<DynamicObject>,
    manifest: &Value,
    (live, before): (&Value, PreviousOwner),
    manager: &str,
) -> Result<(), kube::Error> {
    let name = ObjectRef::of(manifest).name;
    if let Some(removal) = removal(live, manifest, before) {
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        api.patch_metadata(&name, &parameters, &Patch::Merge(&removal)).await?;
    }
    let mut desired = manifest.clone();
    // A new object of the same name is a conflict.
    desired["metadata"]["uid"] = live["metadata"]["uid"].clone();
    api.patch_metadata(&name, &PatchParams::apply(manager).force(), &apply_patch(&desired)?).await.map(drop)
}
