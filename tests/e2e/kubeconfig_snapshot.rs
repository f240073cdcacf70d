//! Two clusters, one kubeconfig: a run works on the one that was resolved at its beginning, and the other one's audit log
//! holds no write of it, whatever the environment says, whoever switches the context.
//!
//! `TAILWATCH_SWITCHES=20` switches so often in each of install, upgrade and uninstall (once without it).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;

const DRIVER: &str = "HELM_DRIVER";

/// Writes of tailwatch and of helm. The API server stores no SelfSubjectAccessReview.
pub fn writes(sandbox: &Sandbox) -> Vec<(String, String, String)> {
    let is_of_a_run = |agent: &str| agent.starts_with("tailwatch") || agent.to_lowercase().starts_with("helm");
    let is_write = |resource: &str| resource != "selfsubjectaccessreviews";
    let changes = sandbox.changes().into_iter();
    changes.filter(|(agent, _, resource)| is_of_a_run(agent) && is_write(resource)).collect()
}

pub fn script(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(path).arg(format!("#!/bin/sh\n{text}\n"));
    assert!(shell.status().unwrap().success());
}

/// A person's machine: a kubeconfig with the contexts of two clusters, the first one's user an exec plugin that needs
/// its cloud's variables; a helm, a tailscale and that plugin write down what they get.
struct Desk<'a> {
    here: &'a Sandbox,
    there: &'a Sandbox,
    folder: tempfile::TempDir,
}

impl Desk<'_> {
    fn new<'a>(here: &'a Sandbox, there: &'a Sandbox) -> Desk<'a> {
        let desk = Desk { here, there, folder: tempfile::tempdir().unwrap() };
        let dump = |name: &str| format!("env >> '{}'", desk.file(&format!("{name}.environment")).display());
        let pem = |name: &str| std::fs::read_to_string(here.file(&format!("pki/{name}"))).unwrap();
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": {"clientCertificateData": pem("admin.crt"), "clientKeyData": pem("admin.key")},
        });
        std::fs::write(desk.file("credential"), credential.to_string()).unwrap();
        let needs = "[ -n \"$AWS_SECRET_ACCESS_KEY\" ] && [ -n \"$AZURE_CLIENT_SECRET\" ] || exit 253";
        let plugin = format!("{}\n{needs}\ncat '{}'", dump("plugin"), desk.file("credential").display());
        script(&desk.file("cloud-login"), &plugin);
        script(&desk.file("helm"), &format!("{}\nexec '{}' \"$@\"", dump("helm"), here.variable("TAILWATCH_HELM")));
        script(&desk.file("tailscale"), &format!("{}\nexit 1", dump("tailscale")));
        std::fs::write(desk.kubeconfig(), desk.both().to_string()).unwrap();
        let answers = std::fs::read_to_string(here.answers()).unwrap();
        assert!(answers.contains("AUTH0_CLIENT_SECRET"), "{answers}");
        std::fs::write(desk.file("answers.yaml"), answers.replace("AUTH0_CLIENT_SECRET", "OIDC_KEY")).unwrap();
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// What no child may get, in the variable that the answers name.
    fn secret(&self) -> &str {
        self.here.variable("AUTH0_CLIENT_SECRET")
    }

    fn context(sandbox: &Sandbox) -> String {
        sandbox.kubectl(&["config", "current-context"]).trim().to_owned()
    }

    fn both(&self) -> Value {
        // Every sandbox calls its cluster and its user the same.
        let view = |sandbox: &Sandbox| -> Value {
            let text = sandbox.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
            let mut document: Value = serde_json::from_str(&text).unwrap();
            let context = document["contexts"][0]["name"].clone();
            for (list, key) in [("clusters", "cluster"), ("users", "user")] {
                document[list][0]["name"] = context.clone();
                document["contexts"][0]["context"][key] = context.clone();
            }
            document
        };
        let (mut document, other) = (view(self.here), view(self.there));
        document["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": self.file("cloud-login"),
            "interactiveMode": "Never",
        }});
        for list in ["contexts", "clusters", "users"] {
            let more = other[list].as_array().unwrap().clone();
            document[list].as_array_mut().unwrap().extend(more);
        }
        document
    }

    fn switch_to(&self, sandbox: &Sandbox) {
        let kubeconfig = self.kubeconfig().display().to_string();
        self.here.kubectl(&["--kubeconfig", &kubeconfig, "config", "use-context", &Desk::context(sandbox)]);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.here.tailwatch_command(arguments);
        let path = format!("{}:{}", self.folder.path().display(), self.here.variable("PATH"));
        let server = self.there.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
        command
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()))
            .env("KUBECONFIG", self.kubeconfig())
            .env("TAILWATCH_HELM", self.file("helm"))
            .env("HELM_KUBECONTEXT", Desk::context(self.there))
            .env("HELM_KUBEAPISERVER", server)
            .env("HELM_NAMESPACE", "elsewhere")
            .env("AWS_SECRET_ACCESS_KEY", "kept")
            .env("AZURE_CLIENT_SECRET", "kept")
            .env("OIDC_KEY", self.secret())
            // Commands without an answers file know by it which variable holds a secret.
            .env("TAILWATCH_ANSWERS", self.file("answers.yaml"))
            .env_remove("AUTH0_CLIENT_SECRET");
        command
    }

    /// Runs a job while the context is switched after a part of the time that it takes undisturbed.
    #[track_caller]
    fn switched(&self, command: &mut Command, after: Duration) -> Duration {
        self.switch_to(self.here);
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(after);
        self.switch_to(self.there);
        let output = child.wait_with_output().unwrap();
        CommandOutput::of(output).ended_with(0);
        assert_eq!(writes(self.there), [], "after {after:?} of {:?}", command.get_args().collect::<Vec<_>>());
        started.elapsed()
    }

    #[track_caller]
    fn no_one_got_the_secret(&self) {
        for name in ["helm", "plugin", "tailscale"] {
            let seen = std::fs::read_to_string(self.file(&format!("{name}.environment"))).unwrap();
            for line in seen.lines() {
                let is_ours = line.starts_with("TAILWATCH_") || line.starts_with("OIDC_KEY=");
                assert!(!is_ours && !line.contains(self.secret()), "{name}: {line}");
            }
            assert!(seen.contains("AWS_SECRET_ACCESS_KEY=kept"), "{name}");
        }
    }
}

