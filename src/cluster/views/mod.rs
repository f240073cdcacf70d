//! Partial Kubernetes objects: the fields that readiness and diagnosis read. serde skips every other field while it
//! parses, so a rule that reads a field which the watches do not keep does not compile. An absent field and `null`
//! are the default of the field's type.

macro_rules! views {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(in crate::cluster) struct $name {$(
            $(#[$field_meta])*
            #[serde(deserialize_with = "crate::cluster::views::or_default")]
            pub(in crate::cluster) $field: $type,
        )*}
    )*};
}

mod metadata;
mod object;
mod pod;
mod read;
mod surroundings;
mod workloads;

use serde::{Deserialize, Deserializer};

pub(in crate::cluster) use metadata::{Annotations, Condition, Conditions, Metadata};
use object::objects;
pub(in crate::cluster) use object::{Object, Stored, View, by_kind, each_kind, match_kind};
pub(in crate::cluster) use pod::{ContainerStatus, Pod, SANDBOX_FAILED, Terminated};
pub(in crate::cluster) use read::{PAGE, ReadAs};
pub(in crate::cluster) use surroundings::{
    ApiService, CustomResourceDefinition, EndpointSlice, Event, Ingress, Namespace, Node, OperatorResource,
    PersistentVolumeClaim, Service, StorageClass, WebhookConfiguration,
};
pub(in crate::cluster) use workloads::{DaemonSet, Deployment, Job, StatefulSet};

/// The API server and operators write `null` for times and lists that are not set.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_is_the_default_of_a_field() {
        let event = json!({"metadata": {"name": "e", "creationTimestamp": null, "ownerReferences": null},
            "eventTime": null, "series": null, "count": null, "lastTimestamp": "2026-01-01T00:00:00Z"});
        let event: Event = serde_json::from_value(event).unwrap();
        assert_eq!(event.last_seen(), "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(event.times(), 1);
    }

    #[test]
    fn an_object_has_the_view_of_its_kind() {
        for kind in ["Pod", "ValidatingWebhookConfiguration", "Prometheus"] {
            let object = Object::from_json(json!({"kind": kind, "metadata": {"name": "x"}}));
            assert_eq!((object.kind(), object.metadata().name.as_str()), (kind, "x"));
        }
        let pod = Object::from_json(json!({"kind": "Pod", "metadata": {"name": "x"}, "status": {"phase": "Failed"}}));
        assert_eq!(Pod::of(&pod).map(|pod| pod.status.phase.as_str()), Some("Failed"));
        assert!(Job::of(&pod).is_none());
    }
}
