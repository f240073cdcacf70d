//! Chart archives: fetched, pinned on first use, refused when their bytes change.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use tailwatch::config::{RepositoryAccess, Secret};
use tailwatch::helm::HelmError;
use tailwatch::stack::{ChartSource, DigestSource, KnownDigest};

use crate::host::{self, Host};

/// Counts its calls and copies the files of `served` to the requested folder.
const PULL: &str = "echo \"$*\" >> \"$home/pulls\"\nfor argument; do [ \"$last\" = -d ] && folder=$argument; last=$argument; \
                    done\ncp \"$home/served\" \"$folder/demo-1.0.0.tgz\"";

fn source(repository: &str, digest: Option<&str>) -> ChartSource {
    ChartSource {
        name: "demo".into(),
        repository: repository.parse().unwrap(),
        access: RepositoryAccess::default(),
        version: "1.0.0".parse().unwrap(),
        digests: digest
            .map(|sha256| KnownDigest { sha256: sha256.to_owned(), source: DigestSource::Catalogue })
            .into_iter()
            .collect(),
        missing_in: None,
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The archive of a chart with this text in it.
fn archive((name, version): (&str, &str), text: &str) -> Vec<u8> {
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let files = [("Chart.yaml", metadata.as_str()), ("values.yaml", text)];
    host::archive(files.map(|(file, content)| (format!("{name}/{file}"), 0o644, content)))
}

/// Two archives of demo 1.0.0.
fn one() -> Vec<u8> {
    archive(("demo", "1.0.0"), "one: 1")
}

fn two() -> Vec<u8> {
    archive(("demo", "1.0.0"), "two: 2")
}

/// sha256 of [`one`].
static ONE: LazyLock<String> = LazyLock::new(|| format!("{:x}", Sha256::digest(one())));

#[tokio::test]
async fn a_folder_of_archives_is_pinned_on_first_use_and_a_changed_archive_refused() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", one()).parent().unwrap().display().to_string();
    let helm = machine.helm("exit 9").await;
    let first = helm.fetch(&source(&folder, None)).await.unwrap();
    assert_eq!((&first.digest, std::fs::read(&first.path).unwrap()), (&*ONE, one()));
    assert_eq!(helm.fetch(&source(&folder, None)).await.unwrap(), first);
    let lock = std::fs::read_to_string(machine.path("cache/digests.json")).unwrap();
    assert!(lock.contains(&*ONE) && lock.contains("|demo|1.0.0"), "{lock}");

    machine.file("charts/demo-1.0.0.tgz", two());
    let error = helm.fetch(&source(&folder, None)).await.unwrap_err();
    assert!(
        matches!(&error, HelmError::DigestChanged(change) if change.expected.sha256 == *ONE && change.found != *ONE)
    );
    assert!(error.hint().unwrap().contains("digests.json"), "{error}");
    assert_eq!(std::fs::read(&first.path).unwrap(), one(), "the kept archive was replaced");
    // The hint's way out.
    std::fs::remove_file(machine.path("cache/digests.json")).unwrap();
    assert_ne!(helm.fetch(&source(&folder, None)).await.unwrap().digest, *ONE);
}

#[tokio::test]
async fn the_digest_of_the_catalogue_is_stronger_than_what_was_seen() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", two()).parent().unwrap().display().to_string();
    let error = machine.helm("exit 9").await.fetch(&source(&folder, Some(&ONE))).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)), "{error}");
    assert!(error.hint().unwrap().contains("charts.repacked: true"), "{:?}", error.hint());
    machine.file("charts/demo-1.0.0.tgz", one());
    assert_eq!(machine.helm("exit 9").await.fetch(&source(&folder, Some(&ONE))).await.unwrap().digest, *ONE);
    assert!(!machine.path("cache/digests.json").exists(), "a locked chart needs no pin");
}

