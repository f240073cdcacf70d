//! Parses the output of helm 3 and helm 4. Pure.

use std::collections::HashSet;

use serde_json::Value;

use crate::yaml;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Any of `v4.2.0`, `v3.19`, `v3.19.4+g7cfb6e4`, inside any text.
pub(super) fn version(text: &str) -> Option<semver::Version> {
    let word = text
        .split_whitespace()
        .find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
    let word = word.trim_start_matches('v').split('+').next()?;
    let (numbers, pre) = word.split_once('-').map_or((word, None), |(numbers, pre)| (numbers, Some(pre)));
    let mut parts: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.resize(3, 0);
    let mut version = semver::Version::new(parts[0], parts[1], parts[2]);
    if let Some(pre) = pre {
        version.pre = semver::Prerelease::new(pre).ok()?;
    }
    Some(version)
}

/// A multi-document manifest with helm's YAML types, without empty documents.
pub(super) fn documents(text: &[u8]) -> Result<Vec<Value>, Failure> {
    let text = separated(std::str::from_utf8(text)?);
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    Ok(yaml::documents(&text)?.into_iter().filter(|value| !is_empty(value)).collect())
}

/// helm 3's `show crds` writes no separator between files (helm v3.19 pkg/action/show.go): a repeated top-level key
/// starts a new document.
fn separated(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut keys = HashSet::new();
    for line in text.split_inclusive('\n') {
        let key =
            line.split_once(':').map(|(key, _)| key).filter(|_| line.starts_with(|c: char| c.is_ascii_alphabetic()));
        if line.starts_with("---") {
            keys.clear();
        } else if let Some(key) = key {
            if keys.contains(key) {
                whole.push_str("---\n");
                keys.clear();
            }
            keys.insert(key);
        }
        whole.push_str(line);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_separator_are_distinguished() {
        let text = "apiVersion: v1\nkind: A\nspec:\n  kind: inner\napiVersion: v1\nkind: B\n---\n# note\nkind: C\napiVersion: v1\n";
        let kinds: Vec<String> = documents(text.as_bytes())
            .unwrap()
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }

    /// With a comparison of each key with all keys above it, this would take minutes.
    #[test]
    fn a_document_may_have_many_keys() {
        let many: String = (0..100_000).map(|number| format!("k{number}:\n")).collect();
        assert_eq!(documents(many.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn versions_are_read_leniently() {
        for (text, expected) in [
            ("v4.2.0", "4.2.0"),
            ("v3.19", "3.19.0"),
            ("v3.19.4+g7cfb6e4", "3.19.4"),
            ("v4.0.0-beta.1", "4.0.0-beta.1"),
            ("version v3.1.0 x", "3.1.0"),
        ] {
            assert_eq!(version(text).unwrap().to_string(), expected);
        }
        assert!(version("Usage: something").is_none());
    }

    #[test]
    fn manifests_are_split_and_empty_documents_left_out() {
        let objects = documents(b"---\n# Source: x\n---\nkind: A\nn: 1\n---\nkind: B\n").unwrap();
        assert_eq!(objects.len(), 2);
        assert!(documents(b"kind: [").is_err());
    }
}
