//! Saved answers: the answers in a Secret, and a record of the security-relevant ones in an annotation of the
//! namespace, which the permission to write its Secrets does not allow to change.

use serde_json::{Value, json};

use crate::cluster::apply::ApplyMode;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::config::{SAVED_ANSWERS, SAVED_FILE, SavedState, Secret, Settings, record};
use crate::stack::{ANSWERS_RECORD, SALT, WRITTEN_BY};

/// Field manager of the record: no other apply of the namespace removes it.
const RECORDER: &str = "tailwatch-answers";

impl Cluster {
    /// The saved answers of the last run; `None`: there are none.
    pub async fn saved_state(&self, namespace: &str) -> Result<Option<SavedState>, ClusterError> {
        let (read, record) = futures::join!(self.secret(namespace, SAVED_ANSWERS), self.answers_record(namespace));
        let Some(mut data) = read.map_err(|error| unreadable(namespace, error))? else { return Ok(None) };
        let Some(answers) = data.remove(SAVED_FILE) else { return Ok(None) };
        let text = |bytes: &Secret<Vec<u8>>| String::from_utf8_lossy(bytes.expose()).into_owned();
        Ok(Some(SavedState {
            namespace: namespace.to_owned(),
            text: text(&answers),
            writer: data.get(WRITTEN_BY).map(text).unwrap_or_default(),
            salt: data.remove(SALT).unwrap_or_else(|| Secret::new(Vec::new())),
            record: record?,
        }))
    }

    /// The salt of the saved answers, or a new one.
    pub async fn answers_salt(&self, namespace: &str) -> Result<Secret<Vec<u8>>, ClusterError> {
        let kept = self.secret(namespace, SAVED_ANSWERS).await?.unwrap_or_default();
        let kept = kept.get(SALT).filter(|salt| !salt.expose().is_empty()).cloned();
        Ok(kept.unwrap_or_else(|| Secret::new(rand::random::<[u8; 32]>().to_vec())))
    }

    /// Records the answers of a run in its namespace. The caller saves the answers themselves with the same salt.
    pub async fn record_answers(&self, settings: &Settings, salt: &Secret<Vec<u8>>) -> Result<(), ClusterError> {
        let annotations = json!({ANSWERS_RECORD: record(settings, salt)});
        self.annotate(settings.namespace.as_str(), annotations).await
    }

    /// Removes the record from a retained namespace.
    pub async fn remove_answers_record(&self, namespace: &str) -> Result<(), ClusterError> {
        self.annotate(namespace, json!({})).await
    }

    async fn annotate(&self, namespace: &str, annotations: Value) -> Result<(), ClusterError> {
        let metadata = json!({"name": namespace, "annotations": annotations});
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        self.apply_value(&manifest, ApplyMode::force(RECORDER)).await.map(drop)
    }

    async fn answers_record(&self, namespace: &str) -> Result<Option<String>, ClusterError> {
        let reference = ObjectRef::of_namespace(namespace);
        let found = self.get(&reference).await?.unwrap_or_default();
        let annotation = found.pointer("/metadata/annotations").and_then(|all| all.get(ANSWERS_RECORD));
        Ok(annotation.and_then(Value::as_str).map(str::to_owned))
    }
}

fn unreadable(namespace: &str, error: ClusterError) -> ClusterError {
    match error {
        ClusterError::Forbidden { message } => ClusterError::Forbidden {
            message: format!(
                "the answers of the last run cannot be read, which needs the permission get on secrets in namespace \
                 {namespace}: {message}"
            ),
        },
        other => other,
    }
}