#[tokio::test]
async fn the_record_of_another_machine_is_compared_also_at_first_use_on_this_one() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", two()).parent().unwrap().display().to_string();
    let helm = machine.helm("exit 9").await;
    let recorded = KnownDigest { sha256: ONE.clone(), source: DigestSource::Cluster { namespace: "metrics".into() } };
    let source = ChartSource { digests: vec![recorded], ..source(&folder, None) };
    let error = helm.fetch(&source).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)) && error.to_string().contains("metrics"), "{error}");
    assert!(error.hint().unwrap().contains("kubectl annotate namespace metrics tailwatch.dev/charts-"));
    assert!(!machine.path("cache/digests.json").exists(), "a rejected archive is not recorded");

    machine.file("charts/demo-1.0.0.tgz", one());
    assert_eq!(helm.fetch(&source).await.unwrap().digest, *ONE);
    // The record of this machine is compared as well.
    machine.file("charts/demo-1.0.0.tgz", two());
    let without_record = ChartSource { digests: Vec::new(), ..source };
    let error = helm.fetch(&without_record).await.unwrap_err();
    assert!(error.hint().unwrap().contains("digests.json"), "{error}");
}

#[tokio::test]
async fn a_lock_file_rejects_another_archive_and_a_chart_that_it_lacks() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", two()).parent().unwrap().display().to_string();
    let helm = machine.helm("exit 9").await;
    let locked = KnownDigest { sha256: ONE.clone(), source: DigestSource::Lock { path: "charts.lock".into() } };
    let source = ChartSource { digests: vec![locked], ..source(&folder, None) };
    let error = helm.fetch(&source).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)) && error.to_string().contains("charts.lock"), "{error}");
    let lacking = ChartSource { digests: Vec::new(), missing_in: Some("charts.lock".into()), ..source };
    let error = helm.fetch(&lacking).await.unwrap_err();
    assert!(matches!(error, HelmError::NotLocked { .. }), "{error}");
    assert!(error.hint().unwrap().contains("tailwatch answers lock"), "{error}");
    assert!(!machine.path("cache/digests.json").exists(), "a rejected archive is not recorded");
}

#[tokio::test]
async fn a_folder_without_the_archive_is_reported_with_both_names() {
    let machine = Host::new();
    let folder = machine.home().display().to_string();
    let error = machine.helm("exit 9").await.fetch(&source(&folder, None)).await.unwrap_err();
    assert!(matches!(&error, HelmError::NoArchive { file, .. } if file == "demo-1.0.0.tgz"), "{error}");
    assert!(error.to_string().contains(&folder), "{error}");
    assert!(error.hint().unwrap().contains("charts.repository"));
}

