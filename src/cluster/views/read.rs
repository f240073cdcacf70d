//! Reads objects as their views. A large cluster has many objects: what a view does not have is never built in memory,
//! not even while a page of a list is read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::{Deserialize, Deserializer};

use crate::cluster::views::{Object, View, by_kind};
use crate::cluster::{Cluster, ClusterError, ObjectRef};

/// Objects per page of a list.
pub(in crate::cluster) const PAGE: u32 = 250;

/// A view as kube's client reads it.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct ReadAs<V> {
    /// Has only the resource version, from which a watch continues.
    metadata: ObjectMeta,
    pub(in crate::cluster) view: V,
}

impl<'de, V: View> Deserialize<'de> for ReadAs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReadAs<V>, D::Error> {
        let view = V::deserialize(deserializer)?;
        let resource_version = Some(view.metadata().resource_version.clone()).filter(|version| !version.is_empty());
        Ok(ReadAs { metadata: ObjectMeta { resource_version, ..ObjectMeta::default() }, view })
    }
}

impl Cluster {
    /// Objects of a kind, in pages; an unknown kind is an empty list.
    pub(in crate::cluster) async fn views<V: View>(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<V>, ClusterError> {
        let Some(api) = self.api_as::<ReadAs<V>>(api_version, kind, namespace).await? else {
            return Ok(Vec::new());
        };
        let mut parameters = parameters.clone().limit(PAGE);
        let mut views = Vec::new();
        loop {
            let page = api.list(&parameters).await;
            let page = page.map_err(|error| ClusterError::from_kube(&format!("cannot list {kind} objects"), error))?;
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            views.extend(page.items.into_iter().map(|object| object.view));
            if parameters.continue_token.is_none() {
                return Ok(views);
            }
        }
    }

    /// Objects of a kind as the cache keeps them.
    pub(in crate::cluster) async fn objects(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<Object>, ClusterError> {
        by_kind!(kind, V => {
            let views = self.views::<V>(api_version, kind, namespace, parameters).await?;
            let with_kind = |mut view: V| {
                view.set_kind(kind);
                view.into()
            };
            Ok(views.into_iter().map(with_kind).collect())
        })
    }

    /// One object; `None` if it does not exist or its kind is not served.
    pub(in crate::cluster) async fn view<V: View>(&self, object: &ObjectRef) -> Result<Option<V>, ClusterError> {
        let ObjectRef { api_version, kind, namespace, name } = object;
        let Some(api) = self.api_as::<ReadAs<V>>(api_version, kind, namespace.as_deref()).await? else {
            return Ok(None);
        };
        let found = api.get_opt(name).await;
        let found = found.map_err(|error| ClusterError::from_kube(&format!("cannot read {kind} {name}"), error))?;
        Ok(found.map(|object| object.view))
    }
}

impl<V: View> Resource for ReadAs<V> {
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
