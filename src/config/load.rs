//! Reads every source into a [`Draft`]. Reports all problems of all sources at once.

use std::path::{Path, PathBuf};

use crate::config::answers::{FREE, ROWS, Row, Shape, find_row};
use crate::config::answers_yaml::{self, Content, Key, Node};
use crate::config::draft::{Answer, validate_list};
use crate::config::env::{FLAG_VARIABLES, environment_names};
use crate::config::error::quoted;
use crate::config::secret_source::{EnvironmentVariables, SecretSource};
use crate::config::types::nearest;
use crate::config::{ChartsLock, ComponentName, ConfigError, Draft, Problem, Provenance, SAVED_FILE};
use crate::input_file::{self, InputError};
use crate::yaml::{Position, YamlError};

/// The sources of settings besides prompts.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--answers`
    pub answers: Option<PathBuf>,
    /// `--set`, each `key.path=value`
    pub set: Vec<String>,
    /// `--namespace`
    pub namespace_flag: Option<String>,
    /// `--bundle`: the archive, or the folder with its charts.
    pub bundle: Option<String>,
    /// The process' environment.
    pub environment: EnvironmentVariables,
}

/// Bytes; a larger file is rejected unread.
const MAX_BYTES: u64 = 1 << 20;

/// Reads file, environment, flags and `--set`.
pub fn load(sources: &Sources) -> Result<Draft, ConfigError> {
    read_sources(sources)?.end()
}

/// The valid answers of the sources, to find their secrets; empty if they cannot be read.
pub fn load_despite_problems(sources: &Sources) -> Draft {
    read_sources(sources).map(|loader| loader.draft).unwrap_or_default()
}

/// The valid saved answers alone, to find their secrets; these are read from the environment of `draft`.
pub fn load_saved_only(draft: &Draft, text: &str) -> Draft {
    let draft = Draft { environment: draft.environment.clone(), ..Draft::default() };
    let mut loader = Loader::new(draft);
    loader.document(SAVED_FILE, text, |_| Provenance::Saved);
    loader.draft
}

fn read_sources(sources: &Sources) -> Result<Loader, ConfigError> {
    let draft = Draft { environment: sources.environment.clone(), ..Draft::default() };
    let mut loader = Loader::new(draft);
    if let Some(path) = &sources.answers {
        let text = text_of(path, read(path)?)?;
        loader.document(&path.display().to_string(), &text, |line| Provenance::File(path.clone(), line));
        loader.draft.from_file = true;
        match ChartsLock::beside(path) {
            Ok(lock) => loader.draft.charts_lock = lock,
            Err(problem) => loader.problems.push(problem),
        }
    }
    loader.environment(&sources.environment);
    if let Some(namespace) = &sources.namespace_flag {
        loader.text("--namespace", "namespace", namespace, Provenance::Flag("--namespace"));
    }
    if let Some(bundle) = &sources.bundle {
        loader.text("--bundle", "charts.repository", bundle, Provenance::Flag("--bundle"));
    }
    for setting in &sources.set {
        loader.setting(setting);
    }
    Ok(loader)
}

/// Adds the saved answers of an earlier run; only defaults have a lower precedence. With an answers file, saved chart
/// values that it does not have are dropped with a notice.
pub fn add_saved(draft: Draft, text: &str) -> Result<Draft, ConfigError> {
    let mut loader = Loader::new(draft);
    loader.document(SAVED_FILE, text, |_| Provenance::Saved);
    if loader.draft.from_file {
        let is_saved = |(_, from): &(_, Provenance)| *from == Provenance::Saved;
        let saved: Vec<ComponentName> =
            loader.draft.values.iter().filter(|(_, entry)| is_saved(entry)).map(|(name, _)| name.clone()).collect();
        for component in saved {
            loader.draft.values.remove(&component);
            let dropped = format!("values.{component} of the last run is not in the answers file and is dropped");
            loader.draft.notices.push(dropped);
        }
    }
    loader.end()
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let not_answers = |found: String| ConfigError::NotAnswers { path: path.to_owned(), found };
    input_file::read(path, MAX_BYTES).map_err(|error| match error {
        InputError::Unreadable(source) => ConfigError::Unreadable { path: path.to_owned(), source },
        InputError::Other(found) => not_answers(found.to_owned()),
        InputError::TooLarge { found: Some(bytes), .. } => not_answers(format!("{bytes} bytes")),
        InputError::TooLarge { .. } => not_answers("more than that".into()),
    })
}

pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    let not_answers = |found: String| ConfigError::NotAnswers { path: path.to_owned(), found };
    if bytes.contains(&0) {
        return Err(not_answers("binary data".into()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        not_answers(format!("bytes in line {line} that are not UTF-8"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

pub(super) struct Loader {
    pub(super) draft: Draft,
    problems: Vec<Problem>,
}

impl Loader {
    pub(super) fn new(draft: Draft) -> Loader {
        Loader { draft, problems: Vec::new() }
    }

    pub(super) fn end(mut self) -> Result<Draft, ConfigError> {
        self.problems.extend(self.draft.contradictions());
        if self.problems.is_empty() { Ok(self.draft) } else { Err(ConfigError::Invalid { problems: self.problems }) }
    }

    pub(super) fn problem(&mut self, place: &str, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(Problem {
            place: place.into(),
            key: key.into(),
            found: found.into(),
            expected: expected.into(),
        });
    }

    pub(super) fn document(&mut self, file: &str, text: &str, from: impl Fn(usize) -> Provenance) {
        let root = match answers_yaml::parse(text) {
            Ok(Some(root)) => root,
            Ok(None) => {
                return self.problem(file, "", "an empty file", "expected answers such as `tailnet: tail1a2b.ts.net`");
            }
            Err(YamlError { at, key, found, expected }) => {
                return self.problem(&place(file, at), &key, found, format!("expected {expected}"));
            }
        };
        let Content::Map(entries) = &root.content else {
            return self.problem(
                &place(file, root.at),
                "",
                root.kind(),
                "expected a mapping such as `tailnet: tail1a2b.ts.net`",
            );
        };
        self.mapping(file, "", entries, &from);
        self.free_form(file, entries, &from);
    }

    fn mapping(&mut self, file: &str, prefix: &str, entries: &[(Key, Node)], from: &dyn Fn(usize) -> Provenance) {
        for (key, node) in entries {
            let path = if prefix.is_empty() { key.text.clone() } else { format!("{prefix}.{}", key.text) };
            if FREE.contains(&path.as_str()) {
                continue;
            }
            if let Some(row) = find_row(&path) {
                self.answer(file, row, node, from(key.at.line));
            } else if ROWS.iter().any(|row| row.key.starts_with(&format!("{path}."))) {
                match &node.content {
                    Content::Map(children) => self.mapping(file, &path, children, from),
                    _ if node.is_null() => {}
                    _ => {
                        let example = children(&path).join(", ");
                        self.problem(
                            &place(file, node.at),
                            &path,
                            node.kind(),
                            format!("expected a mapping with {example}"),
                        );
                    }
                }
            } else {
                self.unknown(&place(file, key.at), prefix, &key.text);
            }
        }
    }

    fn unknown(&mut self, place: &str, prefix: &str, name: &str) {
        let known = children(prefix);
        let expected = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("expected one of {}", known.join(", ")),
        };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        self.problem(place, &path, "an unknown key", expected);
    }

    fn answer(&mut self, file: &str, row: &'static Row, node: &Node, from: Provenance) {
        if node.is_null() {
            return;
        }
        let at = place(file, node.at);
        if row.key == "namespace" && from == Provenance::Saved {
            // Otherwise a client that can edit the saved answers chooses the namespace of a second stack.
            let expected = "expected none: the answers are for the namespace that they are saved in";
            return self.problem(&at, row.key, "a namespace", expected);
        }
        match (row.shape, &node.content) {
            (Shape::Secret, _) => self.secret(&at, row, node, from),
            (Shape::Text | Shape::Flag, Content::Scalar { text, .. }) => self.text(&at, row.key, text, from),
            (Shape::List, Content::List(items)) => {
                let mut entries = Vec::new();
                for item in items {
                    let Content::Scalar { text, .. } = &item.content else {
                        return self.problem(
                            &place(file, item.at),
                            row.key,
                            item.kind(),
                            format!("expected a text, as in {}", row.example),
                        );
                    };
                    if let Err(invalid) = row.validate(text) {
                        return self.problem(&place(file, item.at), row.key, quoted(text), invalid.0);
                    }
                    entries.push(text.as_str());
                }
                self.list(&at, row, &entries, from);
            }
            (Shape::Text | Shape::Flag, _) => {
                self.problem(&at, row.key, node.kind(), format!("expected a text such as {}", row.example))
            }
            (Shape::List, _) => {
                self.problem(&at, row.key, node.kind(), format!("expected a list such as {}", row.example))
            }
        }
    }

    fn list(&mut self, place: &str, row: &'static Row, entries: &[&str], from: Provenance) {
        match validate_list(row, entries.iter().copied()) {
            Ok(entries) => self.draft.insert(row, Answer::List(entries), from),
            Err(invalid) => self.problem(place, row.key, "an empty list", invalid.0),
        }
    }

    fn text(&mut self, place: &str, key: &str, text: &str, from: Provenance) {
        if let Err(invalid) = self.draft.set(key, text, from) {
            self.problem(place, key, quoted(text), invalid.0);
        }
    }

    /// No message contains the value: it may be the secret itself.
    fn secret(&mut self, place: &str, row: &'static Row, node: &Node, from: Provenance) {
        const EXPECTED: &str = "expected { env: NAME } or { file: PATH }";
        // Otherwise a client that can edit the saved answers chooses a local file or variable to send to the issuer.
        if from == Provenance::Saved {
            return self.problem(place, row.key, "a source of a secret", "expected none: a run saves no source of one");
        }
        let Content::Map(entries) = &node.content else {
            return self.problem(place, row.key, "a literal", format!("{EXPECTED}, never the secret itself"));
        };
        let source = match entries.as_slice() {
            [(key, Node { content: Content::Scalar { text, .. }, .. })] if !text.is_empty() => {
                match key.text.as_str() {
                    "env" if !is_variable_name(text) => {
                        return self.problem(place, row.key, "a text that is no variable name", EXPECTED);
                    }
                    "env" => SecretSource::Environment(text.clone()),
                    "file" => SecretSource::File(text.into()),
                    _ => return self.problem(place, row.key, "an unknown source", EXPECTED),
                }
            }
            [] | [_] => return self.problem(place, row.key, "no source", EXPECTED),
            _ => return self.problem(place, row.key, "more than one source", EXPECTED),
        };
        self.draft.notices.extend(source.warning());
        self.draft.insert(row, Answer::Secret(source), from);
    }

    fn environment(&mut self, environment: &EnvironmentVariables) {
        for (row, name) in environment_names() {
            let Some(text) = environment.get(&name).filter(|text| !text.is_empty()) else { continue };
            if row.shape == Shape::Secret {
                self.problem(
                    &name,
                    row.key,
                    "a literal",
                    "expected { env: NAME } or { file: PATH } in the answers file",
                );
            } else {
                self.text(&name.clone(), row.key, text, Provenance::Environment(name));
            }
        }
        let conventional = "AUTH0_CLIENT_SECRET";
        if !self.draft.has("auth0.clientSecret") && environment.get(conventional).is_some_and(|text| !text.is_empty()) {
            let source = Answer::Secret(SecretSource::Environment(conventional.into()));
            if let Some(row) = find_row("auth0.clientSecret") {
                self.draft.insert(row, source, Provenance::Environment(conventional.into()));
            }
        }
        let known: Vec<String> =
            environment_names().map(|(_, name)| name).chain(FLAG_VARIABLES.map(str::to_owned)).collect();
        for name in environment.keys().filter(|name| name.starts_with("TAILWATCH_") && !known.contains(*name)) {
            if let Some(near) =
                nearest(name, known.iter().map(String::as_str)).filter(|_| !name.starts_with("TAILWATCH_SANDBOX"))
            {
                self.draft.notices.push(format!("unknown variable {name}; did you mean {near}?"));
            }
        }
    }

    fn setting(&mut self, setting: &str) {
        let Some((key, value)) = setting.split_once('=') else {
            return self.problem("--set", "", "a text without =", "expected KEY=VALUE, such as retention.logs=14d");
        };
        if let Some((free, _)) = key.split_once('.').filter(|(section, _)| FREE.contains(section)) {
            let nested = key.split('.').rev().fold(value.to_owned(), |inner, name| format!("{{ {name}: {inner} }}"));
            return match answers_yaml::parse(&nested) {
                Ok(Some(Node { content: Content::Map(entries), .. })) if free == "versions" => {
                    self.free_form("--set", &entries, &|_| Provenance::Set)
                }
                _ => self.problem(
                    "--set",
                    key,
                    if free == "versions" { quoted(value) } else { "a chart value".into() },
                    "expected chart values in the answers file, below `values:` or `valuesFiles:`",
                ),
            };
        }
        let Some(row) = find_row(key) else {
            let (prefix, name) = key.rsplit_once('.').unwrap_or(("", key));
            return self.unknown("--set", prefix, name);
        };
        match answers_yaml::parse(value) {
            Ok(Some(node)) if row.shape == Shape::Secret => self.secret("--set", row, &node, Provenance::Set),
            Ok(Some(node @ Node { content: Content::List(_), .. })) => {
                self.answer("--set", row, &node, Provenance::Set)
            }
            _ if row.shape == Shape::Secret => {
                self.problem("--set", key, "a literal", "expected { env: NAME } or { file: PATH }")
            }
            _ => self.text("--set", key, value, Provenance::Set),
        }
    }
}

/// Any other text may be the secret itself.
fn is_variable_name(text: &str) -> bool {
    text.len() <= 60 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The keys directly below a prefix.
fn children(prefix: &str) -> Vec<String> {
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let mut names: Vec<String> = ROWS
        .iter()
        .filter_map(|row| row.key.strip_prefix(below.as_str()))
        .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
        .collect();
    if prefix.is_empty() {
        names.extend(FREE.map(str::to_owned));
    }
    names.dedup();
    names
}

pub(super) fn place(file: &str, at: Position) -> String {
    if file == "--set" { file.to_owned() } else { format!("{file}:{}:{}", at.line, at.column) }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
