//! A planned step: action, versions, reason and effects.

use serde::{Deserialize, Serialize};

/// A planned step.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Component name = release name.
    pub component: String,
    /// Wave number.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// Chart name.
    pub chart: String,
    /// Chart version after the step; for a removal the installed one.
    pub chart_version: String,
    /// Installed chart version; `None`: no release is installed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from_version: Option<String>,
    /// The action.
    pub action: ActionKind,
    /// The reason, one line.
    pub reason: String,
    /// Predicted changes beyond the release.
    #[serde(skip_serializing_if = "Effects::is_empty", default)]
    pub effects: Effects,
    /// Usual duration of the step, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usual_seconds: Option<u64>,
}

/// Effects of a step, predicted from the installed and the rendered manifest. Every entry begins with kind and name,
/// e.g. `Deployment oauth2-proxy`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Effects {
    /// Objects that will be created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Objects that will be changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Objects that will be deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Workloads with pods that will be replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    /// CRDs that will be created or changed, with their versions if known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crds: Vec<String>,
    /// Objects that must be re-created because a field is immutable; pods and data are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recreated: Vec<String>,
    /// Claims that will be expanded, `storage-loki-0 50Gi -> 100Gi`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<String>,
    /// Images that will change, `docker.io/grafana/loki 3.5.7 -> 3.6.7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

impl Effects {
    /// Whether nothing is predicted.
    pub fn is_empty(&self) -> bool {
        *self == Effects::default()
    }
}

/// Action of a step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// No release is installed.
    Install,
    /// The release has other values or another version.
    Upgrade,
    /// The release is pending, failed, or lacks objects.
    Repair,
    /// Nothing to do; helm is not run.
    Unchanged,
    /// The release is installed and no longer in the plan.
    Remove,
}

/// Rollback of a release after its step failed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Rollback {
    /// The last healthy revision is restored and ready.
    Done {
        /// The restored revision.
        revision: u32,
        /// Its chart version.
        chart_version: String,
    },
    /// The revision is restored, but not ready.
    NotReady {
        /// The restored revision.
        revision: u32,
        /// What it waits for.
        why: String,
    },
    /// helm's rollback failed.
    Failed {
        /// The requested revision.
        revision: u32,
        /// helm's error.
        why: String,
    },
    /// Not rolled back: the rollback would not restore the previous state.
    Unsafe {
        /// The reason.
        why: String,
    },
}
