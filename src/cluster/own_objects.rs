//! Server-side apply of our own objects. What stands is looked at right before: an object that is absent is made and
//! never merged into one that came meanwhile, one that is ours is put back, and one of another owner is taken over only
//! where that was agreed to.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::cluster::apply::ApplyMode;
use crate::cluster::foreign_fields::{Before, removal};
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, Found, Held, ObjectRef};
use crate::stack::{MADE_BY_US, OwnObject};

/// Field manager of the mark in a namespace that we made.
const ORIGIN: &str = "tailwatch-origin";
/// A resourceVersion that no object has. An apply that names one makes the object where it is absent and is a conflict
/// where it is not (k8s.io/apiserver pkg/registry/generic/registry/store.go, Update).
const ABSENT: &str = "1";
/// How often an object is looked at again that is changed, made or deleted between the look and the apply.
const LOOKS: usize = 5;

impl Cluster {
    /// Applies one of our own objects; `adopted` has the uids of objects of others that may be taken over. An object of
    /// another owner is an error and stays as it is. A Namespace's fields are left to whoever set them otherwise: the
    /// conflict is an error.
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

    /// The same for an object of any kind but Namespace, in the name of a field manager.
    pub(super) async fn apply_own(
        &self,
        manifest: &Value,
        manager: &str,
        adopted: &BTreeSet<String>,
    ) -> Result<(), ClusterError> {
        let reference = ObjectRef::of(manifest);
        let what = format!("cannot apply {} {}", reference.kind, reference.name);
        let Some(api) = self.api(&reference.api_version, &reference.kind, reference.namespace.as_deref()).await? else {
            return Err(ClusterError::Refused { what, message: "the API server does not know this kind".into() });
        };
        let mut looks = 0;
        loop {
            looks += 1;
            let live = self.get(&reference).await?;
            let before = live.as_ref().map(|live| before(live, adopted)).transpose()?;
            let changed = match (&live, before) {
                (Some(live), Some(before)) => put(&api, manifest, (live, before), manager).await,
                _ => make(&api, manifest, manager).await,
            };
            match changed {
                Err(kube::Error::Api(status)) if status.code == 409 && looks < LOOKS => {}
                ended => return ended.map_err(|error| ClusterError::from_kube(&what, error)),
            }
        }
    }

    /// Makes a namespace that is not there and writes into it that it is ours; `false`: it was there. The mark has a
    /// field manager of its own, so that no later apply drops it and no namespace of someone else ever gets it.
    async fn create_namespace(&self, reference: &ObjectRef) -> Result<bool, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let failed = |error| ClusterError::from_kube(&format!("cannot make namespace {}", reference.name), error);
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

    /// Right after a namespace is made, its `default` ServiceAccount is missing for some 100 ms, and pods are
    /// refused until it is there.
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

/// Whether an object may be written, and what it is.
fn before(live: &Value, adopted: &BTreeSet<String>) -> Result<Before, ClusterError> {
    let found = Found::of(live);
    if found.is_ours() {
        return Ok(Before::Ours);
    }
    if adopted.contains(found.uid()) {
        return Ok(Before::Foreign);
    }
    let ObjectRef { kind, namespace, name, .. } = found.reference();
    let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    Err(ClusterError::Foreign { object: format!("{kind} {name}{place}"), owner: Held::of(live).owner() })
}

async fn make(api: &Api<DynamicObject>, manifest: &Value, manager: &str) -> Result<(), kube::Error> {
    let mut wanted = manifest.clone();
    wanted["metadata"]["resourceVersion"] = ABSENT.into();
    let name = ObjectRef::of(manifest).name;
    api.patch_metadata(&name, &PatchParams::apply(manager), &Patch::Apply(&wanted)).await.map(drop)
}

/// What must not be in it goes first, and the specification is ours from then on: at no moment is what others wrote
/// served under our name.
async fn put(
    api: &Api<DynamicObject>,
    manifest: &Value,
    (live, before): (&Value, Before),
    manager: &str,
) -> Result<(), kube::Error> {
    let name = ObjectRef::of(manifest).name;
    if let Some(removal) = removal(live, manifest, before) {
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        api.patch_metadata(&name, &parameters, &Patch::Merge(&removal)).await?;
    }
    let mut wanted = manifest.clone();
    // Another object of the name is a conflict.
    wanted["metadata"]["uid"] = live["metadata"]["uid"].clone();
    api.patch_metadata(&name, &PatchParams::apply(manager).force(), &Patch::Apply(&wanted)).await.map(drop)
}
