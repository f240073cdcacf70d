//! The repository of a component's chart, which may depend on the version, and its upgrade paths.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{ChartRepository, ComponentName, Settings};
use crate::stack::catalogue::Component;
use crate::stack::{Catalogue, StackError, UpgradePath};

/// A repository, and the versions of a chart that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartPlace {
    /// Chart name.
    pub chart: String,
    /// Its address.
    pub repository: ChartRepository,
    /// The first version in that repository; `None`: no lower bound.
    pub from: Option<semver::Version>,
    /// The first later version in another repository; `None`: no upper bound.
    pub below: Option<semver::Version>,
}

impl ChartPlace {
    /// Whether this version is in that repository.
    pub fn has(&self, version: &semver::Version) -> bool {
        self.from.as_ref().is_none_or(|from| from <= version) && self.below.as_ref().is_none_or(|below| version < below)
    }
}

impl Catalogue {
    /// Repositories with versions of a component's chart; `answer` is the answer `charts.repository`.
    pub fn places(&self, component: &ComponentName, answer: Option<&ChartRepository>) -> Vec<ChartPlace> {
        let component = self.components.iter().find(|known| known.name == *component);
        component.map(|component| component.places(answer)).unwrap_or_default()
    }

    /// Upgrade path of a component's chart.
    pub fn path(&self, component: &ComponentName) -> Option<&UpgradePath> {
        self.components.iter().find(|known| known.name == *component).map(|known| &known.path)
    }

    /// Notices on migrated values of the answers, by component; each begins with the key.
    pub fn migrations(&self, settings: &Settings) -> BTreeMap<ComponentName, Vec<String>> {
        let reported = self.components.iter().filter_map(|component| {
            let (_, notices) = component.answered_values(settings)?;
            (!notices.is_empty()).then(|| (component.name.clone(), notices))
        });
        reported.collect()
    }
}

impl Component {
    /// The requested version.
    pub(super) fn version<'a>(&'a self, settings: &'a Settings) -> &'a semver::Version {
        settings.versions.get(&self.name).unwrap_or(&self.row.version)
    }

    /// The values of the answers, migrated to the requested version, with the notices.
    pub(super) fn answered_values(&self, settings: &Settings) -> Option<(Value, Vec<String>)> {
        let mut values = settings.values.get(&self.name)?.exposed();
        let notices = self.path.migrate(&mut values, self.version(settings));
        let name = &self.name;
        Some((values, notices.into_iter().map(|notice| format!("values.{name}.{notice}")).collect()))
    }

    /// The catalogue's own repositories, each with its versions, in ascending order.
    fn own_places(&self) -> Vec<ChartPlace> {
        let mut places = vec![ChartPlace {
            chart: self.row.chart.clone(),
            repository: self.repository.clone(),
            from: None,
            below: None,
        }];
        for step in &self.path.steps {
            let Some(repository) = &step.repository else { continue };
            if let Some(last) = places.last_mut() {
                last.below = Some(step.to.clone());
            }
            places.push(ChartPlace {
                chart: self.row.chart.clone(),
                repository: repository.clone(),
                from: Some(step.to.clone()),
                below: None,
            });
        }
        places
    }

    /// One repository if the answers set it. A repository that the chart has left keeps its upper bound: later versions
    /// of the same name there are another product.
    fn places(&self, answer: Option<&ChartRepository>) -> Vec<ChartPlace> {
        let own = self.own_places();
        let Some(answer) = answer else { return own };
        let below = own.into_iter().find(|place| place.repository == *answer).and_then(|place| place.below);
        vec![ChartPlace { chart: self.row.chart.clone(), repository: answer.clone(), from: None, below }]
    }

    /// The catalogue's own repository of a version.
    pub(super) fn own_repository(&self, version: &semver::Version) -> ChartRepository {
        let place = self.own_places().into_iter().find(|place| place.has(version));
        place.map_or_else(|| self.repository.clone(), |place| place.repository)
    }

    /// The repository of a version.
    pub(super) fn repository(
        &self,
        version: &semver::Version,
        answer: Option<&ChartRepository>,
    ) -> Result<ChartRepository, StackError> {
        let places = self.places(answer);
        match places.iter().find(|place| place.has(version)) {
            Some(place) => Ok(place.repository.clone()),
            None => Err(StackError::OtherProduct {
                component: self.name.to_string(),
                version: version.clone(),
                repository: answer.map(ToString::to_string).unwrap_or_default(),
                moved_to: self.own_repository(version).to_string(),
            }),
        }
    }
}
