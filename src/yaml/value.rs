//! A tree as JSON, as `helm -f` reads it: types by YAML 1.1, keys as texts, anchors, aliases, merge keys and
//! tags resolved. A port of the decoder of go.yaml.in/yaml/v2 (decode.go, v2.4) and of the conversion to JSON of
//! sigs.k8s.io/yaml v1.6 (yaml.go), both in helm 3.19 and helm 4.2.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Number, Value};

use crate::yaml::resolve::{self, Scalar};
use crate::yaml::tree::{Content, KeyPath, Node, Position, YamlError, too_deep};
use crate::yaml::write::json_line;

/// How to treat a duplicate key of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// As an error.
    Rejected,
    /// The last one is used, as in helm.
    LastCounts,
}

/// Limits of a text.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of nesting, aliases expanded.
    pub levels: usize,
    /// Bytes of all texts and keys, aliases expanded, plus a constant for each node.
    pub bytes: usize,
    /// Duplicate keys.
    pub duplicates: Duplicates,
}

/// Bytes for a node in addition to its text.
const NODE: usize = 8;
/// libyaml and helm accept keys of at most 1024 characters, with quotes and escapes.
const MAX_KEY: usize = 1000;
const CORE: &str = "tag:yaml.org,2002:";

/// Whether to mark a mapping without a tag, at a path of keys and indexes.
pub type Mark<'a> = dyn Fn(&[String], &Map<String, Value>) -> bool + 'a;
/// The paths of the marked mappings, with their positions.
pub type Marked = BTreeMap<Vec<String>, Position>;

/// The JSON of a node, and its marked mappings. `key` is the node's path for messages; `scope` has the anchors.
pub fn value(nodes: (&Node, &Node), key: &str, limits: Limits, mark: &Mark<'_>) -> Result<(Value, Marked), YamlError> {
    read(nodes, key, (limits, &mut 0), mark)
}

/// The same, of several documents with one limit; `used`: its bytes that are used.
pub(super) fn read(
    (node, scope): (&Node, &Node),
    key: &str,
    (limits, used): (Limits, &mut usize),
    mark: &Mark<'_>,
) -> Result<(Value, Marked), YamlError> {
    let mut anchors = HashMap::new();
    collect(scope, &mut anchors);
    let (marked, expanding, path) = (Marked::new(), HashSet::new(), Vec::new());
    let mut reader = Reader { anchors, limits, mark, marked, used: *used, expanding, depth: 0, path };
    let value = reader.value(node, &KeyPath::Root(key))?;
    *used = reader.used;
    Ok((value, reader.marked))
}

fn collect<'a>(node: &'a Node, anchors: &mut HashMap<usize, &'a Node>) {
    if let Some(anchor) = node.anchor {
        anchors.insert(anchor, node);
    }
    match &node.content {
        Content::List(items) => items.iter().for_each(|item| collect(item, anchors)),
        Content::Map(entries) => {
            entries.iter().flat_map(|(key, value)| [key, value]).for_each(|node| collect(node, anchors))
        }
        Content::Scalar { .. } | Content::Alias(_) => {}
    }
}

