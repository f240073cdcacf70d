//! Releases as helm lists them.

use crate::helm::helm_errors::STATES;
use crate::known_errors::KnownError;
use crate::stack::CatalogueEntry;

/// A release as `helm list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseInfo {
    /// Release name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Current revision.
    pub revision: u32,
    /// Status of the current revision.
    pub status: ReleaseStatus,
    /// Chart name.
    pub chart: String,
    /// Chart version.
    pub chart_version: semver::Version,
    /// App version, may be empty.
    pub app_version: String,
}

impl ReleaseInfo {
    /// Whether it is the release of a component.
    pub fn is_of(&self, row: &CatalogueEntry) -> bool {
        self.name == row.name && self.namespace == row.namespace
    }
}

/// Status of a release's current revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseStatus {
    /// Deployed.
    Deployed,
    /// Failed.
    Failed,
    /// A first install that has not ended.
    PendingInstall,
    /// An upgrade that has not ended.
    PendingUpgrade,
    /// A rollback that has not ended.
    PendingRollback,
    /// Uninstalling.
    Uninstalling,
    /// Any other status.
    Other,
}

impl ReleaseStatus {
    /// Of helm's name.
    pub fn of(text: &str) -> ReleaseStatus {
        match text {
            "deployed" => ReleaseStatus::Deployed,
            "failed" => ReleaseStatus::Failed,
            "pending-install" => ReleaseStatus::PendingInstall,
            "pending-upgrade" => ReleaseStatus::PendingUpgrade,
            "pending-rollback" => ReleaseStatus::PendingRollback,
            "uninstalling" => ReleaseStatus::Uninstalling,
            _ => ReleaseStatus::Other,
        }
    }

    /// Whether an operation has not ended.
    pub fn is_under_way(self) -> bool {
        match self {
            ReleaseStatus::PendingInstall
            | ReleaseStatus::PendingUpgrade
            | ReleaseStatus::PendingRollback
            | ReleaseStatus::Uninstalling => true,
            ReleaseStatus::Deployed | ReleaseStatus::Failed | ReleaseStatus::Other => false,
        }
    }

    /// helm's name of the status.
    pub fn words(self) -> &'static str {
        match self {
            ReleaseStatus::Deployed => "deployed",
            ReleaseStatus::Failed => "failed",
            ReleaseStatus::PendingInstall => "pending-install",
            ReleaseStatus::PendingUpgrade => "pending-upgrade",
            ReleaseStatus::PendingRollback => "pending-rollback",
            ReleaseStatus::Uninstalling => "uninstalling",
            ReleaseStatus::Other => "unknown",
        }
    }

    /// The known error of this state without a running operation; `None`: healthy.
    pub fn known_error(self) -> Option<&'static KnownError> {
        match self {
            ReleaseStatus::Failed => STATES.get(1),
            under_way if under_way.is_under_way() => STATES.first(),
            _ => None,
        }
    }
}
