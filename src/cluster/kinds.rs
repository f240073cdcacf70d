//! The resource of a kind. One request discovers every kind of a group version; an unknown kind is discovered again each
//! time: CRDs are created during a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::{ApiResource, GroupVersion};
use kube::discovery::{Scope, pinned_group};
use tokio::sync::RwLock;

/// The kinds of a group version that are known so far.
type GroupKinds = Arc<RwLock<HashMap<String, (ApiResource, Scope)>>>;

/// Discovered kinds by apiVersion. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Kinds(Arc<Mutex<HashMap<String, GroupKinds>>>);

impl Kinds {
    /// The resource of a kind; `None` while the API server does not serve it.
    pub(super) async fn find(
        &self,
        client: &kube::Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, kube::Error> {
        let kinds = self.of(api_version);
        if let Some(known) = kinds.read().await.get(kind) {
            return Ok(Some(known.clone()));
        }
        // Held during the request: others that need the same group version wait for its answer.
        let mut kinds = kinds.write().await;
        if let Some(known) = kinds.get(kind) {
            return Ok(Some(known.clone()));
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        match pinned_group(client, &GroupVersion::gv(group, version)).await {
            Ok(found) => {
                let served = found.versioned_resources(version).into_iter();
                *kinds = served.map(|(resource, about)| (resource.kind.clone(), (resource, about.scope))).collect();
                Ok(kinds.get(kind).cloned())
            }
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(&self, api_version: &str) -> GroupKinds {
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
                assert_eq!(request.uri().path(), "/apis/apps/v1");
                let resource = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get"]});
                let resources = [
                    resource("deployments", "Deployment"),
                    resource("deployments/scale", "Scale"),
                    resource("daemonsets", "DaemonSet"),
                ];
                let list = json!({"groupVersion": "apps/v1", "resources": resources});
                http::Response::builder().body(kube::client::Body::from(list.to_string().into_bytes()))
            }
        });
        let (client, kinds) = (kube::Client::new(service, "m"), Kinds::default());
        let find = async |kind: &str| kinds.find(&client, "apps/v1", kind).await.unwrap();
        let (deployment, set) = futures::join!(find("Deployment"), find("DaemonSet"));
        assert_eq!(deployment.unwrap().0.plural, "deployments");
        assert_eq!(set.unwrap().0.plural, "daemonsets");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        assert!(find("Scale").await.is_none(), "a subresource");
        assert_eq!(requests.load(Ordering::SeqCst), 2, "a CRD may have been created");
    }
}
