//! Objects of other owners that a plan takes over. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// An object that becomes part of a release of ours, or one of our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Component of the release that adopts it; `None` for CRDs and our own objects, which are applied before helm.
    pub component: Option<String>,
    /// For our own objects: its uid.
    pub uid: Option<String>,
    /// Kind and name, e.g. `Deployment loki`.
    pub object: String,
    /// Its owner until now.
    pub owner: String,
    /// Whether its pods are replaced.
    pub restarts: bool,
    /// For our own objects: fields that are removed, e.g. `spec.rules`.
    pub loses: Vec<String>,
}

/// (object, owner) of those that the release of a component takes over.
pub fn taken_by<'a>(takeovers: &'a [Takeover], component: &str) -> BTreeSet<(&'a str, &'a str)> {
    let taken = takeovers.iter().filter(|taken| taken.component.as_deref() == Some(component));
    taken.map(|taken| (taken.object.as_str(), taken.owner.as_str())).collect()
}

/// What is shown of them with the plan.
pub(super) fn notices(takeovers: &[Takeover]) -> Vec<String> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for taken in takeovers {
        owners.entry(&taken.owner).or_default().push(&taken.object);
    }
    let owners = owners.iter().map(|(owner, objects)| format!("taken over from {owner}: {}", objects.join(", ")));
    let own: Vec<&str> =
        takeovers.iter().filter(|taken| taken.uid.is_some()).map(|taken| taken.object.as_str()).collect();
    let own = (!own.is_empty())
        .then(|| format!("managed by tailwatch from now on, and removed by uninstall: {}", own.join(", ")));
    let losing = takeovers.iter().filter(|taken| !taken.loses.is_empty());
    let losing = losing.map(|taken| format!("taking over {} removes {}", taken.object, taken.loses.join(", ")));
    let restarts = takeovers.iter().filter(|taken| taken.restarts);
    let restarts = restarts.map(|taken| format!("taking over {} replaces its pods", taken.object));
    owners.chain(own).chain(losing).chain(restarts).collect()
}
