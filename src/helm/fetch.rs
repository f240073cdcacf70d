//! Chart archives: fetched once into the user's cache, with every digest compared with the lock. A chart without a
//! digest in the catalogue is pinned on first use, and compared with what earlier runs from any machine applied. helm
//! gets a copy of the compared bytes in the private folder of the run, and does not read the cache.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use url::{Host, Url};

use crate::config::RepositoryAccess;
use crate::helm::error::DigestChange;
use crate::helm::local_charts::archive_of;
use crate::helm::{FetchedChart, Helm, HelmError, archive, local_charts};
use crate::stack::{ChartSource, DigestSource, KnownDigest};

const LOCK: &str = "digests.json";
/// How long to wait for the file lock of another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Age of what only an interrupted fetch leaves.
const LEFT_OVER: Duration = Duration::from_secs(24 * 60 * 60);

impl Helm {
    /// Fetches a chart (cache, digest lock); sends no request to the cluster.
    pub async fn fetch(&self, source: &ChartSource) -> Result<FetchedChart, HelmError> {
        trusted(&self.cache)?;
        if let Some(lock) = &source.missing_in {
            let chart = format!("chart {} {} from {}", source.name, source.version, source.repository);
            return Err(HelmError::NotLocked { lock: lock.clone(), chart });
        }
        let file = format!("{}-{}.tgz", source.name, source.version);
        let repository = source.repository.as_str();
        let known = self.known_digests(source)?;
        let folder = self.cache.join(&hex(repository.as_bytes())[..16]);
        let cached = folder.join(&file);
        if !known.is_empty()
            && let Ok(bytes) = archive_of(&cached)
            && let digest = hex(&bytes)
            && known.iter().all(|known| known.sha256 == digest)
            && repository.contains("://")
            && !is_loopback(repository)
            && check_chart(source, &bytes).is_ok()
        {
            return self.private(&file, &bytes, digest);
        }
        let bytes = if repository.contains("://") {
            let download = self.fresh_folder()?;
            self.pull(source, download.path()).await?;
            archive_of(&download.path().join(&file))
                .map_err(|_| HelmError::NotFetched { repository: repository.to_owned(), file: file.clone() })?
        } else {
            local_charts::read(&source.repository, &file)?
        };
        let found = hex(&bytes);
        if let Some(expected) = known.iter().find(|known| known.sha256 != found) {
            return Err(HelmError::DigestChanged(Box::new(DigestChange {
                chart: source.name.clone(),
                version: source.version.to_string(),
                repository: repository.to_owned(),
                expected: expected.clone(),
                found,
            })));
        }
        check_chart(source, &bytes)?;
        store(&bytes, &folder, (&cached, 0o600))?;
        if !known.iter().any(|known| matches!(known.source, DigestSource::Catalogue | DigestSource::Machine)) {
            self.pin(source, &found).await?;
        }
        self.private(&file, &bytes, found)
    }

    /// The read-only copy for helm. `digest`: of these bytes.
    fn private(&self, file: &str, bytes: &[u8], digest: String) -> Result<FetchedChart, HelmError> {
        let folder = self.access.folder().join("charts").join(&digest[..16]);
        let path = folder.join(file);
        if !path.exists() {
            store(bytes, &folder, (&path, 0o400))?;
        }
        Ok(FetchedChart { path, digest })
    }

    pub(super) fn fresh_folder(&self) -> Result<tempfile::TempDir, HelmError> {
        sweep(&self.cache, SystemTime::now());
        create_private(&self.cache)
            .and_then(|()| tempfile::tempdir_in(&self.cache))
            .map_err(|source| HelmError::Local { what: format!("write into {}", self.cache.display()), source })
    }

    /// The publisher's digest, or those of earlier runs from any machine and of this one; and that of the lock file.
    fn known_digests(&self, source: &ChartSource) -> Result<Vec<KnownDigest>, HelmError> {
        let mut known: Vec<KnownDigest> = source.digests.clone();
        if !known.iter().any(|known| known.source == DigestSource::Catalogue) {
            let pinned = self.pinned(source)?;
            known.extend(pinned.map(|sha256| KnownDigest { sha256, source: DigestSource::Machine }));
        }
        Ok(known)
    }

    fn pinned(&self, source: &ChartSource) -> Result<Option<String>, HelmError> {
        Ok(self.lock()?.remove(&entry(source)))
    }

    fn lock(&self) -> Result<BTreeMap<String, String>, HelmError> {
        let path = self.cache.join(LOCK);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| HelmError::Local {
                what: format!("read the digest lock {}", path.display()),
                source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(source) => Err(HelmError::Local { what: format!("read {}", path.display()), source }),
        }
    }

