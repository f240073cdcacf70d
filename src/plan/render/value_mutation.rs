//! Finds out whether the rendered objects of a chart depend on some of its values: renders and compares variations.
//! Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use serde_json::{Map, Value};

use crate::helm::{Capabilities, Helm, ReleaseRequest};
use crate::plan::render::rendered_release::RenderedRelease;

/// Keys that are tested in parallel; each is rendered twice.
const KEYS_AT_ONCE: usize = 2;

/// Renders variations of a release's values.
pub(super) struct Probe<'a> {
    pub(super) helm: &'a Helm,
    /// The desired values.
    pub(super) request: ReleaseRequest<'a>,
    pub(super) capabilities: &'a Capabilities,
}

impl Probe<'_> {
    /// Indexes of the paths on which no rendered object depends. One render with a mark in place of each value finds
    /// the values that are rendered as they are; the others are removed, then replaced, to find a difference. At most
    /// four helm processes run at once.
    pub(super) async fn without_effect(&self, paths: &[&[String]], rendered: &RenderedRelease) -> BTreeSet<usize> {
        let values = self.request.values;
        let mut marked = values.clone();
        for (index, path) in paths.iter().enumerate() {
            let value = at(values, path).cloned().unwrap_or_default();
            put(&mut marked, path, with_mark(&value, &mark(index)));
        }
        let (marked, again) = futures::join!(self.render(&marked), self.render(values));
        // Without a second render there is no baseline.
        let Some(again) = again else { return BTreeSet::new() };
        let seen = marked.map(|objects| Value::from(objects).to_string()).unwrap_or_default();
        let unseen: Vec<usize> = (0..paths.len()).filter(|index| !seen.contains(&mark(*index))).collect();
        let first: Vec<Value> = rendered.manifest.iter().chain(&rendered.hooks).cloned().collect();
        let baseline = Baseline::of(&first, &again);
        let of = |indexes: &[usize]| indexes.iter().map(|index| paths[*index]).collect::<Vec<_>>();
        if unseen.is_empty() || !self.is_seen(&baseline, of(&unseen)).await {
            return unseen.into_iter().collect();
        }
        let tested = stream::iter(unseen).map(|index| {
            let (baseline, alone) = (&baseline, of(&[index]));
            async move { (index, self.is_seen(baseline, alone).await) }
        });
        let tested = tested.buffered(KEYS_AT_ONCE);
        tested.filter_map(|(index, seen)| async move { (!seen).then_some(index) }).collect().await
    }

    /// Whether the rendered objects change without these values, or with other ones.
    async fn is_seen(&self, baseline: &Baseline, paths: Vec<&[String]>) -> bool {
        let (mut absent, mut other) = (self.request.values.clone(), self.request.values.clone());
        for path in paths {
            take(&mut absent, path);
            let value = at(self.request.values, path).cloned().unwrap_or_default();
            put(&mut other, path, altered(&value));
        }
        let (absent, other) = futures::join!(self.render(&absent), self.render(&other));
        // A chart that does not render the variation depends on it.
        [absent, other].into_iter().any(|objects| objects.is_none_or(|objects| baseline.differs(&objects)))
    }

    async fn render(&self, values: &Value) -> Option<Vec<Value>> {
        let request = ReleaseRequest { values, ..self.request.clone() };
        self.helm.template(&request, self.capabilities).await.ok()
    }
}

/// The scalars of rendered objects, by object and path inside it.
type Scalars = BTreeMap<(String, String), Value>;

/// A render without the fields that differ between two renders, such as a random password and its checksum.
struct Baseline {
    scalars: Scalars,
    unsteady: BTreeSet<(String, String)>,
    /// Kinds with an object that has a random name.
    unsteady_kinds: BTreeSet<String>,
}

impl Baseline {
    fn of(first: &[Value], second: &[Value]) -> Baseline {
        let (scalars, others) = (scalars(first), scalars(second));
        let unsteady = differing(&scalars, &others).cloned().collect();
        let names = |objects: &Scalars| objects.keys().map(|(object, _)| object.clone()).collect::<BTreeSet<_>>();
        let unsteady_kinds = names(&scalars).symmetric_difference(&names(&others)).map(|name| kind(name)).collect();
        Baseline { scalars, unsteady, unsteady_kinds }
    }

    fn differs(&self, objects: &[Value]) -> bool {
        let others = scalars(objects);
        let is_steady = |place: &&(String, String)| {
            !self.unsteady.contains(*place) && !self.unsteady_kinds.contains(&kind(&place.0))
        };
        differing(&self.scalars, &others).any(|place| is_steady(&place))
    }
}