/// A number of rounds; each moment is another part of a job's time.
fn rounds() -> u32 {
    std::env::var("TAILWATCH_SWITCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A part of a duration, spread over the rounds and different in each run of the suite.
fn moment(whole: Duration, round: u32) -> Duration {
    let offset = f64::from(std::process::id() % 97) / 97.0;
    whole.mul_f64((offset + f64::from(round) * 0.618) % 1.0)
}

#[test]
fn no_switched_context_and_no_variable_leads_a_run_to_another_cluster() {
    let (here, there) =
        (Sandbox::up(TAILWATCH, &["--nodes", "1"]), Sandbox::up(TAILWATCH, &["--nodes", "1", "--helm", "3"]));
    let desk = Desk::new(&here, &there);
    let answers = desk.file("answers.yaml").display().to_string();
    let install = ["install", "--answers", &answers, "--yes", "--skip-verify"];
    let upgrade = [&install[..], &["--set", "retention.logs=11d", "--set", "versions.loki=6.55.0"]].concat();
    let uninstall = ["uninstall", "--delete-data", "--yes"];
    let mut usual = [Duration::from_secs(8), Duration::from_secs(5), Duration::from_secs(4)];
    for round in 0..rounds() {
        for (job, arguments) in [&install[..], &upgrade, &uninstall].into_iter().enumerate() {
            let after = moment(usual[job], round);
            // The first round keeps helm's records in ConfigMaps, the others in Secrets.
            let driver = if round == 0 { "configmap" } else { "" };
            usual[job] = desk.switched(desk.command(arguments).env(DRIVER, driver), after);
            let took = usual[job];
            let line = format!("round {round}: {} switched after {after:.1?}, took {took:.1?}", arguments[0]);
            // Past the capture of the test harness, for the rounds by hand.
            let _ = writeln!(std::io::stderr(), "{line}");
            if round == 0 && job == 1 {
                desk.switch_to(&here);
                another_driver_is_refused(&desk, &answers);
            }
        }
    }
    desk.no_one_got_the_secret();
    // helm 3 keeps records in ConfigMaps as well.
    let answers = there.answers();
    let install = ["install", "--answers", &answers, "--yes", "--skip-verify"];
    CommandOutput::of(there.tailwatch_command(&install).env(DRIVER, "configmaps").output().unwrap()).ended_with(0);
    let without_logs = [&install[..], &["--set", "logs=none"]].concat();
    CommandOutput::of(there.tailwatch_command(&without_logs).env(DRIVER, "configmap").output().unwrap()).ended_with(0);
    let left = there.get(&["configmaps", "-n", "monitoring", "-l", "owner=helm,name=loki"]);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "logs: none removes releases kept in ConfigMaps, too");
}

/// Every command names the driver that holds the stack, and changes nothing.
#[track_caller]
fn another_driver_is_refused(desk: &Desk<'_>, answers: &str) {
    for arguments in [
        &["install", "--answers", answers, "--yes"][..],
        &["plan", "--answers", answers],
        &["verify", "--answers", answers],
        &["upgrade"],
        &["uninstall", "--yes"],
        &["status"],
        &["diagnose"],
    ] {
        let said = CommandOutput::of(desk.command(arguments).env_remove(DRIVER).output().unwrap()).ended_with(4);
        let reported = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            reported.contains("ConfigMaps") && reported.contains("HELM_DRIVER=configmap"),
            "{arguments:?}: {reported}"
        );
    }
}
