//! Tags of charts in an OCI registry, which helm does not list, and digests of images; oci-client implements the
//! distribution API. Credentials are those of `helm registry login`, otherwise docker's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use semver::Version;

use crate::config::RepositoryAccess;
use crate::helm::fetch::is_plain;
use crate::helm::{HelmError, credentials};
use crate::process::Environment;

/// Tags per page; a registry may return fewer.
const PAGE: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Images whose digests are read in parallel.
const AT_ONCE: usize = 8;

/// Versions of each chart below `address` (without `oci://`), in no order.
pub(super) async fn tags(
    (address, access): (&str, &RepositoryAccess),
    charts: &[&str],
    (config, environment): (Option<&Path>, &Environment),
) -> Result<BTreeMap<String, Vec<Version>>, HelmError> {
    let (host, folder) = address.split_once('/').unwrap_or((address, ""));
    let auth = match access.login() {
        Some((username, password)) => RegistryAuth::Basic(username.to_owned(), password.expose().clone()),
        None => credentials::of_host(host, config, environment).await,
    };
    let client = client(host, access).map_err(|error| registry_error(address, &error))?;
    let lists = charts.iter().map(|chart| {
        let repository = format!("{folder}/{chart}").trim_start_matches('/').to_owned();
        let reference = Reference::with_tag(host.to_owned(), repository, "latest".into());
        let (client, auth) = (&client, &auth);
        async move {
            let tags = all_tags(client, &reference, auth).await.map_err(|error| registry_error(address, &error))?;
            Ok::<_, HelmError>(((*chart).to_owned(), tags.iter().filter_map(|tag| version(tag)).collect()))
        }
    });
    let lists = tokio::time::timeout(TIMEOUT, try_join_all(lists)).await;
    let lists =
        lists.map_err(|_| HelmError::TimedOut { command: format!("oci://{address}"), seconds: TIMEOUT.as_secs() })?;
    Ok(lists?.into_iter().collect())
}

/// The digest of each image in its registry, in their order. That of an index, where an image has several platforms.
pub(super) async fn digests(
    images: &[String],
    (config, environment): (Option<&Path>, &Environment),
) -> Result<Vec<String>, HelmError> {
    let read = images.iter().map(|image| async move {
        let failed = |message: String| HelmError::Image { image: image.clone(), message };
        let reference = Reference::try_from(image.as_str()).map_err(|error| failed(error.to_string()))?;
        if let Some(digest) = reference.digest() {
            return Ok(digest.to_owned());
        }
        let host = reference.registry();
        let read = async {
            let auth = credentials::of_host(host, config, environment).await;
            client(host, &RepositoryAccess::default())?.fetch_manifest_digest(&reference, &auth).await
        };
        let digest = tokio::time::timeout(TIMEOUT, read).await;
        let digest = digest.map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))?;
        digest.map_err(|error| failed(with_causes(&error)))
    });
    futures::stream::iter(read).buffered(AT_ONCE).try_collect().await
}

/// A tag cannot hold the `+` of build metadata, so helm writes `_` there (helm pkg/registry).
fn version(tag: &str) -> Option<Version> {
    Version::parse(&tag.replace('_', "+")).ok()
}

/// helm pulls with the same settings.
fn client(host: &str, access: &RepositoryAccess) -> Result<Client, OciDistributionError> {
    // The crate needs a process-wide provider. An error means that one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = if is_plain(&format!("oci://{host}"), access) { vec![host.to_owned()] } else { Vec::new() };
    let roots = access.ca_file.as_ref().and_then(|file| std::fs::read(file).ok()).into_iter();
    Client::try_from(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(plain),
        extra_root_certificates: roots.map(|data| Certificate { encoding: CertificateEncoding::Pem, data }).collect(),
        ..ClientConfig::default()
    })
}

/// Reads pages until one has no new tag: a registry may ignore the page's size or start.
async fn all_tags(
    client: &Client,
    reference: &Reference,
    auth: &RegistryAuth,
) -> Result<BTreeSet<String>, OciDistributionError> {
    let (mut tags, mut last) = (BTreeSet::new(), None);
    loop {
        let page = match client.list_tags(reference, auth, Some(PAGE), last.as_deref()).await {
            Ok(page) => page.tags,
            Err(error) if is_absent(&error) => return Ok(tags),
            Err(error) => return Err(error),
        };
        let before = tags.len();
        last = page.last().cloned();
        tags.extend(page);
        if tags.len() == before {
            return Ok(tags);
        }
    }
}

/// The registry has no such chart.
fn is_absent(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| matches!(error.code, OciErrorCode::NameUnknown | OciErrorCode::NotFound))
        }
        _ => false,
    }
}

fn registry_error(address: &str, error: &OciDistributionError) -> HelmError {
    HelmError::of_registry(format!("oci://{address}"), with_causes(error))
}

/// The outermost is the least specific.
fn with_causes(error: &OciDistributionError) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_version_with_an_underscore_for_the_plus() {
        assert_eq!(version("6.46.0_build.1").unwrap().to_string(), "6.46.0+build.1");
        assert!(version("latest").is_none() && version("sha256-0123.sig").is_none());
    }
}
