//! Chart archives: fetched, pinned on first use, refused when their bytes change.

use std::path::Path;

use tailwatch::helm::HelmError;
use tailwatch::stack::ChartSource;

use crate::host::Host;

/// Counts its calls and puts what stands in `served` where it was asked to.
const PULL: &str = "echo \"$*\" >> \"$home/pulls\"\nfor argument; do [ \"$last\" = -d ] && folder=$argument; last=$argument; \
                    done\ncp \"$home/served\" \"$folder/demo-1.0.0.tgz\"";

fn source(repository: &str, digest: Option<&str>) -> ChartSource {
    ChartSource {
        name: "demo".into(),
        repository: repository.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        digest: digest.map(str::to_owned),
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// sha256 of `one`.
const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

#[tokio::test]
async fn a_folder_of_archives_is_pinned_on_first_use_and_a_changed_archive_refused() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", "one").parent().unwrap().display().to_string();
    let helm = machine.helm("exit 9").await;
    let first = helm.fetch(&source(&folder, None)).await.unwrap();
    assert_eq!((first.digest.as_str(), std::fs::read(&first.path).unwrap()), (ONE, b"one".to_vec()));
    assert_eq!(helm.fetch(&source(&folder, None)).await.unwrap(), first);
    let lock = std::fs::read_to_string(machine.path("cache/digests.json")).unwrap();
    assert!(lock.contains(ONE) && lock.contains("|demo|1.0.0"), "{lock}");

    machine.file("charts/demo-1.0.0.tgz", "two");
    let error = helm.fetch(&source(&folder, None)).await.unwrap_err();
    assert!(matches!(&error, HelmError::DigestChanged(change) if change.locked == ONE && change.found != ONE));
    assert!(error.to_string().contains("demo 1.0.0") && error.hint().unwrap().contains("digests.json"), "{error}");
    assert_eq!(std::fs::read(&first.path).unwrap(), b"one", "the kept archive was replaced");
    // The hint's way out.
    std::fs::remove_file(machine.path("cache/digests.json")).unwrap();
    assert_ne!(helm.fetch(&source(&folder, None)).await.unwrap().digest, ONE);
}

#[tokio::test]
async fn the_digest_of_the_catalogue_is_stronger_than_what_was_seen() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", "two").parent().unwrap().display().to_string();
    let error = machine.helm("exit 9").await.fetch(&source(&folder, Some(ONE))).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)), "{error}");
    machine.file("charts/demo-1.0.0.tgz", "one");
    assert_eq!(machine.helm("exit 9").await.fetch(&source(&folder, Some(ONE))).await.unwrap().digest, ONE);
    assert!(!machine.path("cache/digests.json").exists(), "a locked chart needs no pin");
}

#[tokio::test]
async fn a_folder_without_the_archive_is_reported_with_both_names() {
    let machine = Host::new();
    let folder = machine.home().display().to_string();
    let error = machine.helm("exit 9").await.fetch(&source(&folder, None)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the folder {folder} has no demo-1.0.0.tgz"));
    assert!(error.hint().unwrap().contains("charts.repository"));
}

#[tokio::test]
async fn a_remote_archive_is_pulled_once_and_a_local_one_every_time() {
    let machine = Host::new();
    machine.file("served", "one");
    let helm = machine.helm(PULL).await;
    for (repository, pulls) in [("https://charts.acme.example", 1), ("oci://127.0.0.1:5000/charts", 3)] {
        for _ in 0..2 {
            assert_eq!(helm.fetch(&source(repository, None)).await.unwrap().digest, ONE);
        }
        assert_eq!(lines(&machine.path("pulls")), pulls, "{repository}");
    }
    let pulls = std::fs::read_to_string(machine.path("pulls")).unwrap();
    assert!(pulls.contains("pull demo --repo https://charts.acme.example --version 1.0.0 -d "), "{pulls}");
    assert!(pulls.contains("pull oci://127.0.0.1:5000/charts/demo --plain-http --version 1.0.0 -d "), "{pulls}");
    machine.file("served", "two");
    let error = helm.fetch(&source("oci://127.0.0.1:5000/charts", None)).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)), "{error}");
    let entries: Vec<_> =
        std::fs::read_dir(machine.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 4, "two repositories, the digests and their lock: {entries:?}");
}

#[tokio::test]
async fn a_damaged_archive_in_the_cache_is_fetched_again() {
    let machine = Host::new();
    machine.file("served", "one");
    let helm = machine.helm(PULL).await;
    let source = source("https://charts.acme.example", None);
    let kept = helm.fetch(&source).await.unwrap().path;
    std::fs::write(&kept, "on").unwrap();
    assert_eq!(helm.fetch(&source).await.unwrap().digest, ONE);
    assert_eq!(std::fs::read(&kept).unwrap(), b"one");
}

#[tokio::test]
async fn a_broken_digest_lock_is_reported_and_never_taken_for_an_empty_one() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", "one").parent().unwrap().display().to_string();
    machine.file("cache/digests.json", "{ half of a li");
    let error = machine.helm("exit 9").await.fetch(&source(&folder, None)).await.unwrap_err();
    assert!(error.to_string().contains("digests.json") && error.hint().is_some(), "{error}");
}

/// (what helm says, what is told).
const REFUSALS: [(&str, &str); 4] = [
    ("chart \"demo\" version \"1.0.0\" not found in https://x repository", "does not have this chart version"),
    ("dial tcp: lookup charts.acme.example: no such host", "host name does not resolve"),
    ("dial tcp 127.0.0.1:1: connect: connection refused", "the repository cannot be reached"),
    ("failed to fetch https://x : 401 Unauthorized", "requires credentials"),
];

#[tokio::test]
async fn a_repository_that_refuses_is_reported_in_plain_words() {
    let source = source("https://charts.acme.example", None);
    for (stderr, cause) in REFUSALS {
        let machine = Host::new();
        let error =
            machine.helm(&format!("echo 'Error: {stderr}' >&2; exit 1")).await.fetch(&source).await.unwrap_err();
        assert!(error.to_string().contains(cause) && error.hint().is_some(), "{error}");
    }
    let machine = Host::new();
    let error = machine.helm("exit 0").await.fetch(&source).await.unwrap_err();
    assert!(error.to_string().contains("https://charts.acme.example"), "{error}");
}
