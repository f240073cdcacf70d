//! Contents of helm's release records, read with the client of the run: no helm process has to start for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::cluster::dynamic::whole;
use crate::cluster::{Cluster, ClusterError, ObjectRef, RevisionRecord, current, revisions_of, uid_of};
use crate::stack::HelmDriver;
use crate::yaml;

/// Of a decoded record, far above any chart: helm's own limit is 1 MiB for the compressed record.
const MAX_BYTES: u64 = 64 << 20;
/// Of its values as JSON; parsed, a mapping takes a hundred times as much.
const MAX_VALUES: usize = 8 << 20;
/// Start of gzip data; records of the first helm 3 versions are not compressed.
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Statuses of the last revision of a release that helm does not list.
const UNLISTED: [&str; 3] = ["superseded", "uninstalled", "unknown"];
/// Whole records per page: each can have a megabyte.
const RECORDS: u32 = 20;

/// The current revision of a release, without its values and its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseHead {
    /// The revision.
    pub record: RevisionRecord,
    /// Chart name.
    pub chart: String,
    /// Chart version.
    pub chart_version: semver::Version,
    /// App version, may be empty.
    pub app_version: String,
    /// helm's status, e.g. `deployed`.
    pub status: String,
}

/// Which objects of a release's manifest are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestObjects {
    /// Every one.
    All,
    /// Those that can have a readiness. Dashboards and rules are most of the text of kube-prometheus-stack, and reading YAML
    /// is most of the work of `status`.
    WithReadiness,
}

/// Kinds without a readiness that have long objects.
const LONG: [&str; 4] = ["ConfigMap", "Secret", "PrometheusRule", "ServiceMonitor"];

/// The contents of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRelease {
    /// Chart name.
    pub chart: String,
    /// Chart version.
    pub chart_version: semver::Version,
    /// App version, may be empty.
    pub app_version: String,
    /// helm's status, e.g. `deployed`.
    pub status: String,
    /// User-supplied values, a mapping.
    pub values: Value,
    /// Its objects, without hooks.
    pub manifest: Vec<Value>,
}

/// The parts that are read of a record (helm pkg/release/v1, Release; helm 3 and 4).
#[derive(Deserialize)]
struct Stored {
    info: Info,
    chart: Chart,
    #[serde(default)]
    config: Option<Box<RawValue>>,
    #[serde(default)]
    manifest: String,
}

#[derive(Deserialize)]
struct Info {
    status: String,
}

