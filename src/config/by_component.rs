//! Reads the answers by component: `versions`, `valuesFiles` and `values`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::answers::FREE;
use crate::config::answers_yaml::{Content, Key, Node};
use crate::config::chart_values::{dotted, inexact_numbers};
use crate::config::draft::insert_free;
use crate::config::error::quoted;
use crate::config::load::{Loader, place};
use crate::config::secret_detection::secret_texts;
use crate::config::{ChartValues, ComponentName, Invalid, Provenance};
use crate::input_file;
use crate::yaml::{self, Position, YamlError};

/// Chart values of one document, each with the place of its key.
type Values = BTreeMap<ComponentName, (ChartValues, Provenance)>;

/// Bytes of a values file.
const MAX_BYTES: u64 = 1 << 20;

impl Loader {
    /// `versions`, `valuesFiles` and `values`, by component.
    pub(super) fn free_form(&mut self, file: &str, entries: &[(Key, Node)], from: &dyn Fn(usize) -> Provenance) {
        let (mut files, mut values) = (Values::new(), Values::new());
        for (section, node) in entries.iter().filter(|(key, _)| FREE.contains(&key.text.as_str())) {
            match &node.content {
                Content::Values(section) => values = self.values(file, section, from),
                Content::Map(lists) if section.text == "valuesFiles" => {
                    for (key, list) in lists.iter().filter(|(_, list)| !list.is_null()) {
                        files.extend(self.values_files(file, (key, list), from(key.at.line)));
                    }
                }
                Content::Map(versions) => {
                    versions.iter().for_each(|(key, child)| self.version(file, (key, child), from(key.at.line)))
                }
                _ if node.is_null() => {}
                _ => self.problem(
                    &place(file, node.at),
                    &section.text,
                    node.kind(),
                    "expected a mapping by component, such as `loki:`",
                ),
            }
        }
        for (component, (over, at)) in values {
            let merged = match files.remove(&component) {
                Some((base, _)) => base.merged_with(over),
                None => over,
            };
            files.insert(component, (merged, at));
        }
        for (component, (values, from)) in files {
            // With an answers file, saved values are dropped.
            if from != Provenance::Saved || !self.draft.from_file {
                self.note_secrets(&component, &values);
                self.note_inexact_numbers(&component, &values);
            }
            self.draft.secret_variables.extend(values.variables().map(str::to_owned));
            insert_free(&mut self.draft.values, component, values, from);
        }
    }

    /// The values files of one component, merged in order.
    fn values_files(
        &mut self,
        file: &str,
        (key, list): (&Key, &Node),
        from: Provenance,
    ) -> Option<(ComponentName, (ChartValues, Provenance))> {
        let path = format!("valuesFiles.{}", key.text);
        let component = self.component(file, key.at, &path, &key.text)?;
        let Provenance::File(answers, _) = &from else {
            // Otherwise a client that can edit the saved answers chooses files of this machine.
            let expected = "expected none: a run saves the contents of the files below `values:`";
            self.problem(&place(file, list.at), &path, "values files", expected);
            return None;
        };
        const EXPECTED: &str = "expected a list of files, such as [loki.yaml]";
        let Content::List(items) = &list.content else {
            self.problem(&place(file, list.at), &path, list.kind(), EXPECTED);
            return None;
        };
        let folder = answers.parent().map(Path::to_owned).unwrap_or_default();
        let mut merged: Option<ChartValues> = None;
        for item in items {
            let Content::Scalar { text, .. } = &item.content else {
                self.problem(&place(file, item.at), &path, item.kind(), EXPECTED);
                continue;
            };
            let values_file = folder.join(text);
            let read = match input_file::read_text(&values_file, MAX_BYTES) {
                Ok(read) => read,
                Err(error) => {
                    let found = format!("{}, which cannot be read ({error})", values_file.display());
                    let expected = "expected a text file of at most 1 MiB, its path relative to the answers file";
                    self.problem(&place(file, item.at), &path, found, expected);
                    continue;
                }
            };
            let name = values_file.display().to_string();
            let key = format!("values.{component}");
            match ChartValues::read_file(values_file, &read, &key, |at| place(&name, at)) {
                Ok(next) => {
                    merged = Some(match merged.take() {
                        Some(base) => base.merged_with(next),
                        None => next,
                    })
                }
                Err(YamlError { at, key, found, expected }) => {
                    let key = if key.is_empty() { &path } else { &key };
                    self.problem(&place(&name, at), key, found, format!("expected {expected}"));
                }
            }
        }
        Some((component, (merged?, from)))
    }

