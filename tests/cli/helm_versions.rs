//! Which versions a repository has: by its index, its folder, its tags.

use sha2::{Digest as _, Sha256};
use tailwatch::config::{RepositoryAccess, Secret};
use tailwatch::helm::{Helm, HelmError};

use crate::api_server::Server;
use crate::host::Host;

async fn versions(helm: &Helm, repository: &str, chart: &str) -> Result<Vec<String>, HelmError> {
    versions_with(helm, repository, &RepositoryAccess::default(), chart).await
}

async fn versions_with(
    helm: &Helm,
    repository: &str,
    access: &RepositoryAccess,
    chart: &str,
) -> Result<Vec<String>, HelmError> {
    let found = helm.versions((&repository.parse().unwrap(), access), &[chart]).await?;
    Ok(found[chart].iter().map(ToString::to_string).collect())
}

/// Remembers where it was asked to keep things, and keeps the index where helm does.
const REPO_ADD: &str = "[ \"$1 $2\" = 'repo add' ] || exit 1\necho \"$*\" >> \"$home/calls\"\n\
                        mkdir -p \"$HELM_REPOSITORY_CACHE\" && cp \"$home/index\" \"$HELM_REPOSITORY_CACHE/$3-index.yaml\"\n\
                        echo \"$HELM_REPOSITORY_CONFIG\" >> \"$home/configs\"";

#[tokio::test]
async fn an_index_is_read_newest_first_and_leaves_no_repository_behind() {
    let machine = Host::new();
    machine.file(
        "index",
        "apiVersion: v1\nentries:\n  loki:\n  - { version: 6.46.0 }\n  - { version: 6.100.0 }\n  - { version: 7.0.0-rc.1 }\n  \
         - { version: 9.0.0, deprecated: true }\n  - { version: 6.55.0 }\n  loki-stack:\n  - { version: 99.0.0 }\n",
    );
    let helm = machine.helm(REPO_ADD).await;
    let found = versions(&helm, "https://charts.acme.example", "loki").await.unwrap();
    assert_eq!(found, ["7.0.0-rc.1", "6.100.0", "6.55.0", "6.46.0"]);
    let calls = std::fs::read_to_string(machine.path("calls")).unwrap();
    assert!(calls.starts_with("repo add charts https://charts.acme.example --kubeconfig"), "{calls}");
    assert_eq!(calls.lines().count(), 1, "{calls}");
    let config = std::fs::read_to_string(machine.path("configs")).unwrap();
    assert!(config.starts_with(&machine.path("cache").display().to_string()), "{config}");
    assert_eq!(std::fs::read_dir(machine.path("cache")).unwrap().count(), 0, "a folder of its own, gone afterwards");
}

#[tokio::test]
async fn a_repository_that_cannot_be_read_is_reported() {
    for (stderr, cause) in [
        (
            "looks like \"https://x\" is not a valid chart repository or cannot be reached: 404 Not Found",
            "not a chart repo",
        ),
        ("not a valid chart repository or cannot be reached: Get: dial tcp: connect: connection refused", "be reached"),
    ] {
        let machine = Host::new();
        let script = format!("echo 'Error: {stderr}' >&2; exit 1");
        let error = versions(&machine.helm(&script).await, "https://x.example", "loki").await.unwrap_err();
        assert!(error.to_string().contains(cause) && error.hint().is_some(), "{error}");
    }
    let machine = Host::new();
    machine.file("index", "entries: [");
    let error = versions(&machine.helm(REPO_ADD).await, "https://x.example", "loki").await.unwrap_err();
    assert!(matches!(error, HelmError::Output { .. }), "{error}");
}

/// A registry with one image.
fn image_registry(path: &str) -> (u16, String) {
    match path {
        "/v2/" => (200, "{}".into()),
        "/v2/acme/one/manifests/1.0" => (200, "one".into()),
        _ => (404, serde_json::json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "m"}]}).to_string()),
    }
}

#[tokio::test]
async fn the_digest_of_an_image_is_that_of_its_registry() {
    let machine = Host::new();
    let server = Server::start(image_registry);
    let helm = machine.helm("exit 1").await;
    let image = |name: &str| format!("{}/acme/{name}", server.address().replace("http://", ""));
    let pinned = format!("sha256:{}", "0a".repeat(32));
    let found = helm.image_digests(&[image(&format!("two@{pinned}")), image("one:1.0")]).await.unwrap();
    let expected = format!("sha256:{:x}", Sha256::digest("one"));
    assert_eq!(found, [pinned, expected]);
    let error = helm.image_digests(&[image("one:1.0"), image("two:2.0")]).await.unwrap_err();
    assert!(matches!(&error, HelmError::Image { image, .. } if image.ends_with("/acme/two:2.0")), "{error}");
    assert!(error.hint().unwrap().contains("--without-digests"));
}

