//! Newer chart versions, the one that is proposed, and the untried majors. Pure.

use semver::Version;

use crate::config::ComponentName;
use crate::event::{ActionKind, PathRow, UpgradeRow};
use crate::plan::{Plan, Untried};
use crate::stack::{Catalogue, CrdPolicy, UpgradePath, UpgradeStep};

/// Chart versions that are available for one installed component.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Component.
    pub component: ComponentName,
    /// Installed chart version.
    pub installed: Version,
    /// Every available version, the newest first, with pre-releases.
    pub versions: Vec<Version>,
    /// Upgrade path of the chart.
    pub path: UpgradePath,
    /// Whether the answers set one repository for every version.
    pub from_mirror: Mirror,
}

/// Where charts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// From the repositories of the catalogue, which can differ by version.
    None,
    /// Every version from one repository.
    ForAll,
}

/// Number of available versions that are listed for one that is not available.
const NAMED: usize = 3;

impl Offer {
    /// The newest version that is no pre-release.
    pub fn newest(&self) -> Option<&Version> {
        self.offered().next()
    }

    /// The newest known version above the installed one.
    pub fn proposed(&self) -> Option<&Version> {
        self.newer().find(|version| self.is_tried(version))
    }

    /// The newest version of an untried major.
    pub fn untried(&self) -> Option<&Version> {
        self.newer().find(|version| !self.is_tried(version))
    }

    /// Whether the version is available; a pre-release is never proposed.
    pub fn has(&self, version: &Version) -> bool {
        self.versions.contains(version)
    }

    /// Available versions closest to one that is not available, in ascending order.
    pub fn nearest(&self, version: &Version) -> Vec<&Version> {
        let mut near: Vec<&Version> = self.offered().collect();
        let distance = |a: u64, b: u64| a.abs_diff(b);
        near.sort_by_key(|other| {
            let parts = (distance(other.major, version.major), distance(other.minor, version.minor));
            (parts, distance(other.patch, version.patch))
        });
        near.truncate(NAMED);
        near.sort();
        near
    }

    /// The table row, with the upgrade path to the target.
    pub fn row(&self, target: Option<&Version>) -> UpgradeRow {
        let target = target.filter(|target| **target > self.installed);
        let path = target.map(|target| self.path.crossed(&self.installed, target).map(|step| self.path_row(step)));
        UpgradeRow {
            component: self.component.to_string(),
            installed: self.installed.to_string(),
            newest: self.newest().map(ToString::to_string),
            newer: self.newer().count(),
            target: target.map(ToString::to_string),
            unverified: self.untried().map(ToString::to_string),
            path: path.into_iter().flatten().collect(),
        }
    }

    fn path_row(&self, step: &UpgradeStep) -> PathRow {
        let moved_to = step.repository.as_ref().filter(|_| self.from_mirror == Mirror::None);
        PathRow {
            to: step.to.to_string(),
            what: step.what.clone(),
            crds: step.crds,
            values: step.values.iter().map(crate::stack::ValueChange::words).collect(),
            repository: moved_to.map(ToString::to_string),
            rollback: step.rollback.clone(),
            docs: step.docs.clone(),
        }
    }

    fn offered(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(|version| version.pre.is_empty())
    }

    fn newer(&self) -> impl Iterator<Item = &Version> {
        self.offered().filter(|version| **version > self.installed)
    }

    /// The installed major counts as tried.
    fn is_tried(&self, version: &Version) -> bool {
        self.path.knows(version) || version.major <= self.installed.major
    }
}

/// The steps of a plan to an untried major that is not installed already.
pub(super) fn untried(plan: &Plan, catalogue: &Catalogue) -> Vec<Untried> {
    let steps = plan.each_step().filter(|step| step.action != ActionKind::Unchanged);
    let untried = steps.filter(|step| {
        let version = &step.release.chart.version;
        let known = catalogue.path(&step.release.component).is_none_or(|path| path.knows(version));
        !known && step.from.as_ref().is_none_or(|installed| installed.chart_version.major < version.major)
    });
    untried
        .map(|step| Untried {
            component: step.release.component.to_string(),
            version: step.release.chart.version.clone(),
        })
        .collect()
}

