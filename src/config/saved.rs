//! The answers that a run keeps in the cluster, so that a later one needs none of them again. No secret and no
//! source of one is kept: the secrets themselves stay where they are.

use serde_json::{Map, Value, json};

use crate::config::rows::ROWS;
use crate::config::{LogsMode, OperatorMode, Settings};

/// The answers as YAML of the answers file's format.
pub fn saved_answers(settings: &Settings) -> String {
    let mut document = json!({"version": 1});
    for row in ROWS {
        if let Some(value) = answer(settings, row.key) {
            *at(&mut document, row.key) = value;
        }
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

/// The place of a key path, made where it is missing.
fn at<'a>(document: &'a mut Value, key: &str) -> &'a mut Value {
    key.split('.').fold(document, |place, name| &mut place[name])
}

/// What is kept of a row. `None`: unset, a default that is not written, the namespace (which is where they are kept) or
/// a source of a secret.
fn answer(settings: &Settings, key: &str) -> Option<Value> {
    let texts = |entries: Vec<&str>| json!(entries);
    let Settings { tailnet, grafana, auth0, logs, retention, storage, tailscale, charts, .. } = settings;
    let text = match key {
        "tailnet" => tailnet.as_str(),
        "grafana.hostname" => grafana.hostname.as_str(),
        "grafana.anonymousRole" => grafana.anonymous_role.as_str(),
        "auth0.issuer" => auth0.issuer.as_str(),
        "auth0.clientId" => auth0.client_id.as_str(),
        "auth0.groupsClaim" => auth0.groups_claim.as_str(),
        "auth0.allowedGroups" => return Some(texts(auth0.allowed_groups.iter().map(|one| one.as_str()).collect())),
        "logs" if *logs != LogsMode::Install => logs.as_str(),
        "retention.metrics" => return Some(retention.metrics.to_string().into()),
        "retention.logs" => return Some(retention.logs.to_string().into()),
        "storage.class" => storage.class.as_ref()?.as_str(),
        "storage.prometheus" => storage.prometheus.as_str(),
        "storage.alertmanager" => storage.alertmanager.as_str(),
        "storage.loki" => storage.loki.as_str(),
        "storage.grafana" => storage.grafana.as_str(),
        "tailscale.operator" if tailscale.operator != OperatorMode::Auto => tailscale.operator.as_str(),
        "tailscale.tags" => return Some(texts(tailscale.tags.iter().map(|tag| tag.as_str()).collect())),
        "tailscale.oauth.clientId" => tailscale.oauth_client_id.as_deref()?,
        "charts.repository" => charts.repository.as_ref()?.as_str(),
        _ => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rows::Shape;
    use crate::config::{Draft, Provenance, add_saved, settings_for_tests};

    #[test]
    fn saved_answers_hold_no_secret() {
        let text = saved_answers(&settings_for_tests());
        assert!(!text.contains("s3cret") && !text.contains("clientSecret"), "{text}");
    }

    /// An answer that differs from the default, so that one that is not kept is seen.
    fn unusual(key: &str, example: &'static str, default: Option<&str>) -> &'static str {
        match key {
            "grafana.hostname" => "dashboards",
            "grafana.anonymousRole" => "Viewer",
            "auth0.allowedGroups" => "one,two",
            "logs" => "none",
            "retention.metrics" => "30d",
            "retention.logs" => "14d",
            "storage.prometheus" | "storage.loki" => "60Gi",
            "storage.alertmanager" => "3Gi",
            "storage.grafana" => "11Gi",
            "tailscale.operator" => "install",
            "tailscale.tags" => "tag:a,tag:b",
            _ => {
                assert!(default.is_none_or(|default| default != example), "{key}: name an unusual answer here");
                example
            }
        }
    }

    #[test]
    fn every_answer_but_namespace_and_secrets_survives_being_saved() {
        let kept = ROWS.iter().filter(|row| row.shape != Shape::Secret && !matches!(row.key, "version" | "namespace"));
        let kept: Vec<_> = kept.collect();
        let mut draft = Draft::default();
        for row in &kept {
            draft.set(row.key, unusual(row.key, row.example, row.default), Provenance::Set).unwrap();
        }
        let loki: crate::config::ComponentName = "loki".parse().unwrap();
        draft.set_version(loki.clone(), "6.55.0".parse().unwrap(), Provenance::Set);
        draft.values.insert(loki, (serde_yaml::from_str("{ a: { b: [1] } }").unwrap(), Provenance::Set));
        let settings = draft.finish().unwrap();
        let again = add_saved(Draft::default(), &saved_answers(&settings)).unwrap();
        for row in kept {
            let text = |draft: &Draft| draft.text(row.key).map(|(text, _)| text);
            assert_eq!(text(&again), text(&draft), "{}", row.key);
        }
        let again = again.finish().unwrap();
        assert_eq!((again.versions, again.values), (settings.versions, settings.values));
    }
}
