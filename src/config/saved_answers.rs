//! The answers that a run saves in the cluster for later runs, without client secrets and their sources. Secrets below
//! `values:` are saved as references.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::config::answers::ROWS;
use crate::config::{AlertReceiver, ChartValues, LogsMode, OperatorMode, SessionLifetime, Settings};
use crate::yaml::json_line;

/// The answers as YAML of the answers file's format.
pub fn saved_answers(settings: &Settings) -> String {
    written(settings, document(settings))
}

/// Without the sources of secrets.
pub(super) fn document(settings: &Settings) -> Value {
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
    document
}

/// As the answers file is written, with the chart values of the settings.
pub(super) fn written(settings: &Settings, document: Value) -> String {
    let mut text = serde_yaml::to_string(&document).unwrap_or_default();
    let values = values_section(settings);
    // The keys are in order: `values` and `versions` come before `version`.
    let at = text.find("\nversion:").map_or(text.len(), |at| at + 1);
    text.insert_str(at, &values);
    text
}

fn values_section(settings: &Settings) -> String {
    let mut text = String::new();
    for (component, values) in &settings.values {
        text.push_str(if text.is_empty() { "values:\n" } else { "" });
        let _ = write!(text, "  {component}:");
        write_value(&mut text, &mut Vec::new(), values.written(), values);
    }
    text
}

/// Quotes every text to keep its type; a mapping that only looks like a reference to a secret gets the tag `!!map`.
fn write_value(text: &mut String, path: &mut Vec<String>, value: &Value, values: &ChartValues) {
    let indent = "  ".repeat(path.len() + 2);
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push_str(if values.is_literal_mapping(path, map) { " !!map\n" } else { "\n" });
            for (key, child) in map {
                let _ = write!(text, "{indent}{}:", written_key(key));
                path.push(key.clone());
                write_value(text, path, child, values);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for (index, child) in items.iter().enumerate() {
                let _ = write!(text, "{indent}-");
                path.push(index.to_string());
                write_value(text, path, child, values);
                path.pop();
            }
        }
        scalar => {
            let _ = writeln!(text, " {}", json_line(scalar));
        }
    }
}

/// A key in quotes, unless every YAML version reads it as a text: words with another meaning have at most five letters.
fn written_key(key: &str) -> String {
    let is_word = key.len() > 5 && key.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_word { key.to_owned() } else { json_line(&key.into()) }
}

/// The value at a key path, created if missing.
pub(super) fn at<'a>(document: &'a mut Value, key: &str) -> &'a mut Value {
    key.split('.').fold(document, |value, name| &mut value[name])
}

