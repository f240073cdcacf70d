//! Finds, reads and merges kubeconfig files by kubectl's rules; entries keep every field of the file, known or not.
//! Source: client-go tools/clientcmd, loader.go (v0.36), and Kubernetes docs "Organizing Cluster Access Using
//! kubeconfig Files".

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cluster::ClusterError;
use crate::cluster::client::kubeconfig_schema;
use crate::input_file::{self, InputError};
use crate::yaml;

/// Size limit of a kubeconfig; enough for certificates of some hundred clusters.
const LARGEST: u64 = 16 << 20;

/// The merged files of `$KUBECONFIG`, or one file: the first entry of each name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Kubeconfig {
    pub(super) clusters: Vec<Entry>,
    pub(super) users: Vec<Entry>,
    pub(super) contexts: Vec<Entry>,
    /// `current-context`; may be empty.
    pub(super) current: String,
    /// Files that were read.
    pub(super) files: Vec<PathBuf>,
}

/// A named cluster, user or context.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// As in the file, but with absolute paths.
    pub(super) value: Map<String, Value>,
    /// Its file.
    pub(super) file: PathBuf,
}

impl Entry {
    /// Its known fields.
    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, ClusterError> {
        serde_json::from_value(Value::Object(self.value.clone()))
            .map_err(|error| bad(&self.file, error.to_string(), "correct the field"))
    }
}

/// The entry of that name.
pub(super) fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name == name)
}

impl Kubeconfig {
    /// Names of the contexts in order of the files.
    pub(super) fn context_names(&self) -> Vec<String> {
        self.contexts.iter().map(|context| context.name.clone()).collect()
    }

    /// The files, for messages.
    pub(super) fn place(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn merge(&mut self, next: Kubeconfig) {
        let append = |into: &mut Vec<Entry>, from: Vec<Entry>| {
            let known: BTreeSet<String> = into.iter().map(|entry| entry.name.clone()).collect();
            into.extend(from.into_iter().filter(|entry| !known.contains(&entry.name)));
        };
        append(&mut self.clusters, next.clusters);
        append(&mut self.users, next.users);
        append(&mut self.contexts, next.contexts);
        if self.current.is_empty() {
            self.current = next.current;
        }
        self.files.extend(next.files);
    }
}

/// The kubeconfig of a run, read once: a pipe can be read only once, and a file can change. Cheap to clone.
#[derive(Clone, Default)]
pub struct KubeconfigOnce(Arc<OnceLock<Option<Kubeconfig>>>);

/// Without tokens.
impl fmt::Debug for KubeconfigOnce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KubeconfigOnce").finish_non_exhaustive()
    }
}

/// Paths from flags and environment.
#[derive(Clone, Debug)]
pub(super) struct Places {
    files: Vec<PathBuf>,
    /// `--kubeconfig`, which must exist.
    is_explicit: bool,
    once: KubeconfigOnce,
}

impl Places {
    /// `--kubeconfig` alone, else the files of `$KUBECONFIG` without empty ones and repetitions, else
    /// `$HOME/.kube/config`. Without HOME this is a relative path, as in kubectl.
    pub(super) fn of(flag: Option<&Path>, once: &KubeconfigOnce) -> Places {
        let once = once.clone();
        if let Some(file) = flag.filter(|file| !file.as_os_str().is_empty()) {
            return Places { files: vec![file.to_owned()], is_explicit: true, once };
        }
        let list = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
        let files = match list {
            Some(list) => {
                let mut seen = BTreeSet::new();
                let files = std::env::split_paths(&list).filter(|file| !file.as_os_str().is_empty());
                files.filter(|file| seen.insert(file.clone())).collect()
            }
            None => {
                let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
                vec![home.join(".kube").join("config")]
            }
        };
        Places { files, is_explicit: false, once }
    }

    /// Whether the path is from `--kubeconfig`.
    pub(super) fn is_explicit(&self) -> bool {
        self.is_explicit
    }

    /// Reads and merges the files, once per run; files that do not exist are skipped. `None`: no file exists.
    pub(super) fn read(&self) -> Result<Option<Kubeconfig>, ClusterError> {
        if let Some(known) = self.once.0.get() {
            return Ok(known.clone());
        }
        let read = self.read_files()?;
        Ok(self.once.0.get_or_init(|| read).clone())
    }