struct Reader<'a> {
    anchors: HashMap<usize, &'a Node>,
    limits: Limits,
    mark: &'a Mark<'a>,
    marked: Marked,
    used: usize,
    /// Anchors that are being expanded.
    expanding: HashSet<usize>,
    depth: usize,
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, node: &'a Node, key: &KeyPath<'_>) -> Result<Value, YamlError> {
        self.spend(node, key, NODE)?;
        match &node.content {
            Content::Alias(anchor) => {
                let anchor = *anchor;
                let Some(target) = self.anchors.get(&anchor).copied() else { return Err(outside(node.at, key)) };
                if !self.expanding.insert(anchor) {
                    return Err(YamlError::new(node.at, key, "an alias inside its own anchor", "the value itself"));
                }
                let value = self.value(target, key);
                self.expanding.remove(&anchor);
                value
            }
            Content::Scalar { text, plain } => {
                self.spend(node, key, text.len())?;
                number_or_text(scalar(node, text, *plain, key)?, node.at, key)
            }
            Content::List(items) => self.nested(node, key, |reader| {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    reader.path.push(index.to_string());
                    list.push(reader.value(item, &KeyPath::Item(key, index))?);
                    reader.path.pop();
                }
                Ok(Value::Array(list))
            }),
            Content::Map(entries) => self.nested(node, key, |reader| {
                let mut map = Map::new();
                reader.entries(entries, key, &mut map)?;
                if node.tag.is_none() && (reader.mark)(&reader.path, &map) {
                    reader.marked.insert(reader.path.clone(), node.at);
                }
                Ok(Value::Object(map))
            }),
        }
    }

    fn spend(&mut self, node: &Node, key: &KeyPath<'_>, bytes: usize) -> Result<(), YamlError> {
        self.used = self.used.saturating_add(bytes);
        if self.used <= self.limits.bytes {
            return Ok(());
        }
        let most = self.limits.bytes >> 10;
        let found = format!("more than {most} KiB of values, with every alias expanded");
        Err(YamlError::new(node.at, key, found, "fewer aliases of large anchors"))
    }

    fn nested<T>(
        &mut self,
        node: &'a Node,
        key: &KeyPath<'_>,
        read: impl FnOnce(&mut Self) -> Result<T, YamlError>,
    ) -> Result<T, YamlError> {
        self.depth += 1;
        if self.depth > self.limits.levels {
            return Err(too_deep(node.at, key, self.limits.levels));
        }
        let content = read(self);
        self.depth -= 1;
        content
    }

    /// In the order of the text; a later key replaces an earlier one. In go-yaml v2 even a merged mapping replaces keys
    /// above the merge key.
    fn entries(
        &mut self,
        entries: &'a [(Node, Node)],
        key: &KeyPath<'_>,
        map: &mut Map<String, Value>,
    ) -> Result<(), YamlError> {
        let mut lines: HashMap<String, usize> = HashMap::new();
        for (name, child) in entries {
            if is_merge(name) {
                self.merge(child, key, map)?;
                continue;
            }
            let text = self.key(name, key)?;
            let path = KeyPath::Entry(key, &text);
            self.spend(name, &path, text.len())?;
            if let Some(first) = lines.insert(text.clone(), name.at.line)
                && self.limits.duplicates == Duplicates::Rejected
            {
                let found = format!("the key a second time (first in line {first})");
                return Err(YamlError::new(name.at, path, found, "each key once"));
            }
            self.path.push(text.clone());
            if map.contains_key(&text) {
                let replaced = &self.path;
                self.marked.retain(|marked, _| !marked.starts_with(replaced));
            }
            let child = self.value(child, &path)?;
            self.path.pop();
            map.insert(text, child);
        }
        Ok(())
    }

    fn merge(&mut self, node: &'a Node, key: &KeyPath<'_>, map: &mut Map<String, Value>) -> Result<(), YamlError> {
        match &node.content {
            Content::Map(_) | Content::Alias(_) => self.merge_one(node, key, map),
            // Earlier ones have precedence.
            Content::List(items) => items.iter().rev().try_for_each(|item| self.merge_one(item, key, map)),
            Content::Scalar { .. } => Err(not_mergeable(node.at, key)),
        }
    }

    fn merge_one(&mut self, node: &'a Node, key: &KeyPath<'_>, map: &mut Map<String, Value>) -> Result<(), YamlError> {
        self.spend(node, key, NODE)?;
        let (anchor, target) = match &node.content {
            Content::Alias(anchor) => {
                let target = self.anchors.get(anchor).copied();
                (Some(*anchor), target.ok_or_else(|| outside(node.at, key))?)
            }
            _ => (None, node),
        };
        let Content::Map(entries) = &target.content else { return Err(not_mergeable(node.at, key)) };
        if anchor.is_some_and(|anchor| !self.expanding.insert(anchor)) {
            return Err(YamlError::new(node.at, key, "an alias inside its own anchor", "the value itself"));
        }
        self.nested(node, key, |reader| reader.entries(entries, key, map))?;
        if let Some(anchor) = anchor {
            self.expanding.remove(&anchor);
        }
        Ok(())
    }

    /// Numbers and booleans become texts, as in helm; other types are errors.
    fn key(&mut self, name: &'a Node, key: &KeyPath<'_>) -> Result<String, YamlError> {
        let (node, text, plain) = match &name.content {
            Content::Scalar { text, plain } => (name, text, *plain),
            Content::Alias(anchor) => {
                let Some(target) = self.anchors.get(anchor).copied() else { return Err(outside(name.at, key)) };
                let Content::Scalar { text, plain } = &target.content else { return Err(no_key(name.at, key)) };
                (target, text, *plain)
            }
            Content::List(_) | Content::Map(_) => return Err(no_key(name.at, key)),
        };
        let text = match scalar(node, text, plain, key)? {
            Scalar::Text(text) => text,
            Scalar::Bool(word) => word.to_string(),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Float(number) => resolve::float_key(number),
            Scalar::Null => return Err(YamlError::new(name.at, key, "a key without a name", "a word as key")),
            Scalar::Unsigned(number) => {
                return Err(YamlError::new(name.at, key, format!("the number {number} as key"), "the key in quotes"));
            }
        };
        if text.len() > MAX_KEY / 6 && json_line(&text.as_str().into()).len() > MAX_KEY {
            return Err(YamlError::new(name.at, key, "a key of more than 1000 characters", "a shorter key"));
        }
        Ok(text)
    }
}

