//! Contents of helm's release records, read with the client of the run: no helm process has to start for them.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cluster::{Cluster, ClusterError, RevisionRecord, current};
use crate::stack::HelmDriver;
use crate::yaml;

/// Of a decoded record, far above any chart: helm's own limit is 1 MiB for the compressed record.
const MAX_BYTES: u64 = 256 << 20;
/// Start of gzip data; records of the first helm 3 versions are not compressed.
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

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
    config: Option<Map<String, Value>>,
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

/// From the text of a record: JSON, compressed with gzip, in base64 (helm pkg/storage/driver, util.go).
fn decode(text: &[u8]) -> Result<RecordedRelease, Failure> {
    let bytes = STANDARD.decode(text)?;
    let stored: Stored = if bytes.starts_with(&GZIP) {
        serde_json::from_reader(std::io::BufReader::new(flate2::read::GzDecoder::new(&bytes[..]).take(MAX_BYTES)))?
    } else {
        serde_json::from_slice(&bytes)?
    };
    let Stored { info, chart: Chart { metadata }, config, manifest } = stored;
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    Ok(RecordedRelease {
        chart: metadata.name,
        chart_version: semver::Version::parse(&metadata.version)?,
        app_version: metadata.app_version,
        status: info.status,
        values: Value::Object(config.unwrap_or_default()),
        manifest: yaml::documents(&manifest)?.into_iter().filter(|value| !is_empty(value)).collect(),
    })
}

impl Cluster {
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
        let (object, _) = record.object();
        let Some(mut live) = self.get(object).await? else { return Ok(None) };
        let Some(Value::String(data)) = live.pointer_mut("/data/release").map(Value::take) else {
            return Err(unreadable(record, "it has no key release"));
        };
        let is_secret = object.kind == "Secret";
        let decoding = move || {
            let text = if is_secret { STANDARD.decode(data)? } else { data.into_bytes() };
            decode(&text)
        };
        // Charts are megabytes: several records are decoded in parallel.
        match tokio::task::spawn_blocking(decoding).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(error)) => Err(unreadable(record, &error.to_string())),
            Err(stopped) => Err(unreadable(record, &stopped.to_string())),
        }
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
        let found = decode(&compressed(&record())).unwrap();
        assert_eq!((found.chart.as_str(), found.chart_version.to_string()), ("loki", "6.46.0".into()));
        assert_eq!((found.app_version.as_str(), found.status.as_str()), ("3.5.7", "deployed"));
        assert_eq!((found.values.clone(), found.manifest.len()), (json!({"size": 1.5}), 1));
        let plain = STANDARD.encode(record().to_string()).into_bytes();
        assert_eq!(decode(&plain).unwrap(), found, "records of the first helm 3 versions are not compressed");
        let mut bare = record();
        bare["config"] = Value::Null;
        assert_eq!(decode(&compressed(&bare)).unwrap().values, json!({}));
    }

    #[test]
    fn damaged_records_are_errors() {
        let mut cut = compressed(&record());
        cut.truncate(40);
        assert!(decode(&cut).is_err());
        assert!(decode(b"not base64!").is_err());
        assert!(decode(&compressed(&json!({"name": "loki"}))).is_err());
    }
}