fn differing<'a>(one: &'a Scalars, other: &'a Scalars) -> impl Iterator<Item = &'a (String, String)> {
    let changed = one.iter().filter(|(place, value)| other.get(place) != Some(value)).map(|(place, _)| place);
    changed.chain(other.keys().filter(|place| !one.contains_key(place)))
}

/// `v1 Secret` of `v1 Secret monitoring/x`.
fn kind(object: &str) -> String {
    object.rsplit_once(' ').map_or(object, |(kind, _)| kind).to_owned()
}

fn scalars(objects: &[Value]) -> Scalars {
    let mut found = Scalars::new();
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!(
            "{} {} {}/{}",
            text("/apiVersion"),
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name")
        );
        collect(&name, String::new(), object, &mut found);
    }
    found
}

fn collect(object: &str, path: String, value: &Value, found: &mut Scalars) {
    match value {
        Value::Object(children) if !children.is_empty() => {
            for (key, child) in children {
                collect(object, format!("{path}/{key}"), child, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(object, format!("{path}/{index}"), item, found);
            }
        }
        scalar => drop(found.insert((object.to_owned(), path), scalar.clone())),
    }
}

/// The value at a path.
pub(super) fn at<'a>(values: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(values, |value, key| value.get(key))
}

/// Sets a value and creates the mappings above it.
fn put(values: &mut Value, path: &[String], value: Value) {
    let Some((key, below)) = path.split_first() else {
        *values = value;
        return;
    };
    if !values.is_object() {
        *values = Value::Object(Map::new());
    }
    put(&mut values[key], below, value);
}

fn take(values: &mut Value, path: &[String]) {
    let Some((key, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(values, |value, key| value.get_mut(key));
    if let Some(Value::Object(parent)) = parent {
        parent.remove(key);
    }
}

/// Valid wherever a name is valid.
fn mark(index: usize) -> String {
    format!("tailwatch-probe-{index}-x")
}

/// The mark in the place of each scalar.
fn with_mark(value: &Value, mark: &str) -> Value {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| with_mark(item, mark)).collect(),
        Value::Object(children) if !children.is_empty() => {
            children.iter().map(|(key, child)| (key.clone(), with_mark(child, mark))).collect()
        }
        Value::Array(_) | Value::Object(_) => value.clone(),
        _ => mark.into(),
    }
}

/// Another value of the same type.
fn altered(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => (!flag).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.saturating_add(1).into(),
            (None, broken) => (broken.unwrap_or_default() + 1.0).into(),
        },
        Value::Array(items) if !items.is_empty() => Value::Array(Vec::new()),
        Value::Array(_) => Value::Array(vec![mark(0).into()]),
        Value::Object(_) => Value::Object(Map::from_iter([("probe".to_owned(), mark(0).into())])),
        Value::String(_) | Value::Null => mark(0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn what_differs_by_itself_is_left_out_and_nothing_else() {
        let first = [object("a", json!({"password": "x", "cpu": 1}))];
        let baseline = Baseline::of(&first, &[object("a", json!({"password": "y", "cpu": 1}))]);
        assert!(!baseline.differs(&[object("a", json!({"password": "z", "cpu": 1}))]));
        assert!(baseline.differs(&[object("a", json!({"password": "z", "cpu": 2}))]));
        assert!(baseline.differs(&[object("a", json!({"password": "z", "cpu": 1, "more": []}))]));
        assert!(baseline.differs(&[]));
        let named = Baseline::of(&[object("a-1", json!({}))], &[object("a-2", json!({}))]);
        assert!(!named.differs(&[object("a-3", json!({}))]));
    }

    #[test]
    fn a_variation_has_another_value_of_the_same_type_in_the_same_place() {
        for value in [json!(true), json!(1), json!(1.5), json!("x"), json!(["x"]), json!([]), json!({})] {
            let other = altered(&value);
            assert!(other != value && std::mem::discriminant(&other) == std::mem::discriminant(&value), "{value}");
        }
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let mut values = json!({"a": {"b": 1, "c": 2}});
        take(&mut values, &path(&["a", "b"]));
        put(&mut values, &path(&["a", "d", "e"]), json!(3));
        assert_eq!(values, json!({"a": {"c": 2, "d": {"e": 3}}}));
        assert_eq!(with_mark(&json!([{"a": 1}, {}]), "m"), json!([{"a": "m"}, {}]));
    }
}
