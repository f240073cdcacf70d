//! One type for the views of all kinds, and the view that a kind is read as.

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use crate::cluster::views::*;

/// A partial object.
pub(in crate::cluster) trait View: Clone + Debug + DeserializeOwned + Send + Sync + 'static {
    fn metadata(&self) -> &Metadata;

    /// Sets the kind, which the items of a list do not have; only a view of several kinds keeps it.
    fn set_kind(&mut self, _kind: &str) {}
}

/// A view of one kind that the cache keeps.
pub(in crate::cluster) trait Stored: View {
    const KIND: &'static str;

    fn of(object: &Object) -> Option<&Self>;
}

/// Hands the kinds with a view of their own to another macro.
macro_rules! each_kind {
    ($then:ident $($arguments:tt)*) => {
        $crate::cluster::views::$then! { $($arguments)* [
            Pod, Deployment, StatefulSet, DaemonSet, Job, PersistentVolumeClaim, Event, Ingress, StorageClass, Service,
            CustomResourceDefinition
        ] }
    };
}

/// Evaluates an expression with a type name for the view of a kind.
macro_rules! by_kind {
    ($kind:expr, $view:ident => $body:expr) => {
        $crate::cluster::views::each_kind! { match_kind $kind, $view, $body; }
    };
}

macro_rules! match_kind {
    ($kind:expr, $view:ident, $body:expr; [$($name:ident),*]) => {
        match $kind {
            $(stringify!($name) => { type $view = $crate::cluster::views::$name; $body })*
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
                type $view = $crate::cluster::views::WebhookConfiguration;
                $body
            }
            _ => { type $view = $crate::cluster::views::OperatorResource; $body }
        }
    };
}

macro_rules! objects {
    ([$($name:ident),*]) => {
        /// An object of the cache.
        #[derive(Clone, Debug)]
        pub(in crate::cluster) enum Object {
            $($name($name),)*
            WebhookConfiguration(WebhookConfiguration),
            OperatorResource(OperatorResource),
        }

        impl Object {
            pub(in crate::cluster) fn metadata(&self) -> &Metadata {
                match self {
                    $(Object::$name(view) => &view.metadata,)*
                    Object::WebhookConfiguration(view) => &view.metadata,
                    Object::OperatorResource(view) => &view.metadata,
                }
            }

            pub(in crate::cluster) fn kind(&self) -> &str {
                match self {
                    $(Object::$name(_) => $name::KIND,)*
                    Object::WebhookConfiguration(view) => &view.kind,
                    Object::OperatorResource(view) => &view.kind,
                }
            }
        }

        $(
            impl View for $name {
                fn metadata(&self) -> &Metadata {
                    &self.metadata
                }
            }

            impl Stored for $name {
                const KIND: &'static str = stringify!($name);

                fn of(object: &Object) -> Option<&$name> {
                    match object {
                        Object::$name(view) => Some(view),
                        _ => None,
                    }
                }
            }

            impl From<$name> for Object {
                fn from(view: $name) -> Object {
                    Object::$name(view)
                }
            }
        )*
    };
}

macro_rules! view_of_several_kinds {
    ($name:ident) => {
        impl View for $name {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }

            fn set_kind(&mut self, kind: &str) {
                kind.clone_into(&mut self.kind);
            }
        }

        impl From<$name> for Object {
            fn from(view: $name) -> Object {
                Object::$name(view)
            }
        }
    };
}

pub(in crate::cluster) use {by_kind, each_kind, match_kind, objects};

each_kind!(objects);
view_of_several_kinds!(WebhookConfiguration);
view_of_several_kinds!(OperatorResource);

/// Views that the cache does not keep.
macro_rules! only_read {
    ($($name:ident),*) => {$(
        impl View for $name {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        }
    )*};
}

only_read!(Node, Namespace, ApiService, EndpointSlice);

#[cfg(any(test, feature = "benchmarks"))]
#[allow(clippy::unwrap_used)]
impl Object {
    /// From JSON that has its kind.
    pub(in crate::cluster) fn from_json(json: serde_json::Value) -> Object {
        let kind = json["kind"].as_str().unwrap().to_owned();
        by_kind!(kind.as_str(), V => serde_json::from_value::<V>(json).unwrap().into())
    }
}
