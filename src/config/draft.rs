//! Answers collected from all sources, each with its provenance; becomes [`Settings`] when complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use crate::config::answers::{ROWS, Row, Shape, find_row};
use crate::config::error::quoted;
use crate::config::saved_answers::saved_answers;
use crate::config::saved_secret::MAX_SAVED;
use crate::config::secret_detection::secret_texts;
use crate::config::secret_source::{EnvironmentVariables, Lines, SecretSource};
use crate::config::{
    Alerts, Auth0, ChartValues, Charts, ChartsLock, ComponentName, ConfigError, Grafana, Invalid, Problem, Retention,
    SavedState, Secret, Settings, Storage, Tailscale,
};

/// The source of an answer; a later one in this list takes precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd)]
pub enum Provenance {
    /// The catalogue of defaults.
    Default,
    /// Found on this machine or in the cluster.
    Detected,
    /// Saved in the cluster by an earlier run.
    Saved,
    /// `FILE`, line.
    File(PathBuf, usize),
    /// The variable's name.
    Environment(String),
    /// A flag.
    Flag(&'static str),
    /// `--set`
    Set,
    /// Typed at a prompt.
    Prompt,
}

impl Provenance {
    fn rank(&self) -> u8 {
        match self {
            Provenance::Default => 0,
            Provenance::Detected => 1,
            Provenance::Saved => 2,
            Provenance::File(..) => 3,
            Provenance::Environment(_) => 4,
            Provenance::Flag(_) => 5,
            Provenance::Set => 6,
            Provenance::Prompt => 7,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provenance::Default => formatter.write_str("default"),
            Provenance::Detected => formatter.write_str("detected"),
            Provenance::Saved => formatter.write_str("saved in the cluster"),
            Provenance::File(path, line) => write!(formatter, "{}:{line}", path.display()),
            Provenance::Environment(name) => formatter.write_str(name),
            Provenance::Flag(name) => formatter.write_str(name),
            Provenance::Set => formatter.write_str("--set"),
            Provenance::Prompt => formatter.write_str("typed"),
        }
    }
}

/// A valid answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Text(String),
    List(Vec<String>),
    Secret(SecretSource),
}

/// One effective answer; secrets show their source only.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Key path.
    pub key: String,
    /// Value as text.
    pub value: String,
    /// Its source.
    pub from: String,
}

/// The answers so far; each is valid by itself.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(super) answers: BTreeMap<&'static str, (Answer, Provenance)>,
    pub(super) versions: BTreeMap<ComponentName, (semver::Version, Provenance)>,
    pub(super) values: BTreeMap<ComponentName, (ChartValues, Provenance)>,
    pub(super) environment: EnvironmentVariables,
    pub(super) notices: Vec<String>,
    /// Variables with secrets, from all sources, including overridden ones.
    pub(super) secret_variables: BTreeSet<String>,
    /// The saved state of the last run, once it was read.
    pub(super) saved: Option<SavedState>,
    /// The lock file beside the answers file.
    pub(super) charts_lock: Option<ChartsLock>,
    /// Whether an answers file was read: its `values` then replace all saved ones.
    pub(super) from_file: bool,
}

impl Draft {
    /// Notices about the sources.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// All environment variables that are sources of secrets.
    pub fn secret_variables(&self) -> BTreeSet<String> {
        self.secret_variables.clone()
    }

    /// Every secret of the answers that can be read now.
    pub fn secrets(&self) -> Vec<Secret<String>> {
        let answers = self.answers.values().filter_map(|(answer, _)| match answer {
            Answer::Secret(source) => source.read(&self.environment, Lines::One).ok(),
            Answer::Text(_) | Answer::List(_) => None,
        });
        let values = self.resolved_values(&mut Vec::new());
        answers.chain(values.values().flat_map(ChartValues::secrets).cloned()).collect()
    }

    /// By component, the paths below `values:` (keys, and indexes of lists) with a reference to a secret, or with a literal
    /// that looks like one.
    pub fn secret_paths(&self) -> BTreeMap<String, Vec<Vec<String>>> {
        let paths = |values: &ChartValues| {
            let references = values.references().map(<[String]>::to_vec);
            references.chain(secret_texts(values.written())).collect::<Vec<_>>()
        };
        let all = self.values.iter().map(|(name, (values, _))| (name.to_string(), paths(values)));
        all.filter(|(_, paths)| !paths.is_empty()).collect()
    }

