//! Name, version and default values of a chart archive; the values with those of all charts packed inside it, as one
//! tree.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::helm::HelmError;
use crate::yaml::documents;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Files of a chart by their path inside it, e.g. `values.yaml`, `charts/grafana/Chart.yaml`.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Bytes of an unpacked archive with all that is packed inside it, far above any chart.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes of one file, as in helm (pkg/chart/loader/archive, MaxDecompressedFileSize).
const MAX_FILE: u64 = 5 << 20;
/// Keys of a path of values.
const MAX_KEYS: usize = 100;
/// Levels of charts packed inside charts.
const MAX_DEPTH: usize = 8;

#[derive(Default, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    version: Option<Value>,
    #[serde(default, rename = "appVersion")]
    app_version: Option<Value>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    alias: Option<String>,
    /// Value paths that enable it, separated by commas.
    condition: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// The values of a .tgz without overrides: `values.yaml`, the values of each packed chart under its alias or name, and
/// every path of a `condition` or a tag in `Chart.yaml`, as null without a default.
pub fn default_values(archive: &Path) -> Result<Value, HelmError> {
    let read = std::fs::File::open(archive).map_err(Failure::from).and_then(values_in);
    read.map_err(|error| HelmError::Local {
        what: format!("read the values of chart archive {}", archive.display()),
        source: std::io::Error::other(error),
    })
}

pub(super) fn values_in(archive: impl Read) -> Result<Value, Failure> {
    let mut budget = MAX_BYTES;
    values_of(&unpacked(archive, &mut budget)?, &mut budget, 0)
}

/// The chart in the bytes of a .tgz, e.g. `chart loki 6.46.0`: helm takes name and version from `Chart.yaml`, not from
/// the name of the archive or from the repository's index.
pub(super) fn chart_of(bytes: &[u8]) -> String {
    let mut budget = MAX_BYTES;
    match unpacked(bytes, &mut budget).and_then(|files| yaml::<Metadata>(&files, "Chart.yaml")) {
        Ok(Some(Metadata { name, version, .. })) => format!("chart {name} {}", text(version).unwrap_or_default()),
        Ok(None) => "an archive without Chart.yaml".into(),
        Err(error) => format!("an unreadable archive ({error})"),
    }
}

