//! Saved answers: the answers in a Secret, and records of the security-relevant ones and of the applied charts in
//! annotations of the namespace, which the permission to write its Secrets does not allow to change.

use serde_json::{Value, json};

use crate::cluster::apply::ApplyMode;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::config::{SAVED_ANSWERS, SAVED_FILE, SavedState, Secret, Settings, record};
use crate::stack::{ANSWERS_RECORD, CHARTS_RECORD, RecordedChart, RecordedCharts, SALT, WRITTEN_BY};

/// Field manager of the records: no other apply of the namespace removes it.
const RECORDER: &str = "tailwatch-answers";

impl Cluster {
    /// The saved answers of the last run; `None`: there are none.
    pub async fn saved_state(&self, namespace: &str) -> Result<Option<SavedState>, ClusterError> {
        let (read, record) =
            futures::join!(self.secret(namespace, SAVED_ANSWERS), self.annotation(namespace, ANSWERS_RECORD));
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

    /// Records the answers and charts of a run in its namespace. The caller saves the answers themselves with the same
    /// salt.
    pub async fn record_run(
        &self,
        settings: &Settings,
        salt: &Secret<Vec<u8>>,
        applied: Vec<RecordedChart>,
    ) -> Result<(), ClusterError> {
        let namespace = settings.namespace.as_str();
        let charts = self.recorded_charts(namespace).await?.after(applied);
        self.annotate(namespace, json!({ANSWERS_RECORD: record(settings, salt), CHARTS_RECORD: charts.write()})).await
    }

    /// The charts that the runs of a stack applied; empty without a record.
    pub async fn recorded_charts(&self, namespace: &str) -> Result<RecordedCharts, ClusterError> {
        let text = self.annotation(namespace, CHARTS_RECORD).await?;
        Ok(RecordedCharts::read(text.as_deref().unwrap_or_default()))
    }

    /// Removes both records from a retained namespace.
    pub async fn remove_records(&self, namespace: &str) -> Result<(), ClusterError> {
        self.annotate(namespace, json!({})).await
    }

    async fn annotate(&self, namespace: &str, annotations: Value) -> Result<(), ClusterError> {
        let metadata = json!({"name": namespace, "annotations": annotations});
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        self.apply_value(&manifest, ApplyMode::force(RECORDER)).await.map(drop)
    }

    async fn annotation(&self, namespace: &str, key: &str) -> Result<Option<String>, ClusterError> {
        let reference = ObjectRef::of_namespace(namespace);
        let found = self.get(&reference).await?.unwrap_or_default();
        let annotation = found.pointer("/metadata/annotations").and_then(|all| all.get(key));
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
