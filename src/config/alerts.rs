//! Where Alertmanager sends alerts.

use std::str::FromStr;

use crate::config::{Invalid, Secret};

/// The answers below `alerts`.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// The receiver.
    pub receiver: AlertReceiver,
    /// Its URL or key; `None` without a source: the one in the cluster stays.
    pub secret: Option<Secret<String>>,
}

/// A receiver, with the fields of Alertmanager's configuration that read its secret from a file. prometheus-operator 0.86.2
/// keeps only the fields that it knows (pkg/alertmanager/types.go): it knows no file for the other receivers' URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertReceiver {
    /// Alertmanager shows alerts and sends none.
    None,
    /// An incoming webhook of Slack, or of a service that accepts its messages.
    Slack,
    /// The Events API v2 of PagerDuty.
    PagerDuty,
    /// The API of Opsgenie.
    Opsgenie,
    /// A workflow of Microsoft Teams.
    MsTeams,
    /// Alertmanager's own JSON.
    Webhook,
}

/// Name, list in the configuration, field with the file; the list without `_configs` is the integration in metrics.
const ROWS: [(AlertReceiver, &str, &str, &str); 5] = [
    (AlertReceiver::Slack, "slack", "slack_configs", "api_url_file"),
    (AlertReceiver::PagerDuty, "pagerduty", "pagerduty_configs", "routing_key_file"),
    (AlertReceiver::Opsgenie, "opsgenie", "opsgenie_configs", "api_key_file"),
    (AlertReceiver::MsTeams, "msteams", "msteamsv2_configs", "webhook_url_file"),
    (AlertReceiver::Webhook, "webhook", "webhook_configs", "url_file"),
];

impl AlertReceiver {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        ROWS.iter().find(|row| row.0 == self).map_or("none", |row| row.1)
    }

    /// The list of Alertmanager's configuration, and the field with the file of the secret.
    pub fn fields(self) -> Option<(&'static str, &'static str)> {
        ROWS.iter().find(|row| row.0 == self).map(|row| (row.2, row.3))
    }

    /// The label `integration` of Alertmanager's metrics (alertmanager, notify: names of integrations).
    pub fn integration(self) -> Option<&'static str> {
        self.fields()?.0.strip_suffix("_configs")
    }
}

impl FromStr for AlertReceiver {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "none" {
            return Ok(AlertReceiver::None);
        }
        let found = ROWS.iter().find(|row| row.1 == text).map(|row| row.0);
        found.ok_or_else(|| Invalid("expected none, slack, pagerduty, opsgenie, msteams or webhook".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_read_as_they_are_written() {
        for (receiver, name, ..) in ROWS {
            assert_eq!((name.parse().ok(), receiver.as_str()), (Some(receiver), name));
        }
        assert_eq!("none".parse().ok(), Some(AlertReceiver::None));
        assert_eq!(AlertReceiver::MsTeams.integration(), Some("msteamsv2"));
        let expected = "Slack".parse::<AlertReceiver>().unwrap_err().to_string();
        assert!(ROWS.iter().all(|row| expected.contains(row.1)), "{expected}");
    }
}