/// Marks the steps that cross a version without rollback on the way from their last healthy revision.
pub(super) fn mark_no_rollback(plan: &mut Plan, catalogue: &Catalogue) {
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        let target = &step.release.chart.version;
        let healthy = step.last_healthy.as_ref().and_then(|healthy| healthy.chart_version.as_ref());
        let Some(from) = healthy.filter(|from| *from != target) else { continue };
        let moved = format!("its CRDs were upgraded since chart {from}");
        let crossed = catalogue.path(&step.release.component).map(|path| path.crossed(from, target));
        let reasons = crossed
            .into_iter()
            .flatten()
            .filter_map(|step| step.rollback.clone().or_else(|| step.crds.then(|| moved.clone())));
        let of_chart = (step.release.crds == CrdPolicy::Chart).then(|| moved.clone());
        step.no_rollback = reasons.chain(of_chart).next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(installed: &str, versions: &[&str]) -> Offer {
        let component: ComponentName = "loki".parse().unwrap();
        Offer {
            path: Catalogue::embedded().unwrap().path(&component).unwrap().clone(),
            component,
            installed: installed.parse().unwrap(),
            versions: versions.iter().map(|text| text.parse().unwrap()).collect(),
            from_mirror: Mirror::None,
        }
    }

    fn text(version: Option<&Version>) -> Option<String> {
        version.map(ToString::to_string)
    }

    #[test]
    fn the_newest_of_a_known_major_is_proposed_and_a_newer_one_reported() {
        let offer = offer("6.46.0", &["20.0.0-rc.1", "19.1.0", "19.0.0", "18.11.0", "7.0.0", "6.46.0", "6.40.0"]);
        assert_eq!(text(offer.newest()).unwrap(), "19.1.0");
        assert_eq!(text(offer.proposed()).unwrap(), "18.11.0");
        assert_eq!(text(offer.untried()).unwrap(), "19.1.0");
        let row = offer.row(offer.proposed());
        assert_eq!((row.newer, row.path.len()), (4, 12));
        assert_eq!(row.path[0].repository.as_deref(), Some("https://grafana-community.github.io/helm-charts"));
        assert!(row.path[0].values.iter().any(|change| change.starts_with("rbac.pspEnabled is removed")));
        let mirrored = Offer { from_mirror: Mirror::ForAll, ..offer };
        assert_eq!(mirrored.row(mirrored.proposed()).path[0].repository, None, "a mirror does not move");
    }

    #[test]
    fn an_installed_untried_major_is_not_left() {
        let offer = offer("19.0.0", &["20.0.0", "19.2.0"]);
        assert_eq!(text(offer.proposed()).unwrap(), "19.2.0");
        assert_eq!(text(offer.untried()).unwrap(), "20.0.0");
    }

    #[test]
    fn nothing_newer_is_no_target() {
        let offer = offer("6.55.0", &["6.55.0", "6.46.0"]);
        let row = offer.row(Some(&"6.55.0".parse().unwrap()));
        assert_eq!((row.target, row.newer, row.newest.as_deref()), (None, 0, Some("6.55.0")));
        assert_eq!(super::tests::offer("6.55.0", &[]).row(None).newest, None);
    }

    #[test]
    fn the_nearest_offered_versions_are_named() {
        let offer = offer("6.46.0", &["7.0.0-rc.1", "6.55.0", "6.54.1", "6.47.0", "6.46.0", "5.0.0"]);
        let near = offer.nearest(&"6.54.0".parse().unwrap());
        assert_eq!(near.iter().map(ToString::to_string).collect::<Vec<_>>(), ["6.47.0", "6.54.1", "6.55.0"]);
        assert!(offer.has(&"7.0.0-rc.1".parse().unwrap()) && !offer.has(&"6.54.0".parse().unwrap()));
    }
}
