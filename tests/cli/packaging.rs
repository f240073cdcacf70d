//! The files of a release: what `scripts/package finish` makes of archives, and what its install script does with them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};
use support::{CommandOutput, repository};

use crate::host::{self, Host};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [&str; 4] =
    ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "aarch64-apple-darwin", "x86_64-apple-darwin"];

/// An archive of a release; its program is a script that names its target.
fn archive(target: &str) -> Vec<u8> {
    let program = format!("#!/bin/sh\necho {target}\n");
    let files =
        [("bin/tailwatch", 0o755, program.as_str()), ("share/man/man1/tailwatch.1", 0o644, ".TH tailwatch 1\n")];
    host::archive(files.map(|(name, mode, content)| (format!("tailwatch-{VERSION}-{target}/{name}"), mode, content)))
}

/// Serves the files of this folder on loopback until the test process ends.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/releases/download/v{VERSION}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let (status, body) = match std::fs::read(folder.join(path.rsplit('/').next().unwrap_or_default())) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that went away has its own error.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

fn package(out: &Path, arguments: &[&str]) -> CommandOutput {
    let script = repository().join("scripts/package");
    CommandOutput::of(Command::new(script).arg("--out").arg(out).args(arguments).output().unwrap())
}

/// A release with an archive of each of these targets, its address, and a machine to install on.
fn release(targets: &[&str]) -> (Host, PathBuf, String) {
    let machine = Host::new();
    let out = machine.path("dist");
    for target in targets {
        machine.file(&format!("dist/tailwatch-{VERSION}-{target}.tar.gz"), archive(target));
    }
    let address = serve(out.clone());
    package(&out, &["finish", &address]).ended_with(0);
    (machine, out, address)
}

/// Runs the install script where `uname` prints this system and processor.
fn install(machine: &Host, (system, processor): (&str, &str), arguments: &[&str]) -> CommandOutput {
    machine.program("uname", &format!("[ \"$1\" = -m ] && echo {processor} || echo {system}"));
    let path = format!("{}:/usr/bin:/bin", machine.path("bin").display());
    let mut command = Command::new("/bin/sh");
    command.arg(machine.path("dist/install.sh")).args(arguments).env_clear();
    CommandOutput::of(command.env("PATH", path).env("HOME", machine.home()).output().unwrap())
}

#[test]
fn the_install_script_installs_the_archive_of_the_system() {
    let (machine, _, _) = release(&TARGETS);
    let systems = [("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"), ("Darwin", "x86_64")];
    for (system, target) in systems.into_iter().zip(TARGETS) {
        let prefix = machine.path(&format!("prefix of {target}"));
        let output = install(&machine, system, &["--prefix", prefix.to_str().unwrap()]).ended_with(0);
        let installed = Command::new(prefix.join("bin/tailwatch")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&installed.stdout).trim(), target, "{}", output.stderr);
        assert!(prefix.join("share/man/man1/tailwatch.1").is_file());
    }
}

#[test]
fn an_archive_with_another_digest_is_not_installed() {
    let (machine, out, _) = release(&TARGETS);
    let file = out.join(format!("tailwatch-{VERSION}-{}.tar.gz", TARGETS[0]));
    std::fs::write(&file, archive(TARGETS[1])).unwrap();
    let prefix = machine.path("prefix");
    let arguments = ["--prefix", prefix.to_str().unwrap()];
    let output = install(&machine, ("Linux", "x86_64"), &arguments).ended_with(1);
    assert!(output.stderr.contains("SHA-256 digest"), "{}", output.stderr);
    std::fs::remove_file(&file).unwrap();
    let output = install(&machine, ("Linux", "x86_64"), &arguments).ended_with(1);
    assert!(output.stderr.contains("could not be downloaded"), "{}", output.stderr);
    assert!(!prefix.exists());
}

#[test]
fn a_system_without_an_archive_and_a_wrong_argument_are_named() {
    let (machine, _, _) = release(&TARGETS[..2]);
    let output = install(&machine, ("Linux", "riscv64"), &[]).ended_with(1);
    let expected = "no archive for riscv64-unknown-linux-musl\nhint: it has: aarch64-unknown-linux-musl, x86_64-unknown-linux-musl";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    for wrong in [&["--perfix", "/nowhere"][..], &["--prefix"]] {
        let output = install(&machine, ("Linux", "x86_64"), wrong).ended_with(1);
        assert!(output.stderr.contains(wrong[0]), "{}", output.stderr);
    }
    assert!(!machine.path(".local").exists());
}

#[test]
fn the_formula_and_the_digests_have_each_archive() {
    let (_machine, out, address) = release(&TARGETS);
    let formula = std::fs::read_to_string(out.join("tailwatch.rb")).unwrap();
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let sums: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for target in TARGETS {
        let digest = format!("{:x}", Sha256::digest(archive(target)));
        let name = format!("tailwatch-{VERSION}-{target}.tar.gz");
        assert!(formula.contains(&format!("url \"{address}/{name}\"\n      sha256 \"{digest}\"")), "{formula}");
        assert_eq!(sums[name.as_str()], digest);
    }
    assert!(!formula.contains('@'), "{formula}");
    for name in ["install.sh", "tailwatch.rb"] {
        assert_eq!(sums[name], format!("{:x}", Sha256::digest(std::fs::read(out.join(name)).unwrap())));
    }
}

#[test]
fn an_address_that_a_shell_would_read_and_a_folder_without_archives_are_refused() {
    let machine = Host::new();
    let out = machine.path("dist");
    for (address, named) in [
        ("ftp://acme.example", "expected"),
        ("https://acme.example/$(id)", "character"),
        ("https://acme.example", "archive"),
    ] {
        let output = package(&out, &["finish", address]).ended_with(1);
        assert!(output.stderr.contains(named), "{}", output.stderr);
    }
    assert!(!out.join("install.sh").exists());
}