    /// Required answers without a value.
    pub fn missing(&self) -> Vec<&'static Row> {
        ROWS.iter().filter(|row| row.required && !self.answers.contains_key(row.key)).collect()
    }

    /// The namespace of the stack.
    pub fn namespace(&self) -> String {
        self.text("namespace").map_or_else(String::new, |(text, _)| text)
    }

    /// The answer as text (lists comma-separated, secrets as their source), or the default.
    pub fn text(&self, key: &str) -> Option<(String, Provenance)> {
        let row = find_row(key)?;
        match self.answers.get(key) {
            Some((answer, from)) => Some((show(answer), from.clone())),
            None => row.default.map(|default| (default.to_owned(), Provenance::Default)),
        }
    }

    /// Whether any source has it.
    pub fn has(&self, key: &str) -> bool {
        self.answers.contains_key(key)
    }

    /// Sets a text answer (lists comma-separated).
    pub fn set(&mut self, key: &str, text: &str, from: Provenance) -> Result<(), Invalid> {
        let row = find_row(key).ok_or_else(|| Invalid(format!("unknown answer {key}")))?;
        let answer = match row.shape {
            Shape::Text | Shape::Flag => Answer::Text(row.validate(text)?),
            Shape::List => Answer::List(validate_list(row, text.split(','))?),
            Shape::Secret => return Err(Invalid("expected { env: NAME } or { file: PATH }".into())),
        };
        self.insert(row, answer, from);
        Ok(())
    }

    /// Removes an answer, which restores its default.
    pub fn unset(&mut self, key: &str) {
        self.answers.remove(key);
    }

    /// Without the digests of the lock file, to write it anew.
    pub fn unlock_charts(&mut self) {
        self.charts_lock = None;
    }

    /// Sets a secret that was typed.
    pub fn set_secret(&mut self, key: &str, secret: Secret<String>) {
        if let Some(row) = find_row(key) {
            self.insert(row, Answer::Secret(SecretSource::Typed(secret)), Provenance::Prompt);
        }
    }

    /// The configured chart version.
    pub fn version(&self, component: &ComponentName) -> Option<&semver::Version> {
        self.versions.get(component).map(|(version, _)| version)
    }

    /// Sets a chart version with precedence over all sources.
    pub fn set_version(&mut self, component: ComponentName, version: semver::Version, from: Provenance) {
        self.versions.insert(component, (version, from));
    }

    /// Keeps the answer of the source with precedence.
    pub(super) fn insert(&mut self, row: &'static Row, answer: Answer, from: Provenance) {
        if let Answer::Secret(SecretSource::Environment(name)) = &answer {
            self.secret_variables.insert(name.clone());
        }
        if self.answers.get(row.key).is_none_or(|(_, existing)| existing.rank() <= from.rank()) {
            self.answers.insert(row.key, (answer, from));
        }
    }

    /// Every effective answer in template order.
    pub fn entries(&self) -> Vec<Entry> {
        let rows = ROWS.iter().filter_map(|row| {
            let (value, from) = self.text(row.key)?;
            Some(Entry { key: row.key.into(), value, from: from.to_string() })
        });
        let versions = self.versions.iter().map(|(name, (version, from))| Entry {
            key: format!("versions.{name}"),
            value: version.to_string(),
            from: from.to_string(),
        });
        let values = self.values.iter().map(|(name, (values, from))| {
            let files: Vec<String> = values.files().iter().map(|file| format!("{}, ", file.display())).collect();
            let value = format!("({}merged into the chart's values)", files.concat());
            Entry { key: format!("values.{name}"), value, from: from.to_string() }
        });
        rows.chain(versions).chain(values).collect()
    }

    /// The settings, or all missing and unreadable answers.
    pub fn finish(&self) -> Result<Settings, ConfigError> {
        let missing: Vec<String> = self.missing().iter().map(|row| row.key.to_owned()).collect();
        if !missing.is_empty() {
            return Err(ConfigError::Missing { missing });
        }
        let mut problems = Vec::new();
        let settings = Settings {
            tailnet: self.value("tailnet")?,
            namespace: self.value("namespace")?,
            grafana: Grafana {
                hostname: self.value("grafana.hostname")?,
                anonymous_role: self.value("grafana.anonymousRole")?,
            },
            auth0: Auth0 {
                issuer: self.value("auth0.issuer")?,
                client_id: self.value("auth0.clientId")?,
                client_secret: self.secret("auth0.clientSecret", &mut problems),
                groups_claim: self.value("auth0.groupsClaim")?,
                allowed_groups: self.list("auth0.allowedGroups")?,
                organization: self.optional("auth0.organization")?,
                session_lifetime: self.value("auth0.sessionLifetime")?,
            },
            logs: self.value("logs")?,
            self_monitoring: self.is_set("selfMonitoring"),
            alerts: Alerts {
                receiver: self.value("alerts.receiver")?,
                secret: self.secret("alerts.secret", &mut problems),
            },
            retention: Retention { metrics: self.value("retention.metrics")?, logs: self.value("retention.logs")? },
            storage: Storage {
                class: self.optional("storage.class")?,
                prometheus: self.value("storage.prometheus")?,
                alertmanager: self.value("storage.alertmanager")?,
                loki: self.value("storage.loki")?,
                grafana: self.value("storage.grafana")?,
            },
            tailscale: Tailscale {
                operator: self.value("tailscale.operator")?,
                tags: self.list("tailscale.tags")?,
                proxy_group: self.optional("tailscale.proxyGroup")?,
                ingress_class: self.optional("tailscale.ingressClass")?,
                proxy_class: self.optional("tailscale.proxyClass")?,
                oauth_client_id: self.answers.get("tailscale.oauth.clientId").map(|(answer, _)| show(answer)),
                oauth_client_secret: self.secret("tailscale.oauth.clientSecret", &mut problems),
            },
            versions: without_sources(&self.versions),
            charts: Charts {
                repository: self.optional("charts.repository")?,
                repacked: self.is_set("charts.repacked"),
                access: self.access(&mut problems),
                lock: self.charts_lock.clone(),
            },
            image_registry: self.optional("images.registry")?,
            values: self.resolved_values(&mut problems),
        };
        problems.extend(self.contradictions());
        if !problems.is_empty() {
            return Err(ConfigError::Invalid { problems });
        }
        match saved_answers(&settings).len() {
            bytes if bytes > MAX_SAVED => Err(ConfigError::TooLargeToSave { bytes }),
            _ => Ok(settings),
        }
    }

    fn value<T: FromStr<Err = Invalid>>(&self, key: &str) -> Result<T, ConfigError> {
        self.optional(key)?.ok_or_else(|| ConfigError::Missing { missing: vec![key.to_owned()] })
    }

    pub(super) fn optional<T: FromStr<Err = Invalid>>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        let Some((text, from)) = self.text(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|invalid| problem(&from, key, &text, invalid))
    }

    fn list<T: FromStr<Err = Invalid>>(&self, key: &str) -> Result<Vec<T>, ConfigError> {
        let Some((text, from)) = self.text(key) else { return Ok(Vec::new()) };
        let entries: Vec<String> = match self.answers.get(key) {
            Some((Answer::List(entries), _)) => entries.clone(),
            _ => text.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect(),
        };
        let parse = |entry: &String| entry.parse().map_err(|invalid| problem(&from, key, entry, invalid));
        entries.iter().map(parse).collect()
    }

    fn resolved_values(&self, problems: &mut Vec<Problem>) -> BTreeMap<ComponentName, ChartValues> {
        let resolved = self.values.iter().map(|(component, (values, _))| {
            let values = values.resolved(component.as_str(), &self.environment, problems);
            (component.clone(), values)
        });
        resolved.collect()
    }

    pub(super) fn secret(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Secret<String>> {
        let (Answer::Secret(source), from) = self.answers.get(key)? else { return None };
        match source.read(&self.environment, Lines::One) {
            Ok(secret) => Some(secret),
            Err((found, expected)) => {
                problems.push(Problem { place: from.to_string(), key: key.into(), found, expected });
                None
            }
        }
    }
}

