//! Objects of other owners that a plan adopts. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// An object that becomes part of a release of the stack, or an own object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Component of the release that adopts it; `None` for CRDs and our own objects, which are applied before helm.
    pub component: Option<String>,
    /// UID of an own object.
    pub uid: Option<String>,
    /// Kind and name, e.g. `Deployment loki`.
    pub object: String,
    /// Its current owner.
    pub owner: String,
    /// Whether its pods are replaced.
    pub restarts: bool,
    /// Fields of an own object that are removed, e.g. `spec.rules`.
    pub removed_fields: Vec<String>,
}

/// (object, owner) of the objects that a component's release adopts.
pub fn taken_by<'a>(takeovers: &'a [Takeover], component: &str) -> BTreeSet<(&'a str, &'a str)> {
    let taken = takeovers.iter().filter(|takeover| takeover.component.as_deref() == Some(component));
    taken.map(|takeover| (takeover.object.as_str(), takeover.owner.as_str())).collect()
}

/// What is shown of them with the plan.
pub(super) fn notices(takeovers: &[Takeover]) -> Vec<String> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for takeover in takeovers {
        owners.entry(&takeover.owner).or_default().push(&takeover.object);
    }
    let owners = owners.iter().map(|(owner, objects)| format!("adopted from {owner}: {}", objects.join(", ")));
    let own: Vec<&str> =
        takeovers.iter().filter(|takeover| takeover.uid.is_some()).map(|takeover| takeover.object.as_str()).collect();
    let own = (!own.is_empty())
        .then(|| format!("managed by tailwatch from now on, and removed by uninstall: {}", own.join(", ")));
    let with_removals = takeovers.iter().filter(|takeover| !takeover.removed_fields.is_empty());
    let with_removals = with_removals
        .map(|takeover| format!("adopting {} removes {}", takeover.object, takeover.removed_fields.join(", ")));
    let restarts = takeovers.iter().filter(|takeover| takeover.restarts);
    let restarts = restarts.map(|takeover| format!("adopting {} replaces its pods", takeover.object));
    owners.chain(own).chain(with_removals).chain(restarts).collect()
}
