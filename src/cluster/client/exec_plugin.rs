//! Runs an exec plugin as kubectl does and reads its credentials. Source: Kubernetes docs, "client-go credential
//! plugins", and client-go plugin/pkg/client/auth/exec/exec.go (v0.36).

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster::client::kubeconfig_schema::{Cluster, Exec};
use crate::config::Secret;
use crate::process::{self, Call, Ending, Environment, Input, ProcessError};

/// Timeout of a plugin without a terminal.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout of a plugin that can prompt the user.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(600);
/// Size limit of a printed credential.
const LARGEST: usize = 1 << 20;
/// Limit of shown characters of a plugin's stderr.
const SHOWN: usize = 600;
/// Extension of a cluster that plugins get (clusterExtensionKey of client_config.go).
const EXTENSION: &str = "client.authentication.k8s.io/exec";

/// A plugin of a kubeconfig's user.
#[derive(Clone)]
pub(super) struct Plugin {
    pub(super) exec: Exec,
    pub(super) environment: Environment,
    /// `spec.cluster` of KUBERNETES_EXEC_INFO, if `provideClusterInfo` is set.
    pub(super) cluster: Option<Value>,
}

/// Credentials from a plugin.
pub(super) struct Printed {
    pub(super) token: Option<Secret<String>>,
    /// Certificate chain and key in PEM.
    pub(super) identity: Option<(String, Secret<String>)>,
    pub(super) expires: Option<Timestamp>,
}

impl Printed {
    /// The credentials as fields of a kubeconfig's user.
    pub(super) fn as_user(&self) -> Map<String, Value> {
        let token = self.token.iter().map(|token| ("token", token.expose().clone()));
        let pair = self.identity.iter().flat_map(|(certificate, key)| {
            [
                ("client-certificate-data", STANDARD.encode(certificate)),
                ("client-key-data", STANDARD.encode(key.expose())),
            ]
        });
        token.chain(pair).map(|(field, text)| (field.to_owned(), text.into())).collect()
    }
}

/// A plugin returned no credentials.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct PluginError {
    pub(super) reason: String,
    pub(super) next: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    pub(super) fn new(exec: &Exec, cluster: &Cluster, environment: Environment) -> Plugin {
        let cluster = exec.provide_cluster_info.then(|| cluster_info(cluster));
        Plugin { exec: exec.clone(), environment, cluster }
    }

    /// Runs it once.
    pub(super) async fn run(&self) -> Result<Printed, PluginError> {
        let is_interactive = self.is_interactive(std::io::stdin().is_terminal())?;
        let call = Call {
            program: OsString::from(&self.exec.command),
            arguments: self.exec.args.iter().map(OsString::from).collect(),
            environment: self.environment.clone(),
            removed: Vec::new(),
            added: self.variables(is_interactive),
            need: None,
            input: if is_interactive { Input::Terminal } else { Input::Nothing },
            max_bytes: LARGEST,
            ending: Ending::Killed { after: if is_interactive { PROMPT_TIMEOUT } else { TIMEOUT } },
        };
        let output = process::run(call, &CancellationToken::new()).await.map_err(|error| self.not_run(&error))?;
        if !output.status.success() {
            return Err(self.failed(&output.status.to_string(), &output.stderr));
        }
        self.read(&output.stdout)
    }

    /// Whether the plugin can read the user's terminal.
    fn is_interactive(&self, has_terminal: bool) -> Result<bool, PluginError> {
        match (self.exec.interactive_mode.as_str(), has_terminal) {
            ("Always", false) => Err(self.error(
                "needs a terminal (interactiveMode Always), and standard input is no terminal",
                "run this command in a terminal, or use a context with a plugin that needs none",
            )),
            ("Never", _) => Ok(false),
            (_, has_terminal) => Ok(has_terminal),
        }
    }

    fn variables(&self, is_interactive: bool) -> Vec<(OsString, OsString)> {
        let mut spec = json!({ "interactive": is_interactive });
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        let info = json!({ "kind": "ExecCredential", "apiVersion": self.exec.api_version, "spec": spec });
        let own = self.exec.env.iter().map(|variable| (variable.name.clone().into(), variable.value.clone().into()));
        own.chain([("KUBERNETES_EXEC_INFO".into(), info.to_string().into())]).collect()
    }

    pub(super) fn read(&self, stdout: &[u8]) -> Result<Printed, PluginError> {
        let next = "run it by hand and compare its output with an ExecCredential";
        // kubectl accepts YAML, too.
        let credential: Credential = serde_yaml::from_slice(stdout)
            .map_err(|error| self.error(&format!("printed no ExecCredential ({error})"), next))?;
        if credential.kind != "ExecCredential" || credential.api_version != self.exec.api_version {
            let found = format!("printed {:?} of {:?}", credential.kind, credential.api_version);
            let expected = format!("{found} instead of an ExecCredential of {}", self.exec.api_version);
            return Err(self.error(&expected, "set the apiVersion in the kubeconfig to the one that the plugin prints"));
        }
        let status = credential.status.unwrap_or_default();
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = present(status.token);
        let identity = match (present(status.client_certificate_data), present(status.client_key_data)) {
            (Some(certificate), Some(key)) => Some((certificate, Secret::new(key))),
            (None, None) if token.is_none() => {
                return Err(self.error("printed neither a token nor a certificate with its key", next));
            }
            (None, None) => None,
            _ => {
                return Err(self.error("printed a certificate without its key, or a key without its certificate", next));
            }
        };
        Ok(Printed { token: token.map(Secret::new), identity, expires: status.expiration_timestamp })
    }

    fn not_run(&self, error: &ProcessError) -> PluginError {
        match error {
            ProcessError::NotFound { .. } => {
                let hint = printable(&self.exec.install_hint);
                let next =
                    if hint.is_empty() { "install it, or correct `command` in the kubeconfig".into() } else { hint };
                PluginError { reason: format!("the exec plugin {} is not installed", self.exec.command), next }
            }
            ProcessError::Local { source, .. } => {
                self.error(&format!("cannot be run ({source})"), "correct `command` in the kubeconfig")
            }
            other => self.error(&format!("gave {other}"), "run it by hand and see why it does not end"),
        }
    }

    fn failed(&self, end: &str, stderr: &[u8]) -> PluginError {
        let said = self.redacted(&String::from_utf8_lossy(stderr));
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        self.error(&format!("failed ({end}){said}"), "log in again with the tool that provides the plugin")
    }

    /// The end of its output in one line, without the values of its variables in the kubeconfig.
    fn redacted(&self, text: &str) -> String {
        let mut text = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in self.exec.env.iter().filter(|variable| variable.value.len() >= 8) {
            text = text.replace(&variable.value, "***");
        }
        let surplus = text.chars().count().saturating_sub(SHOWN);
        text.chars().skip(surplus).collect()
    }

    fn error(&self, what: &str, next: &str) -> PluginError {
        PluginError { reason: format!("the exec plugin {} {what}", self.exec.command), next: next.to_owned() }
    }
}