#[tokio::test]
async fn a_bundle_in_one_archive_is_read_like_its_folder() {
    let machine = Host::new();
    let helm = machine.helm("exit 9").await;
    let bundle = |charts: &[(&str, Vec<u8>)]| {
        let files = charts.iter().map(|(name, bytes)| (format!("bundle/{name}"), 0o644, bytes.clone()));
        machine.file("bundle.tar.gz", host::archive(files)).display().to_string()
    };
    let path =
        bundle(&[("README.md", b"a".into()), ("charts/other-1.0.0.tgz", two()), ("charts/demo-1.0.0.tgz", one())]);
    let first = helm.fetch(&source(&path, None)).await.unwrap();
    assert_eq!((&first.digest, std::fs::read(&first.path).unwrap()), (&*ONE, one()));
    let versions = helm.versions((&path.parse().unwrap(), &Default::default()), &["demo", "none"]).await.unwrap();
    assert_eq!((versions["demo"].len(), versions["none"].len()), (1, 0));

    bundle(&[("charts/demo-1.0.0.tgz", two())]);
    let error = helm.fetch(&source(&path, None)).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)), "{error}");
    // Only `charts/` has charts.
    bundle(&[("demo-1.0.0.tgz", one())]);
    let error = helm.fetch(&source(&path, None)).await.unwrap_err();
    assert!(matches!(&error, HelmError::NoArchive { file, .. } if file == "demo-1.0.0.tgz"), "{error}");
    let whole = std::fs::read(&path).unwrap();
    for broken in [&whole[..whole.len() / 2], b"", b"no archive"] {
        std::fs::write(&path, broken).unwrap();
        let error = helm.fetch(&source(&path, None)).await.unwrap_err();
        assert!(matches!(error, HelmError::Bundle { .. }) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_remote_archive_is_pulled_once_and_a_local_one_every_time() {
    let machine = Host::new();
    machine.file("served", one());
    let helm = machine.helm(PULL).await;
    for (repository, pulls) in [("https://charts.acme.example", 1), ("oci://127.0.0.1:5000/charts", 3)] {
        for _ in 0..2 {
            assert_eq!(helm.fetch(&source(repository, None)).await.unwrap().digest, *ONE);
        }
        assert_eq!(lines(&machine.path("pulls")), pulls, "{repository}");
    }
    let pulls = std::fs::read_to_string(machine.path("pulls")).unwrap();
    assert!(pulls.contains("pull demo --repo https://charts.acme.example --version 1.0.0 -d "), "{pulls}");
    assert!(pulls.contains("pull oci://127.0.0.1:5000/charts/demo --plain-http --version 1.0.0 -d "), "{pulls}");
    machine.file("served", two());
    let error = helm.fetch(&source("oci://127.0.0.1:5000/charts", None)).await.unwrap_err();
    assert!(matches!(error, HelmError::DigestChanged(_)), "{error}");
    let entries: Vec<_> =
        std::fs::read_dir(machine.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 4, "two repositories, the digests and their lock: {entries:?}");
}

#[tokio::test]
async fn a_damaged_archive_in_the_cache_is_fetched_again() {
    let machine = Host::new();
    machine.file("served", one());
    let helm = machine.helm(PULL).await;
    let source = source("https://charts.acme.example", None);
    helm.fetch(&source).await.unwrap();
    let kept = cached(&machine);
    std::fs::write(&kept, "on").unwrap();
    assert_eq!(helm.fetch(&source).await.unwrap().digest, *ONE);
    assert_eq!(std::fs::read(&kept).unwrap(), one());
}

#[tokio::test]
async fn an_archive_of_another_chart_or_version_is_rejected_and_not_recorded() {
    let machine = Host::new();
    let helm = machine.helm(PULL).await;
    for (served, named) in [
        (archive(("other", "1.0.0"), ""), "chart other 1.0.0 as chart demo 1.0.0"),
        (archive(("demo", "2.0.0"), ""), "chart demo 2.0.0 as chart demo 1.0.0"),
        (b"404 page not found".to_vec(), "unreadable archive"),
    ] {
        machine.file("served", &served);
        machine.file("folder/demo-1.0.0.tgz", &served);
        for repository in ["https://charts.acme.example", &machine.path("folder").display().to_string()] {
            let error = helm.fetch(&source(repository, None)).await.unwrap_err();
            assert!(matches!(&error, HelmError::OtherChart { .. }), "{error}");
            assert!(error.to_string().contains(named) && error.to_string().contains(repository), "{error}");
            assert!(error.hint().unwrap().contains("charts.repository"));
            assert!(!machine.path("cache/digests.json").exists(), "{named} was recorded");
        }
    }
}

/// The one archive in the cache.
fn cached(machine: &Host) -> PathBuf {
    let folders = std::fs::read_dir(machine.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    let archives: Vec<_> = folders.map(|folder| folder.join("demo-1.0.0.tgz")).filter(|file| file.exists()).collect();
    let [archive] = archives.try_into().expect("one archive");
    archive
}

#[tokio::test]
async fn helm_gets_the_compared_bytes_whatever_happens_to_the_cache() {
    let machine = Host::new();
    machine.file("served", one());
    let helm = machine.helm(PULL).await;
    let source = source("https://charts.acme.example", None);
    for _ in 0..2 {
        let chart = helm.fetch(&source).await.unwrap();
        assert!(!chart.path.starts_with(machine.path("cache")), "{}", chart.path.display());
        std::fs::write(cached(&machine), "another chart").unwrap();
        assert_eq!(std::fs::read(&chart.path).unwrap(), one());
        assert_eq!(std::fs::metadata(&chart.path).unwrap().permissions().mode() & 0o777, 0o400);
    }
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_rejected() {
    let machine = Host::new();
    machine.file("served", one());
    let helm = machine.helm(PULL).await;
    let source = source("https://charts.acme.example", None);
    std::fs::create_dir(machine.path("cache")).unwrap();
    let set = |mode| std::fs::set_permissions(machine.path("cache"), Permissions::from_mode(mode)).unwrap();
    for mode in [0o777, 0o1777, 0o770] {
        set(mode);
        let error = helm.fetch(&source).await.unwrap_err();
        assert!(matches!(error, HelmError::ForeignCache { .. }), "{error}");
        assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        assert!(error.hint().unwrap().contains("TAILWATCH_CACHE"));
    }
    assert_eq!(lines(&machine.path("pulls")), 0);
    set(0o755);
    helm.fetch(&source).await.unwrap();
}

#[tokio::test]
async fn a_broken_digest_lock_is_reported_and_never_taken_for_an_empty_one() {
    let machine = Host::new();
    let folder = machine.file("charts/demo-1.0.0.tgz", one()).parent().unwrap().display().to_string();
    machine.file("cache/digests.json", "{ half of a li");
    let error = machine.helm("exit 9").await.fetch(&source(&folder, None)).await.unwrap_err();
    assert!(error.to_string().contains("digests.json") && error.hint().is_some(), "{error}");
}

/// Messages of helm 3.19 and 4.2, and the id of their cause.
const REFUSALS: [(&str, &str); 13] = [
    ("chart \"demo\" version \"1.0.0\" not found in https://x repository", "chart-version-missing"),
    ("chart \"demo\" matching 1.0.0 not found in corp index. (try 'helm repo update')", "chart-version-missing"),
    (
        "failed to perform \"FetchReference\" on source: 127.0.0.1:5055/charts/demo:1.0.0: not found",
        "chart-version-missing",
    ),
    ("dial tcp: lookup charts.acme.example: no such host", "repository-unknown-host"),
    ("dial tcp 127.0.0.1:1: connect: connection refused", "repository-unreachable"),
    ("Get \"https://x/index.yaml\": context deadline exceeded", "repository-unreachable"),
    (
        "not a valid chart repository or cannot be reached: failed to fetch https://x : 401 Unauthorized",
        "repository-unauthorized",
    ),
    (
        "GET \"http://127.0.0.1:5056/v2/charts/demo/manifests/1.0.0\": basic credential not found",
        "repository-unauthorized",
    ),
    ("response status code 403: denied: requested access to the resource is denied", "repository-unauthorized"),
    (
        "Get \"https://10.0.0.5:5000/v2/x\": tls: first record does not look like a TLS handshake",
        "repository-without-tls",
    ),
    ("Get \"https://10.0.0.5:5000/v2/x\": http: server gave HTTP response to HTTPS client", "repository-without-tls"),
    (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "repository-unknown-authority",
    ),
    ("x509: certificate is valid for a.example, not b.example", "repository-certificate-invalid"),
];

/// The answer that the hint of a cause names.
const ANSWERS: [(&str, &str); 4] = [
    ("repository-without-tls", "charts.plainHttp: true"),
    ("repository-unknown-authority", "charts.caFile"),
    ("repository-unauthorized", "charts.username and charts.password"),
    ("repository-certificate-invalid", "charts.repository"),
];

#[tokio::test]
async fn a_repository_that_refuses_is_reported_with_its_cause() {
    let source = source("https://charts.acme.example", None);
    for (stderr, id) in REFUSALS {
        let machine = Host::new();
        let script = format!("cat >&2 <<'END'\nError: {stderr}\nEND\nexit 1");
        let error = machine.helm(&script).await.fetch(&source).await.unwrap_err();
        assert_eq!(error.known_error().unwrap().0.id, id, "{error}");
        assert!(!error.to_string().contains("helm repo update"), "the user's helm does not know our list: {error}");
        let answer = ANSWERS.iter().find(|(of, _)| *of == id).map_or("", |(_, answer)| answer);
        assert!(error.hint().unwrap().contains(answer), "{id}: {:?}", error.hint());
    }
    let machine = Host::new();
    let error = machine.helm("exit 0").await.fetch(&source).await.unwrap_err();
    assert!(error.to_string().contains("https://charts.acme.example"), "{error}");
}

/// Records the arguments and helm's private files, then pulls.
const PRIVATE: &str = "case \"$1 $2\" in 'repo update') cp \"$HELM_REPOSITORY_CONFIG\" \"$home/repositories\"; \
                       ls -l \"$HELM_REPOSITORY_CONFIG\" | cut -c 1-10 > \"$home/mode\"; exit;; esac\n\
                       for argument; do [ \"$before\" = --registry-config ] && { cp \"$argument\" \"$home/registry\"; \
                       ls -l \"$argument\" | cut -c 1-10 > \"$home/mode\"; }; before=$argument; done\n";

fn access(ca: Option<&Path>) -> RepositoryAccess {
    RepositoryAccess {
        username: Some("ci".parse().unwrap()),
        password: Some(Secret::new("hunter2".into())),
        ca_file: ca.map(Path::to_owned),
        plain_http: false,
    }
}

#[tokio::test]
async fn a_private_repository_gets_its_login_in_a_private_file_that_is_gone_afterwards() {
    let machine = Host::new();
    machine.file("served", one());
    let ca = machine.file("ca.pem", "a CA");
    let helm = machine.helm(&format!("{PRIVATE}{PULL}")).await;
    let read = |name: &str| std::fs::read_to_string(machine.path(name)).unwrap();
    let https = ChartSource { access: access(Some(&ca)), ..source("https://charts.acme.example", None) };
    assert_eq!(helm.fetch(&https).await.unwrap().digest, *ONE);
    let file: serde_json::Value = serde_json::from_str(&read("repositories")).unwrap();
    let expected = serde_json::json!({
        "name": "charts", "url": "https://charts.acme.example", "username": "ci", "password": "hunter2",
        "caFile": ca.display().to_string(),
    });
    assert_eq!((&file["repositories"][0], read("mode").trim()), (&expected, "-rw-------"));
    assert!(read("pulls").starts_with("pull charts/demo --version 1.0.0 -d "), "{}", read("pulls"));

    let oci = ChartSource { access: access(Some(&ca)), ..source("oci://127.0.0.1:5000/charts", None) };
    assert_eq!(helm.fetch(&oci).await.unwrap().digest, *ONE);
    let login: serde_json::Value = serde_json::from_str(&read("registry")).unwrap();
    assert_eq!(login, serde_json::json!({"auths": {"127.0.0.1:5000": {"auth": "Y2k6aHVudGVyMg=="}}}));
    let pull = format!("pull oci://127.0.0.1:5000/charts/demo --ca-file {} --registry-config ", ca.display());
    assert!(read("pulls").contains(&pull), "with a CA, a registry on this machine has TLS: {}", read("pulls"));
    assert!(!read("pulls").contains("hunter2"));
    let entries = std::fs::read_dir(machine.path("cache")).unwrap().count();
    assert_eq!(entries, 4, "two repositories, the digests and their lock");
}

#[tokio::test]
async fn a_registry_is_read_without_tls_if_the_answers_say_so() {
    let machine = Host::new();
    machine.file("served", one());
    let plain = RepositoryAccess { plain_http: true, ..RepositoryAccess::default() };
    let source = ChartSource { access: plain, ..source("oci://10.0.0.5:5000/charts", None) };
    machine.helm(PULL).await.fetch(&source).await.unwrap();
    let pulls = std::fs::read_to_string(machine.path("pulls")).unwrap();
    assert!(pulls.starts_with("pull oci://10.0.0.5:5000/charts/demo --plain-http --version"), "{pulls}");
}

#[tokio::test]
async fn a_missing_ca_file_is_reported_with_its_answer() {
    let machine = Host::new();
    let ca_file = Some(machine.path("none.pem"));
    for repository in ["https://charts.acme.example", "oci://charts.acme.example"] {
        let access = RepositoryAccess { ca_file: ca_file.clone(), ..RepositoryAccess::default() };
        let source = ChartSource { access, ..source(repository, None) };
        let error = machine.helm("exit 9").await.fetch(&source).await.unwrap_err();
        assert!(matches!(&error, HelmError::CaFile { path, .. } if Some(path) == ca_file.as_ref()), "{error}");
        assert!(error.hint().unwrap().contains("charts.caFile"));
    }
}
