//! Grafana: healthy, open to whoever passed oauth2-proxy and in the asked role only, reading its data sources, with its
//! dashboards.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::check::row::{Finding, Row, not_yet};
use crate::check::runner::Subject as _;
use crate::check::verify::{StackContext, answered, read, some_of};
use crate::cluster::ForwardTarget;
use crate::event::Hop;
use crate::stack::GRAFANA_SECRET;

pub(super) const GRAFANA: &str = "kube-prometheus-stack-grafana";
const GROUP: &str = "dashboards";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("grafana-healthy", GROUP, "Grafana is healthy", |context| Box::pin(healthy(context)))
        .within(60)
        .hint("see the log of the Grafana pod: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-grafana -c grafana`"),
    Row::new("grafana-anonymous", GROUP, "Grafana accepts users that oauth2-proxy admitted", |context| {
        Box::pin(anonymous(context))
    })
    .needs(&["grafana-healthy"])
    .within(15)
    .hint("look for grafana.ini auth.anonymous under `values:`; the organisation must be called Main Org."),
    Row::new("grafana-admin", GROUP, "the admin password that Secret grafana-admin keeps is Grafana's", |context| {
        Box::pin(admin(context))
    })
    .needs(&["grafana-healthy"])
    .within(15)
    .hint("give Grafana the Secret's password: `kubectl -n NAMESPACE exec deploy/kube-prometheus-stack-grafana -c grafana -- sh -c 'grafana cli admin reset-admin-password \"$GF_SECURITY_ADMIN_PASSWORD\"'`"),
    Row::new("grafana-role", GROUP, "users behind oauth2-proxy have exactly the configured role in Grafana", |context| {
        Box::pin(role(context))
    })
    .needs(&["grafana-admin", "grafana-anonymous"])
    .within(15)
    .hint("look for grafana.ini auth.anonymous.org_role under `values:`; the answer is grafana.anonymousRole"),
    Row::new("grafana-login-closed", GROUP, "Grafana shows no login form of its own", |context| {
        Box::pin(login_form(context))
    })
    .needs(&["grafana-admin"])
    .within(15)
    .hint("look for grafana.ini auth.disable_login_form under `values:`"),
    Row::new("grafana-address", GROUP, "Grafana knows the address that people use", |context| {
        Box::pin(root_url(context))
    })
    .needs(&["grafana-admin"])
    .within(15)
    .hint("look for grafana.ini server.root_url under `values:`; Grafana compares a browser's Origin with it"),
    Row::new("grafana-default-source", GROUP, "exactly one data source is the default", |context| {
        Box::pin(default_source(context))
    })
    .needs(&["grafana-admin"])
    .within(15)
    .hint("look for isDefault in the data sources under `values:` and in ConfigMaps labelled grafana_datasource"),
    Row::new("grafana-reads-prometheus", GROUP, "Grafana's Prometheus data source answers", |context| {
        Box::pin(data_source(context, "prometheus"))
    })
    .needs(&["grafana-healthy", "prometheus-ready", "grafana-anonymous"])
    .at(Hop::PrometheusGrafana)
    .hint("compare the data source's URL with the Service kube-prometheus-stack-prometheus, and see the NetworkPolicies"),
    Row::new("grafana-reads-loki", GROUP, "Grafana's Loki data source answers", |context| {
        Box::pin(data_source(context, "loki"))
    })
    .needs(&["grafana-healthy", "loki-ready", "grafana-anonymous"])
    .of("loki")
    .at(Hop::LokiGrafana)
    .hint("compare the data source's URL with the Service loki, and see the NetworkPolicies"),
    Row::new("grafana-dashboards", GROUP, "every dashboard of the charts is in Grafana", |context| {
        Box::pin(dashboards(context))
    })
    .needs(&["grafana-anonymous"])
    .within(90)
    .hint("see the log of the sidecar: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-grafana -c grafana-sc-dashboard`"),
];

async fn healthy(context: &StackContext) -> Finding {
    not_yet(context.json(GRAFANA, 80, "/api/health").await.map(|health: Value| match health["database"].as_str() {
        Some("ok") => Finding::pass("its database is well"),
        other => Finding::not_yet(format!("its database is {}", other.unwrap_or("not reported"))),
    }))
}

/// 200 without credentials is the anonymous mode; 401 is a Grafana that wants a login nobody has.
async fn anonymous(context: &StackContext) -> Finding {
    match context.get(GRAFANA, 80, "/api/org").await {
        Ok(response) if response.status == 200 => Finding::pass("anonymous access to Main Org."),
        Ok(response) if response.status == 401 => Finding::fail("Grafana asks for a login of its own"),
        Ok(response) => Finding::not_yet(answered("Grafana", &response)),
        Err(error) => Finding::not_yet(error.to_string()),
    }
}

