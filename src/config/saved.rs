//! The answers that a run keeps in the cluster, so that a later one needs none of them again. No secret and no
//! source of one is kept: the secrets themselves stay where they are.

use serde_json::{Map, Value, json};

use crate::config::{LogsMode, Settings};

/// The answers as YAML of the answers file's format.
pub fn saved_answers(settings: &Settings) -> String {
    let texts = |entries: Vec<&str>| json!(entries);
    let auth0 = &settings.auth0;
    let storage = &settings.storage;
    let mut document = json!({
        "version": 1,
        "tailnet": settings.tailnet.as_str(),
        "grafana": {
            "hostname": settings.grafana.hostname.as_str(),
            "anonymousRole": settings.grafana.anonymous_role.as_str(),
        },
        "auth0": {
            "issuer": auth0.issuer.as_str(),
            "clientId": auth0.client_id.as_str(),
            "groupsClaim": auth0.groups_claim.as_str(),
            "allowedGroups": texts(auth0.allowed_groups.iter().map(|group| group.as_str()).collect()),
        },
        "retention": {
            "metrics": settings.retention.metrics.to_string(),
            "logs": settings.retention.logs.to_string(),
        },
        "storage": {
            "prometheus": storage.prometheus.as_str(),
            "alertmanager": storage.alertmanager.as_str(),
            "loki": storage.loki.as_str(),
            "grafana": storage.grafana.as_str(),
        },
        "tailscale": { "tags": texts(settings.tailscale.tags.iter().map(|tag| tag.as_str()).collect()) },
    });
    if settings.logs != LogsMode::Install {
        document["logs"] = settings.logs.as_str().into();
    }
    if let Some(class) = &storage.class {
        document["storage"]["class"] = class.as_str().into();
    }
    if let Some(repository) = &settings.charts.repository {
        document["charts"] = json!({"repository": repository.as_str()});
    }
    let versions: Map<String, Value> =
        settings.versions.iter().map(|(name, version)| (name.to_string(), version.to_string().into())).collect();
    if !versions.is_empty() {
        document["versions"] = Value::Object(versions);
    }
    let values: Map<String, Value> =
        settings.values.iter().map(|(name, values)| (name.to_string(), json!(values))).collect();
    if !values.is_empty() {
        document["values"] = Value::Object(values);
    }
    serde_yaml::to_string(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Draft, add_saved, settings_for_tests};

    #[test]
    fn what_is_saved_builds_the_same_settings_and_holds_no_secret() {
        let settings = settings_for_tests();
        let text = saved_answers(&settings);
        assert!(!text.contains("s3cret") && !text.contains("clientSecret"), "{text}");
        let again = add_saved(Draft::default(), &text).unwrap().finish().unwrap();
        assert_eq!(again.grafana_fqdn(), settings.grafana_fqdn());
        assert_eq!(saved_answers(&again), text);
    }
}