    /// Adds a line under a file lock, for parallel runs and fetches.
    async fn pin(&self, source: &ChartSource, digest: &str) -> Result<(), HelmError> {
        let path = self.cache.join(LOCK);
        let failed = |source| HelmError::Local { what: format!("write {}", path.display()), source };
        let guard = std::fs::File::create(self.cache.join("digests.lock")).map_err(failed)?;
        lock_file(&guard).await.map_err(failed)?;
        let mut lock = self.lock()?;
        lock.insert(entry(source), digest.to_owned());
        let text = serde_json::to_vec_pretty(&lock).map_err(std::io::Error::other).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.cache).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Waits for a file lock without blocking the runtime or signals.
async fn lock_file(file: &std::fs::File) -> std::io::Result<()> {
    let until = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => {
                let why = format!("another process has held digests.lock for {} s", LOCK_TIMEOUT.as_secs());
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// An error if the archive has another chart or version than was requested: helm compares neither with the index, nor
/// the digest there (helm 3.19 and 4.2, `helm pull`).
fn check_chart(source: &ChartSource, bytes: &[u8]) -> Result<(), HelmError> {
    let (requested, found) = (format!("chart {} {}", source.name, source.version), archive::chart_of(bytes));
    match found == requested {
        true => Ok(()),
        false => Err(HelmError::OtherChart { repository: source.repository.to_string(), requested, found }),
    }
}

fn entry(source: &ChartSource) -> String {
    format!("{}|{}|{}", source.repository, source.name, source.version)
}

/// A repository on this machine: not cached, since its archives change during development.
pub(super) fn is_loopback(repository: &str) -> bool {
    let host = Url::parse(repository).ok().and_then(|url| Host::parse(url.host_str()?).ok());
    match host {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a registry is read by HTTP without TLS. As with docker, a registry on this machine is, unless it has a CA.
pub(super) fn is_plain(repository: &str, access: &RepositoryAccess) -> bool {
    access.plain_http || (is_loopback(repository) && access.ca_file.is_none())
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Writes the complete archive to its final name, with this mode.
fn store(bytes: &[u8], folder: &Path, (path, mode): (&PathBuf, u32)) -> Result<(), HelmError> {
    let failed = |source| HelmError::Local { what: format!("store the chart in {}", folder.display()), source };
    create_private(folder).map_err(failed)?;
    let permissions = Permissions::from_mode(mode);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes the temporary files and folders of interrupted fetches from the cache and the folders of its repositories.
fn sweep(cache: &Path, now: SystemTime) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries(cache).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for entry in folders.flat_map(|folder| entries(&folder.path())).chain(entries(cache)) {
        // The prefix of the crate tempfile.
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(b".tmp");
        let changed = entry.metadata().and_then(|facts| facts.modified());
        if is_temporary && changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > LEFT_OVER)) {
            let path = entry.path();
            // Another run may have removed it.
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
    }
}

/// An error if another user could change what the cache has: charts are applied with the rights of this one.
fn trusted(cache: &Path) -> Result<(), HelmError> {
    let Ok(facts) = std::fs::metadata(cache) else { return Ok(()) };
    let why = if ![geteuid().as_raw(), 0].contains(&facts.uid()) {
        format!("belongs to the user with uid {}", facts.uid())
    } else if facts.mode() & 0o022 != 0 {
        format!("is writable by other users (mode {:04o})", facts.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(HelmError::ForeignCache { folder: cache.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_repository_is_known_by_its_parsed_host() {
        for (repository, expected) in [
            ("oci://127.0.0.1:5000/charts", true),
            ("http://127.8.9.10/charts", true),
            ("oci://[::1]:5000/charts", true),
            ("https://localhost:8443", true),
            ("oci://127.evil.example/charts", false),
            ("oci://localhost.evil.example/charts", false),
            ("https://charts.example/?from=http://127.0.0.1", false),
            ("/srv/charts", false),
        ] {
            assert_eq!(is_loopback(repository), expected, "{repository}");
        }
    }

    #[test]
    fn leftovers_of_interrupted_fetches_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let path = |name: &str| cache.path().join(name);
        std::fs::create_dir_all(path("0123456789abcdef")).unwrap();
        std::fs::create_dir_all(path(".tmpA1b2C3")).unwrap();
        for name in [".tmpA1b2C3/x.tgz", "0123456789abcdef/.tmpd4E5f6", "0123456789abcdef/loki-1.0.0.tgz", LOCK] {
            std::fs::write(path(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(path(LOCK), path(".tmplink")).unwrap();
        let found = || {
            let mut found: Vec<String> = Vec::new();
            for folder in [path(""), path("0123456789abcdef")] {
                let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
                found.extend(entries.map(|name| name.into_string().unwrap()));
            }
            found.sort();
            found
        };
        let now = SystemTime::now();
        sweep(cache.path(), now + LEFT_OVER / 2);
        assert_eq!(found().len(), 6, "another fetch may use them");
        sweep(cache.path(), now + LEFT_OVER * 2);
        assert_eq!(found(), ["0123456789abcdef", LOCK, "loki-1.0.0.tgz"]);
        sweep(&path("missing"), now);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_lock_file_ends_with_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let open = || std::fs::File::create(folder.path().join("digests.lock")).unwrap();
        let (first, second) = (open(), open());
        lock_file(&first).await.unwrap();
        let why = lock_file(&second).await.unwrap_err();
        assert_eq!(why.kind(), std::io::ErrorKind::TimedOut);
        drop(first);
        lock_file(&second).await.unwrap();
    }
}
