//! The resource of a kind. Those of Kubernetes itself are known. One request discovers every kind of another group
//! version. An unknown kind is discovered again by each later call: CRDs are created during a run. Calls that wait at the
//! same time share an answer: a dry run of a hundred objects would otherwise wait for a hundred answers about missing CRDs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, GroupVersion};
use kube::discovery::{Scope, pinned_group};
use tokio::sync::RwLock;

/// A group version.
#[derive(Default)]
struct GroupVersionKinds {
    /// The kinds that are known so far.
    known: HashMap<String, (ApiResource, Scope)>,
    /// When the last request that was answered began.
    asked: Option<Instant>,
}

type SharedKinds = Arc<RwLock<GroupVersionKinds>>;

/// Kinds that every supported version of Kubernetes serves: no request has to discover them.
fn built_in(api_version: &str, kind: &str) -> Option<(ApiResource, Scope)> {
    macro_rules! find {
        ($($scope:ident: $($known:ident)*;)*) => {$($(
            if (api_version, kind) == (<$known as k8s_openapi::Resource>::API_VERSION, stringify!($known)) {
                return Some((ApiResource::erase::<$known>(&()), Scope::$scope));
            }
        )*)*};
    }
    find! {
        Namespaced: ConfigMap Event PersistentVolumeClaim Pod Secret Service ServiceAccount DaemonSet Deployment
            StatefulSet Job Ingress NetworkPolicy Role RoleBinding;
        Cluster: Namespace Node PersistentVolume ClusterRole ClusterRoleBinding IngressClass StorageClass
            CustomResourceDefinition MutatingWebhookConfiguration ValidatingWebhookConfiguration;
    }
    None
}

/// Discovered kinds by apiVersion. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Kinds(Arc<Mutex<HashMap<String, SharedKinds>>>);

impl Kinds {
    /// The resource of a kind; `None` while the API server does not serve it.
    pub(super) async fn find(
        &self,
        client: &kube::Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, kube::Error> {
        if let Some(known) = built_in(api_version, kind) {
            return Ok(Some(known));
        }
        let called = Instant::now();
        let kinds = self.of(api_version);
        if let Some(known) = kinds.read().await.known.get(kind) {
            return Ok(Some(known.clone()));
        }
        // Held during the request: others that need the same group version wait for its answer.
        let mut kinds = kinds.write().await;
        if let Some(known) = kinds.known.get(kind) {
            return Ok(Some(known.clone()));
        }
        if kinds.asked.is_some_and(|asked| asked >= called) {
            return Ok(None);
        }
        let (asked, (group, version)) = (Instant::now(), api_version.split_once('/').unwrap_or(("", api_version)));
        match pinned_group(client, &GroupVersion::gv(group, version)).await {
            Ok(found) => {
                let served = found.versioned_resources(version).into_iter();
                kinds.known =
                    served.map(|(resource, about)| (resource.kind.clone(), (resource, about.scope))).collect();
            }
            Err(kube::Error::Discovery(_)) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
        kinds.asked = Some(asked);
        Ok(kinds.known.get(kind).cloned())
    }

    fn of(&self, api_version: &str) -> SharedKinds {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry(api_version.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_kinds_of_a_group_version_are_discovered_by_one_request() {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(request.uri().path(), "/apis/example.com/v1");
                let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get"]});
                let resources =
                    [resource("shops", "Shop"), resource("shops/scale", "Scale"), resource("carts", "Cart")];
                let list = json!({"groupVersion": "example.com/v1", "resources": resources});
                http::Response::builder().body(kube::client::Body::from(list.to_string().into_bytes()))
            }
        });
        let (client, kinds) = (kube::Client::new(service, "m"), Kinds::default());
        let find = async |kind: &str| kinds.find(&client, "example.com/v1", kind).await.unwrap();
        let (shop, cart) = futures::join!(find("Shop"), find("Cart"));
        assert_eq!(shop.unwrap().0.plural, "shops");
        assert_eq!(cart.unwrap().0.plural, "carts");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        assert!(find("Scale").await.is_none(), "a subresource");
        assert_eq!(requests.load(Ordering::SeqCst), 2, "a CRD may have been created");
        let known = kinds.find(&client, "networking.k8s.io/v1", "NetworkPolicy").await.unwrap().unwrap();
        assert_eq!((known.0.plural.as_str(), known.1), ("networkpolicies", Scope::Namespaced));
        let known = kinds.find(&client, "v1", "Namespace").await.unwrap().unwrap();
        assert_eq!((known.0.plural.as_str(), known.1), ("namespaces", Scope::Cluster));
        assert_eq!(requests.load(Ordering::SeqCst), 2, "a kind of Kubernetes is not discovered");
    }

    #[tokio::test]
    async fn calls_that_wait_at_the_same_time_share_the_answer_that_a_kind_is_unknown() {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::task::yield_now().await;
                let list = json!({"groupVersion": "example.com/v1", "resources": []});
                http::Response::builder().body(kube::client::Body::from(list.to_string().into_bytes()))
            }
        });
        let (client, kinds) = (kube::Client::new(service, "m"), Kinds::default());
        let find = async || kinds.find(&client, "example.com/v1", "Thing").await.unwrap();
        let found = futures::future::join_all((0..16).map(|_| find())).await;
        assert!(found.iter().all(Option::is_none));
        assert!(requests.load(Ordering::SeqCst) <= 2, "{requests:?}");
        let before = requests.load(Ordering::SeqCst);
        assert!(find().await.is_none());
        assert_eq!(requests.load(Ordering::SeqCst), before + 1, "a CRD may have been created");
    }
}