/// The saved value of a row. `None`: unset, an omitted default, the namespace (they are saved in it) or the source of a
/// secret.
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
        "auth0.organization" => auth0.organization.as_ref()?.as_str(),
        "auth0.sessionLifetime" if auth0.session_lifetime != SessionLifetime::default() => {
            return Some(auth0.session_lifetime.to_string().into());
        }
        "auth0.allowedGroups" => return Some(texts(auth0.allowed_groups.iter().map(|one| one.as_str()).collect())),
        "logs" if *logs != LogsMode::Install => logs.as_str(),
        "selfMonitoring" if !settings.self_monitoring => return Some(false.into()),
        "alerts.receiver" if settings.alerts.receiver != AlertReceiver::None => settings.alerts.receiver.as_str(),
        "retention.metrics" => return Some(retention.metrics.to_string().into()),
        "retention.logs" => return Some(retention.logs.to_string().into()),
        "storage.class" => storage.class.as_ref()?.as_str(),
        "storage.prometheus" => storage.prometheus.as_str(),
        "storage.alertmanager" => storage.alertmanager.as_str(),
        "storage.loki" => storage.loki.as_str(),
        "storage.grafana" => storage.grafana.as_str(),
        "tailscale.operator" if tailscale.operator != OperatorMode::Auto => tailscale.operator.as_str(),
        "tailscale.tags" => return Some(texts(tailscale.tags.iter().map(|tag| tag.as_str()).collect())),
        "tailscale.proxyGroup" => tailscale.proxy_group.as_ref()?.as_str(),
        "tailscale.ingressClass" => tailscale.ingress_class.as_ref()?.as_str(),
        "tailscale.proxyClass" => tailscale.proxy_class.as_ref()?.as_str(),
        "tailscale.oauth.clientId" => tailscale.oauth_client_id.as_deref()?,
        "charts.repository" => charts.repository.as_ref()?.as_str(),
        "charts.username" => charts.access.username.as_ref()?.as_str(),
        "charts.caFile" => return Some(charts.access.ca_file.as_ref()?.display().to_string().into()),
        "charts.plainHttp" if charts.access.plain_http => return Some(true.into()),
        "charts.repacked" if charts.repacked => return Some(true.into()),
        "images.registry" => settings.image_registry.as_ref()?.as_str(),
        _ => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::answers::Shape;
    use crate::config::{Draft, Provenance, add_saved, settings_for_tests};

    #[test]
    fn saved_answers_hold_no_secret() {
        let text = saved_answers(&settings_for_tests());
        assert!(!text.contains("s3cret") && !text.contains("clientSecret"), "{text}");
    }

    /// An answer other than the default, to detect one that is not saved.
    fn unusual(key: &str, example: &'static str, default: Option<&str>) -> &'static str {
        match key {
            "grafana.hostname" => "dashboards",
            "grafana.anonymousRole" => "Viewer",
            "auth0.allowedGroups" => "one,two",
            "auth0.sessionLifetime" => "4h",
            "logs" => "none",
            "selfMonitoring" => "false",
            "alerts.receiver" => "pagerduty",
            "retention.metrics" => "30d",
            "retention.logs" => "14d",
            "storage.prometheus" | "storage.loki" => "60Gi",
            "storage.alertmanager" => "3Gi",
            "storage.grafana" => "11Gi",
            "tailscale.operator" => "install",
            "tailscale.tags" => "tag:a,tag:b",
            _ => {
                assert!(default.is_none_or(|default| default != example), "{key}: add an unusual answer here");
                example
            }
        }
    }

    #[test]
    fn every_answer_but_namespace_and_secrets_is_saved() {
        let saved = ROWS.iter().filter(|row| row.shape != Shape::Secret && !matches!(row.key, "version" | "namespace"));
        let saved: Vec<_> = saved.collect();
        let mut draft = Draft::default();
        for row in &saved {
            draft.set(row.key, unusual(row.key, row.example, row.default), Provenance::Set).unwrap();
        }
        draft.set_secret("charts.password", crate::config::Secret::new("pw".into()));
        let loki: crate::config::ComponentName = "loki".parse().unwrap();
        draft.set_version(loki.clone(), "6.55.0".parse().unwrap(), Provenance::Set);
        draft.values.insert(loki, (ChartValues::literal(json!({"a": {"b": [1]}})), Provenance::Set));
        let settings = draft.finish().unwrap();
        let again = add_saved(Draft::default(), &saved_answers(&settings)).unwrap();
        for row in saved {
            let text = |draft: &Draft| draft.text(row.key).map(|(text, _)| text);
            assert_eq!(text(&again), text(&draft), "{}", row.key);
        }
        let again = again.finish().unwrap();
        assert_eq!((again.versions, again.values), (settings.versions, settings.values));
    }

    #[test]
    fn saved_values_keep_their_types_and_their_references() {
        let written = "values:\n  loki:\n    text: ['yes', '0644', '', '~', '1e3', \"a\\u2028b\", '{{ x }}', '<<']\n    \
                       typed: [yes, 0644, ~, 1.5, 18446744073709551615, {}, []]\n    'null': 1\n    \
                       url: { env: SLACK_URL }\n    file: { file: /secrets/x }\n    map: !!map { env: PROD }\n";
        let draft = add_saved(Draft::default(), written).unwrap();
        let mut settings = settings_for_tests();
        settings.values = draft.values.iter().map(|(name, (values, _))| (name.clone(), values.clone())).collect();
        let again = add_saved(Draft::default(), &saved_answers(&settings)).unwrap();
        assert_eq!(
            again.values["loki".parse().as_ref().unwrap()].0.written(),
            draft.values.values().next().unwrap().0.written()
        );
        let references = |draft: &Draft| -> Vec<String> {
            draft.values.values().flat_map(|(values, _)| values.references()).map(|path| path.join(".")).collect()
        };
        assert_eq!(references(&draft), ["file", "url"]);
        assert_eq!(references(&again), ["file", "url"]);
    }
}
