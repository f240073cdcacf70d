//! Chart values of the answers, as `helm -f` reads them, with references in place of secrets.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::config::answers_yaml::MAX_LEVELS;
use crate::config::secret_detection::looks_secret;
use crate::config::secret_source::{EnvironmentVariables, Lines, SecretSource};
use crate::config::value_path::{at_path, at_path_mut, leaves};
use crate::config::{Problem, Secret};
use crate::yaml::{self, Duplicates, Limits, Node, Position, YamlError};

/// Values for one chart, a mapping. A secret in them is a reference, `{ env: NAME }` or `{ file: PATH }`, until it is
/// read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChartValues {
    /// With the references as written.
    written: Value,
    references: Vec<Reference>,
    /// The values files that they were read from, in order.
    files: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
struct Reference {
    /// Keys, and indexes of lists, from the root of the chart's values.
    path: Vec<String>,
    source: SecretSource,
    /// `FILE:LINE:COLUMN`
    place: String,
    /// `None` until it is read.
    secret: Option<Secret<String>>,
}

/// The limits for one component; two levels are `values` and the component.
const LIMITS: Limits = Limits { levels: MAX_LEVELS - 2, bytes: 1 << 20, duplicates: Duplicates::Rejected };

/// helm uses the last one of duplicate keys in a values file.
const FILE_LIMITS: Limits = Limits { duplicates: Duplicates::LastCounts, ..LIMITS };

/// Endings of keys with the user's own labels, in which `env: PROD` is no reference.
const LABELS: [&str; 8] =
    ["labels", "annotations", "selector", "tags", "match", "match_re", "source_match", "target_match"];

impl ChartValues {
    /// Values without a reference to a secret.
    pub fn literal(written: Value) -> ChartValues {
        ChartValues { written, ..ChartValues::default() }
    }

    /// Reads a component's node; `key` is its path, `scope` has the anchors.
    pub(super) fn read(
        nodes: (&Node, &Node),
        key: &str,
        place: impl Fn(Position) -> String,
    ) -> Result<ChartValues, YamlError> {
        ChartValues::read_within(LIMITS, nodes, key, place)
    }

