//! A step as the plan has it: what, from which version, why, and what it will do.

use serde::{Deserialize, Serialize};

/// A step as the plan has it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
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
    /// Chart version that will stand after the step; for a removal the one that stands.
    pub chart_version: String,
    /// Chart version that stands now; `None`: no release stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from_version: Option<String>,
    /// What will be done.
    pub action: ActionKind,
    /// Why, one line.
    pub reason: String,
    /// What it will do beyond the release, as far as that can be told before.
    #[serde(skip_serializing_if = "Effects::is_empty", default)]
    pub effects: Effects,
    /// Seconds the same step took in the last run that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usual_seconds: Option<u64>,
}

/// What a step will do, predicted from what stands and what was rendered. Every entry is a sentence fragment that
/// begins with what it speaks of, e.g. `Deployment oauth2-proxy`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Effects {
    /// Objects that will be made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Objects that will be changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Objects that will be deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Workloads whose pods will be replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    /// CRDs that will be made or changed, with their versions where they have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crds: Vec<String>,
    /// Objects that must be re-created because a field of theirs cannot be changed; pods and data stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recreated: Vec<String>,
    /// Claims that will grow, `storage-loki-0 50Gi -> 100Gi`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<String>,
    /// Images that will run and do not yet, `docker.io/grafana/loki 3.5.7 -> 3.6.7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

impl Effects {
    /// Whether nothing is predicted.
    pub fn is_empty(&self) -> bool {
        *self == Effects::default()
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// No release stands; it is installed.
    Install,
    /// The release stands with other values or another version.
    Upgrade,
    /// The release is pending, failed, or lacks objects.
    Repair,
    /// Nothing to do; no helm is run.
    Unchanged,
    /// The release stands and is not wanted.
    Remove,
}

/// What became of a release after its step failed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Rollback {
    /// It is back at its last healthy revision, and ready.
    Done {
        /// The revision whose content it has again.
        revision: u32,
        /// Its chart version.
        chart_version: String,
    },
    /// It is back, but not ready.
    NotReady {
        /// The revision whose content it has again.
        revision: u32,
        /// What it waits for.
        why: String,
    },
    /// helm could not take it back.
    Failed {
        /// The revision that was asked for.
        revision: u32,
        /// helm's words.
        why: String,
    },
    /// It was left as it is, since going back would not bring back what was.
    Unsafe {
        /// Why.
        why: String,
    },
}
