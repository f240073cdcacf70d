//! Labels of helm's release records: revision, status and the run of tailwatch that started it. And tailwatch's notes
//! on releases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};
use crate::stack::{HelmDriver, LIMIT_LABEL, MACHINE_LABEL, RUN_LABEL, note_on_releases};

/// Prefix of a record's name (helm pkg/storage, makeKey).
const PREFIX: &str = "sh.helm.release.v1.";
/// Status of a release after `helm uninstall --keep-history`.
const UNINSTALLED: &str = "uninstalled";
/// Status of a revision that a later one replaced; helm does not list a release that ends with it.
const SUPERSEDED: &str = "superseded";

/// One revision of a release, from the labels of helm's record (helm pkg/storage/driver, secrets.go and cfgmaps.go).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Release name.
    pub release: String,
    /// Revision number.
    pub revision: u32,
    /// helm's status, e.g. `pending-upgrade`.
    pub status: String,
    /// The run of tailwatch that created it or an earlier revision: helm copies labels.
    pub run: Option<String>,
    /// The machine of that run.
    pub machine: Option<String>,
    /// How long its helm call may take.
    pub limit: Option<Duration>,
    /// Time of the last write, RFC 3339.
    pub since: String,
    /// Time of creation.
    pub created: Option<jiff::Timestamp>,
    /// The object with the record, and its UID.
    object: (ObjectRef, String),
}

impl RevisionRecord {
    /// The Secret or ConfigMap with the record, and its UID.
    pub fn object(&self) -> (&ObjectRef, &str) {
        (&self.object.0, &self.object.1)
    }

    /// How long helm may still work on this pending revision, if another machine than this one started it. `waited`: since
    /// this was first asked, in case the clocks differ. `None` for a rollback: helm gives it the labels of the revision that
    /// it restores (pkg/action/rollback.go), which can be of another machine.
    pub fn may_be_at_work(&self, machine: &str, now: jiff::Timestamp, waited: Duration) -> Option<Duration> {
        let (other, limit) = (self.machine.as_deref()?, self.limit?);
        let age = Duration::try_from(now.duration_since(self.created?)).unwrap_or_default();
        let left = limit.checked_sub(age.max(waited)).filter(|left| !left.is_zero());
        left.filter(|_| other != machine && self.status != "pending-rollback")
    }
}

/// Whether a run of tailwatch installed or changed the release.
pub fn is_ours(records: &[RevisionRecord], release: &str) -> bool {
    records.iter().any(|record| record.release == release && record.run.is_some())
}

/// Installed releases: the last revision is not `uninstalled`.
pub fn installed_names(records: &[RevisionRecord]) -> BTreeSet<&str> {
    let mut last: BTreeMap<&str, &RevisionRecord> = BTreeMap::new();
    for record in records {
        let known = last.entry(&record.release).or_insert(record);
        if known.revision < record.revision {
            *known = record;
        }
    }
    last.into_iter().filter(|(_, record)| record.status != UNINSTALLED).map(|(name, _)| name).collect()
}

/// The revisions of a release, ascending.
pub fn revisions_of<'a>(records: &'a [RevisionRecord], release: &str) -> Vec<&'a RevisionRecord> {
    let mut own: Vec<&RevisionRecord> = records.iter().filter(|record| record.release == release).collect();
    own.sort_by_key(|record| record.revision);
    own
}

/// The last revision of an installed release; `None`: helm does not list the release.
pub fn current<'a>(records: &'a [RevisionRecord], release: &str) -> Option<&'a RevisionRecord> {
    let last = revisions_of(records, release).pop()?;
    (![UNINSTALLED, SUPERSEDED].contains(&last.status.as_str())).then_some(last)
}

impl Cluster {
    /// Every revision in a namespace that this driver has recorded.
    pub async fn revision_records(
        &self,
        namespace: &str,
        driver: HelmDriver,
    ) -> Result<Vec<RevisionRecord>, ClusterError> {
        self.records(Some(namespace), driver).await
    }

