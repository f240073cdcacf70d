//! Objects without the parts that nobody here reads. A large cluster has many pods: what is skipped is never built
//! in memory, not even for the moment in which a page of a list is read.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, ClusterError};

/// Keys that no rule reads, at whatever depth they stand.
const SKIPPED: [&str; 33] = [
    "managedFields",
    "initContainers",
    "ephemeralContainers",
    "volumeClaimTemplates",
    "template",
    "volumeMounts",
    "resources",
    "allocatedResources",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "env",
    "securityContext",
    "imageID",
    "containerID",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "qosClass",
    "selector",
    "selfLink",
    "generateName",
    "dnsPolicy",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "enableServiceLinks",
    "preemptionPolicy",
    "nodeSelector",
    "restartPolicy",
    "kubectl.kubernetes.io/last-applied-configuration",
    "containers",
];

/// Labels and annotations that rules read; all others are dropped.
const MARKS: [&str; 9] = [
    "helm.sh/hook",
    "pod-template-hash",
    "app.kubernetes.io/name",
    "meta.helm.sh/release-name",
    "operator.prometheus.io/version",
    "storageclass.kubernetes.io/is-default-class",
    "volume.kubernetes.io/selected-node",
    "tailscale.com/parent-resource",
    "app",
];

/// An object as the watches keep it.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct PartialObject {
    metadata: ObjectMeta,
    /// What is kept of it.
    pub(in crate::cluster) value: Value,
}

impl<'de> Deserialize<'de> for PartialObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PartialObject, D::Error> {
        let Kept(mut value) = Kept::deserialize(deserializer)?;
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("/metadata/name"),
            namespace: text("/metadata/namespace"),
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            ..ObjectMeta::default()
        };
        for marks in ["/metadata/labels", "/metadata/annotations"] {
            if let Some(marks) = value.pointer_mut(marks).and_then(Value::as_object_mut) {
                marks.retain(|key, _| MARKS.contains(&key.as_str()));
            }
        }
        Ok(PartialObject { metadata, value })
    }
}

/// Objects per page of a list.
pub(in crate::cluster) const SLIM_PAGE: u32 = 250;

impl Cluster {
    /// Objects of a kind, in pages; an unknown kind is an empty list.
    pub(in crate::cluster) async fn slim_objects(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<PartialObject>, ClusterError> {
        let Some(api) = self.api_as::<PartialObject>(api_version, kind, namespace).await? else {
            return Ok(Vec::new());
        };
        let mut parameters = parameters.clone().limit(SLIM_PAGE);
        let mut objects = Vec::new();
        loop {
            let page = api.list(&parameters).await;
            let page = page.map_err(|error| ClusterError::from_kube(&format!("cannot list {kind} objects"), error))?;
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            objects.extend(page.items);
            if parameters.continue_token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// The same as JSON, each with its kind.
    pub(in crate::cluster) async fn list_slim(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<Value>, ClusterError> {
        let objects = self.slim_objects(api_version, kind, namespace, parameters).await?;
        let with_kind = |object: PartialObject| {
            let mut value = object.value;
            value["apiVersion"] = api_version.into();
            value["kind"] = kind.into();
            value
        };
        Ok(objects.into_iter().map(with_kind).collect())
    }
}

struct Kept(Value);

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        deserializer.deserialize_any(KeptVisitor).map(Kept)
    }
}

struct KeptVisitor;

impl<'de> Visitor<'de> for KeptVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if SKIPPED.contains(&key.as_str()) {
                entries.next_value::<IgnoredAny>()?;
            } else {
                let Kept(value) = entries.next_value()?;
                kept.insert(key, value);
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(Kept(element)) = elements.next_element()? {
            kept.push(element);
        }
        Ok(Value::Array(kept))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

impl Resource for PartialObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_reads_is_never_kept() {
        let pod = r#"{"metadata": {"name": "p", "resourceVersion": "7", "managedFields": [{}],
            "labels": {"pod-template-hash": "abc", "team": "x"}},
            "spec": {"containers": [{"name": "c"}], "nodeName": "n"}, "status": {"phase": "Pending", "n": 1.5}}"#;
        let slim: PartialObject = serde_json::from_str(pod).unwrap();
        assert_eq!(slim.meta().resource_version.as_deref(), Some("7"));
        let expected = serde_json::json!({"metadata": {"name": "p", "resourceVersion": "7",
            "labels": {"pod-template-hash": "abc"}},
            "spec": {"nodeName": "n"}, "status": {"phase": "Pending", "n": 1.5}});
        assert_eq!(slim.value, expected);
    }
}