    fn version(&mut self, file: &str, (key, child): (&Key, &Node), from: Provenance) {
        let path = format!("versions.{}", key.text);
        let Some(component) = self.component(file, key.at, &path, &key.text) else { return };
        const EXPECTED: &str = "expected a chart version such as 6.46.0";
        let at = place(file, child.at);
        let Content::Scalar { text, .. } = &child.content else {
            return self.problem(&at, &path, child.kind(), EXPECTED);
        };
        match semver::Version::parse(text.trim_start_matches('v')) {
            Ok(version) => insert_free(&mut self.draft.versions, component, version, from),
            Err(_) => self.problem(&at, &path, quoted(text), EXPECTED),
        }
    }

    fn component(&mut self, file: &str, at: Position, path: &str, name: &str) -> Option<ComponentName> {
        match name.parse() {
            Ok(component) => Some(component),
            Err(error) => {
                let error: Invalid = error;
                self.problem(&place(file, at), path, "an unknown component", error.to_string());
                None
            }
        }
    }

    fn values(&mut self, file: &str, section: &yaml::Node, from: &dyn Fn(usize) -> Provenance) -> Values {
        let mut read = Values::new();
        let yaml::Content::Map(components) = &section.content else { return read };
        for (key, child) in components {
            let yaml::Content::Scalar { text, .. } = &key.content else {
                self.problem(
                    &place(file, key.at),
                    "values",
                    "a key that is not a text",
                    "expected the name of a component",
                );
                continue;
            };
            let path = format!("values.{text}");
            let Some(component) = self.component(file, key.at, &path, text) else { continue };
            let values = match ChartValues::read((child, section), &path, |at| place(file, at)) {
                Ok(values) => values,
                Err(YamlError { at, key, found, expected }) => {
                    self.problem(&place(file, at), &key, found, format!("expected {expected}"));
                    continue;
                }
            };
            match values.written() {
                serde_json::Value::Null => {}
                serde_json::Value::Object(_) if !read.contains_key(&component) => {
                    drop(read.insert(component, (values, from(key.at.line))))
                }
                serde_json::Value::Object(_) => {
                    self.problem(&place(file, key.at), &path, "the key a second time", "expected each key once");
                }
                other => {
                    let found = match other {
                        serde_json::Value::Array(_) => "a list".to_owned(),
                        serde_json::Value::String(text) => format!("the text {}", quoted(text)),
                        scalar => scalar.to_string(),
                    };
                    self.problem(&place(file, child.at), &path, found, "expected a mapping of chart values");
                }
            }
        }
        read
    }

    /// helm keeps every number as a 64-bit float.
    fn note_inexact_numbers(&mut self, component: &ComponentName, values: &ChartValues) {
        for (path, written, kept) in inexact_numbers(values.written()) {
            let key = dotted(component.as_str(), &path);
            self.draft.notices.push(format!("{key}: helm converts {written} to {kept}; quote it to keep its digits"));
        }
    }

    /// Reports the key only.
    fn note_secrets(&mut self, component: &ComponentName, values: &ChartValues) {
        for path in secret_texts(values.written()) {
            let key = dotted(component.as_str(), &path);
            self.draft.notices.push(format!(
                "{key} looks like a secret in clear text; use {{ env: NAME }} or {{ file: PATH }} instead"
            ));
        }
    }
}