/// A registry of two pages, with a chart that it refuses.
fn registry(path: &str) -> (u16, String) {
    let tags = |tags: &[&str]| (200, serde_json::json!({"name": "charts/loki", "tags": tags}).to_string());
    let error = |code: &str| serde_json::json!({"errors": [{"code": code, "message": "m"}]}).to_string();
    match path {
        "/v2/" => (200, "{}".into()),
        "/v2/charts/loki/tags/list?n=1000" => tags(&["6.46.0", "6.100.0_build.2", "latest", "sha256-0a.sig"]),
        "/v2/charts/loki/tags/list?n=1000&last=sha256-0a.sig" => tags(&["6.55.0"]),
        "/v2/charts/loki/tags/list?n=1000&last=6.55.0" => tags(&[]),
        "/v2/charts/secret/tags/list?n=1000" => (401, error("UNAUTHORIZED")),
        _ => (404, error("NAME_UNKNOWN")),
    }
}

#[tokio::test]
async fn the_tags_of_a_registry_are_read_page_by_page() {
    let machine = Host::new();
    let server = Server::start(registry);
    let helm = machine.helm("exit 1").await;
    let repository = format!("{}/charts", server.address().replace("http://", "oci://"));
    assert_eq!(versions(&helm, &repository, "loki").await.unwrap(), ["6.100.0+build.2", "6.55.0", "6.46.0"]);
    assert!(versions(&helm, &repository, "alloy").await.unwrap().is_empty(), "a chart that is not there");
    let error = versions(&helm, &repository, "secret").await.unwrap_err();
    assert!(matches!(error, HelmError::Known { row, .. } if row.id == "repository-unauthorized"), "{error}");
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_reported() {
    let machine = Host::new();
    // No program listens on the port of a closed listener.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let repository = format!("oci://127.0.0.1:{port}/charts");
    let error = versions(&machine.helm("exit 1").await, &repository, "loki").await.unwrap_err();
    assert!(matches!(error, HelmError::Known { row, .. } if row.id == "repository-unreachable"), "{error}");
}

fn one_tag(_: &str) -> (u16, String) {
    (200, serde_json::json!({"name": "charts/loki", "tags": ["6.46.0"]}).to_string())
}

/// `user:pass` of the login, sent as HTTP Basic after the registry's challenge.
#[tokio::test]
async fn the_credentials_of_helms_login_are_used() {
    let machine = Host::new();
    let server = Server::guarded(one_tag, "Basic dXNlcjpwYXNz");
    let host = server.address().replace("http://", "");
    let login = serde_json::json!({"auths": {host.clone(): {"auth": "dXNlcjpwYXNz"}}});
    let config = machine.file("registry/config.json", login.to_string());
    let script = format!("[ \"$1 $2\" = 'env HELM_REGISTRY_CONFIG' ] && echo '{}'", config.display());
    let helm = machine.helm(&script).await;
    assert_eq!(versions(&helm, &format!("oci://{host}/charts"), "loki").await.unwrap(), ["6.46.0"]);
    std::fs::remove_file(config).unwrap();
    let error = versions(&helm, &format!("oci://{host}/charts"), "loki").await.unwrap_err();
    assert!(matches!(error, HelmError::Known { row, .. } if row.id == "repository-unauthorized"), "{error}");
    let access = RepositoryAccess {
        username: Some("user".parse().unwrap()),
        password: Some(Secret::new("pass".into())),
        ..RepositoryAccess::default()
    };
    assert_eq!(versions_with(&helm, &format!("oci://{host}/charts"), &access, "loki").await.unwrap(), ["6.46.0"]);
}

/// helm 3 succeeds without the index, helm 4 fails; both print the cause to stdout.
#[tokio::test]
async fn an_index_that_helm_cannot_update_is_reported_with_its_cause() {
    for code in [0, 1] {
        let machine = Host::new();
        let script = format!(
            "echo 'Hang tight...'\n\
             printf '...Unable to get an update from the \"charts\" chart repository (https://x):\\n\\t401 Unauthorized\\n'\n\
             echo 'Update Complete.'\necho 'Error: failed to update the following repositories: [https://x]' >&2\nexit {code}"
        );
        let access = RepositoryAccess {
            username: Some("ci".parse().unwrap()),
            password: Some(Secret::new("wrong".into())),
            ..RepositoryAccess::default()
        };
        let helm = machine.helm(&script).await;
        let error = versions_with(&helm, "https://x.example", &access, "loki").await.unwrap_err();
        assert_eq!(error.known_error().unwrap().0.id, "repository-unauthorized", "{error}");
    }
}
