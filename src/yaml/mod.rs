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

#[cfg(test)]
mod tests;