    /// The same of a namespace; `None`: of all namespaces.
    pub(super) async fn records(
        &self,
        namespace: Option<&str>,
        driver: HelmDriver,
    ) -> Result<Vec<RevisionRecord>, ClusterError> {
        let found = self.metadata(("v1", driver.kind()), namespace, Some("owner=helm")).await?;
        let record = |metadata: kube::api::ObjectMeta| {
            let name = metadata.name.filter(|name| name.starts_with(PREFIX))?;
            let labels = metadata.labels.unwrap_or_default();
            let seconds = labels.get("modifiedAt").or_else(|| labels.get("createdAt"));
            let since = seconds.and_then(|text| jiff::Timestamp::from_second(text.parse().ok()?).ok());
            Some(RevisionRecord {
                release: labels.get("name")?.clone(),
                revision: labels.get("version")?.parse().ok()?,
                status: labels.get("status")?.clone(),
                run: labels.get(RUN_LABEL).cloned(),
                machine: labels.get(MACHINE_LABEL).cloned(),
                limit: labels.get(LIMIT_LABEL).and_then(|text| text.parse().ok()).map(Duration::from_secs),
                since: since.map_or_else(|| "an unknown time".into(), |time| time.to_string()),
                created: metadata.creation_timestamp.map(|time| time.0),
                object: (
                    ObjectRef {
                        api_version: "v1".into(),
                        kind: driver.kind().into(),
                        namespace: metadata.namespace,
                        name,
                    },
                    metadata.uid.unwrap_or_default(),
                ),
            })
        };
        Ok(found.into_iter().filter_map(record).collect())
    }

    /// The notes on the releases of a namespace, by key.
    pub async fn notes(&self, namespace: &str) -> Result<BTreeMap<String, String>, ClusterError> {
        let kept = self.get(&ObjectRef::of(&note_on_releases(namespace, "", ""))).await?.unwrap_or_default();
        let data = kept.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(data.into_iter().filter_map(|(key, text)| Some((key, text.as_str()?.to_owned()))).collect())
    }

    /// Writes a note. Each has its own field manager: the apply of one does not remove the others.
    pub async fn note(&self, namespace: &str, key: &str, text: &str) -> Result<(), ClusterError> {
        let note = note_on_releases(namespace, key, text);
        self.apply_own(&note, &format!("{FIELD_MANAGER}-{key}"), &BTreeSet::new()).await
    }
}

#[cfg(test)]
impl RevisionRecord {
    /// A record for tests, with revision and run.
    pub(crate) fn for_tests(revision: u32, run: Option<&str>) -> RevisionRecord {
        RevisionRecord {
            release: "loki".into(),
            revision,
            status: String::new(),
            run: run.map(str::to_owned),
            machine: None,
            limit: None,
            since: "2026-11-25T01:00:00Z".into(),
            created: None,
            object: (
                ObjectRef {
                    api_version: "v1".into(),
                    kind: "Secret".into(),
                    namespace: Some("monitoring".into()),
                    name: format!("{PREFIX}loki.v{revision}"),
                },
                format!("uid-{revision}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_revision_of_another_machine_may_be_at_work_until_its_limit() {
        let created: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let record = RevisionRecord {
            machine: Some("other".into()),
            limit: Some(Duration::from_secs(600)),
            created: Some(created),
            ..RevisionRecord::for_tests(1, Some("a"))
        };
        let left = |record: &RevisionRecord, machine: &str, age: i64, waited: u64| {
            let now = created + jiff::SignedDuration::from_secs(age);
            record.may_be_at_work(machine, now, Duration::from_secs(waited)).map(|left| left.as_secs())
        };
        assert_eq!(left(&record, "this", 100, 20), Some(500));
        assert_eq!(left(&record, "this", 600, 20), None);
        assert_eq!(left(&record, "other", 100, 20), None, "the host lock shows that its helm has ended");
        assert_eq!(left(&record, "this", -3600, 590), Some(10), "the clock of this machine is behind");
        assert_eq!(left(&RevisionRecord::for_tests(1, Some("a")), "this", 100, 20), None);
        let rollback = RevisionRecord { status: "pending-rollback".into(), ..record.clone() };
        assert_eq!(left(&rollback, "this", 100, 20), None, "its labels are those of the restored revision");
    }

    #[test]
    fn only_a_release_that_a_run_of_tailwatch_changed_is_ours() {
        let record = RevisionRecord::for_tests;
        assert!(is_ours(&[record(1, None), record(2, Some("a"))], "loki"));
        assert!(!is_ours(&[record(1, None), record(2, None)], "loki"));
        assert!(!is_ours(&[record(1, Some("a"))], "alloy"));
    }

    #[test]
    fn a_release_is_installed_unless_its_last_revision_is_uninstalled() {
        let record = |release: &str, revision: u32, status: &str| RevisionRecord {
            release: release.into(),
            status: status.into(),
            ..RevisionRecord::for_tests(revision, None)
        };
        let records = [
            record("loki", 2, "uninstalled"),
            record("loki", 1, "superseded"),
            record("alloy", 1, "uninstalled"),
            record("alloy", 2, "deployed"),
            record("oauth2-proxy", 1, "pending-install"),
        ];
        assert_eq!(installed_names(&records).into_iter().collect::<Vec<_>>(), ["alloy", "oauth2-proxy"]);
        assert_eq!(current(&records, "loki"), None);
        assert_eq!(current(&records, "alloy").map(|record| record.revision), Some(2));
        assert_eq!(current(&[record("loki", 1, "superseded")], "loki"), None);
    }
}
