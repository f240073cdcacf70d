//! The saved answers as a source of a later run, and the record that detects edits by other clients. Pure: the cluster
//! module reads and writes both.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::answers::{ROWS, Row};
use crate::config::answers_yaml::{self, Content};
use crate::config::draft::Answer;
use crate::config::error::quoted;
use crate::config::load::add_saved;
use crate::config::{ChartValues, ConfigError, Draft, Provenance, SavedState, Secret, Settings, saved_answers};

/// The security-bearing answers as text, and a digest for each path of chart values. Stored outside of the Secret: write
/// access to the Secret does not suffice to change both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u8,
    answers: BTreeMap<String, String>,
    /// Path below `values`, e.g. `loki.singleBinary.replicas`, and its digest.
    values: BTreeMap<String, String>,
}

/// The format that this tailwatch writes and reads.
const VERSION: u8 = 1;
/// All annotations of an object together may have 256 KiB (Kubernetes, ValidateAnnotationsSize); a record with more
/// paths than fit into half of it has one digest for each component.
const MAX_RECORD: usize = 128 << 10;

/// The record of a run with these settings, as JSON.
pub fn record(settings: &Settings, salt: &Secret<Vec<u8>>) -> String {
    let saved = add_saved(Draft::default(), &saved_answers(settings)).unwrap_or_default();
    let rows = ROWS.iter().filter(|row| row.security);
    let answers = rows.filter_map(|row| Some((row.key.to_owned(), saved.text(row.key)?.0)));
    let versions = settings.versions.iter().map(|(name, version)| (version_key(name.as_str()), version.to_string()));
    let answers = answers.chain(versions).collect();
    let values = settings.values.iter().map(|(name, values)| (name.as_str(), json(values)));
    let values: Vec<(&str, Value)> = values.collect();
    let leaves = values.iter().flat_map(|(name, values)| digests(name, values, salt)).collect();
    let record = Record { version: VERSION, answers, values: leaves };
    let text = serde_json::to_string(&record).unwrap_or_default();
    if text.len() <= MAX_RECORD {
        return text;
    }
    let whole = values.iter().map(|(name, values)| ((*name).to_owned(), digest(name, values, salt))).collect();
    serde_json::to_string(&Record { values: whole, ..record }).unwrap_or_default()
}

/// A security-bearing answer that only the saved answers have and that differs from the record of the last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Key path; of chart values the differing path.
    pub key: String,
    /// The recorded value; chart values are masked. `None`: none was recorded.
    pub recorded: Option<String>,
    /// The saved value, likewise. `None`: none is saved.
    pub saved: Option<String>,
}

impl std::fmt::Display for Unconfirmed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "no value".into());
        write!(formatter, "{}: the last run had {}, saved is {}", self.key, shown(&self.recorded), shown(&self.saved))
    }
}

/// Masks a chart value, which may be a secret.
const MASKED: &str = "[masked]";

/// Adds the saved answers; only defaults have a lower precedence. Unusable ones are an error, or are ignored with a notice
/// if the other sources have all required answers.
pub fn add_state(draft: Draft, state: &SavedState) -> Result<Draft, ConfigError> {
    let is_complete = draft.missing().is_empty();
    let mut added = match read(&draft, state) {
        Ok(draft) => draft,
        Err(error) if is_complete => {
            let mut draft = draft;
            draft.notices.push(format!("{error}; they are ignored, and the next install replaces them"));
            draft
        }
        Err(error) => return Err(error),
    };
    added.saved = Some(state.clone());
    Ok(added)
}

fn read(draft: &Draft, state: &SavedState) -> Result<Draft, ConfigError> {
    let unusable = |reason: String| ConfigError::SavedUnusable { namespace: state.namespace.clone(), reason };
    let writer = if state.writer.is_empty() { String::new() } else { format!(", written by {}", state.writer) };
    if let Some(version) = newer_format(&state.text) {
        return Err(unusable(format!("their format is version {version}{writer}; this tailwatch reads version 1")));
    }
    add_saved(draft.clone(), &state.text).map_err(|error| unusable(format!("{error}{writer}")))
}

/// The version of a newer format.
fn newer_format(text: &str) -> Option<u64> {
    let root = answers_yaml::parse(text).ok()??;
    let Content::Map(entries) = &root.content else { return None };
    let (_, version) = entries.iter().find(|(key, _)| key.text == "version")?;
    let Content::Scalar { text, .. } = &version.content else { return None };
    text.parse().ok().filter(|version| *version > 1)
}

impl Draft {
    /// Security-bearing answers that only the saved answers have, or that are missing there, and that differ from the record
    /// of the last run.
    pub fn unconfirmed(&self) -> Vec<Unconfirmed> {
        let Some(state) = &self.saved else { return Vec::new() };
        let record = state.record.as_deref().and_then(|text| serde_json::from_str::<Record>(text).ok());
        let record = record.filter(|record| record.version == VERSION).unwrap_or_default();
        let rows = ROWS.iter().filter(|row| row.security).filter_map(|row| self.unconfirmed_row(row, &record));
        let mut found: Vec<Unconfirmed> = rows.collect();
        found.extend(self.unconfirmed_versions(&record));
        found.extend(self.unconfirmed_values(&record, &state.salt));
        found
    }

