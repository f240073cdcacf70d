//! A chart repository that asks for a user and a password, with the real helm.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use crate::TAILWATCH;
use support::{CommandOutput, Sandbox};

/// `ci:hunter2` as HTTP Basic.
const CREDENTIALS: &str = "Basic Y2k6aHVudGVyMg==";

#[test]
fn a_private_repository_is_read_by_the_answers_or_the_users_own_list() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.helm(&["repo", "index", &sandbox.file("charts").display().to_string()]).ended_with(0);
    let address = serve(sandbox.file("charts"));
    let preflight = |cache: &str, more: &[&str], variables: &[(&str, &str)]| {
        let answers = sandbox.answers();
        let mut command = sandbox.tailwatch_command(&["preflight", "--answers", &answers]);
        command.args(more).env("TAILWATCH_CHART_REPOSITORY", &address).env("TAILWATCH_CACHE", sandbox.file(cache));
        command.envs(variables.iter().copied());
        CommandOutput::of(command.output().unwrap())
    };
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
}

/// Serves a folder to the clients with the credentials until the test process ends.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || answer(stream, &folder));
        }
    });
    address
}

fn answer(stream: TcpStream, folder: &Path) -> Option<()> {
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
