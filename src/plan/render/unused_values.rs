//! Keys of the user's values that a chart ignores. A key is a suspect if the chart's defaults do not have it; it is
//! ignored if no rendered object depends on it. Reads only, and runs helm only for a suspect.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::nearest;
use crate::helm::{Capabilities, FetchedChart, Helm, HelmError, ReleaseRequest, default_values};
use crate::plan::RejectedValues;
use crate::plan::render::rendered_release::RenderedRelease;
use crate::plan::render::value_mutation::{Probe, at};
use crate::stack::Release;

type Path = Vec<String>;

/// A leaf of the user's values that the chart's defaults do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Suspect {
    /// From the root of the chart's values.
    path: Path,
    /// Number of leading keys that the chart's defaults have.
    known_keys: usize,
}

impl Suspect {
    /// The shortest prefix of the path that the chart's defaults do not have.
    fn top(&self) -> &[String] {
        &self.path[..=self.known_keys]
    }
}

/// One sentence for each key of the user's values that the release's chart ignores.
pub(super) async fn ignored_keys(
    helm: &Helm,
    release: &Release,
    rendered: &RenderedRelease,
    capabilities: &Capabilities,
) -> Result<Vec<String>, HelmError> {
    if is_leaf(&release.overrides) {
        return Ok(Vec::new());
    }
    let known = default_values(&rendered.chart.path)?;
    let suspects = suspects(&release.overrides, &known);
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let paths: Vec<&[String]> = suspects.iter().map(|suspect| suspect.path.as_slice()).collect();
    let probe = Probe { helm, request: ReleaseRequest::new(release, &rendered.chart), capabilities };
    let ignored = probe.without_effect(&paths, rendered).await;
    let chart = format!("{} {}", release.chart.name, release.chart.version);
    let sentence = |key: &[String]| {
        let meant = meant(&known, key, release.component.as_str());
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        // In a mapping without defaults no key is unknown, but all of it may be unused.
        let is_free = key.split_last().and_then(|(_, parents)| at(&known, parents)).is_none_or(is_leaf);
        let reported = if is_free { "does not use it" } else { "ignores it" };
        format!("{}: chart {chart} {reported}{meant}", answers_key(release.component.as_str(), key))
    };
    Ok(shortest(&suspects, &ignored).into_iter().map(sentence).collect())
}

/// The values that the chart's schema rejects, if that is why it does not render.
pub(super) fn rejected_values(release: &Release, chart: &FetchedChart, error: &HelmError) -> Option<RejectedValues> {
    let paths = error.rejected_paths(&release.chart.name);
    let first = paths.first()?;
    let component = release.component.as_str();
    // Without the chart's defaults there is only no suggestion.
    let known = default_values(&chart.path).unwrap_or_default();
    let advice = |path: &Path| {
        let key = answers_key(component, path);
        if !is_of(&release.overrides, path) {
            return format!(
                "{key} is not in the answers: see {component}.yaml in --values-dir, or in tailwatch's own values"
            );
        }
        let is_known = at(&known, path).is_some();
        let meant = meant(&known, path, component).filter(|_| !is_known);
        format!(
            "correct {key} in the answers{}",
            meant.map(|meant| format!(": did you mean {meant}?")).unwrap_or_default()
        )
    };
    let hint = advice(first);
    Some(RejectedValues { keys: paths.iter().map(|path| answers_key(component, path)).collect(), hint })
}

/// Whether the user set the value, or a list or scalar above it.
fn is_of(overrides: &Value, path: &[String]) -> bool {
    let mut value = overrides;
    for key in path {
        match value {
            Value::Object(children) => match children.get(key) {
                Some(child) => value = child,
                None => return false,
            },
            _ => return true,
        }
    }
    true
}

/// Its path in the answers: `values.loki.singleBinary.replicas`.
fn answers_key(component: &str, path: &[String]) -> String {
    let keys = ["values", component].into_iter().chain(path.iter().map(String::as_str));
    keys.collect::<Vec<_>>().join(".")
}

/// Leaves of `overrides` at which `known` has nothing; an empty mapping and a list are leaves, too.
fn suspects(overrides: &Value, known: &Value) -> Vec<Suspect> {
    let mut found = Vec::new();
    collect(&mut Vec::new(), overrides, Some(known), &mut found);
    found
}

fn collect(path: &mut Path, over: &Value, known: Option<&Value>, found: &mut Vec<Suspect>) {
    for (key, child) in over.as_object().into_iter().flatten() {
        path.push(key.clone());
        match known.and_then(|known| known.get(key)) {
            Some(inner) => collect(path, child, Some(inner), found),
            None => leaves(path, child, path.len() - 1, found),
        }
        path.pop();
    }
}

