//! Grafana: its health, anonymous access with the configured role only (oauth2-proxy authenticates), its data sources
//! and its dashboards.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::check::api::grafana::{DataSource, GrafanaSettings};
use crate::check::api::port_forward::answered;
use crate::check::row::{Finding, Row};
use crate::check::some_of;
use crate::check::verify::context::StackContext;
use crate::check::verify::parts::{ALERTMANAGER, GRAFANA, PROMETHEUS};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::event::Hop;

const GROUP: &str = "dashboards";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("grafana-healthy", GROUP, "Grafana is healthy", |context| Box::pin(healthy(context)))
        .with(&[GRAFANA])
        .within(60)
        .hint("see the log of the Grafana pod: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-grafana -c grafana`"),
    Row::new("grafana-anonymous", GROUP, "Grafana accepts users that oauth2-proxy admitted", |context| {
        Box::pin(anonymous(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-healthy"])
    .within(15)
    .hint("check grafana.ini auth.anonymous under `values:`; the organisation name must be `Main Org.`"),
    Row::new("grafana-admin", GROUP, "Grafana accepts the admin password in Secret grafana-admin", |context| {
        Box::pin(admin(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-healthy"])
    .within(15)
    .hint("set Grafana's password to the Secret's: `kubectl -n NAMESPACE exec deploy/kube-prometheus-stack-grafana -c grafana -- sh -c 'grafana cli admin reset-admin-password \"$GF_SECURITY_ADMIN_PASSWORD\"'`"),
    Row::new("grafana-role", GROUP, "users behind oauth2-proxy have exactly the configured role in Grafana", |context| {
        Box::pin(role(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-admin", "grafana-anonymous"])
    .within(15)
    .hint("check grafana.ini auth.anonymous.org_role under `values:`; the answer key is grafana.anonymousRole"),
    Row::new("grafana-login-closed", GROUP, "Grafana shows no login form of its own", |context| {
        Box::pin(login_form(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-admin"])
    .within(15)
    .hint("check grafana.ini auth.disable_login_form under `values:`"),
    Row::new("grafana-address", GROUP, "Grafana's root_url is the address of its Ingress", |context| {
        Box::pin(root_url(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-admin"])
    .within(15)
    .hint("check grafana.ini server.root_url under `values:`; Grafana compares a browser's Origin with it"),
    Row::new("grafana-default-source", GROUP, "exactly one data source is the default", |context| {
        Box::pin(default_source(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-admin"])
    .within(15)
    .hint("check isDefault in the data sources under `values:` and in ConfigMaps labelled grafana_datasource"),
    Row::new("grafana-reads-prometheus", GROUP, "Grafana's Prometheus data source answers", |context| {
        Box::pin(data_source(context, "prometheus"))
    })
    .with(&[GRAFANA, PROMETHEUS])
    .needs(&["grafana-healthy", "prometheus-ready", "grafana-anonymous"])
    .at(Hop::PrometheusGrafana)
    .hint("compare the data source's URL with the Service kube-prometheus-stack-prometheus, and see the NetworkPolicies"),
    Row::new("grafana-reads-loki", GROUP, "Grafana's Loki data source answers", |context| {
        Box::pin(data_source(context, "loki"))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-healthy", "loki-ready", "grafana-anonymous"])
    .of("loki")
    .at(Hop::LokiGrafana)
    .hint("compare the data source's URL with the Service loki, and see the NetworkPolicies"),
    Row::new("grafana-loki-read-only", GROUP, "Grafana forwards no write or deletion to Loki", |context| {
        Box::pin(loki_read_only(context))
    })
    .needs(&["grafana-anonymous"])
    .within(15)
    .of("loki")
    .hint("check grafana.ini security.data_source_proxy_whitelist under `values:`; without it every user of Grafana can push to Loki and stop its ingester"),
    Row::new("grafana-alertmanager-read-only", GROUP, "Grafana forwards no silence or alert to Alertmanager", |context| {
        Box::pin(alertmanager_read_only(context))
    })
    .with(&[GRAFANA, ALERTMANAGER])
    .needs(&["grafana-admin", "grafana-anonymous"])
    .within(15)
    .hint("check grafana.ini security.data_source_proxy_whitelist and the data sources under `values:`; every Editor of Grafana can silence all alerts, and nothing records who did"),
    Row::new("grafana-features-off", GROUP, "external snapshots, public dashboards, plugin administration and Grafana's own alerts are off", |context| {
        Box::pin(features_off(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-admin"])
    .within(15)
    .hint("check snapshots, public_dashboards, plugins and unified_alerting of grafana.ini under `values:`: every user is an anonymous one and could use them"),
    Row::new("grafana-dashboards", GROUP, "every dashboard of the charts is in Grafana", |context| {
        Box::pin(dashboards(context))
    })
    .with(&[GRAFANA])
    .needs(&["grafana-anonymous"])
    .within(90)
    .hint("see the log of the sidecar: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-grafana -c grafana-sc-dashboard`"),
];

async fn loki_read_only(context: &StackContext) -> Result<Finding, String> {
    context.grafana().push_to_loki().await.map(|response| match response.status {
        403 => Finding::pass("a push through its data source proxy is answered 403"),
        status => Finding::fail(format!("a push through its data source proxy is answered {status}, expected 403")),
    })
}

/// `HOST:PORT`s, separated by spaces; without any, Grafana forwards to all (conf/defaults.ini).
const FORWARDED: &str = "/grafana/grafana.ini/security/data_source_proxy_whitelist";

async fn alertmanager_read_only(context: &StackContext) -> Result<Finding, String> {
    let forwarded = context.value(KUBE_PROMETHEUS_STACK, FORWARDED).and_then(Value::as_str).unwrap_or_default();
    let mut answers = Vec::new();
    for source in context.grafana().data_sources().await? {
        if source.kind == "alertmanager" {
            let status = context.grafana().invalid_silence(&source.uid).await?.status;
            answers.push((source, status));
        }
    }
    Ok(judge_silences(&answers, forwarded))
}

/// The user's values may open the proxy for a data source.
fn judge_silences(answers: &[(DataSource, u16)], forwarded: &str) -> Finding {
    let is_allowed = |source: &DataSource| {
        forwarded.split_whitespace().any(|address| source.url.trim_end_matches('/').ends_with(&format!("//{address}")))
    };
    let (allowed, others): (Vec<_>, Vec<_>) = answers.iter().partition(|(source, _)| is_allowed(source));
    match (others.iter().find(|(_, status)| *status != 403), allowed.first()) {
        (Some((source, status)), _) => Finding::fail(format!(
            "a silence through the proxy of its data source {} is answered {status}, expected 403",
            source.name
        )),
        (None, Some((source, _))) => Finding::pass(format!("the values allow it for its data source {}", source.name)),
        (None, None) if answers.is_empty() => Finding::pass("it has no data source of Alertmanager"),
        (None, None) => Finding::pass("a silence through its data source proxy is answered 403"),
    }
}

async fn healthy(context: &StackContext) -> Result<Finding, String> {
    context.grafana().database().await.map(|state| match state.as_deref() {
        Some("ok") => Finding::pass("its database is ok"),
        other => Finding::not_yet(format!("its database is {}", other.unwrap_or("not reported"))),
    })
}

/// 200 without credentials: anonymous access is on. 401: Grafana requires its own login, which no user has.
async fn anonymous(context: &StackContext) -> Result<Finding, String> {
    let response = context.grafana().organisation().await?;
    match response.status {
        200 => Ok(Finding::pass("anonymous access to Main Org.")),
        401 => Ok(Finding::fail("Grafana requires its own login")),
        _ => Err(answered("Grafana", &response)),
    }
}

async fn admin(context: &StackContext) -> Result<Finding, String> {
    let response = context.grafana().organisation_as_admin().await?;
    match response.status {
        200 => Ok(Finding::pass("")),
        401 => Ok(Finding::fail("Grafana rejects it")),
        _ => Err(answered("Grafana", &response)),
    }
}

async fn role(context: &StackContext) -> Result<Finding, String> {
    let expected = context.value(KUBE_PROMETHEUS_STACK, "/grafana/grafana.ini/auth.anonymous/org_role");
    let expected = expected.and_then(Value::as_str).unwrap_or("Viewer");
    Ok(judge_setting(settings(context).await?.get("auth.anonymous", "org_role"), expected))
}

async fn login_form(context: &StackContext) -> Result<Finding, String> {
    Ok(match settings(context).await?.get("auth", "disable_login_form") {
        "true" => Finding::pass(""),
        _ => Finding::fail("auth.disable_login_form is off"),
    })
}

async fn root_url(context: &StackContext) -> Result<Finding, String> {
    let expected = format!("https://{}/", context.settings.grafana_fqdn());
    Ok(judge_setting(settings(context).await?.get("server", "root_url"), &expected))
}

async fn settings(context: &StackContext) -> Result<Arc<GrafanaSettings>, String> {
    context.grafana_settings.get_or_request(context.grafana().settings()).await
}

fn judge_setting(found: &str, expected: &str) -> Finding {
    match found == expected {
        true => Finding::pass(found),
        false => Finding::fail(format!("it is {found}, expected {expected}")),
    }
}

/// Settings that every user could use (Grafana 12.3, conf/defaults.ini): section, key, and what an empty text means; `""`: a
/// version without the feature.
const FEATURES: [(&str, &str, &str); 4] = [
    ("snapshots", "external_enabled", ""),
    ("public_dashboards", "enabled", ""),
    ("plugins", "plugin_admin_enabled", ""),
    // pkg/setting/setting_unified_alerting.go
    ("unified_alerting", "enabled", "true"),
];

/// As the values have them: the user's may switch a feature on.
async fn features_off(context: &StackContext) -> Result<Finding, String> {
    let settings = settings(context).await?;
    for (section, key, empty) in FEATURES {
        let expected = context.value(KUBE_PROMETHEUS_STACK, &format!("/grafana/grafana.ini/{section}/{key}"));
        let expected = match expected {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => continue,
        };
        let found = match settings.get(section, key) {
            "" => empty,
            found => found,
        };
        if !found.is_empty() && found != expected {
            return Ok(Finding::fail(format!("{section}.{key} is {found}, expected {expected}")));
        }
    }
    Ok(Finding::pass(""))
}

async fn default_source(context: &StackContext) -> Result<Finding, String> {
    context.grafana().data_sources().await.map(|sources| judge_defaults(&sources))
}

fn judge_defaults(sources: &[DataSource]) -> Finding {
    let defaults: Vec<&str> =
        sources.iter().filter(|source| source.is_default).map(|source| source.name.as_str()).collect();
    match defaults.as_slice() {
        [one] => Finding::pass(format!("{one}, of {}", sources.len())),
        [] => Finding::fail(format!("none of {}", sources.len())),
        several => Finding::fail(format!("several: {}", several.join(", "))),
    }
}

async fn data_source(context: &StackContext, uid: &str) -> Result<Finding, String> {
    context.grafana().data_source_health(uid).await.map(|(response, health)| {
        match (response.status, health.status.as_str()) {
            (200, "OK") => Finding::pass(health.message),
            (404, _) => Finding::fail(format!("Grafana has no data source with the uid {uid}")),
            _ => Finding::not_yet(answered("Grafana", &response)),
        }
    })
}

/// The sidecar loads ConfigMaps with this label (Grafana's chart, sidecar.dashboards.label).
const DASHBOARD_LABEL: &str = "/metadata/labels/grafana_dashboard";

async fn dashboards(context: &StackContext) -> Result<Finding, String> {
    let expected: BTreeSet<String> = context
        .objects("ConfigMap")
        .into_iter()
        .filter(|(_, object)| object.pointer(DASHBOARD_LABEL).is_some())
        .flat_map(|(_, object)| titles(object))
        .collect();
    if expected.is_empty() {
        return Ok(Finding::skip("the charts have none"));
    }
    context.grafana().dashboards().await.map(|found| {
        let missing: Vec<&String> = expected.iter().filter(|title| !found.contains(title)).collect();
        if missing.is_empty() {
            Finding::pass(format!("{} of {}", expected.len(), expected.len()))
        } else {
            Finding::not_yet(format!("missing: {}", some_of(&missing)))
        }
    })
}

fn titles(config: &Value) -> Vec<String> {
    let texts = config["data"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str());
    let parsed = texts.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    parsed.filter_map(|dashboard| dashboard["title"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use serde_json::json;

    #[test]
    fn exactly_one_default_passes() {
        let source =
            |name: &str, is_default: bool| DataSource { name: name.into(), is_default, ..DataSource::default() };
        assert_eq!(
            judge_defaults(&[source("Prometheus", true), source("Loki", false)]),
            Finding::pass("Prometheus, of 2")
        );
        assert_eq!(judge_defaults(&[source("Loki", false)]), Finding::fail("none of 1"));
        let two = [source("Prometheus", true), source("Mimir", true)];
        assert_eq!(judge_defaults(&two), Finding::fail("several: Prometheus, Mimir"));
    }

    #[test]
    fn a_silence_is_forwarded_only_where_the_values_allow_it() {
        let source = |name: &str, status| {
            let url = format!("http://{name}:9093/");
            (DataSource { name: name.into(), url, ..DataSource::default() }, status)
        };
        let closed = "prometheus:9090";
        assert_eq!(judge_silences(&[], closed), Finding::pass("it has no data source of Alertmanager"));
        for (status, state) in [(403, State::Pass), (400, State::Fail), (404, State::Fail), (502, State::Fail)] {
            assert_eq!(judge_silences(&[source("ours", status)], closed).state, state, "{status}");
        }
        let allowed = judge_silences(&[source("ours", 400)], "prometheus:9090 ours:9093");
        assert_eq!(allowed, Finding::pass("the values allow it for its data source ours"));
        let both = judge_silences(&[source("ours", 400), source("other", 400)], "prometheus:9090 ours:9093");
        assert!(both.state == State::Fail && both.detail.contains("data source other"), "{both:?}");
        assert_eq!(judge_silences(&[source("ours", 400)], "").state, State::Fail);
    }

    #[test]
    fn dashboards_are_identified_by_their_titles() {
        let config = json!({"data": {"nodes.json": "{\"title\": \"Nodes\", \"uid\": \"a\"}", "notes": "no JSON"}});
        assert_eq!(titles(&config), ["Nodes"]);
    }
}