/// As the admin; the outer error is that nothing answered, 401 that the password is another.
async fn as_admin(context: &StackContext, path: &str) -> Result<crate::cluster::ForwardResponse, String> {
    let secret =
        context.cluster.secret(context.namespace(), GRAFANA_SECRET).await.map_err(|error| error.to_string())?;
    let secret = secret.ok_or_else(|| format!("there is no Secret {GRAFANA_SECRET}"))?;
    let part = |key: &str| secret.get(key).map(|value| value.expose().clone()).unwrap_or_default();
    let credentials = [part("admin-user"), b":".to_vec(), part("admin-password")].concat();
    let target = ForwardTarget::Service { name: GRAFANA.into(), port: 80 };
    let mut request = context.request(target, path);
    request.headers = vec![("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(credentials)))];
    context.exchange(request).await.map_err(|error| error.to_string())
}

async fn admin(context: &StackContext) -> Finding {
    match as_admin(context, "/api/org").await {
        Ok(response) if response.status == 200 => Finding::pass(""),
        Ok(response) if response.status == 401 => Finding::fail("Grafana refuses it"),
        Ok(response) => Finding::not_yet(answered("Grafana", &response)),
        Err(error) => Finding::not_yet(error),
    }
}

/// A setting that Grafana runs with (`GET /api/admin/settings`, Grafana HTTP API, Admin).
async fn setting(context: &StackContext, (section, key): (&str, &str)) -> Result<String, String> {
    let response = as_admin(context, "/api/admin/settings").await?;
    let settings: Value = read("Grafana", &response)?;
    Ok(settings[section][key].as_str().unwrap_or_default().to_owned())
}

async fn role(context: &StackContext) -> Finding {
    let wanted = context.value("kube-prometheus-stack", "/grafana/grafana.ini/auth.anonymous/org_role");
    let wanted = wanted.and_then(Value::as_str).unwrap_or("Viewer");
    let found = setting(context, ("auth.anonymous", "org_role")).await;
    not_yet(found.map(|found| match found == wanted {
        true => Finding::pass(found),
        false => Finding::fail(format!("it is {found}, asked was {wanted}")),
    }))
}

async fn login_form(context: &StackContext) -> Finding {
    not_yet(setting(context, ("auth", "disable_login_form")).await.map(|found| match found.as_str() {
        "true" => Finding::pass(""),
        _ => Finding::fail("auth.disable_login_form is off"),
    }))
}

async fn root_url(context: &StackContext) -> Finding {
    let wanted = format!("https://{}/", context.settings.grafana_fqdn());
    not_yet(setting(context, ("server", "root_url")).await.map(|found| match found == wanted {
        true => Finding::pass(found),
        false => Finding::fail(format!("it believes to be {found}, people use {wanted}")),
    }))
}

async fn default_source(context: &StackContext) -> Finding {
    let answer = as_admin(context, "/api/datasources").await;
    not_yet(answer.and_then(|answer| read("Grafana", &answer)).map(|sources: Vec<Value>| judge_defaults(&sources)))
}

fn judge_defaults(sources: &[Value]) -> Finding {
    let defaults: Vec<&str> = sources
        .iter()
        .filter(|source| source["isDefault"] == true)
        .map(|source| source["name"].as_str().unwrap_or_default())
        .collect();
    match defaults.as_slice() {
        [one] => Finding::pass(format!("{one}, of {}", sources.len())),
        [] => Finding::fail(format!("none of {} is", sources.len())),
        several => Finding::fail(format!("{} are", several.join(" and "))),
    }
}

/// Grafana's own health call of a data source goes the whole way to the backend.
async fn data_source(context: &StackContext, uid: &str) -> Finding {
    let response = match context.get(GRAFANA, 80, &format!("/api/datasources/uid/{uid}/health")).await {
        Ok(response) => response,
        Err(error) => return Finding::not_yet(error.to_string()),
    };
    let answer: Value = serde_json::from_str(&response.body).unwrap_or_default();
    match (response.status, answer["status"].as_str()) {
        (200, Some("OK")) => Finding::pass(answer["message"].as_str().unwrap_or_default()),
        (404, _) => Finding::fail(format!("Grafana has no data source with the uid {uid}")),
        _ => Finding::not_yet(answered("Grafana", &response)),
    }
}

/// The sidecar brings ConfigMaps with this label (Grafana's chart, sidecar.dashboards.label).
const DASHBOARD_LABEL: &str = "/metadata/labels/grafana_dashboard";

async fn dashboards(context: &StackContext) -> Finding {
    let wanted: BTreeSet<String> = context
        .objects("ConfigMap")
        .into_iter()
        .filter(|(_, object)| object.pointer(DASHBOARD_LABEL).is_some())
        .flat_map(|(_, object)| titles(object))
        .collect();
    if wanted.is_empty() {
        return Finding::skip("the charts have none");
    }
    let answer: Result<Vec<Value>, String> = context.json(GRAFANA, 80, "/api/search?type=dash-db&limit=5000").await;
    not_yet(answer.map(|found| {
        let found: BTreeSet<&str> = found.iter().filter_map(|one| one["title"].as_str()).collect();
        let missing: Vec<&String> = wanted.iter().filter(|title| !found.contains(title.as_str())).collect();
        if missing.is_empty() {
            Finding::pass(format!("{} of {}", wanted.len(), wanted.len()))
        } else {
            Finding::not_yet(format!("missing: {}", some_of(&missing)))
        }
    }))
}

fn titles(config: &Value) -> Vec<String> {
    let texts = config["data"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str());
    let parsed = texts.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    parsed.filter_map(|dashboard| dashboard["title"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_default_is_right_and_none_or_two_are_named() {
        let source = |name: &str, default: bool| json!({"name": name, "isDefault": default});
        assert_eq!(
            judge_defaults(&[source("Prometheus", true), source("Loki", false)]),
            Finding::pass("Prometheus, of 2")
        );
        assert_eq!(judge_defaults(&[source("Loki", false)]), Finding::fail("none of 1 is"));
        let two = [source("Prometheus", true), source("Mimir", true)];
        assert_eq!(judge_defaults(&two), Finding::fail("Prometheus and Mimir are"));
    }

    #[test]
    fn dashboards_are_known_by_their_titles() {
        let config = json!({"data": {"nodes.json": "{\"title\": \"Nodes\", \"uid\": \"a\"}", "notes": "no JSON"}});
        assert_eq!(titles(&config), ["Nodes"]);
    }
}