fn leaves(path: &mut Path, value: &Value, known_keys: usize, found: &mut Vec<Suspect>) {
    if is_leaf(value) {
        found.push(Suspect { path: path.clone(), known_keys });
    }
    for (key, child) in value.as_object().into_iter().flatten() {
        path.push(key.clone());
        leaves(path, child, known_keys, found);
        path.pop();
    }
}

fn is_leaf(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

/// Replaces ignored keys by their parent if everything below it is ignored.
fn shortest<'a>(suspects: &'a [Suspect], ignored: &BTreeSet<usize>) -> Vec<&'a [String]> {
    let mut keys: Vec<&[String]> = Vec::new();
    for (index, suspect) in suspects.iter().enumerate().filter(|(index, _)| ignored.contains(index)) {
        let top = suspect.top();
        let all = suspects.iter().enumerate().filter(|(_, other)| other.top() == top);
        let key = if all.into_iter().all(|(other, _)| ignored.contains(&other)) { top } else { &suspects[index].path };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The only path with the same key in the chart's defaults, or else a sibling with a similar name.
fn meant(known: &Value, key: &[String], component: &str) -> Option<String> {
    let (last, parents) = key.split_last()?;
    let siblings = at(known, parents)?.as_object().filter(|siblings| !siblings.is_empty())?;
    if let Some(place) = only_place(known, last) {
        return Some(answers_key(component, &place));
    }
    nearest(last, siblings.keys().map(String::as_str)).map(str::to_owned)
}

/// The path of a key on the highest level that has it; `None` if that level has it twice.
fn only_place(known: &Value, key: &str) -> Option<Path> {
    let mut level = vec![(Path::new(), known)];
    while !level.is_empty() {
        let mut below = Vec::new();
        for (path, value) in &level {
            let children = value.as_object().into_iter().flatten();
            below.extend(children.map(|(key, child)| ([path.as_slice(), std::slice::from_ref(key)].concat(), child)));
        }
        let mut places = below.iter().map(|(path, _)| path).filter(|path| path.last().is_some_and(|last| last == key));
        match (places.next(), places.next()) {
            (Some(place), None) => return Some(place.clone()),
            (Some(_), Some(_)) => return None,
            (None, _) => level = below,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known() -> Value {
        json!({
            "replicas": 1,
            "read": {"replicas": 3},
            "singleBinary": {"replicas": 1, "resources": {}, "persistence": {"size": "10Gi"}, "affinity": null},
            "loki": {"limits_config": {"a": 1}},
        })
    }

    fn found(overrides: Value) -> Vec<String> {
        let dotted = |suspect: &Suspect| format!("{} at {}", suspect.path.join("."), suspect.top().join("."));
        suspects(&overrides, &known()).iter().map(dotted).collect()
    }

    #[test]
    fn only_what_the_defaults_do_not_have_is_suspected() {
        assert!(found(json!({})).is_empty());
        let defaults = json!({"replicas": 1, "singleBinary": {"resources": {}, "affinity": null, "persistence": {}}});
        assert!(found(defaults).is_empty());
        assert_eq!(
            found(json!({"singelBinary": {"replicas": 2, "x": {}}})),
            ["singelBinary.replicas at singelBinary", "singelBinary.x at singelBinary"]
        );
        assert_eq!(
            found(json!({"singleBinary": {"resources": {"limits": {"cpu": 1}}, "affinity": {"podAffinity": []}}})),
            [
                "singleBinary.affinity.podAffinity at singleBinary.affinity.podAffinity",
                "singleBinary.resources.limits.cpu at singleBinary.resources.limits"
            ]
        );
        assert_eq!(found(json!({"replicas": {"min": 1}})), ["replicas.min at replicas.min"]);
    }

    #[test]
    fn a_key_whose_every_leaf_is_ignored_is_for_them() {
        let suspects = suspects(&json!({"singelBinary": {"a": 1, "b": 2}, "other": 1}), &known());
        let shown = |ignored: &[usize]| -> Vec<String> {
            let ignored = ignored.iter().copied().collect();
            shortest(&suspects, &ignored).iter().map(|key| key.join(".")).collect()
        };
        assert_eq!(shown(&[0, 1, 2]), ["other", "singelBinary"]);
        assert_eq!(shown(&[1]), ["singelBinary.a"]);
    }

    #[test]
    fn what_was_meant_is_the_only_place_of_the_key_or_a_sibling() {
        let meant = |path: &[&str]| {
            let path: Path = path.iter().map(|key| (*key).to_owned()).collect();
            meant(&known(), &path, "loki")
        };
        assert_eq!(meant(&["singleBinary", "replicaz"]).unwrap(), "replicas");
        assert_eq!(meant(&["singelBinary"]).unwrap(), "singleBinary");
        assert_eq!(meant(&["limits_config"]).unwrap(), "values.loki.loki.limits_config");
        assert_eq!(meant(&["singleBinary", "resources", "limits"]), None);
        assert_eq!(meant(&["quite_other"]), None);
    }
}
