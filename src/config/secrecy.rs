//! What looks like a secret by its key or its text, where nobody said that it is one.

use serde_json::Value;

use crate::config::chart_values::leaves;

/// Endings of keys, without dashes and underscores, whose texts are secrets: of charts, Alertmanager's receivers
/// (prometheus.io, "alerting configuration") and remote writes.
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
/// Beginnings of keys that name a Secret instead of holding one.
const NAMES: [&str; 7] = ["existing", "configsecret", "tlssecret", "imagepull", "envfrom", "extrasecret", "automount"];
/// Grafana's keys for keys.
const KEY_OF_A_KEY: &str = "userkey";

/// Whether the value at a path (keys, and indexes of lists) is one that people keep to themselves.
pub fn looks_secret(path: &[String]) -> bool {
    let mut keys = path.iter().rev().filter(|key| !key.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(key) = keys.next() else { return false };
    let key = bare(key);
    if NAMES.iter().any(|beginning| key.starts_with(beginning)) {
        return false;
    }
    // Grafana's `admin.userKey` names a key of a Secret; Pushover's `user_key` is one.
    if key == KEY_OF_A_KEY && keys.next().is_some_and(|parent| parent == "admin") {
        return false;
    }
    let is_webhook = key == "url" && path.iter().any(|key| bare(key) == "webhookconfigs");
    is_webhook || ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | '.')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a text at a path is a secret, as far as key and text tell.
pub fn is_secret_text(path: &[String], value: &Value) -> bool {
    let Value::String(text) = value else { return false };
    // Grafana's and the shell's ways to read a value from elsewhere.
    if text.trim().is_empty() || text.starts_with('$') {
        return false;
    }
    let has_password = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    looks_secret(path)
        || text.contains("PRIVATE KEY-----")
        || text.contains("://hooks.slack.com/services/")
        || has_password
}

/// Paths of texts that look like secrets.
pub(super) fn secret_texts(value: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    leaves(value, &mut Vec::new(), &mut |path, leaf| {
        if is_secret_text(path, leaf) {
            found.push(path.to_vec());
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_texts_of_secrets_are_known_and_names_of_secrets_are_not() {
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
        });
        let mut found: Vec<String> = secret_texts(&values).iter().map(|path| path.join(".")).collect();
        found.sort();
        let expected = [
            "adminPassword",
            "global.slack_api_url",
            "global.smtp_auth_password",
            "receivers.0.webhook_configs.0.url",
            "receivers.1.pagerduty_configs.0.routing_key",
            "remoteWrite.0.url",
            "tls",
        ];
        assert_eq!(found, expected);
    }
}