    /// Reads a values file as `helm -f` does: its first document; an empty one has no values.
    pub(super) fn read_file(
        path: PathBuf,
        text: &str,
        key: &str,
        place: impl Fn(Position) -> String,
    ) -> Result<ChartValues, YamlError> {
        let roots = yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text), FILE_LIMITS.levels)?;
        let Some(root) = roots.first() else { return Ok(ChartValues { files: vec![path], ..ChartValues::empty() }) };
        let mut read = ChartValues::read_within(FILE_LIMITS, (root, root), key, place)?;
        match read.written {
            Value::Object(_) => {}
            Value::Null => read = ChartValues::empty(),
            _ => return Err(YamlError::new(root.at, key, "no mapping", "a mapping of chart values")),
        }
        Ok(ChartValues { files: vec![path], ..read })
    }

    fn empty() -> ChartValues {
        ChartValues::literal(Value::Object(Map::new()))
    }

    fn read_within(
        limits: Limits,
        (node, scope): (&Node, &Node),
        key: &str,
        place: impl Fn(Position) -> String,
    ) -> Result<ChartValues, YamlError> {
        let (written, marked) = yaml::value((node, scope), key, limits, &|path, map| source(path, map).is_some())?;
        let references = marked.into_iter().filter_map(|(path, at)| {
            let map = at_path(&written, &path)?.as_object()?;
            let source = source(&path, map)?;
            Some(Reference { path, source, place: place(at), secret: None })
        });
        let references = references.collect();
        Ok(ChartValues { written, references, files: Vec::new() })
    }

    /// These values with others merged over them. A reference is one value, which no mapping is merged with.
    pub(super) fn merged_with(mut self, over: ChartValues) -> ChartValues {
        let references = self.references.iter().chain(&over.references);
        for path in references.map(|reference| &reference.path) {
            if at_path(&over.written, path).is_some()
                && let Some(replaced) = at_path_mut(&mut self.written, path)
            {
                *replaced = Value::Null;
            }
        }
        yaml::merge(&mut self.written, &over.written);
        let (over_written, merged) = (&over.written, &self.written);
        let is_kept = |path: &[String]| at_path(over_written, path).is_none() && at_path(merged, path).is_some();
        self.references.retain(|reference| is_kept(&reference.path));
        self.references.extend(over.references);
        self.files.extend(over.files);
        self
    }

    /// The values files that they were read from, in order.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// As written, with the references.
    pub fn written(&self) -> &Value {
        &self.written
    }

    /// The values for helm, with the secrets that were read.
    pub fn exposed(&self) -> Value {
        let mut values = self.written.clone();
        for reference in &self.references {
            if let (Some(place), Some(secret)) = (at_path_mut(&mut values, &reference.path), &reference.secret) {
                *place = secret.expose().as_str().into();
            }
        }
        values
    }

    /// The secrets that were read.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret<String>> {
        self.references.iter().filter_map(|reference| reference.secret.as_ref())
    }

    /// Paths of the references: keys, and indexes of lists.
    pub fn references(&self) -> impl Iterator<Item = &[String]> {
        self.references.iter().map(|reference| reference.path.as_slice())
    }

    /// The references as they are written, `{ env: NAME }`, each with its path.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&[String], String)> {
        self.references.iter().map(|reference| (reference.path.as_slice(), reference.source.describe()))
    }

    /// Names of the environment variables that secrets are read from.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.references.iter().filter_map(|reference| reference.source.variable())
    }

    /// Reads every secret; an unreadable one is a problem at its key.
    pub(super) fn resolved(
        &self,
        component: &str,
        environment: &EnvironmentVariables,
        problems: &mut Vec<Problem>,
    ) -> ChartValues {
        let mut resolved = self.clone();
        for reference in &mut resolved.references {
            match reference.source.read(environment, Lines::Many) {
                Ok(secret) => reference.secret = Some(secret),
                Err((found, expected)) => problems.push(Problem {
                    place: reference.place.clone(),
                    key: dotted(component, &reference.path),
                    found,
                    expected: format!("{expected} (if the chart needs this mapping itself, write !!map before it)"),
                }),
            }
        }
        resolved
    }

    /// Whether this mapping looks like a reference but is none.
    pub(super) fn is_literal_mapping(&self, path: &[String], map: &Map<String, Value>) -> bool {
        source(path, map).is_some() && !self.references.iter().any(|reference| reference.path == path)
    }
}

/// Integers that a 64-bit float cannot represent: path, digits, and the float's digits.
pub(super) fn inexact_numbers(values: &Value) -> Vec<(Vec<String>, String, String)> {
    let mut found = Vec::new();
    leaves(values, &mut Vec::new(), &mut |path, leaf| {
        let Value::Number(number) = leaf else { return };
        let kept = number.as_f64().map(|float| format!("{float}")).unwrap_or_default();
        if !number.is_f64() && kept != number.to_string() {
            found.push((path.to_vec(), number.to_string(), kept));
        }
    });
    found
}

/// `values.loki.a.0.b`
pub(super) fn dotted(component: &str, path: &[String]) -> String {
    ["values", component].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
}

/// The secret's source if the mapping is a reference. Charts have own mappings with one key `env` or `file`: labels
/// (`nodeSelector: { env: prod }`) and Grafana's `dashboards.PROVIDER.NAME: { file: dashboards/x.json }`. So a variable
/// must be in upper case unless the key is one of a secret, and below those keys nothing is a reference.
fn source(path: &[String], map: &Map<String, Value>) -> Option<SecretSource> {
    let mut entries = map.iter();
    let (Some((kind, Value::String(text))), None) = (entries.next(), entries.next()) else { return None };
    let key = path.iter().rev().find(|key| !is_index(key))?;
    let lower = key.to_ascii_lowercase();
    if text.is_empty() || LABELS.iter().any(|ending| lower.ends_with(ending)) {
        return None;
    }
    match kind.as_str() {
        "env" if is_upper_case(text) || looks_secret(path) => Some(SecretSource::Environment(text.clone())),
        "file" if !path.iter().any(|key| key == "dashboards") => Some(SecretSource::File(text.into())),
        _ => None,
    }
}