    fn unconfirmed_row(&self, row: &Row, record: &Record) -> Option<Unconfirmed> {
        let is_saved = match self.answers.get(row.key) {
            Some((Answer::Secret(_), _)) => return None,
            Some((_, from)) if *from > Provenance::Saved => return None,
            Some((_, from)) => *from == Provenance::Saved,
            None => false,
        };
        let effective = self.text(row.key).map(|(text, _)| text);
        let recorded = record.answers.get(row.key);
        // A default of a row that the last run did not know, or that equals the saved value, needs no confirmation.
        let is_default = effective.as_deref() == row.default;
        if effective.as_ref() == recorded || (recorded.is_none() && (!is_saved || is_default)) {
            return None;
        }
        Some(Unconfirmed {
            key: row.key.to_owned(),
            recorded: recorded.map(|text| quoted(text)),
            saved: effective.map(|text| quoted(&text)),
        })
    }

    fn unconfirmed_versions(&self, record: &Record) -> Vec<Unconfirmed> {
        let recorded =
            record.answers.iter().filter_map(|(key, version)| Some((key.strip_prefix("versions.")?, version)));
        let recorded: BTreeMap<&str, &String> = recorded.collect();
        let effective: BTreeMap<&str, _> = self.versions.iter().map(|(name, entry)| (name.as_str(), entry)).collect();
        let names: BTreeSet<&str> = recorded.keys().chain(effective.keys()).copied().collect();
        let differs = |name: &&str| {
            let saved = match effective.get(name) {
                Some((_, from)) if *from > Provenance::Saved => return None,
                Some((version, _)) => Some(version.to_string()),
                None => None,
            };
            let recorded = recorded.get(name).map(|version| (*version).clone());
            (saved != recorded).then(|| Unconfirmed { key: version_key(name), recorded, saved })
        };
        names.iter().filter_map(differs).collect()
    }

    fn unconfirmed_values(&self, record: &Record, salt: &Secret<Vec<u8>>) -> Vec<Unconfirmed> {
        // An answers file replaces all saved values.
        if self.from_file {
            return Vec::new();
        }
        let overridden = self.values.iter().filter(|(_, (_, from))| *from > Provenance::Saved);
        let overridden: BTreeSet<&str> = overridden.map(|(name, _)| name.as_str()).collect();
        let saved = self.values.iter().filter(|(name, _)| !overridden.contains(name.as_str()));
        let mut now = BTreeMap::new();
        for (name, (values, _)) in saved {
            let values = json(values);
            match record.values.contains_key(name.as_str()) {
                true => drop(now.insert(name.to_string(), digest(name.as_str(), &values, salt))),
                false => now.extend(digests(name.as_str(), &values, salt)),
            }
        }
        let component = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
        let before = record.values.iter().filter(|(path, _)| !overridden.contains(component(path).as_str()));
        let before: BTreeMap<&String, &String> = before.collect();
        let paths: BTreeSet<&String> = before.keys().copied().chain(now.keys()).collect();
        let sources = self.sources_by_path();
        let masked = |exists: bool| exists.then(|| MASKED.to_owned());
        let differ = paths.into_iter().filter(|path| before.get(path).copied() != now.get(*path));
        let reported = differ.map(|path| Unconfirmed {
            key: format!("values.{path}"),
            recorded: masked(before.contains_key(path)),
            saved: sources_at(&sources, path).or_else(|| masked(now.contains_key(path))),
        });
        reported.collect()
    }
}

impl Draft {
    /// The sources on this machine (variables, files) of chart values.
    fn sources_by_path(&self) -> BTreeMap<String, String> {
        let sources = self.values.iter().flat_map(|(name, (values, _))| {
            values.sources().map(move |(keys, source)| {
                let keys: String = keys.iter().map(|key| format!(".{}", quoted_key(key))).collect();
                (format!("{name}{keys}"), source)
            })
        });
        sources.collect()
    }
}

/// The sources that a confirmed path of chart values would read.
fn sources_at(sources: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let begins =
        sources.range(path.to_owned()..).map_while(|(other, source)| Some((other.strip_prefix(path)?, source)));
    let below = begins.filter(|(rest, _)| rest.is_empty() || rest.starts_with('.'));
    let found: Vec<&str> = below.map(|(_, source)| source.as_str()).collect();
    (!found.is_empty()).then(|| format!("{MASKED} with {}", found.join(" and ")))
}

fn version_key(component: &str) -> String {
    format!("versions.{component}")
}

/// The values as written; marks references to distinguish them from mappings that look alike.
fn json(values: &ChartValues) -> Value {
    let mut written = values.written().clone();
    for path in values.references() {
        let escaped = path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")));
        if let Some(value) = written.pointer_mut(&escaped.collect::<String>()) {
            *value = Value::Array(vec!["reference".into(), value.take()]);
        }
    }
    written
}

/// A digest for each value that is no mapping, with its path.
fn digests(path: &str, value: &Value, salt: &Secret<Vec<u8>>) -> Vec<(String, String)> {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let below = |(key, child): (&String, &Value)| digests(&format!("{path}.{}", quoted_key(key)), child, salt);
            entries.iter().flat_map(below).collect()
        }
        leaf => vec![(path.to_owned(), digest(path, leaf, salt))],
    }
}

/// Quotes a key to make paths unique.
fn quoted_key(key: &str) -> String {
    if key.contains(['.', '"', '\\']) { format!("{key:?}") } else { key.to_owned() }
}

/// A salted digest: compares values without revealing them.
fn digest(path: &str, value: &Value, salt: &Secret<Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for part in [salt.expose().as_slice(), path.as_bytes(), value.to_string().as_bytes()] {
        hash.update(Sha256::digest(part));
    }
    format!("{:x}", hash.finalize())[..32].to_owned()
}

#[cfg(test)]
#[path = "saved_state_tests.rs"]
mod tests;
