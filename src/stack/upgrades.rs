//! Upgrade paths between chart versions: `upgrades/<component>.yaml` next to the values files.
//! Strict: unknown keys are errors. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::{ChartRepository, ComponentName};
use crate::stack::StackError;
use crate::stack::yaml::parse;

/// Known versions of a component's chart.
#[derive(Clone, Debug)]
pub struct UpgradePath {
    /// The highest major with a tested upgrade path; a higher one is untried.
    pub verified: u64,
    /// Steps in ascending order of [`UpgradeStep::to`].
    pub steps: Vec<UpgradeStep>,
}

/// What changes at a version.
#[derive(Clone, Debug)]
pub struct UpgradeStep {
    /// The first version on the other side.
    pub to: semver::Version,
    /// What changes, one sentence.
    pub what: String,
    /// Whether the chart's CRDs change.
    pub crds: bool,
    /// Changes to keys of the chart's values.
    pub values: Vec<ValueChange>,
    /// The chart's repository from this version on.
    pub repository: Option<ChartRepository>,
    /// Why a rollback past this step is not safe.
    pub rollback: Option<String>,
    /// A page to read more.
    pub docs: String,
}

/// A change to a key of the chart's values. Keys are paths with dots, `monitoring.rules.alerting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueChange {
    /// The key was renamed.
    Renamed {
        /// Old key.
        from: String,
        /// New key.
        to: String,
    },
    /// The key was removed without a replacement of the same meaning.
    Removed {
        /// Old key.
        key: String,
        /// What to do instead.
        instead: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    component: String,
    verified: u64,
    steps: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    to: semver::Version,
    what: String,
    #[serde(default)]
    crds: bool,
    #[serde(default)]
    values: Vec<Change>,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default)]
    rollback: Option<String>,
    docs: String,
}

/// Either `rename` alone, or `removed` with `instead`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    rename: Option<Rename>,
    removed: Option<String>,
    instead: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    from: String,
    to: String,
}

impl UpgradePath {
    /// Reads a file; it must be the component's own.
    pub(super) fn read(file: &str, component: &ComponentName, text: &str) -> Result<UpgradePath, StackError> {
        let document: Document = parse(file, text)?;
        let wrong =
            |reason: String| StackError::Component { file: file.to_owned(), component: component.to_string(), reason };
        if document.component != component.as_str() {
            return Err(wrong(format!("the file is for component {}", document.component)));
        }
        let steps: Vec<UpgradeStep> =
            document.steps.into_iter().map(UpgradeStep::from_row).collect::<Result<_, _>>().map_err(wrong)?;
        if let Some(pair) = steps.windows(2).find(|pair| pair[0].to >= pair[1].to) {
            return Err(wrong(format!("step {} must come before step {}", pair[1].to, pair[0].to)));
        }
        Ok(UpgradePath { verified: document.verified, steps })
    }

    /// The steps between two versions, in order.
    pub fn crossed<'a>(
        &'a self,
        from: &'a semver::Version,
        to: &'a semver::Version,
    ) -> impl Iterator<Item = &'a UpgradeStep> {
        self.steps.iter().filter(move |step| *from < step.to && step.to <= *to)
    }

    /// Whether the upgrade path to this version is known.
    pub fn knows(&self, version: &semver::Version) -> bool {
        version.major <= self.verified
    }

    /// Migrates values of an older chart to a version: renames keys, and returns a notice for each renamed and each
    /// removed key. A notice begins with the key.
    pub(super) fn migrate(&self, values: &mut Value, version: &semver::Version) -> Vec<String> {
        let changes = self.steps.iter().filter(|step| step.to <= *version);
        let changes = changes.flat_map(|step| step.values.iter().map(move |change| (&step.to, change)));
        changes.filter_map(|(to, change)| change.apply(values, to)).collect()
    }
}

impl UpgradeStep {
    fn from_row(row: Row) -> Result<UpgradeStep, String> {
        let of_step = |reason: String| format!("step {}: {reason}", row.to);
        let repository = row.repository.map(|address| address.parse().map_err(|invalid| of_step(format!("{invalid}"))));
        let values = row.values.into_iter().map(|change| change.read().map_err(of_step));
        Ok(UpgradeStep {
            values: values.collect::<Result<_, _>>()?,
            repository: repository.transpose()?,
            to: row.to,
            what: row.what,
            crds: row.crds,
            rollback: row.rollback,
            docs: row.docs,
        })
    }
}

impl Change {
    fn read(self) -> Result<ValueChange, String> {
        match self {
            Change { rename: Some(Rename { from, to }), removed: None, instead: None } => {
                Ok(ValueChange::Renamed { from, to })
            }
            Change { rename: None, removed: Some(key), instead: Some(instead) } => {
                Ok(ValueChange::Removed { key, instead })
            }
            _ => Err("expected { rename: { from: KEY, to: KEY } } or { removed: KEY, instead: TEXT }".into()),
        }
    }
}

impl ValueChange {
    /// What it says, for people.
    pub fn words(&self) -> String {
        match self {
            ValueChange::Renamed { from, to } => format!("{from} is renamed to {to}"),
            ValueChange::Removed { key, instead } => format!("{key} is removed; {instead}"),
        }
    }

    fn apply(&self, values: &mut Value, version: &semver::Version) -> Option<String> {
        match self {
            ValueChange::Renamed { from, to } => {
                let value = take(values, from)?;
                if find(values, to).is_some() {
                    return Some(format!("{from} was renamed to {to} in {version} and is ignored, since {to} is set"));
                }
                put(values, to, value);
                Some(format!("{from} was renamed to {to} in {version}; using {to}"))
            }
            // The value is kept: a chart that rejects it fails the preflight, any other ignores it.
            ValueChange::Removed { key, instead } => {
                find(values, key).map(|_| format!("{key} was removed in chart {version}; {instead}"))
            }
        }
    }
}

fn find<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, key| value.get(key))
}

/// Removes the value, and mappings above it that become empty.
fn take(values: &mut Value, path: &str) -> Option<Value> {
    let map = values.as_object_mut()?;
    let Some((key, rest)) = path.split_once('.') else { return map.remove(path) };
    let below = map.get_mut(key)?;
    let removed = take(below, rest)?;
    if below.as_object().is_some_and(Map::is_empty) {
        map.remove(key);
    }
    Some(removed)
}

/// Creates missing mappings; any other value in their place is replaced.
fn put(values: &mut Value, path: &str, value: Value) {
    if !values.is_object() {
        *values = Value::Object(Map::new());
    }
    let Some(map) = values.as_object_mut() else { return };
    match path.split_once('.') {
        None => drop(map.insert(path.to_owned(), value)),
        Some((key, rest)) => put(map.entry(key).or_insert(Value::Null), rest, value),
    }
}

#[cfg(test)]
#[path = "upgrades_tests.rs"]
mod tests;
