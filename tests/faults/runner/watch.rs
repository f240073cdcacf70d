//! Watches of the test on the cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

const KINDS: [(&str, &str, &str); 16] = [
    ("", "v1", "Pod"),
    ("", "v1", "Event"),
    ("", "v1", "Node"),
    ("", "v1", "Namespace"),
    ("", "v1", "Secret"),
    ("", "v1", "PersistentVolumeClaim"),
    ("storage.k8s.io", "v1", "StorageClass"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "ReplicaSet"),
    ("batch", "v1", "Job"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"),
    ("monitoring.coreos.com", "v1", "Prometheus"),
    ("monitoring.coreos.com", "v1", "Alertmanager"),
];

/// (kind, namespace, name)
pub type Key = (String, String, String);

/// Watches on one cluster, until it is dropped.
pub struct Watches {
    observed: Arc<Mutex<Observed>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Observed {
    objects: BTreeMap<Key, Value>,
    /// Changes since the last `forget`: time, kind and JSON of the object.
    changes: Vec<(Timestamp, String, String)>,
}

fn held(observed: &Mutex<Observed>) -> MutexGuard<'_, Observed> {
    observed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watches {
    pub fn start(kubeconfig: &Path) -> Watches {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let observed = Arc::new(Mutex::new(Observed::default()));
        let read = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = runtime.block_on(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())).unwrap();
        let client = runtime.block_on(async { Client::try_from(config) }).unwrap();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            runtime.spawn(follow(Api::all_with(client.clone(), &resource), kind, observed.clone()));
        }
        Watches { observed, _runtime: runtime }
    }

    /// Drops the changes so far.
    pub fn forget(&self) {
        held(&self.observed).changes.clear();
    }

    /// The first change of a kind that contains the text.
    pub fn first(&self, kind: &str, text: &str) -> Option<(Timestamp, String)> {
        let observed = held(&self.observed);
        let first = observed.changes.iter().find(|(_, of, shown)| of == kind && shown.contains(text));
        first.map(|(at, _, shown)| (*at, shown.clone()))
    }

    /// The present objects.
    pub fn objects(&self) -> BTreeMap<Key, Value> {
        held(&self.observed).objects.clone()
    }
}

async fn follow(api: Api<DynamicObject>, kind: &'static str, observed: Arc<Mutex<Observed>>) {
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.push(key(kind, &object));
                put(&observed, kind, object);
            }
            Ok(Event::InitDone) => held(&observed).objects.retain(|key, _| key.0 != kind || listed.contains(key)),
            Ok(Event::Apply(object)) => put(&observed, kind, object),
            Ok(Event::Delete(object)) => {
                held(&observed).objects.remove(&key(kind, &object));
            }
            // The API server is unreachable; the next poll of the watch retries.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

fn put(observed: &Mutex<Observed>, kind: &str, mut object: DynamicObject) {
    object.metadata.managed_fields = None;
    let key = key(kind, &object);
    let mut value = serde_json::to_value(object).unwrap();
    if let (Some(fields), "Secret") = (value.as_object_mut(), kind) {
        fields.remove("data");
    }
    let mut observed = held(observed);
    if observed.objects.get(&key).is_some_and(|known| version(known) == version(&value)) {
        return;
    }
    observed.changes.push((Timestamp::now(), kind.to_owned(), value.to_string()));
    observed.objects.insert(key, value);
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
}

fn key(kind: &str, object: &DynamicObject) -> Key {
    let metadata = &object.metadata;
    (kind.to_owned(), metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}
