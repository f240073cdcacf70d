//! Tools that reconcile objects with a repository, by the marks that they leave on them.

use std::fmt;

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, permitted};

/// The object of such a tool that has others as its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciler {
    tool: &'static str,
    api_version: &'static str,
    kind: &'static str,
    /// `None`: not known.
    namespace: Option<String>,
    name: String,
}

impl fmt::Display for Reconciler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} of {}", self.kind, self.name, self.tool)
    }
}

/// Labels of Flux, each with its suffixes `/name` and `/namespace` (fluxcd.io, helm-controller and kustomize-controller).
const FLUX: [(&str, &str, &str); 2] = [
    ("helm.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    ("kustomize.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
];
/// Annotation and label of Argo CD: `APP:GROUP/KIND:NAMESPACE/NAME` and `APP`; an Application outside of Argo CD's own
/// namespace is `NAMESPACE_APP` (argo-cd, docs/user-guide/resource_tracking.md).
const ARGOCD: [&str; 2] = ["argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"];

impl Reconciler {
    /// What reconciles an object, by its labels and annotations, which outlive that object.
    pub fn of(object: &Value) -> Option<Reconciler> {
        let text = |field: &str, key: &str| object["metadata"][field][key].as_str().unwrap_or_default();
        let of_flux = FLUX.into_iter().find_map(|(group, api_version, kind)| {
            let [name, namespace] =
                ["name", "namespace"].map(|key| text("labels", &format!("{group}/{key}")).to_owned());
            let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
            (!name.is_empty()).then_some(Reconciler { tool: "Flux", api_version, kind, namespace, name })
        });
        of_flux.or_else(|| {
            let mark = [text("annotations", ARGOCD[0]), text("labels", ARGOCD[1])]
                .into_iter()
                .find(|mark| !mark.is_empty())?;
            let application = mark.split(':').next().unwrap_or_default();
            let (namespace, name) = match application.split_once('_') {
                Some((namespace, name)) => (Some(namespace.to_owned()), name),
                None => (None, application),
            };
            let (api_version, name) = ("argoproj.io/v1alpha1", name.to_owned());
            Some(Reconciler { tool: "Argo CD", api_version, kind: "Application", namespace, name })
        })
    }
}

impl Cluster {
    /// Whether that object exists; also without the permission to read it.
    pub async fn reconciles(&self, reconciler: &Reconciler) -> Result<bool, ClusterError> {
        let Reconciler { api_version, kind, namespace, name, .. } = reconciler;
        let found = permitted(self.partial_objects(api_version, kind, namespace.as_deref()).await)?;
        Ok(found.is_none_or(|found| found.iter().any(|object| object.name() == name)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reconciler_is_read_from_its_marks() {
        let of = |more: Value| Reconciler::of(&json!({"metadata": more})).map(|found| found.to_string());
        let flux = json!({"labels": {"helm.toolkit.fluxcd.io/name": "loki", "helm.toolkit.fluxcd.io/namespace": "m"}});
        assert_eq!(of(flux).as_deref(), Some("HelmRelease loki of Flux"));
        let kustomization = json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}});
        assert_eq!(of(kustomization).as_deref(), Some("Kustomization apps of Flux"));
        for mark in ["loki:apps/StatefulSet:m/loki", "argocd_loki:apps/StatefulSet:m/loki"] {
            let argocd = json!({"annotations": {"argocd.argoproj.io/tracking-id": mark}});
            assert_eq!(of(argocd).as_deref(), Some("Application loki of Argo CD"), "{mark}");
        }
        let by_label = json!({"labels": {"argocd.argoproj.io/instance": "loki"}});
        assert_eq!(of(by_label).as_deref(), Some("Application loki of Argo CD"));
        assert_eq!(of(json!({"labels": {"app.kubernetes.io/instance": "loki"}})), None);
    }
}
