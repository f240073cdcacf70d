use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::{CommandOutput, repository};

/// A running sandbox of a test's own: down when dropped, and gone with the test process in any case.
pub struct Sandbox {
    program: PathBuf,
    name: String,
    environment: BTreeMap<String, String>,
}

fn script() -> PathBuf {
    repository().join("scripts/sandbox")
}

#[track_caller]
fn sandbox_command(arguments: &[&str]) -> String {
    let output = Command::new(script()).args(arguments).output().expect("scripts/sandbox runs");
    let said = CommandOutput::of(output);
    assert_eq!(said.code, Some(0), "scripts/sandbox {}: {}", arguments.join(" "), said.stderr);
    said.stdout
}

impl Sandbox {
    /// Starts one of a random name for a program under test, which is `env!("CARGO_BIN_EXE_tailwatch")`.
    #[track_caller]
    pub fn up(program: &str, arguments: &[&str]) -> Sandbox {
        let owner = std::process::id().to_string();
        let mut all = vec!["up", "--name", "random", "--fast-logs", "--owner-pid", &owner];
        all.extend(arguments);
        let name = sandbox_command(&all).trim().to_owned();
        let mut environment = BTreeMap::new();
        for line in sandbox_command(&["env", "--name", &name]).lines() {
            let (key, value) = line.trim_start_matches("export ").split_once('=').expect("export KEY=VALUE");
            let quoted = value.trim_start_matches('\'').split('\'').next().unwrap_or_default();
            environment.insert(key.to_owned(), quoted.to_owned());
        }
        Sandbox { program: program.into(), name, environment }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A variable of `scripts/sandbox env`.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// A file in the sandbox's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(self.variable("TAILWATCH_SANDBOX_DIR")).join(name)
    }

    /// The answers file that installs unattended.
    pub fn answers(&self) -> String {
        self.file("answers.yaml").display().to_string()
    }

    /// `scripts/sandbox fault KIND on|off`
    #[track_caller]
    pub fn fault(&self, kind: &str, to: &str) {
        sandbox_command(&["fault", kind, to, "--name", &self.name]);
    }

    /// Any program, in the environment of the sandbox alone.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().envs(&self.environment).env("HOME", self.file("home")).env("TERM", "xterm-256color");
        command.env("PATH", format!("{}:{path}", self.variable("PATH")));
        command.env("TMPDIR", std::env::temp_dir());
        command
    }

    /// The program under test, in the sandbox's environment.
    pub fn tailwatch_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.args(arguments);
        command
    }

    pub fn tailwatch(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.tailwatch_command(arguments).output().expect("tailwatch runs"))
    }

    /// `tailwatch install` from the answers file, with more arguments.
    pub fn install(&self, arguments: &[&str]) -> CommandOutput {
        let answers = self.answers();
        let mut all = vec!["install", "--answers", &answers, "--yes"];
        all.extend(arguments);
        self.tailwatch(&all)
    }

    /// kubectl's stdout; a failure of kubectl fails the test.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let program = self.file("bin/kubectl");
        let said = CommandOutput::of(self.command(&program).args(arguments).output().expect("kubectl runs"));
        assert_eq!(said.code, Some(0), "kubectl {}: {}", arguments.join(" "), said.stderr);
        said.stdout
    }

    /// Whether the API server permits each request: a user and `resourceAttributes` of a SubjectAccessReview.
    #[track_caller]
    pub fn permits(&self, requests: &[(String, Value)]) -> Vec<bool> {
        let review = |(user, attributes): &(String, Value)| {
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": attributes}})
        };
        let items: Vec<Value> = requests.iter().map(review).collect();
        let file = self.file("reviews.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).unwrap();
        let created = self.kubectl(&["create", "-f", &file.display().to_string(), "-o", "json"]);
        let reviews = serde_json::Deserializer::from_str(&created).into_iter::<Value>().map(Result::unwrap);
        // Either one document for each, or a list of all.
        let reviews = reviews.flat_map(|one| one["items"].as_array().cloned().unwrap_or_else(|| vec![one]));
        let answers: Vec<bool> = reviews.map(|review| review["status"]["allowed"] == true).collect();
        assert_eq!(answers.len(), requests.len());
        answers
    }

    /// `kubectl get … -o json`
    #[track_caller]
    pub fn get(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["get"];
        all.extend(arguments);
        all.extend(["-o", "json"]);
        serde_json::from_str(&self.kubectl(&all)).expect("JSON of kubectl")
    }

    pub fn helm(&self, arguments: &[&str]) -> CommandOutput {
        let program = self.file("bin/helm");
        CommandOutput::of(self.command(&program).args(arguments).output().expect("helm runs"))
    }

    /// Any program, in the sandbox's environment and a folder; `sandbox` is scripts/sandbox on this one.
    pub fn act(&self, words: &[&str], folder: &Path) -> CommandOutput {
        let mut command = match words[0] {
            "sandbox" => Command::new(script()),
            program => self.command(Path::new(program)),
        };
        command.args(&words[1..]).current_dir(folder);
        if words[0] == "sandbox" {
            command.args(["--name", &self.name]);
        }
        CommandOutput::of(command.output().unwrap_or_else(|error| panic!("{}: {error}", words[0])))
    }

    /// (release, chart with version) of `helm list`, sorted.
    pub fn releases(&self) -> Vec<(String, String)> {
        let listed = self.helm(&["list", "-A", "-o", "json"]).ended_with(0).json();
        let text = |release: &Value, key: &str| release[key].as_str().unwrap_or_default().to_owned();
        let mut releases: Vec<_> = listed
            .as_array()
            .into_iter()
            .flatten()
            .map(|release| (text(release, "name"), text(release, "chart")))
            .collect();
        releases.sort();
        releases
    }

    /// The API server's audit log, an event for each request.
    pub fn audit(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.file("audit.log")).expect("the audit log");
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The events of tailwatch's own requests.
    pub fn requests(&self) -> Vec<Value> {
        let is_own = |event: &Value| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("tailwatch/"));
        self.audit().into_iter().filter(is_own).collect()
    }

    /// Requests that changed something, from the audit log: (user agent, verb, resource). A dry run stores nothing.
    pub fn changes(&self) -> Vec<(String, String, String)> {
        let text =
            |event: &Value, path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.audit()
            .into_iter()
            .filter(|event| !text(event, "/requestURI").contains("dryRun=All"))
            .map(|event| (text(&event, "/userAgent"), text(&event, "/verb"), text(&event, "/objectRef/resource")))
            .filter(|(_, verb, _)| !matches!(verb.as_str(), "get" | "list" | "watch"))
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(folder) = std::env::var("TAILWATCH_SANDBOX_KEEP_LOGS")
        {
            let _ = Command::new("cp").arg("-r").arg(self.file("log")).arg(format!("{folder}/{}", self.name)).status();
        }
        let _ = Command::new(script()).args(["down", "--name", &self.name]).status();
    }
}
