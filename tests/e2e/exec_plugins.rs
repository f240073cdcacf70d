//! Exec plugins that ask the person, in a real pseudo-terminal and without one.

use std::path::PathBuf;

use serde_json::json;
use support::{CommandOutput, Sandbox};

use crate::kubeconfig_snapshot::script;
use crate::wizard::{answer, drive, exit_code};
use crate::{TAILWATCH, nothing_installed};

/// A kubeconfig with a plugin that prompts for a code if it may, and accepts a single one.
fn kubeconfig(sandbox: &Sandbox, mode: &str) -> PathBuf {
    let pem = |name: &str| std::fs::read_to_string(sandbox.file(&format!("pki/{name}"))).unwrap();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"clientCertificateData": pem("admin.crt"), "clientKeyData": pem("admin.key")},
    });
    let (plugin, printed) = (sandbox.file("asking-plugin"), sandbox.file("credential"));
    std::fs::write(&printed, credential.to_string()).unwrap();
    let text = format!(
        r#"case $KUBERNETES_EXEC_INFO in *'"interactive":true'*)
    printf 'one-time code: ' >&2
    read -r code && [ "$code" = 4711 ] || exit 5;;
esac
cat '{}'"#,
        printed.display(),
    );
    script(&plugin, &text);
    let view = sandbox.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
    let mut document: serde_json::Value = view.parse().unwrap();
    document["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": mode,
    }});
    let path = sandbox.file(&format!("asking-{mode}.json"));
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

#[test]
fn a_plugin_asks_the_person_in_a_terminal_and_no_one_without_one() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    for (mode, code) in [("IfAvailable", "4711"), ("IfAvailable", "1"), ("Always", "4711"), ("Always", "1")] {
        let mut command = sandbox.tailwatch_command(&["status"]);
        command.env("KUBECONFIG", kubeconfig(&sandbox, mode));
        let mut session = drive(command);
        answer(&mut session, "one-time code:", code);
        let rest = session.exp_eof().expect("the end");
        // The plugin ends with 5 after a wrong code.
        let (has_read, is_refused) = (rest.contains(&nothing_installed()), rest.contains("exit status: 5"));
        assert_eq!((has_read, is_refused), (code == "4711", code != "4711"), "{mode}, {code}: {rest}");
        assert_eq!(exit_code(session), 4, "{mode}");
    }
    for (mode, expected) in [("IfAvailable", nothing_installed()), ("Always", "interactiveMode".into())] {
        let mut command = sandbox.tailwatch_command(&["status"]);
        let output = command.env("KUBECONFIG", kubeconfig(&sandbox, mode)).output().unwrap();
        CommandOutput::of(output).ended_with(4).tells(&[&expected]);
    }
}
