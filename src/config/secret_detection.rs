//! Detects likely secrets in chart values by key or text.

use serde_json::Value;

use crate::config::secret_text::{is_placeholder, is_secret};
use crate::config::value_path::{child, leaves};

/// Endings of keys of secrets, without dashes and underscores: of charts, Alertmanager's receivers (prometheus.io,
/// "alerting configuration") and remote writes.
const ENDINGS: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "routingkey",
    "servicekey",
    "userkey",
    "authkey",
    "credential",
    "credentials",
    "apiurl",
    "webhookurl",
    "connectionstring",
    "pwd",
];
/// Prefixes of keys with the name of a Secret.
const NAMES: [&str; 7] = ["existing", "configsecret", "tlssecret", "imagepull", "envfrom", "extrasecret", "automount"];
/// Grafana's key for the name of a Secret's key.
const USER_KEY: &str = "userkey";

/// Whether the value at a path (keys, and indexes of lists) is probably a secret.
pub fn looks_secret(path: &[String]) -> bool {
    let mut keys = path.iter().rev().filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(key) = keys.next() else { return false };
    let key = normalized(key);
    if NAMES.iter().any(|beginning| key.starts_with(beginning)) {
        return false;
    }
    // Grafana's `admin.userKey` names a key of a Secret; Pushover's `user_key` is one.
    if key == USER_KEY && keys.next().is_some_and(|parent| parent == "admin") {
        return false;
    }
    // Grafana's addresses of an identity provider's user information.
    if key == "apiurl" && path.iter().any(|key| key == "grafana.ini" || key.starts_with("auth.")) {
        return false;
    }
    let is_webhook = key == "url" && path.iter().any(|key| normalized(key) == "webhookconfigs");
    is_webhook || ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn normalized(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether the text at a path is probably a secret, by its key or text.
fn is_secret_text(path: &[String], value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    !is_placeholder(text) && (looks_secret(path) || is_secret(text))
}

/// Paths of texts that look like secrets, with all data of Secrets in the values.
pub fn secret_texts(value: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    leaves(value, &mut Vec::new(), &mut |path, leaf| {
        let is_data = || !leaf.is_null() && leaf.as_str() != Some("") && is_data_of_a_secret(value, path);
        if is_secret_text(path, leaf) || is_data() {
            found.push(path.to_vec());
        }
    });
    found
}

/// Whether the path is below `data` or `stringData` of an object of kind Secret.
fn is_data_of_a_secret(values: &Value, path: &[String]) -> bool {
    let mut current = values;
    for key in path {
        if current["kind"] == "Secret" && matches!(key.as_str(), "data" | "stringData") {
            return true;
        }
        let Some(next) = child(current, key) else { return false };
        current = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_texts_of_secrets_are_detected_and_names_are_not() {
        let values = json!({
            "global": {"smtp_auth_password": "x", "slack_api_url": "x", "smtp_from": "a@b.c"},
            "receivers": [{"webhook_configs": [{"url": "https://x"}]}, {"pagerduty_configs": [{"routing_key": "x"}]}],
            "remoteWrite": [{"url": "https://user:pass@host/x"}, {"url": "https://host/@x"}],
            "tls": "-----BEGIN RSA PRIVATE KEY-----\nx",
            "adminPassword": "x",
            "empty": {"password": ""},
            "elsewhere": {"token": "$__file{/x}"},
            "admin": {"existingSecret": "x", "userKey": "admin-user", "passwordKey": "admin-password"},
            "secretName": "x",
            "automountServiceAccountToken": true,
            "auth": {"htpasswd": "x", "hash": "u:$apr1$x", "password": "$2y$10$x"},
            "grafana.ini": {"auth.github": {"api_url": "https://api.github.com/user"}},
            "extraObjects": [{"kind": "Secret", "data": {"any": "eA=="}, "metadata": {"name": "n"}}],
        });
        let mut found: Vec<String> = secret_texts(&values).iter().map(|path| path.join(".")).collect();
        found.sort();
        let expected = [
            "adminPassword",
            "auth.hash",
            "auth.htpasswd",
            "auth.password",
            "extraObjects.0.data.any",
            "global.slack_api_url",
            "global.smtp_auth_password",
            "receivers.0.webhook_configs.0.url",
            "receivers.1.pagerduty_configs.0.routing_key",
            "remoteWrite.0.url",
            "tls",
        ];
        assert_eq!(found, expected);
    }

    /// The charts' defaults and our values contain no secret, but many names of Secrets.
    #[test]
    fn ordinary_chart_values_are_none() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let charts = std::fs::read_dir(root.join("tests/charts")).unwrap();
        let charts = charts.map(|chart| chart.unwrap().path().join("common/values.yaml"));
        let own = std::fs::read_dir(root.join("values")).unwrap().map(|file| file.unwrap().path());
        let files: Vec<_> = charts.chain(own).filter(|path| path.is_file()).collect();
        assert!(files.len() > 8, "{files:?}");
        for file in files {
            let values: Value = serde_yaml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(secret_texts(&values), Vec::<Vec<String>>::new(), "{}", file.display());
        }
    }
}