#[derive(Deserialize)]
struct Chart {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    version: String,
    #[serde(default)]
    app_version: String,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The chart and the status of a record.
#[derive(Deserialize)]
struct Head {
    info: Info,
    chart: Chart,
}

/// The JSON of a record: compressed with gzip, in base64 (helm pkg/storage/driver, util.go).
fn json_of(text: &[u8]) -> Result<Box<dyn std::io::Read>, Failure> {
    let bytes = std::io::Cursor::new(STANDARD.decode(text)?);
    Ok(if bytes.get_ref().starts_with(&GZIP) {
        Box::new(flate2::read::GzDecoder::new(bytes).take(MAX_BYTES))
    } else {
        Box::new(bytes)
    })
}

pub(super) fn decode(text: &[u8], objects: ManifestObjects) -> Result<RecordedRelease, Failure> {
    // Whole: in a slice, the text of the chart, which is most of a record, is skipped several times as fast as in a reader.
    let mut json = Vec::new();
    json_of(text)?.read_to_end(&mut json)?;
    let Stored { info, chart: Chart { metadata }, config, manifest } = serde_json::from_slice(&json)?;
    let config = config.as_ref().map_or("{}", |config| config.get());
    if config.len() > MAX_VALUES {
        return Err(format!("it has values of more than {} MiB", MAX_VALUES >> 20).into());
    }
    let documents = match objects {
        ManifestObjects::All => yaml::documents(&manifest)?,
        ManifestObjects::WithReadiness => yaml::documents_without(&manifest, &LONG)?,
    };
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    Ok(RecordedRelease {
        chart: metadata.name,
        chart_version: semver::Version::parse(&metadata.version)?,
        app_version: metadata.app_version,
        status: info.status,
        values: Value::Object(serde_json::from_str::<Option<_>>(config)?.unwrap_or_default()),
        manifest: documents.into_iter().filter(|value| !is_empty(value)).collect(),
    })
}

fn head(text: &[u8], record: RevisionRecord) -> Result<ReleaseHead, Failure> {
    // Many at once, so none of them whole.
    let Head { info, chart: Chart { metadata } } = serde_json::from_reader(std::io::BufReader::new(json_of(text)?))?;
    Ok(ReleaseHead {
        record,
        chart: metadata.name,
        chart_version: semver::Version::parse(&metadata.version)?,
        app_version: metadata.app_version,
        status: info.status,
    })
}

/// The text of a record in a Secret or a ConfigMap, with the encoding of a Secret's data removed.
fn text_of(kind: &str, data: String) -> Result<Vec<u8>, Failure> {
    Ok(if kind == "Secret" { STANDARD.decode(data)? } else { data.into_bytes() })
}

/// Takes the record out of its object.
fn take_data(live: &mut Value) -> Option<String> {
    match live.pointer_mut("/data/release").map(Value::take) {
        Some(Value::String(data)) => Some(data),
        _ => None,
    }
}

impl Cluster {
    /// The revisions of each of these releases of a namespace that is installed, the current one last, with its
    /// contents. One list has the metadata of every record, and one the deployed records, whole; another current
    /// record is read by its name.
    pub async fn releases(
        &self,
        (namespace, driver): (&str, HelmDriver),
        names: &BTreeSet<&str>,
        objects: ManifestObjects,
    ) -> Result<Vec<(Vec<RevisionRecord>, RecordedRelease)>, ClusterError> {
        let listed = names.iter().copied().collect::<Vec<_>>().join(",");
        let labels = format!("owner=helm,status=deployed,name in ({listed})");
        let (records, deployed) = futures::try_join!(
            self.revision_records(namespace, driver),
            self.list("v1", driver.kind(), Some(namespace), Some(&labels))
        )?;
        let mut deployed: BTreeMap<ObjectRef, Value> =
            deployed.into_iter().map(|live| (ObjectRef::of(&live), live)).collect();
        let read = names.iter().filter_map(|name| {
            let current = current(&records, name)?;
            let (object, uid) = current.object();
            let live = deployed.remove(object).filter(|live| uid_of(live) == Some(uid));
            let own: Vec<RevisionRecord> = revisions_of(&records, name).into_iter().cloned().collect();
            Some(async move {
                let recorded = match live {
                    Some(live) => Some(contents(current, live, objects).await?),
                    None => self.record_contents(current, objects).await?,
                };
                Ok::<_, ClusterError>((own, recorded))
            })
        });
        let read = try_join_all(read.collect::<Vec<_>>()).await?;
        Ok(read.into_iter().filter_map(|(own, recorded)| Some((own, recorded?))).collect())
    }

    /// Every release that helm lists, of all namespaces. As helm does, records that cannot be read are left out, and
    /// charts without a semantic version.
    pub async fn releases_everywhere(&self, driver: HelmDriver) -> Result<Vec<ReleaseHead>, ClusterError> {
        let Some(api) = self.api("v1", driver.kind(), None).await? else { return Ok(Vec::new()) };
        let mut last: BTreeMap<(Option<String>, String), RevisionRecord> = BTreeMap::new();
        for record in self.records(None, driver).await? {
            let key = (record.object().0.namespace.clone(), record.release.clone());
            if last.get(&key).is_none_or(|known| known.revision < record.revision) {
                last.insert(key, record);
            }
        }
        let mut records: BTreeMap<ObjectRef, RevisionRecord> =
            last.into_values().map(|record| (record.object().0.clone(), record)).collect();
        let labels = format!("owner=helm,status notin ({})", UNLISTED.join(","));
        let mut heads = JoinSet::new();
        let read = |object: DynamicObject| {
            let mut live = whole(object, "v1", driver.kind());
            let Some(record) = records.remove(&ObjectRef::of(&live)) else { return };
            if let Some(data) = take_data(&mut live) {
                heads.spawn_blocking(move || head(&text_of(driver.kind(), data)?, record));
            }
        };
        self.pages(&api, driver.kind(), ListParams::default().labels(&labels).limit(RECORDS), read).await?;
        let mut found: Vec<ReleaseHead> = heads.join_all().await.into_iter().filter_map(Result::ok).collect();
        found.sort_by(|one, other| one.record.object().0.cmp(other.record.object().0));
        Ok(found)
    }

    /// The contents of a release's current revision; `None`: it is not installed.
    pub async fn current_release(
        &self,
        (name, namespace): (&str, &str),
        driver: HelmDriver,
    ) -> Result<Option<RecordedRelease>, ClusterError> {
        let records = self.revision_records(namespace, driver).await?;
        match current(&records, name) {
            Some(current) => self.recorded(current).await,
            None => Ok(None),
        }
    }

