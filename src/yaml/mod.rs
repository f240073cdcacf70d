//! YAML as helm reads it (YAML 1.1): a tree with positions, and its JSON. Independent of answers, charts and files.

mod block;
mod merge;
mod resolve;
mod tree;
mod value;
mod write;

use serde_json::Value;

pub use block::block;
pub use merge::merge;
pub use tree::{Content, KeyPath, Node, Position, YamlError, parse, parse_documents};
pub use value::{Duplicates, Limits, value};
pub use write::json_line;

/// Limits of a chart's files, far above those of real charts. A mapping takes forty times the bytes that are counted.
const CHART: Limits = Limits { levels: 100, bytes: 16 << 20, duplicates: Duplicates::LastCounts };

impl std::fmt::Display for YamlError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let YamlError { at, key, found, expected } = self;
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        write!(formatter, "line {}, column {}: {key}found {found}; expected {expected}", at.line, at.column)
    }
}

impl std::error::Error for YamlError {}

/// Every document of a text as helm reads the files of a chart; an empty text has none.
pub fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let (roots, mut used) = (parse(text, CHART.levels)?, 0);
    let read = |root| value::read((root, root), "", (CHART, &mut used), &|_, _| false).map(|(value, _)| value);
    roots.iter().map(read).collect()
}

/// As [`documents`], without the documents of these kinds, which it does not read: exactly one of their lines starts with
/// `kind:`, and names such a kind. A document in another notation is read, whatever its kind is.
pub fn documents_without(text: &str, kinds: &[&str]) -> Result<Vec<Value>, YamlError> {
    let mut read = String::new();
    for document in split(text) {
        let mut named = document.lines().filter_map(|line| line.strip_prefix("kind:"));
        let kind = named.next().filter(|_| named.next().is_none()).map(|kind| kind.trim().trim_matches(['"', '\'']));
        if !kind.is_some_and(|kind| kinds.contains(&kind)) {
            read.push_str(document);
        }
    }
    documents(&read)
}

/// The documents of a text, each with its marker. In YAML a line `---` starts a document wherever it is (1.2, section 9.1.2).
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = rest
            .match_indices("\n---")
            .map(|(at, _)| at + 1)
            .find(|at| rest[at + 3..].chars().next().is_none_or(char::is_whitespace));
        let (document, after) = rest.split_at(next.unwrap_or(rest.len()));
        rest = after;
        Some(document)
    })
}

#[cfg(test)]
mod tests;
