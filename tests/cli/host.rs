//! A machine of a test's own: an empty home, an empty PATH, and no environment but what the test sets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::CommandOutput;
use tailwatch::helm::{Helm, HelmOptions, HelmProgram};
use tailwatch::process::ClusterAccess;
use tempfile::TempDir;

/// Seconds of processor time that a command may take, far more than it needs; the kernel ends one that takes more.
const CPU_SECONDS: u32 = 10;
/// A command that hangs fails its test, and the suite goes on.
const TIMEOUT: Duration = Duration::from_secs(120);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tailwatch");

pub struct Host {
    home: TempDir,
    environment: Vec<(String, String)>,
}

impl Host {
    pub fn new() -> Host {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("bin")).unwrap();
        std::fs::create_dir(home.path().join("tmp")).unwrap();
        Host { home, environment: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Host {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The path of a file below the home, whether it exists or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A script on the machine's PATH. A shell writes it: while this process has it open for writing, no other
    /// thread's child could run it.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n");
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
        path
    }

    /// A kubeconfig at its usual place; its only context, `offline`, has the server at this address.
    pub fn kubeconfig(&self, server: &str) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: offline\n\
             contexts: [{{ name: offline, context: {{ cluster: offline, user: offline }} }}]\n\
             clusters: [{{ name: offline, cluster: {{ server: '{server}' }} }}]\n\
             users: [{{ name: offline, user: {{ token: t0ken }} }}]\n"
        );
        self.file(".kube/config", text)
    }

    /// A kubeconfig as a run writes it for its helm.
    pub fn access(&self) -> ClusterAccess {
        ClusterAccess::write("{}", "offline", &[self.path("runs")]).unwrap()
    }

    /// A helm that answers `version`; the script, which has its folder in `home`, does everything else.
    pub async fn helm(&self, script: &str) -> Helm {
        let version = "[ \"$1\" = version ] && { echo v3.19.4; exit; }";
        let options = HelmOptions {
            program: Some(self.program("helm", &format!("{version}\nhome='{}'\n{script}", self.home().display()))),
            cache: Some(self.path("cache")),
            log_file: Some(self.path("log")),
            ..HelmOptions::default()
        };
        HelmProgram::discover(options).await.unwrap().on(self.access())
    }

    /// The program under test, ready to run on this machine.
    pub fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new("/bin/sh");
        command.arg("-c").arg(format!("ulimit -t {CPU_SECONDS}; exec \"$0\" \"$@\"")).arg(PROGRAM).args(arguments);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("HOME", self.home()).env("PATH", self.path("bin")).env("TMPDIR", self.path("tmp"));
        command.current_dir(self.home()).timeout(TIMEOUT);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).output().unwrap())
    }
}

/// A file below `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The files of a folder below `tests/fixtures`, sorted.
pub fn fixtures(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(fixture(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A tar.gz of files: path, permissions, content. The same arguments give the same bytes.
pub fn archive(files: impl IntoIterator<Item = (String, u32, impl AsRef<[u8]>)>) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, mode, content) in files {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