/// Without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect::<String>().trim().to_owned()
}

/// `Cluster` of client.authentication.k8s.io/v1 (types.go).
fn cluster_info(cluster: &Cluster) -> Value {
    let mut info = json!({ "server": cluster.server });
    let mut set = |key: &str, value: Value| info[key] = value;
    if !cluster.tls_server_name.is_empty() {
        set("tls-server-name", cluster.tls_server_name.clone().into());
    }
    if cluster.insecure_skip_tls_verify {
        set("insecure-skip-tls-verify", true.into());
    }
    let authority = cluster.authority();
    if !authority.is_empty() {
        set("certificate-authority-data", STANDARD.encode(authority).into());
    }
    if !cluster.proxy_url.is_empty() {
        set("proxy-url", cluster.proxy_url.clone().into());
    }
    if cluster.disable_compression {
        set("disable-compression", true.into());
    }
    if let Some(extension) = cluster.extensions.iter().find(|extension| extension.name == EXTENSION) {
        set("config", extension.extension.clone());
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(mode: &str) -> Plugin {
        let exec: Exec = serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "p", "interactiveMode": mode,
            "env": [{ "name": "KEY", "value": "canary-0123" }],
        }))
        .unwrap();
        Plugin::new(&exec, &Cluster::default(), Environment::default())
    }

    #[test]
    fn the_mode_decides_about_the_terminal() {
        for (mode, has_terminal, expected) in [
            ("Never", true, Some(false)),
            ("Never", false, Some(false)),
            ("IfAvailable", true, Some(true)),
            ("IfAvailable", false, Some(false)),
            ("Always", true, Some(true)),
            ("Always", false, None),
        ] {
            assert_eq!(plugin(mode).is_interactive(has_terminal).ok(), expected, "{mode} {has_terminal}");
        }
    }

    #[test]
    fn only_a_whole_credential_of_its_version_is_read() {
        let printed = |version: &str, status: Value| {
            let text = json!({ "kind": "ExecCredential", "apiVersion": version, "status": status }).to_string();
            plugin("Never").read(text.as_bytes())
        };
        const V1: &str = "client.authentication.k8s.io/v1";
        let read = printed(V1, json!({ "token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z" })).ok().unwrap();
        assert_eq!((read.token.unwrap().expose().as_str(), read.expires.is_some()), ("t", true));
        assert!(printed(V1, json!({ "clientCertificateData": "c", "clientKeyData": "k" })).is_ok());
        for status in [json!(null), json!({}), json!({ "token": "" }), json!({ "clientKeyData": "k" })] {
            assert!(printed(V1, status.clone()).is_err(), "{status}");
        }
        assert!(printed("client.authentication.k8s.io/v1beta1", json!({ "token": "t" })).is_err());
        assert!(plugin("Never").read(b"not logged in").is_err());
    }

    #[test]
    fn stderr_is_shown_without_secrets_and_control_characters() {
        let error = plugin("Never").failed("exit status: 3", b"\x1b[1mcanary-0123\n is  no key");
        assert_eq!(error.reason, "the exec plugin p failed (exit status: 3): [1m*** is no key");
    }
}