    fn read_files(&self) -> Result<Option<Kubeconfig>, ClusterError> {
        let mut merged: Option<Kubeconfig> = None;
        for file in &self.files {
            let text = match read(file) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ClusterError::File { path: file.clone(), source }),
            };
            merged.get_or_insert_default().merge(parse(file, &text)?);
        }
        Ok(merged)
    }

    /// The error that no file exists.
    pub(super) fn missing(&self) -> ClusterError {
        ClusterError::NoKubeconfig { places: self.files.iter().map(|file| file.display().to_string()).collect() }
    }
}

fn bad(file: &Path, reason: impl Into<String>, next: impl Into<String>) -> ClusterError {
    ClusterError::BadKubeconfig { place: file.display().to_string(), reason: reason.into(), next: next.into() }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    input_file::read(file, LARGEST).map_err(|error| match error {
        InputError::TooLarge { .. } => std::io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)),
        other => other.into_io(),
    })
}

/// One file; an empty one is an empty kubeconfig.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Kubeconfig, ClusterError> {
    let text = decoded(bytes).ok_or_else(|| bad(file, "it is no text", "select a kubeconfig"))?;
    let mut document = match json(&text) {
        Ok(Value::Null) => return Ok(Kubeconfig { files: vec![file.to_owned()], ..Kubeconfig::default() }),
        Ok(document @ Value::Object(_)) => document,
        Ok(_) => return Err(bad(file, "it is no mapping", "select a kubeconfig: it begins with `apiVersion: v1`")),
        Err(reason) => return Err(bad(file, reason, "correct the line")),
    };
    let known: kubeconfig_schema::Document = serde_path_to_error::deserialize(&document).map_err(|error| {
        let reason = format!("{}: {}", error.path(), error.inner());
        bad(file, reason, "write the value with the type that kubectl expects there; quote a text")
    })?;
    known.check().map_err(|reason| bad(file, reason, "select a kubeconfig: `apiVersion: v1`, `kind: Config`"))?;
    let folder = std::path::absolute(file).ok().and_then(|file| file.parent().map(Path::to_owned));
    let folder = folder.unwrap_or_default();
    let mut entries = |list: &str, key: &str| -> Result<Vec<Entry>, ClusterError> {
        let mut found: Vec<Entry> = Vec::new();
        for mut item in document.get_mut(list).and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default() {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if found.iter().any(|entry| entry.name == name) {
                return Err(bad(file, format!("{list} has the name {name} twice"), "rename or remove one of them"));
            }
            let value = item.get_mut(key).map(Value::take).and_then(|value| match value {
                Value::Object(value) => Some(value),
                _ => None,
            });
            let mut value = value.unwrap_or_default();
            make_absolute(&mut value, &folder);
            found.push(Entry { name, value, file: file.to_owned() });
        }
        Ok(found)
    };
    Ok(Kubeconfig {
        clusters: entries("clusters", "cluster")?,
        users: entries("users", "user")?,
        contexts: entries("contexts", "context")?,
        current: known.current_context,
        files: vec![file.to_owned()],
    })
}

/// Makes the paths of a cluster or user absolute, from its file's folder; an exec command only if it has a slash
/// (GetClusterFileReferences and GetAuthInfoFileReferences of loader.go).
fn make_absolute(value: &mut Map<String, Value>, folder: &Path) {
    let absolute = |value: &mut Value| {
        if let Some(path) = value.as_str().filter(|path| !path.is_empty() && !Path::new(path).is_absolute()) {
            let whole: PathBuf = folder.join(path).components().collect();
            *value = whole.display().to_string().into();
        }
    };
    for key in ["certificate-authority", "client-certificate", "client-key", "tokenFile"] {
        value.get_mut(key).into_iter().for_each(absolute);
    }
    if let Some(command) = value.get_mut("exec").and_then(|exec| exec.get_mut("command"))
        && command.as_str().is_some_and(|command| command.contains('/'))
    {
        absolute(command);
    }
}

