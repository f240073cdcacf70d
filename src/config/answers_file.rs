//! The answers of a guided installation as an answers file for later runs and for CI. It names the sources of secrets, and
//! has none.

use serde_json::{Value, json};

use crate::config::answers::{ROWS, Row, Shape};
use crate::config::draft::Answer;
use crate::config::saved_answers::{at, document, written};
use crate::config::secret_source::SecretSource;
use crate::config::{ConfigError, Draft};

/// Stored in the cluster by a run that had it, so that a later one may have none.
const CLIENT_SECRET: &str = "auth0.clientSecret";

impl Draft {
    /// The text of the file. A typed secret, and one that only the cluster stores, is read from the usual variable.
    pub fn answers_file(&self) -> Result<String, ConfigError> {
        let settings = self.finish()?;
        let mut document = document(&settings);
        document["namespace"] = settings.namespace.as_str().into();
        for row in ROWS.iter().filter(|row| row.shape == Shape::Secret) {
            if let Some(source) = self.source(row) {
                *at(&mut document, row.key) = source;
            }
        }
        Ok("# Answers for `tailwatch install --answers FILE --yes`, without secrets.\n".to_owned()
            + &written(&settings, document))
    }

    fn source(&self, row: &Row) -> Option<Value> {
        let usual = || row.example.trim_start_matches("{ env: ").trim_end_matches(" }");
        match self.answers.get(row.key) {
            Some((Answer::Secret(SecretSource::Environment(name)), _)) => Some(json!({"env": name})),
            Some((Answer::Secret(SecretSource::File(path)), _)) => Some(json!({"file": path.display().to_string()})),
            Some(_) => Some(json!({"env": usual()})),
            None => (row.key == CLIENT_SECRET).then(|| json!({"env": usual()})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Provenance, Secret, add_saved};

    fn answered() -> Draft {
        let mut draft = Draft::default();
        for row in ROWS.iter().filter(|row| row.required) {
            draft.set(row.key, row.example, Provenance::Prompt).unwrap();
        }
        draft
    }

    #[test]
    fn a_file_names_the_sources_of_its_secrets() {
        let mut draft = answered();
        let kept = draft.answers_file().unwrap();
        assert!(kept.contains("clientSecret:\n    env: AUTH0_CLIENT_SECRET\n"), "{kept}");
        assert!(!kept.contains("tailscale:\n  oauth") && !kept.contains("password"), "{kept}");
        for (key, text) in [("charts.repository", "https://charts.acme.example"), ("charts.username", "ci")] {
            draft.set(key, text, Provenance::Prompt).unwrap();
        }
        for row in ROWS.iter().filter(|row| row.shape == Shape::Secret) {
            draft.set_secret(row.key, Secret::new("s3cret".into()));
        }
        let typed = draft.answers_file().unwrap();
        for name in ["AUTH0_CLIENT_SECRET", "TAILSCALE_OAUTH_SECRET", "CHARTS_PASSWORD"] {
            assert!(typed.contains(&format!("env: {name}\n")), "{name}: {typed}");
        }
        assert!(!typed.contains("s3cret"), "{typed}");
    }

    /// The saved answers are a part of the file: their loader reads every key but the namespace and the secrets.
    #[test]
    fn a_file_has_the_answers() {
        let mut draft = answered();
        draft.set("retention.logs", "14d", Provenance::Prompt).unwrap();
        draft.set("namespace", "observability", Provenance::Prompt).unwrap();
        let text = draft.answers_file().unwrap();
        let settings = draft.finish().unwrap();
        assert!(text.contains("namespace: observability\n"), "{text}");
        let saved = crate::config::saved_answers(&settings);
        assert!(saved.lines().all(|line| text.contains(line)), "{text}\n{saved}");
        let again = add_saved(Draft::default(), &saved).unwrap();
        assert_eq!(again.text("retention.logs").unwrap().0, "14d");
    }
}