/// `isMerge` of go-yaml v2: with one of these tags a quoted `<<` is a merge key, too.
fn is_merge(name: &Node) -> bool {
    let Content::Scalar { text, plain } = &name.content else { return false };
    let is_marked = match name.tag.as_deref() {
        None => *plain,
        Some(tag) => tag == "tag:yaml.org,2002:merge" || tag == "!",
    };
    text == "<<" && is_marked
}

fn outside(at: Position, key: &KeyPath<'_>) -> YamlError {
    YamlError::new(
        at,
        key,
        "an alias of an anchor that is not below `values:`",
        "an anchor below `values:`, or the value itself",
    )
}

fn not_mergeable(at: Position, key: &KeyPath<'_>) -> YamlError {
    YamlError::new(
        at,
        key,
        "a merge key with another type",
        "`<<:` with a mapping, an alias of one, or a list of these",
    )
}

fn no_key(at: Position, key: &KeyPath<'_>) -> YamlError {
    YamlError::new(at, key, "a key that is not a text", "a word as key")
}

fn scalar(node: &Node, text: &str, plain: bool, key: &KeyPath<'_>) -> Result<Scalar, YamlError> {
    match node.tag.as_deref() {
        None if plain => Ok(resolve::plain(text)),
        None => Ok(Scalar::Text(text.to_owned())),
        Some(tag) => {
            let name = tag.strip_prefix(CORE).unwrap_or_default();
            resolve::tagged(name, text).ok_or_else(|| {
                let expected = format!("a value that the tag !!{name} can have");
                YamlError::new(node.at, key, "a value that its tag cannot have", expected)
            })
        }
    }
}

/// A float without a fraction becomes an integer, as in helm.
fn number_or_text(scalar: Scalar, at: Position, key: &KeyPath<'_>) -> Result<Value, YamlError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(word) => word.into(),
        Scalar::Integer(number) => number.into(),
        Scalar::Unsigned(number) => number.into(),
        Scalar::Text(text) => text.into(),
        Scalar::Float(number)
            if number.fract() == 0.0 && number.abs() < EXACT && (number != 0.0 || number.is_sign_positive()) =>
        {
            (number as i64).into()
        }
        Scalar::Float(number) => {
            let number = Number::from_f64(number).ok_or_else(|| {
                YamlError::new(at, key, "a number that JSON does not have", "a finite number, or the text in quotes")
            })?;
            number.into()
        }
    })
}