/// UTF-8 or UTF-16, with or without a byte order mark, as YAML allows.
fn decoded(bytes: &[u8]) -> Option<String> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// Parses JSON, or the first document of YAML 1.1, as kubectl does; the error has the line.
fn json(text: &str) -> Result<Value, String> {
    if let Ok(document) = serde_json::from_str(text) {
        return Ok(document);
    }
    let mut documents = yaml::documents(text).map_err(|flaw| flaw.to_string())?;
    Ok(if documents.is_empty() { Value::Null } else { documents.swap_remove(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterTarget;

    fn merged(files: &[(&str, &str)]) -> Result<Kubeconfig, String> {
        let mut all = Kubeconfig::default();
        for (file, text) in files {
            all.merge(parse(Path::new(file), text.as_bytes()).map_err(|error| error.to_string())?);
        }
        Ok(all)
    }

    #[test]
    fn the_first_file_wins_a_name_and_a_current_context_that_is_not_empty() {
        let all = merged(&[
            (
                "/a/one",
                "users: [{name: u, user: {token: first, unknown: {kept: 1}}}]\ncurrent-context: ''\ncontexts: null",
            ),
            ("/b/empty", ""),
            (
                "/b/two",
                "users: [{name: u, user: {username: second}}, {name: v}]\ncurrent-context: c\ncontexts: [{name: c}]",
            ),
            ("/c/three", "current-context: d"),
        ])
        .unwrap();
        assert_eq!((all.current.as_str(), all.context_names()), ("c", vec!["c".to_owned()]));
        let user = &find(&all.users, "u").unwrap().value;
        assert_eq!(Value::Object(user.clone()), serde_json::json!({ "token": "first", "unknown": { "kept": 1 } }));
        assert_eq!(all.users.len(), 2);
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let text = "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\n\
            users: [{name: u, user: {client-certificate: /x/c, client-key: '', tokenFile: ../t, exec: {command: ./p}}},\n\
            {name: v, user: {exec: {command: aws}}}]";
        let all = merged(&[("/a/kubeconfig", text)]).unwrap();
        assert_eq!(all.clusters[0].value["certificate-authority"], "/a/ca.crt");
        let user = &all.users[0].value;
        assert_eq!((&user["client-certificate"], &user["client-key"]), (&"/x/c".into(), &"".into()));
        assert_eq!((&user["tokenFile"], &user["exec"]["command"]), (&"/a/../t".into(), &"/a/p".into()));
        assert_eq!(all.users[1].value["exec"]["command"], "aws");
    }

    #[test]
    fn a_file_that_kubectl_cannot_read_is_reported_with_its_path() {
        for (text, named) in [
            ("users: [{name: u, user: {token: 5}}]", "users[0].user.token"),
            ("users: [{name: u, user: {token: yes}}]", "users[0].user.token"),
            ("clusters: [{name: c, cluster: {certificate-authority-data: '*'}}]", "clusters[0].cluster"),
            ("clusters: [{name: c, cluster: {insecure-skip-tls-verify: 'true'}}]", "insecure-skip-tls-verify"),
            ("contexts: [{name: c}, {name: c}]", "the name c twice"),
            ("kind: Pod", "kind"),
            ("apiVersion: v2", "apiVersion"),
            ("- a", "no mapping"),
            ("a: [", "line 2"),
        ] {
            let error = merged(&[("/a/kubeconfig", text)]).unwrap_err();
            assert!(error.contains(named) && error.contains("/a/kubeconfig"), "{text}: {error}");
        }
    }

    #[test]
    fn every_encoding_of_yaml_is_read() {
        let text = "current-context: caf\u{e9}";
        let units: Vec<u16> = std::iter::once(0xFEFF).chain(text.encode_utf16()).collect();
        let wide = |bytes: fn(u16) -> [u8; 2]| units.iter().copied().flat_map(bytes).collect::<Vec<u8>>();
        let marked = format!("\u{feff}{text}").into_bytes();
        for bytes in [text.as_bytes().to_vec(), marked, wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(parse(Path::new("/a"), &bytes).unwrap().current, "caf\u{e9}");
        }
    }

    #[test]
    fn a_pipe_is_read_once_for_all_targets_of_a_run() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = std::io::pipe().unwrap();
        let text = "clusters: [{name: c, cluster: {server: 'https://api.example:6443'}}]\n\
                    contexts: [{name: here, context: {cluster: c}}, {name: there, context: {cluster: c}}]";
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        let file = Some(PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd())));
        let asked = ClusterTarget { kubeconfig: file, ..ClusterTarget::default() };
        let (names, _) = crate::cluster::contexts(&asked).unwrap();
        assert_eq!(names, ["here", "there"]);
        let read = Places::of(None, &asked.once).read().unwrap().unwrap();
        assert_eq!(read.context_names(), names);
    }
}
