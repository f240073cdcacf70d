//! Chart repositories with credentials or own TLS files: from the answers below `charts`, or from the user's
//! repositories.yaml. helm gets them in a private file: its flags would show a password in the list of processes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcetera::BaseStrategy as _;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::config::{RepositoryAccess, Secret};
use crate::helm::run::{Effect, FETCH, repositories_file, words};
use crate::helm::{Helm, HelmError};

/// Size limit of repositories.yaml.
const MAX_BYTES: u64 = 4 << 20;
/// The name of a repository that the user's file does not have.
const NAME: &str = "charts";
/// An entry with other keys than these needs them for its requests.
const ADDRESS: [&str; 2] = ["name", "url"];

/// An entry of repositories.yaml. <https://pkg.go.dev/helm.sh/helm/v3/pkg/repo#Entry>
pub(super) struct Repository {
    entry: Map<String, Value>,
}

impl Repository {
    /// The repository at an address, with the user's entry for it, overridden by the answers.
    pub(super) fn new(address: &str, access: &RepositoryAccess) -> Repository {
        let mut entry = user_entry(address).unwrap_or_default();
        entry.entry("name").or_insert_with(|| NAME.into());
        entry.entry("url").or_insert_with(|| address.into());
        if let Some((username, password)) = access.login() {
            entry.insert("username".into(), username.into());
            entry.insert("password".into(), password.expose().as_str().into());
        }
        if let Some(file) = &access.ca_file {
            entry.insert("caFile".into(), file.display().to_string().into());
        }
        Repository { entry }
    }

    /// Whether helm needs more than the address.
    pub(super) fn is_private(&self) -> bool {
        self.entry.keys().any(|key| !ADDRESS.contains(&key.as_str()))
    }

    pub(super) fn name(&self) -> &str {
        self.entry["name"].as_str().unwrap_or(NAME)
    }

    fn password(&self) -> Vec<Secret<String>> {
        let password = self.entry.get("password").and_then(Value::as_str);
        password.map(|password| Secret::new(password.to_owned())).into_iter().collect()
    }
}

impl Helm {
    /// The same helm with a cache of its own, which knows this repository and has its index.
    pub(super) async fn knowing(&self, repository: &Repository, cache: &Path) -> Result<Helm, HelmError> {
        let alone = Helm { cache: cache.to_owned(), ..self.clone() };
        let arguments = if repository.is_private() {
            let file = json!({"apiVersion": "", "repositories": [repository.entry]});
            write_private(&repositories_file(cache), &file)?;
            words(&["repo", "update", repository.name()])
        } else {
            words(&["repo", "add", repository.name(), repository.entry["url"].as_str().unwrap_or_default()])
        };
        let update = alone.call(arguments, Effect::Reads, FETCH, &CancellationToken::new()).await;
        update.map_err(|error| error.without(&repository.password()))?;
        Ok(alone)
    }
}

/// Writes a registry's configuration file with one login.
pub(super) fn write_login(path: &Path, address: &str, access: &RepositoryAccess) -> Result<(), HelmError> {
    let Some((username, password)) = access.login() else { return Ok(()) };
    let host = address.trim_start_matches("oci://").split('/').next().unwrap_or_default();
    let auth = STANDARD.encode(format!("{username}:{}", password.expose()));
    write_private(path, &json!({"auths": {host: {"auth": auth}}}))
}

fn write_private(path: &Path, document: &Value) -> Result<(), HelmError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(document.to_string().as_bytes()))
        .map_err(|source| HelmError::Local { what: format!("write {}", path.display()), source })
}

/// The user's entry for an address. Without a readable file there is none: helm reports what it then misses.
fn user_entry(address: &str) -> Option<Map<String, Value>> {
    let text = crate::input_file::read_text(&user_file()?, MAX_BYTES).ok()?;
    find_entry(&text, address)
}

/// `$HELM_REPOSITORY_CONFIG`, or below the folder that helm uses (helm pkg/helmpath, lazypath.go).
fn user_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || {
        let of_helm = variable("HELM_CONFIG_HOME");
        let of_system = || {
            let base = match variable("XDG_CONFIG_HOME") {
                Some(base) => base,
                None => etcetera::base_strategy::choose_native_strategy().ok()?.config_dir(),
            };
            Some(base.join("helm"))
        };
        of_helm.or_else(of_system).map(|folder| folder.join("repositories.yaml"))
    };
    variable("HELM_REPOSITORY_CONFIG").or_else(folder)
}

pub(super) fn find_entry(text: &str, address: &str) -> Option<Map<String, Value>> {
    let document = crate::yaml::documents(text).ok()?.into_iter().next()?;
    let wanted = normalized(address)?;
    let entries = document["repositories"].as_array()?.iter().filter_map(Value::as_object);
    let mut found = entries.filter(|entry| {
        let url = entry.get("url").and_then(Value::as_str).and_then(normalized);
        url.as_ref() == Some(&wanted) && entry.get("name").is_some_and(Value::is_string)
    });
    let mut entry = found.next()?.clone();
    // helm writes every key, also those without a value.
    entry.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)) && value != "");
    Some(entry)
}

/// As helm compares addresses: without credentials, default ports and slashes at the end (helm urlutil.Equal).
fn normalized(address: &str) -> Option<String> {
    let mut url = url::Url::parse(address).ok()?;
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "apiVersion: \"\"\nrepositories:\n- { name: open, url: 'https://open.example/charts', \
                        username: '', caFile: '', pass_credentials_all: false }\n\
                        - { name: corp, url: 'https://ci:x@Charts.Acme.example:443/helm/', username: ci, password: pw, \
                        certFile: c.pem, keyFile: k.pem, pass_credentials_all: true }\n";

    #[test]
    fn the_entry_of_an_address_is_found_as_helm_compares_addresses() {
        let entry = find_entry(FILE, "https://charts.acme.example/helm").unwrap();
        let keys: Vec<&str> = entry.keys().map(String::as_str).collect();
        assert_eq!(keys, ["certFile", "keyFile", "name", "pass_credentials_all", "password", "url", "username"]);
        for other in
            ["https://charts.acme.example/helm/other", "http://charts.acme.example/helm", "https://acme.example"]
        {
            assert!(find_entry(FILE, other).is_none(), "{other}");
        }
        let open = Repository { entry: find_entry(FILE, "https://open.example/charts/").unwrap() };
        assert!(!open.is_private() && Repository { entry }.is_private());
        assert!(find_entry("repositories: [", "https://x.example").is_none());
    }
}
