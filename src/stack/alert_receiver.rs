//! Alertmanager's configuration for the receiver of the answers, and its Secret.

use serde_json::{Value, json};

use crate::config::{AlertReceiver, Alerts, Secret};
use crate::stack::{ALERTS_SECRET, ClusterFacts, SecretData, StackError};

/// Name of a receiver in Alertmanager's configuration.
pub fn receiver_name(receiver: AlertReceiver) -> String {
    format!("tailwatch-{}", receiver.as_str())
}

/// Alert of `tailwatch verify --check alert-delivered`: sent at once, and not grouped with others.
pub const TEST_ALERT: &str = "TailwatchTest";
/// Keys of [`ALERTS_SECRET`]: the secret, and the receiver that it belongs to.
const SECRET: &str = "receiver-secret";
const RECEIVER: &str = "receiver";

/// Merged into the chart's configuration; `Null` without a receiver. The operator mounts a Secret of `secrets` below
/// /etc/alertmanager/secrets, and Alertmanager reads the file for each notification.
pub(super) fn config(alerts: &Alerts) -> Value {
    let Some((list, file)) = alerts.receiver.fields() else { return Value::Null };
    let path = format!("/etc/alertmanager/secrets/{ALERTS_SECRET}/{SECRET}");
    let (silent, name) = ("null", receiver_name(alerts.receiver));
    json!({
        "route": {
            "receiver": name,
            "routes": [
                {"receiver": silent, "matchers": ["alertname =~ \"Watchdog|InfoInhibitor\""]},
                {"receiver": name, "matchers": [format!("alertname = \"{TEST_ALERT}\"")], "group_by": ["..."],
                 "group_wait": "0s"},
            ],
        },
        "receivers": [{"name": silent}, {"name": name, list: [{file: path, "send_resolved": true}]}],
    })
}

/// Names of the Secrets that Alertmanager mounts; `Null` without a receiver.
pub(super) fn mounted(alerts: &Alerts) -> Value {
    alerts.receiver.fields().map_or(Value::Null, |_| json!([ALERTS_SECRET]))
}

/// Data of [`ALERTS_SECRET`]: empty without a receiver, where an earlier run made it. A stored secret is used for its own
/// receiver only.
pub(super) fn secret(alerts: &Alerts, facts: &ClusterFacts) -> Result<Option<SecretData>, StackError> {
    let stored = facts.alerts.as_ref();
    if alerts.receiver.fields().is_none() {
        return Ok(stored.map(|_| SecretData::new()));
    }
    let receiver = alerts.receiver.as_str();
    let belongs = |data: &&SecretData| data.get(RECEIVER).is_some_and(|of| of.expose() == receiver.as_bytes());
    let answered = alerts.secret.as_ref().map(|secret| Secret::new(secret.expose().as_bytes().to_vec()));
    let secret = answered.or_else(|| stored.filter(belongs)?.get(SECRET).cloned());
    let secret = secret.filter(|secret| !secret.expose().is_empty());
    let secret = secret.ok_or(StackError::AlertSecretMissing { receiver })?;
    let name = Secret::new(receiver.as_bytes().to_vec());
    Ok(Some(SecretData::from([(SECRET.to_owned(), secret), (RECEIVER.to_owned(), name)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OperatorMode;

    fn alerts(receiver: AlertReceiver, secret: Option<&str>) -> Alerts {
        Alerts { receiver, secret: secret.map(|text| Secret::new(text.to_owned())) }
    }

    #[test]
    fn a_stored_secret_is_used_for_its_own_receiver_only() {
        let mut facts = ClusterFacts::unknown(OperatorMode::Present);
        let slack = alerts(AlertReceiver::Slack, None);
        assert!(matches!(secret(&slack, &facts), Err(StackError::AlertSecretMissing { receiver: "slack" })));
        facts.alerts = secret(&alerts(AlertReceiver::Slack, Some("https://hooks.example/1")), &facts).unwrap();
        assert_eq!(secret(&slack, &facts).unwrap(), facts.alerts);
        assert!(secret(&alerts(AlertReceiver::Webhook, None), &facts).is_err());
        assert_eq!(secret(&alerts(AlertReceiver::None, None), &facts).unwrap(), Some(SecretData::new()));
        facts.alerts = None;
        assert_eq!(secret(&alerts(AlertReceiver::None, None), &facts).unwrap(), None);
    }

    #[test]
    fn the_configuration_names_the_file_of_the_secret_and_no_secret() {
        let config = config(&alerts(AlertReceiver::PagerDuty, Some("k3y"))).to_string();
        assert!(config.contains("\"routing_key_file\":\"/etc/alertmanager/secrets/tailwatch-alerts/receiver-secret\""));
        assert!(!config.contains("k3y"), "{config}");
    }
}
