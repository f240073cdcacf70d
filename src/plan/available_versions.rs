//! Which newer versions there are, which of them is proposed, and which were never tried. Pure.

use semver::Version;

use crate::config::ComponentName;
use crate::event::{ActionKind, PathRow, UpgradeRow};
use crate::plan::Plan;
use crate::stack::{Catalogue, CrdPolicy, UpgradePath, UpgradeStep};

/// What the repositories offer of one installed component.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Component.
    pub component: ComponentName,
    /// Chart version that stands.
    pub installed: Version,
    /// Every version that is there, the newest first, pre-releases among them.
    pub versions: Vec<Version>,
    /// What is known of the chart's versions.
    pub path: UpgradePath,
    /// Whether every version comes from one address that the answers name.
    pub from_mirror: Mirror,
}

/// Where charts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// From the repositories of the catalogue, which may change with the version.
    None,
    /// From one address for all, whatever the version.
    ForAll,
}

/// How many offered versions are named beside one that is not offered.
const NAMED: usize = 3;

impl Offer {
    /// The newest of all, pre-releases aside.
    pub fn newest(&self) -> Option<&Version> {
        self.offered().next()
    }

    /// The newest whose way is known, where it is newer than what stands.
    pub fn proposed(&self) -> Option<&Version> {
        self.newer().find(|version| self.is_tried(version))
    }

    /// The newest of a major that was never tried.
    pub fn untried(&self) -> Option<&Version> {
        self.newer().find(|version| !self.is_tried(version))
    }

    /// Whether the repositories have it; a pre-release only whoever names it gets.
    pub fn has(&self, version: &Version) -> bool {
        self.versions.contains(version)
    }

    /// Offered versions next to one that is not, in ascending order.
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

    /// The row that is shown, with the way to the target.
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

    /// Whoever stands at a major has tried it.
    fn is_tried(&self, version: &Version) -> bool {
        self.path.knows(version) || version.major <= self.installed.major
    }
}

/// A step to a major that was never tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// Component.
    pub component: String,
    /// The version that is asked for.
    pub version: Version,
}

impl std::fmt::Display for Untried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Untried { component, version } = self;
        write!(formatter, "{component} {version}: no version of major {} was tried with this tailwatch", version.major)
    }
}

/// The steps of a plan that go to a major which was never tried, and at which the release does not stand already.
pub fn untried(plan: &Plan, catalogue: &Catalogue) -> Vec<Untried> {
    let steps = plan.each_step().filter(|step| step.action != ActionKind::Unchanged);
    let untried = steps.filter(|step| {
        let version = &step.release.chart.version;
        let known = catalogue.path(&step.release.component).is_none_or(|path| path.knows(version));
        !known && step.from.as_ref().is_none_or(|standing| standing.chart_version.major < version.major)
    });
    untried
        .map(|step| Untried {
            component: step.release.component.to_string(),
            version: step.release.chart.version.clone(),
        })
        .collect()
}

/// Marks the steps whose way from what was last healthy leads past a version from which no rollback leads back.
pub fn mark_one_way(plan: &mut Plan, catalogue: &Catalogue) {
    for step in plan.waves.iter_mut().flat_map(|wave| &mut wave.steps) {
        let target = &step.release.chart.version;
        let healthy = step.last_healthy.as_ref().and_then(|healthy| healthy.chart_version.as_ref());
        let Some(from) = healthy.filter(|from| *from != target) else { continue };
        let moved = format!("its CRDs have moved on since chart {from}");
        let crossed = catalogue.path(&step.release.component).map(|path| path.crossed(from, target));
        let reasons = crossed
            .into_iter()
            .flatten()
            .filter_map(|step| step.rollback.clone().or_else(|| step.crds.then(|| moved.clone())));
        let of_chart = (step.release.crds == CrdPolicy::Chart).then(|| moved.clone());
        step.no_way_back = reasons.chain(of_chart).next();
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
    fn the_newest_of_a_known_major_is_proposed_and_a_newer_one_named() {
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
    fn whoever_is_at_an_untried_major_stays_in_it() {
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