/// `appVersion` of a .tgz, a text or a number.
pub fn app_version(archive: &Path) -> Option<String> {
    let mut budget = MAX_BYTES;
    let files = unpacked(std::fs::File::open(archive).ok()?, &mut budget).ok()?;
    text(yaml::<Metadata>(&files, "Chart.yaml").ok()??.app_version)
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Unpacks values and metadata only. Paths are relative to the archive's top folder. All bytes are taken from the budget.
fn unpacked(archive: impl Read, budget: &mut u64) -> Result<Files, Failure> {
    let mut bytes = GzDecoder::new(archive).take(*budget);
    let files = files_of(&mut bytes);
    *budget = bytes.limit();
    if *budget == 0 {
        return Err(format!("it unpacks to more than {} MiB", MAX_BYTES >> 20).into());
    }
    files
}

fn files_of(bytes: impl Read) -> Result<Files, Failure> {
    let mut files = Files::new();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let in_charts = path.parent().is_some_and(|folder| folder.ends_with("charts"));
        if matches!(name, "Chart.yaml" | "values.yaml") || (in_charts && name.ends_with(".tgz")) {
            let mut bytes = Vec::new();
            // A sparse file has more bytes than the archive.
            (&mut entry).take(MAX_FILE + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_FILE {
                return Err(format!("{name} has more than {} MiB", MAX_FILE >> 20).into());
            }
            files.insert(path, bytes);
        }
    }
    Ok(files)
}

fn values_of(files: &Files, budget: &mut u64, depth: usize) -> Result<Value, Failure> {
    if depth > MAX_DEPTH {
        return Err("charts are packed inside each other without end".into());
    }
    let metadata: Metadata = yaml(files, "Chart.yaml")?.unwrap_or_default();
    let values = match files.get(Path::new("values.yaml")) {
        Some(text) => documents(std::str::from_utf8(text)?)?.into_iter().next(),
        None => None,
    };
    let mut values = values.filter(Value::is_object).unwrap_or_else(|| json!({}));
    for inner in packed(files, budget)? {
        let name = yaml::<Metadata>(&inner, "Chart.yaml")?.unwrap_or_default().name;
        let inner_values = values_of(&inner, budget, depth + 1)?;
        if let Some(global) = inner_values.get("global") {
            add_missing(&mut values, &json!({ "global": global }));
        }
        let dependencies = metadata.dependencies.iter().filter(|dependency| dependency.name == name);
        let mut keys: Vec<&str> = dependencies.map(|dependency| dependency.alias.as_deref().unwrap_or(&name)).collect();
        if keys.is_empty() {
            keys.push(&name);
        }
        for key in keys {
            add_missing(&mut values, &json!({ key: inner_values }));
        }
    }
    for dependency in &metadata.dependencies {
        let conditions = dependency.condition.iter().flat_map(|condition| condition.split(','));
        let tags = dependency.tags.iter().map(|tag| format!("tags.{tag}"));
        let paths = conditions.map(|path| path.trim().to_owned()).chain(tags);
        for path in paths.filter(|path| path.matches('.').count() < MAX_KEYS) {
            let nested = path.rsplit('.').fold(Value::Null, |inner, key| json!({ key: inner }));
            add_missing(&mut values, &nested);
        }
    }
    Ok(values)
}

/// The charts in `charts/`, as folders or as archives.
fn packed(files: &Files, budget: &mut u64) -> Result<Vec<Files>, Failure> {
    let mut folders: BTreeMap<PathBuf, Files> = BTreeMap::new();
    let mut charts = Vec::new();
    for (path, bytes) in files {
        let Ok(inside) = path.strip_prefix("charts") else { continue };
        let mut rest = inside.components();
        let Some(first) = rest.next() else { continue };
        if rest.as_path().as_os_str().is_empty() {
            charts.push(unpacked(bytes.as_slice(), budget)?);
        } else {
            let folder = folders.entry(Path::new(first.as_os_str()).to_owned()).or_default();
            folder.insert(rest.as_path().to_owned(), bytes.clone());
        }
    }
    charts.extend(folders.into_values());
    Ok(charts)
}

fn yaml<T: serde::de::DeserializeOwned>(files: &Files, name: &str) -> Result<Option<T>, Failure> {
    let Some(text) = files.get(Path::new(name)) else { return Ok(None) };
    let document = documents(std::str::from_utf8(text)?)?.into_iter().next();
    Ok(document.map(serde_json::from_value).transpose()?)
}

/// A chart's own values take precedence over those of its packed charts.
fn add_missing(values: &mut Value, more: &Value) {
    if values.is_null() && more.is_object() {
        *values = Value::Object(Map::new());
    }
    if let (Value::Object(values), Value::Object(more)) = (values, more) {
        for (key, value) in more {
            match values.get_mut(key) {
                Some(known) => add_missing(known, value),
                None => drop(values.insert(key.clone(), value.clone())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn the_app_version_is_a_text_or_a_number_of_the_top_chart() {
        let folder = tempfile::tempdir().unwrap();
        for (version, expected) in
            [("appVersion: v0.86.2\n", Some("v0.86.2")), ("appVersion: 3.5\n", Some("3.5")), ("", None)]
        {
            let metadata = format!("name: top\n{version}");
            let inner: &[u8] = b"name: grafana\nappVersion: 12.0.0\n";
            let chart = archive(&[("top/Chart.yaml", metadata.as_bytes()), ("top/charts/grafana/Chart.yaml", inner)]);
            let path = folder.path().join("top.tgz");
            std::fs::write(&path, chart).unwrap();
            assert_eq!(app_version(&path).as_deref(), expected);
        }
        assert_eq!(app_version(&folder.path().join("gone.tgz")), None);
    }

    #[test]
    fn an_archive_has_the_chart_of_its_own_chart_yaml() {
        let packed: (&str, &[u8]) = ("top/charts/grafana/Chart.yaml", b"name: grafana\nversion: 9.0.0\n");
        let chart = archive(&[packed, ("other/Chart.yaml", b"version: 1.2.3+a\nname: top\n"), packed]);
        assert_eq!(chart_of(&chart), "chart top 1.2.3+a");
        assert_eq!(chart_of(&archive(&[packed])), "an archive without Chart.yaml");
        assert!(chart_of(b"404 page not found").starts_with("an unreadable archive ("));
    }

    #[test]
    fn charts_packed_as_folders_and_archives_have_their_alias_or_name() {
        let inner = archive(&[
            ("cache/Chart.yaml", b"name: cache\nversion: 1.0.0\n"),
            ("cache/values.yaml", b"size: 1\nglobal: { region: x }\n"),
        ]);
        let chart = archive(&[
            (
                "top/Chart.yaml",
                b"name: top\ndependencies:\n- { name: grafana, condition: grafana.enabled }\n- { name: cache, alias: fast, \
                  tags: [caching] }\n- { name: cache, alias: slow, condition: 'slow.enabled, caches.enabled' }\n",
            ),
            ("top/values.yaml", b"grafana: { replicas: 2 }\nempty:\n"),
            ("top/ci/values.yaml", b"never: 1\n"),
            ("top/charts/grafana/Chart.yaml", b"name: grafana\n"),
            ("top/charts/grafana/values.yaml", b"replicas: 1\nimage: { tag: a }\n"),
            ("top/charts/grafana/charts/deep/Chart.yaml", b"name: deep\n"),
            ("top/charts/grafana/charts/deep/values.yaml", b"depth: 3\n"),
            ("top/charts/cache-1.0.0.tgz", &inner),
        ]);
        let mut budget = MAX_BYTES;
        let files = unpacked(chart.as_slice(), &mut budget).unwrap();
        let values = values_of(&files, &mut budget, 0).unwrap();
        assert_eq!(
            values,
            json!({
                "grafana": {"replicas": 2, "image": {"tag": "a"}, "deep": {"depth": 3}, "enabled": null},
                "empty": null,
                "global": {"region": "x"},
                "fast": {"size": 1, "global": {"region": "x"}},
                "slow": {"size": 1, "global": {"region": "x"}, "enabled": null},
                "caches": {"enabled": null},
                "tags": {"caching": null},
            })
        );
    }

    #[test]
    fn all_packed_archives_have_one_limit() {
        let zeros = vec![b'#'; 5 << 20];
        let inner = archive(&[("inner/Chart.yaml", b"name: inner\n"), ("inner/values.yaml", &zeros)]);
        let names: Vec<String> = (0..14).map(|number| format!("top/charts/{number}.tgz")).collect();
        let mut files: Vec<(&str, &[u8])> = vec![("top/Chart.yaml", b"name: top\n")];
        files.extend(names.iter().map(|name| (name.as_str(), inner.as_slice())));
        let folder = tempfile::tempdir().unwrap();
        let read = |files: &[(&str, &[u8])]| {
            let path = folder.path().join("top.tgz");
            std::fs::write(&path, archive(files)).unwrap();
            default_values(&path)
        };
        assert!(read(&files[..8]).is_ok());
        let error = read(&files).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("64 MiB"), "{error:?}");
    }

    /// The end of a sparse file takes no bytes of the archive (GNU tar manual, "Old GNU Format").
    #[test]
    fn a_sparse_file_has_the_limit_of_every_file() {
        let mut header = tar::Header::new_gnu();
        header.set_path("top/values.yaml").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize = *b"01000000000\0";
        gnu.sparse[0].offset = gnu.realsize;
        gnu.sparse[0].numbytes = *b"00000000000\0";
        header.set_cksum();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        builder.append(&header, std::io::empty()).unwrap();
        let archive = builder.into_inner().unwrap().finish().unwrap();
        assert!(archive.len() < 1000);
        let error = values_in(archive.as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "values.yaml has more than 5 MiB");
    }

    #[test]
    fn aliases_in_the_metadata_are_limited() {
        let list = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(3000), "*a,".repeat(3000));
        let chart = archive(&[("top/Chart.yaml", format!("name: top\n{list}").as_bytes())]);
        assert!(values_in(chart.as_slice()).unwrap_err().to_string().contains("every alias expanded"));
    }

    /// Values that are nested deeper would overflow the stack.
    #[test]
    fn a_condition_of_too_many_keys_is_left_out() {
        let deep = "a.".repeat(200_000);
        let metadata = format!("name: top\ndependencies:\n- {{ name: b, condition: '{deep}, b.enabled' }}\n");
        let chart = archive(&[("top/Chart.yaml", metadata.as_bytes())]);
        assert_eq!(values_in(chart.as_slice()).unwrap(), json!({"b": {"enabled": null}}));
    }

    #[test]
    fn an_invalid_archive_is_reported() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "not a chart").unwrap();
        let error = default_values(file.path()).unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
