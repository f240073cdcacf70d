//! Reads objects of any kind.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Resource;
use kube::api::{Api, ListParams, ObjectMeta};
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, TypeMeta};
use kube::discovery::Scope;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, ObjectRef, metadata};
use crate::config::{INGRESS_CLASS, Secret};
use crate::stack::{ALERTS_SECRET, SecretData};

/// Objects per page: the metadata of a thousand nodes alone are megabytes.
pub(super) const PAGE: u32 = 250;

/// Namespace of a release's object: its own, else the release's.
pub fn namespace_of<'a>(object: &'a Value, release: &'a str) -> &'a str {
    let named = object.pointer("/metadata/namespace").and_then(Value::as_str);
    named.filter(|name| !name.is_empty()).unwrap_or(release)
}

impl ObjectRef {
    /// The reference of an object.
    pub fn of(object: &Value) -> ObjectRef {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        ObjectRef {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
            name: text("/metadata/name"),
        }
    }

    /// The reference of a namespace.
    pub fn of_namespace(name: &str) -> ObjectRef {
        ObjectRef { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: name.to_owned() }
    }
}

impl Cluster {
    /// The resource of a kind; `None` while the API server does not serve it.
    pub(super) async fn kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, ClusterError> {
        let found = self.kinds.find(&self.client, api_version, kind).await;
        found.map_err(|error| ClusterError::from_kube(&format!("cannot discover kind {kind}"), error))
    }

    /// Whether the objects of a kind (apiVersion, kind) have a namespace; `None`: the API server does not serve it.
    pub async fn is_namespaced(&self, (api_version, kind): (&str, &str)) -> Result<Option<bool>, ClusterError> {
        Ok(self.kind(api_version, kind).await?.map(|(_, scope)| scope == Scope::Namespaced))
    }

    pub(super) async fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Option<Api<DynamicObject>>, ClusterError> {
        self.api_as(api_version, kind, namespace).await
    }

    /// API of a kind, with objects of type `K`; `None` while the API server does not serve the kind.
    pub(super) async fn api_as<K>(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Option<Api<K>>, ClusterError>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let Some((resource, scope)) = self.kind(api_version, kind).await? else { return Ok(None) };
        Ok(Some(match (scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        }))
    }

