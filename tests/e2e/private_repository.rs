//! A chart repository or a registry that asks for a user and a password, that has an authority of its own or no TLS, with
//! the real helm.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::TAILWATCH;
use crate::kubeconfig_snapshot::script;
use crate::recording_issuer::server_that_is_its_own_root;
use support::{CommandOutput, Sandbox};

/// `ci:hunter2` as HTTP Basic.
const CREDENTIALS: &str = "Basic Y2k6aHVudGVyMg==";

#[test]
fn a_private_repository_is_read_by_the_answers_or_the_users_own_list() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.helm(&["repo", "index", &sandbox.file("charts").display().to_string()]).ended_with(0);
    let address = serve(sandbox.file("charts"), None);
    let preflight_at = |address: &str, cache: &str, more: &[&str], variables: &[(&str, &str)]| {
        let answers = sandbox.answers();
        let mut command = sandbox.tailwatch_command(&["preflight", "--answers", &answers]);
        command.args(more).env("TAILWATCH_CHART_REPOSITORY", address).env("TAILWATCH_CACHE", sandbox.file(cache));
        command.envs(variables.iter().copied());
        CommandOutput::of(command.output().unwrap())
    };
    let preflight =
        |cache: &str, more: &[&str], variables: &[(&str, &str)]| preflight_at(&address, cache, more, variables);
    let rejected = preflight("cache-1", &[], &[]).ended_with(4);
    assert!(
        rejected.stderr.contains("charts.username") && rejected.stderr.contains("helm repo add"),
        "{}",
        rejected.stderr
    );

    let login = ["--set", "charts.username=ci", "--set", "charts.password={ env: CHARTS_PASSWORD }"];
    preflight("cache-2", &login, &[("CHARTS_PASSWORD", "hunter2")]).ended_with(0);
    let wrong = preflight("cache-3", &login, &[("CHARTS_PASSWORD", "0ther-secret")]).ended_with(4);
    assert!(wrong.stderr.contains("charts.password") && !wrong.stderr.contains("0ther-secret"), "{}", wrong.stderr);

    // The command of the hint.
    let list = sandbox.file("own-repositories.yaml").display().to_string();
    let own = [("HELM_REPOSITORY_CONFIG", list.as_str())];
    let add = format!("echo hunter2 | helm repo add corp {address} --username ci --password-stdin");
    let mut shell = sandbox.command(Path::new("/bin/sh"));
    let added = CommandOutput::of(shell.args(["-c", &add]).envs(own).output().unwrap());
    added.ended_with(0);
    preflight("cache-4", &[], &own).ended_with(0);

    // Behind an authority of its own.
    let (server, root) = server_that_is_its_own_root("127.0.0.1");
    let secure = serve(sandbox.file("charts"), Some(server));
    let password = [("CHARTS_PASSWORD", "hunter2")];
    let unknown = preflight_at(&secure, "cache-5", &login, &password).ended_with(4);
    assert!(unknown.stderr.contains("charts.caFile"), "{}", unknown.stderr);
    let file = sandbox.file("repository-ca.pem").display().to_string();
    std::fs::write(&file, root).unwrap();
    let trusted = format!("charts.caFile={file}");
    preflight_at(&secure, "cache-6", &[&login[..], &["--set", &trusted]].concat(), &password).ended_with(0);
    let add = format!("echo hunter2 | helm repo add secure {secure} --username ci --password-stdin --ca-file {file}");
    let mut shell = sandbox.command(Path::new("/bin/sh"));
    CommandOutput::of(shell.args(["-c", &add]).envs(own).output().unwrap()).ended_with(0);
    preflight_at(&secure, "cache-7", &[], &own).ended_with(0);
}

/// Serves a folder to the clients with the credentials, with TLS or without it, until the test process ends.
pub fn serve(folder: PathBuf, tls: Option<Arc<ServerConfig>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, tls) = (folder.clone(), tls.clone());
            std::thread::spawn(move || match tls {
                None => answer(stream, &folder),
                Some(tls) => answer(StreamOwned::new(ServerConnection::new(tls).ok()?, stream), &folder),
            });
        }
    });
    address
}

/// A path, or the address of a request to a proxy of plain HTTP.
fn answer(stream: impl Read + Write, folder: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return reader.into_inner().write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
    }
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let mut words = first.split_whitespace();
    let (method, address) = (words.next()?, words.next()?);
    let file = address.trim_start_matches(&format!("http://{REGISTRY}")).trim_start_matches('/');
    let is_known = headers.iter().any(|line| line.ends_with(CREDENTIALS));
    let (status, body) = match std::fs::read(folder.join(file)) {
        _ if !is_known => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"charts\"", Vec::new()),
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let kind = if file.contains("/manifests/") { MANIFEST } else { "application/octet-stream" };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let body = if method == "HEAD" { Vec::new() } else { body };
    reader.into_inner().write_all(&[head.into_bytes(), body].concat()).ok()
}