    /// The contents of a record; `None`: it was deleted meanwhile.
    pub async fn recorded(&self, record: &RevisionRecord) -> Result<Option<RecordedRelease>, ClusterError> {
        self.record_contents(record, ManifestObjects::All).await
    }

    async fn record_contents(
        &self,
        record: &RevisionRecord,
        objects: ManifestObjects,
    ) -> Result<Option<RecordedRelease>, ClusterError> {
        let Some(live) = self.get(record.object().0).await? else { return Ok(None) };
        contents(record, live, objects).await.map(Some)
    }
}

async fn contents(
    record: &RevisionRecord,
    mut live: Value,
    objects: ManifestObjects,
) -> Result<RecordedRelease, ClusterError> {
    let Some(data) = take_data(&mut live) else { return Err(unreadable(record, "it has no key release")) };
    let kind = record.object().0.kind.clone();
    // Charts are megabytes: several records are decoded in parallel.
    match tokio::task::spawn_blocking(move || decode(&text_of(&kind, data)?, objects)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(unreadable(record, &error.to_string())),
        Err(stopped) => Err(unreadable(record, &stopped.to_string())),
    }
}

fn unreadable(record: &RevisionRecord, reason: &str) -> ClusterError {
    let (object, _) = record.object();
    ClusterError::UnreadableRecord {
        namespace: object.namespace.clone().unwrap_or_default(),
        object: format!("{} {}", object.kind, object.name),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "name": "loki", "version": 2, "namespace": "monitoring", "info": {"status": "deployed"},
            "chart": {"metadata": {"name": "loki", "version": "6.46.0", "appVersion": "3.5.7"}, "templates": []},
            "config": {"size": 1.5}, "manifest": "---\n# Source: x\n---\nkind: A\napiVersion: v1\n", "hooks": []
        })
    }

    fn compressed(record: &Value) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(record.to_string().as_bytes()).unwrap();
        STANDARD.encode(gzip.finish().unwrap()).into_bytes()
    }

    #[test]
    fn records_of_every_helm_are_decoded() {
        let found = decode(&compressed(&record()), ManifestObjects::All).unwrap();
        assert_eq!((found.chart.as_str(), found.chart_version.to_string()), ("loki", "6.46.0".into()));
        assert_eq!((found.app_version.as_str(), found.status.as_str()), ("3.5.7", "deployed"));
        assert_eq!((found.values.clone(), found.manifest.len()), (json!({"size": 1.5}), 1));
        let plain = STANDARD.encode(record().to_string()).into_bytes();
        assert_eq!(
            decode(&plain, ManifestObjects::All).unwrap(),
            found,
            "records of the first helm 3 versions are not compressed"
        );
        let mut bare = record();
        bare["config"] = Value::Null;
        assert_eq!(decode(&compressed(&bare), ManifestObjects::All).unwrap().values, json!({}));
    }

    #[test]
    fn long_objects_without_a_readiness_can_be_left_out() {
        let mut record = record();
        let long = LONG.map(|kind| format!("---\nkind: {kind}\nmetadata:\n  name: x\n")).concat();
        record["manifest"] = format!("{long}---\nkind: DaemonSet\nmetadata:\n  name: x\n").into();
        let count = |objects| decode(&compressed(&record), objects).unwrap().manifest.len();
        assert_eq!((count(ManifestObjects::All), count(ManifestObjects::WithReadiness)), (LONG.len() + 1, 1));
        let has_readiness = |kind: &&str| crate::cluster::watch::release::ROOTS.iter().any(|(_, root)| root == kind);
        assert!(!LONG.iter().any(has_readiness));
        let catalogue = crate::stack::Catalogue::embedded().unwrap();
        let rows = catalogue.overview("monitoring");
        assert!(!rows.iter().flat_map(|row| &row.wait_for).any(|wanted| LONG.contains(&wanted.kind.as_str())));
    }

    #[test]
    fn damaged_records_are_errors() {
        let mut cut = compressed(&record());
        cut.truncate(40);
        assert!(decode(&cut, ManifestObjects::All).is_err());
        assert!(decode(b"not base64!", ManifestObjects::All).is_err());
        assert!(decode(&compressed(&json!({"name": "loki"})), ManifestObjects::All).is_err());
    }

    #[test]
    fn values_and_records_have_a_limit() {
        let mut large = record();
        large["config"] = json!({"list": vec![json!({}); MAX_VALUES / 3]});
        assert!(
            decode(&compressed(&large), ManifestObjects::All)
                .unwrap_err()
                .to_string()
                .contains("values of more than 8 MiB")
        );
    }
}
