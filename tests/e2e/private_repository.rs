//! A chart repository that asks for a user and a password, with the real helm.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::TAILWATCH;
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
    let (server, root) = server_that_is_its_own_root();
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
fn serve(folder: PathBuf, tls: Option<Arc<ServerConfig>>) -> String {
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

fn answer(stream: impl Read + Write, folder: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let file = first.split_whitespace().nth(1)?.trim_start_matches('/').to_owned();
    let is_known = headers.iter().any(|line| line.ends_with(CREDENTIALS));
    let (status, body) = match std::fs::read(folder.join(file)) {
        _ if !is_known => ("401 Unauthorized", Vec::new()),
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    reader.into_inner().write_all(&[head.into_bytes(), body].concat()).ok()
}