/// A registry of the LAN; its name is known to the proxy alone.
const REGISTRY: &str = "registry.corp.example:5000";
/// OCI image specification 1.1, media types.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_registry_without_tls_or_with_an_authority_of_its_own_is_read_by_the_answers() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let folder = sandbox.file("registry");
    for archive in std::fs::read_dir(sandbox.file("charts")).unwrap() {
        push(&archive.unwrap().path(), &folder);
    }
    let preflight = |helm: &Path, cache: &str, answers: &[&str]| {
        let file = sandbox.answers();
        let mut command = sandbox.tailwatch_command(&["preflight", "--answers", &file]);
        command.args(answers.iter().flat_map(|answer| ["--set", answer])).env("TAILWATCH_HELM", helm);
        command.env("TAILWATCH_CHART_REPOSITORY", format!("oci://{REGISTRY}/charts"));
        command.env("TAILWATCH_CACHE", sandbox.file(cache)).env("CHARTS_PASSWORD", "hunter2");
        CommandOutput::of(command.output().unwrap())
    };
    let login = ["charts.username=ci", "charts.password={ env: CHARTS_PASSWORD }"];

    let plain = helm_behind_a_proxy(&sandbox, "plain", &serve(folder.clone(), None));
    let refused = preflight(&plain, "cache-1", &login).ended_with(4);
    assert!(refused.stderr.contains("charts.plainHttp: true"), "{}", refused.stderr);
    let anonymous = preflight(&plain, "cache-2", &["charts.plainHttp=true"]).ended_with(4);
    assert!(anonymous.stderr.contains("charts.username"), "{}", anonymous.stderr);
    preflight(&plain, "cache-3", &[&login[..], &["charts.plainHttp=true"]].concat()).ended_with(0);

    let (server, root) = server_that_is_its_own_root("registry.corp.example");
    let secure = helm_behind_a_proxy(&sandbox, "secure", &serve(folder, Some(server)));
    let unknown = preflight(&secure, "cache-4", &login).ended_with(4);
    assert!(unknown.stderr.contains("charts.caFile"), "{}", unknown.stderr);
    let file = sandbox.file("registry-ca.pem");
    std::fs::write(&file, root).unwrap();
    let trusted = format!("charts.caFile={}", file.display());
    preflight(&secure, "cache-5", &[&login[..], &[&trusted]].concat()).ended_with(0);
}

/// The real helm; whatever host it asks for, this server answers.
fn helm_behind_a_proxy(sandbox: &Sandbox, name: &str, server: &str) -> PathBuf {
    let address = server.rsplit('/').next().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    let target = address.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let target = target.clone();
            std::thread::spawn(move || connect(client, &target));
        }
    });
    let program = sandbox.file(name);
    let helm = sandbox.variable("TAILWATCH_HELM");
    let proxies = format!("HTTPS_PROXY=http://{proxy} HTTP_PROXY=http://{address} NO_PROXY=127.0.0.1");
    script(&program, &format!("export {proxies}; exec '{helm}' \"$@\""));
    program
}

/// A CONNECT request to any host.
fn connect(mut client: TcpStream, target: &str) -> Option<()> {
    let mut lines = BufReader::new(client.try_clone().ok()?).lines().map_while(Result::ok);
    lines.find(String::is_empty)?;
    let server = TcpStream::connect(target).ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    std::io::copy(&mut &server, &mut client).ok()?;
    client.shutdown(Shutdown::Both).ok()
}

/// Lays an archive out as a registry serves it (OCI distribution specification 1.1; helm pkg/registry/constants.go).
fn push(archive: &Path, registry: &Path) {
    let (Some("tgz"), Some(stem)) =
        (archive.extension().and_then(std::ffi::OsStr::to_str), archive.file_stem().and_then(std::ffi::OsStr::to_str))
    else {
        return;
    };
    let (name, version) = stem.rsplit_once('-').unwrap();
    let chart = registry.join("v2/charts").join(name);
    let blob = |folder: &str, content: &[u8]| {
        let digest = format!("sha256:{:x}", Sha256::digest(content));
        std::fs::create_dir_all(chart.join(folder)).unwrap();
        std::fs::write(chart.join(folder).join(&digest), content).unwrap();
        (digest, content.len())
    };
    let config = json!({"apiVersion": "v2", "name": name, "version": version}).to_string();
    let descriptor =
        |kind: &str, (digest, size): (String, usize)| json!({"mediaType": kind, "digest": digest, "size": size});
    let content = std::fs::read(archive).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.cncf.helm.config.v1+json", blob("blobs", config.as_bytes())),
        "layers": [descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", blob("blobs", &content))],
    });
    let manifest = manifest.to_string();
    blob("manifests", manifest.as_bytes());
    std::fs::write(chart.join("manifests").join(version), manifest).unwrap();
}
