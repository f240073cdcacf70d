//! The records that helm keeps of its releases, as far as their labels tell: which revision is in which state, and
//! which run of ours began it. And our own notes beside them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::apply::Hand;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::stack::{RUN_LABEL, note_on_releases};

/// One revision of a release, from the labels of helm's Secret (helm pkg/storage/driver/secrets.go).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Release name.
    pub release: String,
    /// Revision number.
    pub revision: u32,
    /// helm's word, e.g. `pending-upgrade`.
    pub status: String,
    /// The run of ours that made it, or the one before it: helm hands labels down.
    pub run: Option<String>,
    /// When it was last written, RFC 3339.
    pub since: String,
    /// When it was made.
    pub created: Option<jiff::Timestamp>,
    /// Name of the Secret.
    name: String,
    namespace: String,
}

impl RevisionRecord {
    /// The Secret that helm keeps it in.
    pub fn secret(&self) -> ObjectRef {
        ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
        }
    }
}

impl Cluster {
    /// Every revision that helm keeps as a Secret in a namespace; empty where helm keeps them elsewhere.
    pub async fn revision_records(&self, namespace: &str) -> Result<Vec<RevisionRecord>, ClusterError> {
        let found = self.metadata(("v1", "Secret"), Some(namespace), Some("owner=helm")).await?;
        let record = |metadata: kube::api::ObjectMeta| {
            let labels = metadata.labels.unwrap_or_default();
            let seconds = labels.get("modifiedAt").or_else(|| labels.get("createdAt"));
            let since = seconds.and_then(|text| jiff::Timestamp::from_second(text.parse().ok()?).ok());
            Some(RevisionRecord {
                release: labels.get("name")?.clone(),
                revision: labels.get("version")?.parse().ok()?,
                status: labels.get("status")?.clone(),
                run: labels.get(RUN_LABEL).cloned(),
                since: since.map_or_else(|| "an unknown time".into(), |time| time.to_string()),
                created: metadata.creation_timestamp.map(|time| time.0),
                name: metadata.name?,
                namespace: namespace.to_owned(),
            })
        };
        Ok(found.into_iter().filter_map(record).collect())
    }

    /// Our notes on the releases of a namespace, by key.
    pub async fn notes(&self, namespace: &str) -> Result<BTreeMap<String, String>, ClusterError> {
        let kept = self.get(&ObjectRef::of(&note_on_releases(namespace, "", ""))).await?.unwrap_or_default();
        let data = kept.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(data.into_iter().filter_map(|(key, text)| Some((key, text.as_str()?.to_owned()))).collect())
    }

    /// Writes one of them. Each has a field manager of its own, so that one does not take the others away.
    pub async fn note(&self, namespace: &str, key: &str, text: &str) -> Result<(), ClusterError> {
        let manager = format!("tailwatch-{key}");
        let note = note_on_releases(namespace, key, text);
        self.apply_value(&note, Hand::taking(&manager)).await.map(drop)
    }
}

#[cfg(test)]
impl RevisionRecord {
    /// One for tests: revision and mark are what is judged.
    pub(crate) fn for_tests(revision: u32, run: Option<&str>) -> RevisionRecord {
        RevisionRecord {
            release: "loki".into(),
            revision,
            status: String::new(),
            run: run.map(str::to_owned),
            since: "2026-11-25T01:00:00Z".into(),
            created: None,
            name: format!("sh.helm.release.v1.loki.v{revision}"),
            namespace: "monitoring".into(),
        }
    }
}