fn is_index(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_upper_case(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> ChartValues {
        let roots = yaml::parse(text, MAX_LEVELS).unwrap();
        ChartValues::read((&roots[0], &roots[0]), "values.x", |at| format!("a.yaml:{}", at.line)).unwrap()
    }

    #[test]
    fn a_mapping_of_one_key_is_a_reference_unless_it_is_of_a_chart() {
        for (text, is_reference) in [
            ("api_url: { env: SLACK_URL }", true),
            ("list: [{ env: SLACK_URL }]", true),
            ("anything:\n  file: secrets/a.txt", true),
            ("password: { env: smtp_password }", true),
            ("api_url: !!map { env: SLACK_URL }", false),
            ("anything: { env: prod }", false),
            ("anything: { env: SLACK_URL, file: x }", false),
            ("anything: { env: [A] }", false),
            ("anything: { env: '' }", false),
            ("nodeSelector: { env: PROD }", false),
            ("external_labels: { env: PROD }", false),
            ("podAnnotations: { file: x }", false),
            ("grafana: { dashboards: { default: { mine: { file: dashboards/mine.json } } } }", false),
            ("env: PROD", false),
        ] {
            assert_eq!(read(text).references().count() == 1, is_reference, "{text}");
        }
    }

    #[test]
    fn a_values_file_is_read_as_helm_reads_it_and_values_are_merged_over_it() {
        let file = |text: &str| ChartValues::read_file("v.yaml".into(), text, "values.x", |_| "v.yaml:1:1".into());
        let text = "a: &a { mode: 0644, flag: yes, list: [1, 2] }\nb: { <<: *a, flag: no }\na2: 1\na2: 2\n---\nc: 1\n";
        let written = file(text).unwrap().written().clone();
        let mode = json!({"mode": 420, "flag": true, "list": [1, 2]});
        assert_eq!(written, json!({"a": mode, "b": {"mode": 420, "flag": false, "list": [1, 2]}, "a2": 2}));
        assert_eq!(file("# nothing\n").unwrap().written(), &json!({}));
        assert_eq!(file("").unwrap().written(), &json!({}));
        assert_eq!(file("- a\n").unwrap_err().at.line, 1);
        let base = file("a: { b: 1, c: 2 }\nlist: [{ url: { env: ONE } }]\nurl: { env: TWO }\npw: { env: THREE }\n");
        let over = read("a: { c: null }\nlist: []\nurl: { file: x }\nnew: { env: FOUR }\n");
        let merged = base.unwrap().merged_with(over);
        let expected = json!({"a": {"b": 1, "c": null}, "list": [], "url": {"file": "x"}, "pw": {"env": "THREE"},
            "new": {"env": "FOUR"}});
        assert_eq!(merged.written(), &expected);
        let sources: Vec<String> =
            merged.sources().map(|(path, source)| format!("{}={source}", path.join("."))).collect();
        assert_eq!(sources, ["pw={ env: THREE }", "new={ env: FOUR }", "url={ file: x }"]);
    }

    #[test]
    fn secrets_replace_their_references_once_they_are_read() {
        let values = read("a: [{ url: { env: SLACK_URL } }]\nb: { env: prod }\n");
        assert_eq!(values.exposed(), json!({"a": [{"url": {"env": "SLACK_URL"}}], "b": {"env": "prod"}}));
        let environment = EnvironmentVariables::from([("SLACK_URL".to_owned(), "line 1\nline 2\n".to_owned().into())]);
        let mut problems = Vec::new();
        let resolved = values.resolved("x", &environment, &mut problems);
        assert!(problems.is_empty());
        assert_eq!(resolved.exposed()["a"][0]["url"], "line 1\nline 2\n");
        assert!(!format!("{resolved:?}").contains("line 1"));
        assert_eq!(values.variables().collect::<Vec<_>>(), ["SLACK_URL"]);
        values.resolved("x", &EnvironmentVariables::new(), &mut problems);
        assert_eq!((problems[0].place.as_str(), problems[0].key.as_str()), ("a.yaml:1", "values.x.a.0.url"));
        assert!(problems[0].found.contains("no variable SLACK_URL"));
    }
}
