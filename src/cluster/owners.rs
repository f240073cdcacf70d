//! To whom an object belongs, as far as its metadata tells.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};

/// An object that stands, by its metadata alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub object: ObjectRef,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Who set fields of it, its status aside.
    pub managers: Vec<String>,
}

impl Held {
    /// (name, namespace) of the helm release that it says to be of.
    pub fn release(&self) -> Option<(&str, &str)> {
        let mark = |key: &str| self.annotations.get(key).map(String::as_str);
        Some((mark("meta.helm.sh/release-name")?, mark("meta.helm.sh/release-namespace")?))
    }

    /// Whether helm takes it for a part of this release, (name, namespace): both annotations and the label are right
    /// (helm pkg/action/validate.go, checkOwnership).
    pub fn is_part_of(&self, release: (&str, &str)) -> bool {
        let managed = self.labels.get("app.kubernetes.io/managed-by").is_some_and(|manager| manager == "Helm");
        managed && self.release() == Some(release)
    }

    /// Whether it was applied with our field manager.
    pub fn is_applied_by_us(&self) -> bool {
        self.managers.iter().any(|manager| manager == FIELD_MANAGER)
    }

    /// `release prom in namespace metrics`, or `field manager kubectl-create`.
    pub fn owner(&self) -> String {
        match (self.release(), self.managers.as_slice()) {
            (Some((name, namespace)), _) => format!("release {name} in namespace {namespace}"),
            (None, []) => "an unknown owner".into(),
            (None, managers) => format!("field manager {}", managers.join(", ")),
        }
    }
}

impl Cluster {
    /// The objects of a kind; `namespace` None: all. An unknown kind is an empty list.
    pub async fn held(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
    ) -> Result<Vec<Held>, ClusterError> {
        let found = self.metadata((api_version, kind), namespace, None).await?;
        let held = found.into_iter().filter_map(|metadata| {
            let fields = metadata.managed_fields.unwrap_or_default();
            let fields = fields.into_iter().filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
            let mut managers: Vec<String> = fields.filter_map(|entry| entry.manager).collect();
            managers.sort();
            managers.dedup();
            let object = ObjectRef {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: metadata.namespace,
                name: metadata.name?,
            };
            let (labels, annotations) = (metadata.labels.unwrap_or_default(), metadata.annotations.unwrap_or_default());
            Some(Held { object, labels, annotations, managers })
        });
        Ok(held.collect())
    }
}
