//! The namespaces of the planned objects, read once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::trial::Trial;
use crate::cluster::{Cluster, ClusterError, Labels, ObjectRef};

/// Label that the API server sets on every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

/// Each namespace with its labels.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Labels of those that exist; `None`: it does not exist yet.
    live: BTreeMap<String, Option<Labels>>,
    /// Labels that the plan sets.
    planned: BTreeMap<String, Labels>,
}

pub(super) async fn read(cluster: &Cluster, trials: &[Trial<'_>]) -> Result<Namespaces, ClusterError> {
    let names: BTreeSet<&str> = trials.iter().map(Trial::namespace).filter(|name| !name.is_empty()).collect();
    let read = names.into_iter().map(async |name| {
        let live = cluster.get(&ObjectRef::of_namespace(name)).await?;
        Ok::<_, ClusterError>((name.to_owned(), live.as_ref().map(labels_of)))
    });
    let live = futures::future::try_join_all(read).await?.into_iter().collect();
    let planned = trials.iter().map(Trial::manifest).filter(|object| object["kind"] == "Namespace");
    Ok(Namespaces { live, planned: planned.map(|object| (name_of(object).to_owned(), labels_of(object))).collect() })
}

impl Namespaces {
    /// Those that do not exist yet.
    pub(super) fn missing(&self) -> BTreeSet<String> {
        self.live.iter().filter(|(_, labels)| labels.is_none()).map(|(name, _)| name.clone()).collect()
    }

    /// The labels of a namespace once the plan has changed it.
    pub(super) fn labels(&self, name: &str) -> Labels {
        let mut labels = self.live.get(name).cloned().flatten().unwrap_or_default();
        labels.extend(self.planned.get(name).cloned().unwrap_or_default());
        labels.insert(NAME.to_owned(), name.to_owned());
        labels
    }
}

/// The labels of an object.
pub(super) fn labels_of(object: &Value) -> Labels {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
