//! Objects that a verification creates temporarily or by dry run.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, LogParams, PostParams};
use serde_json::Value;

use crate::cluster::views::Pod as PodView;
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};

/// Size limit of a probe's log.
const LOG_BYTES: i64 = 16 * 1024;

impl Cluster {
    /// Creates an object.
    pub async fn create(&self, object: &Value) -> Result<(), ClusterError> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        self.post(object, &parameters).await
    }

    /// Whether the API server would create an object, with admission (a server-side dry run).
    pub async fn would_create(&self, object: &Value) -> Result<(), ClusterError> {
        self.post(object, &PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.into()) }).await
    }

    async fn post(&self, object: &Value, parameters: &PostParams) -> Result<(), ClusterError> {
        let reference = ObjectRef::of(object);
        let what = format!("cannot create {} {}", reference.kind, reference.name);
        let rejected = |message: String| ClusterError::Rejected { what: what.clone(), message };
        let api = self.api(&reference.api_version, &reference.kind, reference.namespace.as_deref()).await?;
        let api = api.ok_or_else(|| rejected("the API server does not serve this kind".into()))?;
        let object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|error| rejected(error.to_string()))?;
        api.create(parameters, &object).await.map(drop).map_err(|error| ClusterError::from_kube(&what, error))
    }

    /// The log of a pod with one container; empty until it has started.
    pub async fn log_of(&self, namespace: &str, pod: &str) -> Result<String, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        match api.logs(pod, &LogParams { limit_bytes: Some(LOG_BYTES), ..LogParams::default() }).await {
            Ok(text) => Ok(text),
            // 400: its container has not started; 404: the pod was deleted.
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Ok(String::new()),
            Err(error) => Err(ClusterError::from_kube(&format!("cannot read the log of pod {pod}"), error)),
        }
    }
}

impl Cluster {
    /// Names of the ready pods with some labels.
    pub async fn ready_pods(&self, namespace: &str, labels: &str) -> Result<Vec<String>, ClusterError> {
        let labelled = ListParams::default().labels(labels);
        let pods = self.views::<PodView>("v1", "Pod", Some(namespace), &labelled).await?;
        let ready = pods.into_iter().filter(|pod| pod.is_ready() && pod.is_expected());
        Ok(ready.map(|pod| pod.metadata.name).collect())
    }

    /// The first pod with some labels on a node, by name.
    pub async fn pod_on(&self, node: &str, (namespace, labels): (&str, &str)) -> Result<Option<String>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let on_node = ListParams::default().labels(labels).fields(&format!("spec.nodeName={node}")).limit(1);
        let page = api.list_metadata(&on_node).await;
        let page = page.map_err(|error| ClusterError::from_kube("cannot list Pod objects", error))?;
        Ok(page.items.into_iter().find_map(|pod| pod.metadata.name))
    }
}