/// Keeps the source with precedence, as [`Draft::insert`] does.
pub(super) fn insert_free<T>(
    entries: &mut BTreeMap<ComponentName, (T, Provenance)>,
    component: ComponentName,
    value: T,
    from: Provenance,
) {
    if entries.get(&component).is_none_or(|(_, existing)| existing.rank() <= from.rank()) {
        entries.insert(component, (value, from));
    }
}

fn without_sources<T: Clone>(entries: &BTreeMap<ComponentName, (T, Provenance)>) -> BTreeMap<ComponentName, T> {
    entries.iter().map(|(component, (value, _))| (component.clone(), value.clone())).collect()
}

/// Validates a list's entries; an empty list is an error.
pub(super) fn validate_list<'a>(row: &Row, entries: impl Iterator<Item = &'a str>) -> Result<Vec<String>, Invalid> {
    let entries: Vec<String> = entries
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| row.validate(entry))
        .collect::<Result<_, _>>()?;
    if entries.is_empty() {
        return Err(Invalid(format!("expected at least one entry, such as {}", row.example)));
    }
    Ok(entries)
}

fn problem(from: &Provenance, key: &str, text: &str, invalid: Invalid) -> ConfigError {
    let found = quoted(text);
    ConfigError::Invalid {
        problems: vec![Problem { place: from.to_string(), key: key.into(), found, expected: invalid.0 }],
    }
}

fn show(answer: &Answer) -> String {
    match answer {
        Answer::Text(text) => text.clone(),
        Answer::List(entries) => entries.join(","),
        Answer::Secret(source) => source.describe(),
    }
}
