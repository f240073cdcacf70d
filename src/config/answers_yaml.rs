//! The answers file with positions. Stricter than YAML: one document, no anchors, aliases, merge keys or tags, no key
//! twice, no deep nesting. Only the part below `values:` follows helm's rules.

use std::collections::HashMap;

use crate::config::error::quoted;
use crate::yaml::{self, KeyPath, Position, YamlError};

/// A node with its position.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A scalar as written; `plain`: not quoted.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// The part below `values:`, as written.
    Values(yaml::Node),
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

/// Levels of nesting, of the whole file and of values with their aliases expanded.
pub(super) const MAX_LEVELS: usize = 32;
/// The only key with values by helm's rules.
const FREE: &str = "values";

impl Node {
    /// `null`, `~` or nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// A description for messages.
    pub(super) fn kind(&self) -> String {
        match &self.content {
            Content::Map(_) | Content::Values(_) => "a mapping".into(),
            Content::List(_) => "a list".into(),
            Content::Scalar { .. } if self.is_null() => "nothing".into(),
            Content::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => text.clone(),
            Content::Scalar { text, plain: true } if text.parse::<f64>().is_ok() => format!("the number {text}"),
            Content::Scalar { text, .. } => format!("the text {}", quoted(text)),
        }
    }
}

/// Parses a whole file; `None`: no document.
pub(super) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let documents = yaml::parse_documents(text, MAX_LEVELS)?;
    match &documents[..] {
        [] => Ok(None),
        [(_, root)] => strict(root, &KeyPath::Root("")).map(Some),
        [_, (second, _), ..] => Err(YamlError::new(*second, "", "a second document", "one document")),
    }
}

fn strict(node: &yaml::Node, key: &KeyPath<'_>) -> Result<Node, YamlError> {
    let at = node.at;
    if node.anchor.is_some() {
        return Err(YamlError::new(
            at,
            key,
            "an anchor",
            "the value itself (anchors are allowed below `values:` only)",
        ));
    }
    if let Some(tag) = &node.tag {
        return Err(YamlError::new(at, key, format!("the tag {tag}"), "a value without a tag"));
    }
    let content = match &node.content {
        yaml::Content::Alias(_) => {
            return Err(YamlError::new(
                at,
                key,
                "an alias",
                "the value itself (aliases are allowed below `values:` only)",
            ));
        }
        yaml::Content::Scalar { text, plain } => Content::Scalar { text: text.clone(), plain: *plain },
        yaml::Content::List(items) => {
            let items = items.iter().enumerate();
            Content::List(
                items.map(|(index, item)| strict(item, &KeyPath::Item(key, index))).collect::<Result<_, _>>()?,
            )
        }
        yaml::Content::Map(entries) => Content::Map(mapping(entries, key)?),
    };
    Ok(Node { at, content })
}

fn mapping(entries: &[(yaml::Node, yaml::Node)], key: &KeyPath<'_>) -> Result<Vec<(Key, Node)>, YamlError> {
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut checked = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let Content::Scalar { text, .. } = strict(name, key)?.content else {
            return Err(YamlError::new(name.at, key, "a key that is not a text", "a word as key"));
        };
        let path = KeyPath::Entry(key, &text);
        if text == "<<" {
            return Err(YamlError::new(name.at, path, "a merge key", "the values themselves"));
        }
        if let yaml::Content::Scalar { text, .. } = &name.content
            && let Some(first) = lines.insert(text, name.at.line)
        {
            let found = format!("the key a second time (first in line {first})");
            return Err(YamlError::new(name.at, path, found, "each key once"));
        }
        let is_free =
            matches!(path, KeyPath::Entry(KeyPath::Root(_), FREE)) && matches!(value.content, yaml::Content::Map(_));
        let value = match is_free {
            true => Node { at: value.at, content: Content::Values(value.clone()) },
            false => strict(value, &path)?,
        };
        checked.push((Key { at: name.at, text }, value));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(text: &str) -> (usize, String, String) {
        let flaw = parse(text).unwrap_err();
        (flaw.at.line, flaw.key, flaw.found)
    }

    #[test]
    fn positions_are_those_of_the_file() {
        let Some(Node { content: Content::Map(entries), .. }) = parse("# c\na: 1\nb:\n  - x\n").unwrap() else {
            panic!("expected a mapping")
        };
        assert_eq!(entries[0].0.at, Position { line: 2, column: 1 });
        assert_eq!(entries[0].1.at, Position { line: 2, column: 4 });
        assert!(parse("").unwrap().is_none());
    }

    #[test]
    fn ambiguous_yaml_is_rejected_with_its_position() {
        assert_eq!(rejected("a: 1\na: 2\n"), (2, "a".into(), "the key a second time (first in line 1)".into()));
        assert_eq!(rejected("x:\n  a: &k 1\n").2, "an anchor");
        assert_eq!(rejected("a: !!str 1\n").2, "the tag tag:yaml.org,2002:str");
        assert_eq!(rejected("<<: { a: 1 }\n").2, "a merge key");
        assert_eq!(rejected("a: &a 1\nvalues: { loki: { x: *a } }\n").2, "an anchor");
        assert_eq!(rejected("values: { loki: { x: &a 1 } }\nb: *a\n").2, "an alias");
        assert_eq!(rejected("a: 1\n---\nb: 2\n").2, "a second document");
        assert_eq!(rejected(&"[".repeat(40)).2, "more than 32 levels");
        assert_eq!(rejected("a: [1\n").1, "");
    }
}
