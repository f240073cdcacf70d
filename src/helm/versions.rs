//! The chart versions of a repository: from an index that helm downloads with its own proxy and CA handling, from the
//! names of archives in a folder or a bundle, or from the tags of an OCI registry.

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;

use crate::config::{ChartRepository, RepositoryAccess};
use crate::helm::repositories::Repository;
use crate::helm::{Helm, HelmError, commands, local_charts, registry};

/// The used fields of an index. <https://helm.sh/docs/topics/chart_repository/#the-index-file>
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    version: String,
    #[serde(default)]
    deprecated: bool,
}

impl Helm {
    /// All versions of each chart with pre-releases, the newest first, without deprecated ones and those that are not
    /// semantic. A missing chart has an empty list.
    pub async fn versions(
        &self,
        (repository, access): (&ChartRepository, &RepositoryAccess),
        charts: &[&str],
    ) -> Result<BTreeMap<String, Vec<Version>>, HelmError> {
        if let Some(file) = &access.ca_file {
            std::fs::File::open(file).map_err(|source| HelmError::CaFile { path: file.clone(), source })?;
        }
        let mut found = match repository.as_str().split_once("://") {
            Some(("oci", address)) => {
                let config = self.registry_config().await;
                registry::tags((address, access), charts, (config.as_deref(), &self.environment)).await?
            }
            Some(_) => self.indexed(&Repository::new(repository.as_str(), access), charts).await?,
            None => archived(&local_charts::names(repository)?, charts),
        };
        for versions in found.values_mut() {
            versions.sort_by(|one, other| other.cmp(one));
            versions.dedup();
        }
        Ok(found)
    }

    /// The digest of each image in its registry, e.g. `sha256:…`, in their order; read with the credentials of
    /// `helm registry login`, otherwise docker's.
    pub async fn image_digests(&self, images: &[String]) -> Result<Vec<String>, HelmError> {
        let config = self.registry_config().await;
        registry::digests(images, (config.as_deref(), &self.environment)).await
    }

    /// Lets helm download the index into an own folder, which leaves the user's repositories unchanged, and reads it:
    /// `helm search repo` does not show deprecations.
    async fn indexed(
        &self,
        repository: &Repository,
        charts: &[&str],
    ) -> Result<BTreeMap<String, Vec<Version>>, HelmError> {
        let folder = self.fresh_folder()?;
        self.knowing(repository, folder.path()).await?;
        // helm's file name in 3 and 4: helmpath.CacheIndexFile.
        let path = commands::index_folder(folder.path()).join(format!("{}-index.yaml", repository.name()));
        let charts: Vec<String> = charts.iter().map(|chart| (*chart).to_owned()).collect();
        // Reading the index of a large repository takes a second.
        let read = tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| HelmError::Local { what: format!("read {}", path.display()), source })?;
            of_index(&text, &charts)
        });
        read.await.map_err(|error| HelmError::Local { what: "read the index".into(), source: error.into() })?
    }

    /// The file with the credentials of `helm registry login`, as helm reports it.
    async fn registry_config(&self) -> Option<std::path::PathBuf> {
        let output = self.read(&["env", "HELM_REGISTRY_CONFIG"]).await.ok()?;
        let path = String::from_utf8(output).ok()?;
        Some(path.trim().into()).filter(|path: &std::path::PathBuf| path.is_file())
    }
}

pub(super) fn of_index(text: &str, charts: &[String]) -> Result<BTreeMap<String, Vec<Version>>, HelmError> {
    let index: Index = serde_yaml::from_str(text)
        .map_err(|error| HelmError::Output { command: "helm repo add".into(), source: error.into() })?;
    let versions = |chart: &String| {
        let entries = index.entries.get(chart).into_iter().flatten().filter(|entry| !entry.deprecated);
        (chart.clone(), entries.filter_map(|entry| Version::parse(&entry.version).ok()).collect())
    };
    Ok(charts.iter().map(versions).collect())
}

/// `NAME-VERSION.tgz`
fn archived(files: &[String], charts: &[&str]) -> BTreeMap<String, Vec<Version>> {
    let version = |file: &String, chart: &str| {
        let rest = file.strip_prefix(chart)?.strip_prefix('-')?.strip_suffix(".tgz")?;
        Version::parse(rest).ok()
    };
    let versions = |chart: &&str| ((*chart).to_owned(), files.iter().filter_map(|file| version(file, chart)).collect());
    charts.iter().map(versions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(versions: &[Version]) -> Vec<String> {
        versions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_index_has_versions_without_deprecated_ones() {
        let text = "apiVersion: v1\nentries:\n  loki:\n  - { version: 6.46.0, urls: [a.tgz] }\n  \
                    - { version: 2.0.0, deprecated: true }\n  - { version: latest }\n  loki-stack:\n  - version: 9.9.9\n";
        let found = of_index(text, &["loki".into(), "alloy".into()]).unwrap();
        assert_eq!(texts(&found["loki"]), ["6.46.0"]);
        assert!(found["alloy"].is_empty() && found.len() == 2);
        assert!(of_index("entries: [", &[]).is_err());
    }

    #[test]
    fn a_folder_has_the_versions_of_its_archives() {
        let files = ["loki-6.46.0.tgz", "loki-6.46.0.tgz.prov", "loki-stack-2.0.0.tgz", "loki-7.0.0-rc.1.tgz", "x"];
        let mut found = archived(&files.map(str::to_owned), &["loki", "alloy"]);
        found.get_mut("loki").unwrap().sort();
        assert_eq!(texts(&found["loki"]), ["6.46.0", "7.0.0-rc.1"]);
        assert!(found["alloy"].is_empty());
    }
}