    /// One object; `None` if it does not exist or its kind is not served.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let Some(api) = self.api(&object.api_version, &object.kind, object.namespace.as_deref()).await? else {
            return Ok(None);
        };
        let found = api.get_opt(&object.name).await;
        let found = found
            .map_err(|error| ClusterError::from_kube(&format!("cannot read {} {}", object.kind, object.name), error))?;
        Ok(found.map(|object| serde_json::to_value(object).unwrap_or_default()))
    }

    /// Objects of a kind; `namespace` None: all. Empty if the kind is not served.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<Value>, ClusterError> {
        self.select((api_version, kind), namespace, labels, |_| true).await
    }

    /// Objects of a kind that a condition selects; the others of each page are dropped at once.
    pub async fn select(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
        labels: Option<&str>,
        is_selected: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, ClusterError> {
        let Some(api) = self.api(api_version, kind, namespace).await? else { return Ok(Vec::new()) };
        let labels = labels.map(str::to_owned);
        let parameters = ListParams { label_selector: labels, ..ListParams::default().limit(PAGE) };
        let mut selected = Vec::new();
        let keep = |object| {
            let object = whole(object, api_version, kind);
            if is_selected(&object) {
                selected.push(object);
            }
        };
        self.pages(&api, kind, parameters, keep).await?;
        Ok(selected)
    }

    /// Reads a list page by page; each object of a page is passed on before the next page is requested.
    pub(super) async fn pages(
        &self,
        api: &Api<DynamicObject>,
        kind: &str,
        mut parameters: ListParams,
        mut pass_on: impl FnMut(DynamicObject),
    ) -> Result<(), ClusterError> {
        loop {
            let page = api.list(&parameters).await;
            let page = page.map_err(|error| ClusterError::from_kube(&format!("cannot list {kind} objects"), error))?;
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            page.items.into_iter().for_each(&mut pass_on);
            if parameters.continue_token.is_none() {
                return Ok(());
            }
        }
    }

    /// Names of the objects of a kind, by metadata only.
    pub async fn names(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<BTreeSet<String>, ClusterError> {
        let found = self.metadata((api_version, kind), namespace, None).await?;
        Ok(found.into_iter().filter_map(|metadata| metadata.name).collect())
    }

    /// The namespaces with objects of a kind that have the labels, by metadata only.
    pub async fn namespaces_with(&self, kind: (&str, &str), labels: &str) -> Result<BTreeSet<String>, ClusterError> {
        let found = self.metadata(kind, None, Some(labels)).await?;
        Ok(found.into_iter().filter_map(|metadata| metadata.namespace).collect())
    }

    /// Annotations of every object of a kind, by name.
    pub async fn annotations(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, ClusterError> {
        let found = self.metadata((api_version, kind), None, None).await?;
        let named =
            found.into_iter().filter_map(|metadata| Some((metadata.name?, metadata.annotations.unwrap_or_default())));
        Ok(named.collect())
    }

    /// Metadata of the objects of a kind (apiVersion, kind), optionally with a label selector.
    pub(super) async fn metadata(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<ObjectMeta>, ClusterError> {
        let Some(api) = self.api(api_version, kind, namespace).await? else { return Ok(Vec::new()) };
        let found = metadata::metadata(&api, labels).await;
        found.map_err(|error| ClusterError::from_kube(&format!("cannot list {kind} objects"), error))
    }

    /// A Secret's data, decoded; `None` if it does not exist.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, ClusterError> {
        let reference = ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        };
        Ok(self.get(&reference).await?.as_ref().map(data_of))
    }

    /// The data of those of the Secrets that exist, decoded, by name.
    pub async fn secrets<'a>(
        &self,
        namespace: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, SecretData>, ClusterError> {
        let names = names.into_iter().collect();
        let found = self.find_labelled(("v1", "Secret"), Some(namespace), &names, &[ALERTS_SECRET]).await?;
        let found = found.unwrap_or_default();
        Ok(found.iter().map(|secret| (ObjectRef::of(secret).name, data_of(secret))).collect())
    }

    /// Names of the IngressClasses of Tailscale operators, and of one that only has the usual name.
    pub async fn tailscale_classes(&self) -> Result<Vec<String>, ClusterError> {
        let classes = self.list("networking.k8s.io/v1", "IngressClass", None, None).await?;
        let mut names: Vec<String> =
            classes.iter().filter(|class| is_tailscale(class)).map(|class| ObjectRef::of(class).name).collect();
        names.sort();
        Ok(names)
    }

    /// Names of the StorageClasses, and whether each is marked as default. As Kubernetes chooses among several defaults,
    /// the first one is used: the newest, and of the same age the first by name (kubernetes
    /// pkg/volume/util/storageclass.go, GetDefaultClass).
    pub async fn storage_classes(&self) -> Result<Vec<(String, bool)>, ClusterError> {
        Ok(by_precedence(&self.list("storage.k8s.io/v1", "StorageClass", None, None).await?))
    }
}

/// The controller is that of the operator (tailscale 1.102.3, cmd/k8s-operator/deploy/chart/templates/ingressclass.yaml).
fn is_tailscale(class: &Value) -> bool {
    let controller = class.pointer("/spec/controller").and_then(Value::as_str);
    controller == Some("tailscale.com/ts-ingress") || ObjectRef::of(class).name == INGRESS_CLASS
}

/// The default of StorageClasses in their order of precedence.
pub fn default_class(classes: &[(String, bool)]) -> Option<&str> {
    classes.iter().find(|(_, is_default)| *is_default).map(|(name, _)| name.as_str())
}

pub(super) fn by_precedence(classes: &[Value]) -> Vec<(String, bool)> {
    let mut classes: Vec<&Value> = classes.iter().collect();
    let created = |class: &Value| -> Option<jiff::Timestamp> {
        class.pointer("/metadata/creationTimestamp").and_then(Value::as_str)?.parse().ok()
    };
    classes.sort_by_cached_key(|class| (std::cmp::Reverse(created(class)), ObjectRef::of(class).name));
    classes
        .iter()
        .map(|class| (ObjectRef::of(class).name, DEFAULT_CLASS.iter().any(|key| is_marked(class, key))))
        .collect()
}

/// Annotations of the default class; Kubernetes still reads the beta one.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

fn is_marked(class: &Value, key: &str) -> bool {
    class.pointer("/metadata/annotations").and_then(|all| all.get(key)) == Some(&Value::from("true"))
}

/// The decoded data of a Secret.
pub fn data_of(secret: &Value) -> SecretData {
    let data = secret.get("data").and_then(Value::as_object).into_iter().flatten();
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    data.map(|(key, value)| (key.clone(), Secret::new(decode(value)))).collect()
}

/// Adds the kind: items of a list have none.
pub(super) fn whole(mut object: DynamicObject, api_version: &str, kind: &str) -> Value {
    object.types.get_or_insert_with(|| TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() });
    serde_json::to_value(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_default_class_is_first() {
        let class = |name: &str, created: &str, key: &str| json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {key: "true"}}});
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let classes = vec![
            class("a", old, DEFAULT_CLASS[0]),
            class("c", new, DEFAULT_CLASS[1]),
            class("b", new, DEFAULT_CLASS[0]),
            class("d", new, "other"),
        ];
        let found = by_precedence(&classes);
        let found: Vec<(&str, bool)> = found.iter().map(|(name, default)| (name.as_str(), *default)).collect();
        assert_eq!(found, [("b", true), ("c", true), ("d", false), ("a", true)]);
    }
}
