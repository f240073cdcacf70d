//! The desired releases, from catalogue, settings and live facts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::config::{
    ALLOY, Auth0, ChartRepository, ChartValues, LOKI, LogsMode, OAUTH2_PROXY, OperatorPlan, Quantity, RetentionPeriod,
    Settings,
};
use crate::stack::catalogue::{Component, Part, When};
use crate::stack::certificate::webhook_certificate;
use crate::stack::chart_names::{GRAFANA, PROMETHEUS, PROMETHEUS_OPERATOR};
use crate::stack::component_rules::{ComponentRules, Source};
use crate::stack::self_monitoring::{PLACEHOLDER, SelfMonitoring, move_rules_to_list};
use crate::stack::template::{Fillings, fill};
use crate::stack::{
    Catalogue, ChartNames, ChartSource, ClusterFacts, DigestSource, GRAFANA_SECRET, KnownDigest, OAUTH2_PROXY_SECRET,
    OwnObject, Release, StackError, alert_receiver, secrets,
};
use crate::yaml::merge;

/// The releases in wave order, with final values and own objects.
pub fn desired(catalogue: &Catalogue, settings: &Settings, facts: &ClusterFacts) -> Result<Vec<Release>, StackError> {
    let values = catalogue.merged_values(settings);
    let names = ChartNames::of(|component| values.get(component));
    let webhook_host = format!("{}.{}.svc", names.object(PROMETHEUS_OPERATOR), settings.namespace);
    let mut source = Source {
        settings,
        facts,
        names,
        oauth2_proxy: secrets::oauth2_proxy(settings, facts)?,
        alerts: alert_receiver::secret(&settings.alerts, facts)?,
        webhook: webhook_certificate(&webhook_host, facts.webhook.as_ref(), facts.now)?,
        dashboards: BTreeMap::new(),
    };
    let mut fillings = fillings(&source);
    let self_monitoring = SelfMonitoring::of(catalogue.self_monitoring.as_ref(), &values, settings, &fillings)?;
    fillings.insert(PLACEHOLDER, self_monitoring.rules);
    source.dashboards = self_monitoring.dashboards;
    let mut releases = Vec::new();
    for component in &catalogue.components {
        let is_desired = match component.row.when {
            None => true,
            Some(When::TailscaleOperatorNeeded) => facts.tailscale_operator == OperatorPlan::Install,
            Some(When::LogsEnabled) => settings.logs == LogsMode::Install,
        };
        if !is_desired {
            continue;
        }
        let objects = (ComponentRules::of(component.name.as_str()).own_objects)(&source)?;
        releases.push(release(component, &source, &fillings, objects)?);
    }
    releases.sort_by_key(|release| release.wave);
    Ok(releases)
}

/// Placeholders with a text derived from an own Secret.
const DERIVED: [&str; 2] = ["webhook.caBundle", "checksum.oauth2Proxy"];

fn release(
    component: &Component,
    source: &Source<'_>,
    fillings: &Fillings,
    objects: Vec<OwnObject>,
) -> Result<Release, StackError> {
    let (row, settings) = (&component.row, source.settings);
    let mut values = fill(&row.values, &component.values, fillings)?;
    if settings.logs == LogsMode::None {
        drop_loki_data_source(&mut values);
    }
    let overrides = component.answered_values(settings).map_or_else(|| json!({}), |(over, _)| over);
    let mut merged = values.clone();
    merge(&mut merged, &overrides);
    let off: Vec<&Part> = row.parts.iter().filter(|part| part.is_off(&merged)).collect();
    let defaults = values.clone();
    leave_permissions_to_chart(&mut values, &overrides);
    merge(&mut values, &overrides);
    move_rules_to_list(&mut values, &overrides);
    let mut expect = row.expect.clone();
    for part in &row.parts {
        for (kind, count) in &part.expect {
            *expect.entry(kind.clone()).or_default() += if part.is_off(&merged) { 0 } else { *count };
        }
    }
    let namespace = fill("stack.yaml", &Value::String(row.namespace.clone()), fillings)?;
    let version = component.version(settings).clone();
    let repository = component.repository(&version, settings.charts.repository.as_ref())?;
    let digests = digests(component, source, (&version, &repository));
    let is_locked = digests.iter().any(|known| matches!(known.source, DigestSource::Lock { .. }));
    let lock = settings.charts.lock.as_ref().filter(|_| !is_locked);
    Ok(Release {
        component: component.name.clone(),
        wave: row.wave,
        after: component.after.clone(),
        namespace: namespace.as_str().unwrap_or_default().to_owned(),
        chart: ChartSource {
            name: row.chart.clone(),
            repository,
            access: settings.charts.access.clone(),
            version,
            digests,
            missing_in: lock.map(|lock| lock.path.clone()),
        },
        values,
        defaults,
        overrides,
        secrets: settings.values.get(&component.name).into_iter().flat_map(ChartValues::secrets).cloned().collect(),
        derived: DERIVED.iter().filter_map(|key| fillings.get(key)?.as_str().map(str::to_owned)).collect(),
        crds: row.crds,
        api_versions: row.api_versions.clone(),
        wait_for: row.wait_for.clone(),
        objects,
        switched_off: off.iter().map(|part| part.key.clone()).collect(),
        expect,
    })
}

/// The known digests of a chart's archive: the publisher's, else that of an earlier run; and that of the lock file.
fn digests(
    component: &Component,
    Source { settings, facts, .. }: &Source<'_>,
    (version, repository): (&semver::Version, &ChartRepository),
) -> Vec<KnownDigest> {
    let (chart, charts) = (component.row.chart.as_str(), &settings.charts);
    // A mirror has the archives of the publisher, unless the answers say otherwise.
    let is_published = !charts.repacked || *repository == component.own_repository(version);
    let published = component.row.digests.get(&version.to_string()).filter(|_| is_published).cloned().flatten();
    let of_publisher = published.map(|sha256| KnownDigest { sha256, source: DigestSource::Catalogue });
    let of_cluster = || {
        let sha256 = facts.charts.sha256((chart, version), repository)?.to_owned();
        Some(KnownDigest { sha256, source: DigestSource::Cluster { namespace: settings.namespace.to_string() } })
    };
    let of_lock = charts.lock.as_ref().and_then(|lock| {
        let sha256 = lock.sha256(chart, &version.to_string())?.to_owned();
        Some(KnownDigest { sha256, source: DigestSource::Lock { path: lock.path.clone() } })
    });
    of_publisher.or_else(of_cluster).into_iter().chain(of_lock).collect()
}

/// The user's values that may need any permission that the chart grants, and the values with its `rbac`.
const OWN_ACCESS: [(&str, &str); 3] =
    [("/alloy/configMap", ""), ("/grafana/rbac", "/grafana"), ("/grafana/sidecar", "/grafana")];

fn leave_permissions_to_chart(values: &mut Value, overrides: &Value) {
    for (_, parent) in OWN_ACCESS.iter().filter(|(own, _)| overrides.pointer(own).is_some()) {
        if let Some(Value::Object(values)) = values.pointer_mut(parent) {
            values.remove("rbac");
        }
    }
}

/// Without Loki its data source is left out: every dashboard would show its errors.
fn drop_loki_data_source(values: &mut Value) {
    let sources = values.pointer_mut("/grafana/datasources/datasources.yaml/datasources");
    if let Some(Value::Array(sources)) = sources {
        sources.retain(|source| source["type"] != "loki");
    }
}

fn fillings(source: &Source<'_>) -> Fillings {
    let Source { settings, facts, names, oauth2_proxy, webhook, .. } = source;
    let groups: Vec<&str> = settings.auth0.allowed_groups.iter().map(|group| group.as_str()).collect();
    let authority = webhook.get("ca").map(|pem| STANDARD.encode(pem.expose())).unwrap_or_default();
    let storage = &settings.storage;
    let address = |service| json!(names.address(service, settings.namespace.as_str()));
    let name = |object| json!(names.object(object));
    let select =
        |service| json!(format!("namespace=\"{}\", service=\"{}\"", settings.namespace, names.object(service)));
    let listening = |port| json!(format!("[::]:{}", names.port(OAUTH2_PROXY, port)));
    let registry = settings.image_registry.as_ref();
    let image = |repository: &str| json!(registry.map(|registry| format!("{registry}/{repository}")));
    let ipv6 = |value: Value| if facts.is_ipv6_first { value } else { Value::Null };
    Fillings::from([
        ("namespace", json!(settings.namespace.as_str())),
        ("tailnet", json!(settings.tailnet.as_str())),
        ("grafana.hostname", json!(settings.grafana.hostname.as_str())),
        ("grafana.fqdn", json!(settings.grafana_fqdn())),
        ("grafana.url", json!(format!("https://{}/", settings.grafana_fqdn()))),
        ("grafana.anonymousRole", json!(settings.grafana.anonymous_role.as_str())),
        ("auth0.issuer", json!(settings.auth0.issuer.as_str())),
        ("auth0.issuerHost", json!(settings.auth0.issuer.host())),
        ("auth0.organizationEndpoints", json!(organization_endpoints(&settings.auth0))),
        ("auth0.sessionLifetime", json!(settings.auth0.session_lifetime.to_string())),
        ("auth0.groupsClaim", json!(settings.auth0.groups_claim.as_str())),
        ("auth0.allowedGroups", json!(groups)),
        // A JSON list of plain strings is a TOML list of the same strings.
        ("auth0.allowedGroupsToml", json!(json!(groups).to_string())),
        ("alerts.config", alert_receiver::config(&settings.alerts)),
        ("alerts.secrets", alert_receiver::mounted(&settings.alerts)),
        ("retention.metrics", json!(settings.retention.metrics.to_string())),
        ("retention.metricsSize", json!(metrics_size(&storage.prometheus))),
        ("retention.logs", json!(settings.retention.logs.as_hours())),
        ("retention.logsMaxAge", json!(one_hour_less(settings.retention.logs))),
        ("storage.class", json!(storage.class.as_ref().map(|class| class.as_str()))),
        ("storage.prometheus", json!(storage.prometheus.as_str())),
        ("storage.alertmanager", json!(storage.alertmanager.as_str())),
        ("storage.loki", json!(storage.loki.as_str())),
        ("storage.grafana", json!(storage.grafana.as_str())),
        ("address.grafana", address((GRAFANA, 80))),
        ("address.prometheus", address((PROMETHEUS, 9090))),
        ("address.loki", address((LOKI, 3100))),
        ("name.grafana", name(GRAFANA)),
        ("name.oauth2Proxy", name(OAUTH2_PROXY)),
        ("name.loki", name(LOKI)),
        ("name.alloy", name(ALLOY)),
        ("select.grafana", select(GRAFANA)),
        ("select.oauth2Proxy", select(OAUTH2_PROXY)),
        ("select.prometheus", select(PROMETHEUS)),
        ("select.loki", select(LOKI)),
        ("select.alloy", select(ALLOY)),
        ("webhook.caBundle", json!(authority)),
        ("checksum.oauth2Proxy", json!(secrets::checksum(oauth2_proxy))),
        ("secret.oauth2Proxy", json!(OAUTH2_PROXY_SECRET)),
        ("secret.grafanaAdmin", json!(GRAFANA_SECRET)),
        ("node.controlPlaneMetrics", json!(false)),
        ("node.affinity", json!(facts.nodes.affinity())),
        ("node.daemonSetAffinity", facts.nodes.daemon_set_affinity()),
        ("node.maxUnavailable", facts.nodes.max_unavailable()),
        ("node.isDocker", json!(!facts.nodes.docker().is_empty())),
        ("images.registry", json!(registry.map(|registry| registry.as_str()))),
        ("images.tailscaleOperator", image("tailscale/k8s-operator")),
        ("images.tailscaleProxy", image("tailscale/tailscale")),
        ("ipv6.address", ipv6(json!("[::]"))),
        ("ipv6.lokiRing", ipv6(json!({"instance_enable_ipv6": true, "kvstore": {"store": "memberlist"}}))),
        ("ipv6.lokiMemberlist", ipv6(json!(["::"]))),
        ("ipv6.oauth2ProxyAddress", ipv6(listening(4180))),
        ("ipv6.oauth2ProxyMetricsAddress", ipv6(listening(44180))),
    ])
}

/// The addresses of Auth0, also on its custom domains (auth0.com/docs/api/authentication).
pub struct Auth0Endpoints {
    /// Authorization endpoint.
    pub authorization: String,
    /// Token endpoint.
    pub token: String,
    /// Userinfo endpoint.
    pub userinfo: String,
    /// Key set.
    pub keys: String,
}

impl Auth0Endpoints {
    /// Those of the issuer.
    pub fn of(auth0: &Auth0) -> Auth0Endpoints {
        let at = |path: &str| format!("{}/{path}", auth0.issuer.as_str().trim_end_matches('/'));
        Auth0Endpoints {
            authorization: at("authorize"),
            token: at("oauth/token"),
            userinfo: at("userinfo"),
            keys: at(".well-known/jwks.json"),
        }
    }
}

/// Lines of oauth2-proxy's configuration; empty without an organization. oauth2-proxy sends further parameters of the
/// authorization request only if they are in `login_url`, which it reads only without discovery (oauth2-proxy 7.15.3,
/// providers/providers.go). Preflight compares the addresses with the discovery document.
fn organization_endpoints(auth0: &Auth0) -> String {
    let Some(organization) = &auth0.organization else { return String::new() };
    let Auth0Endpoints { authorization, token, userinfo, keys } = Auth0Endpoints::of(auth0);
    [
        "skip_oidc_discovery = true".to_owned(),
        format!("login_url = \"{authorization}?organization={organization}\""),
        format!("redeem_url = \"{token}\""),
        format!("profile_url = \"{userinfo}\""),
        format!("oidc_jwks_url = \"{keys}\""),
    ]
    .map(|line| format!("\n{line}"))
    .concat()
}

/// 90 % of the volume in whole GiB or MiB, as Prometheus writes sizes.
fn metrics_size(volume: &Quantity) -> String {
    const MEBI: u64 = 1 << 20;
    let mebibytes = volume.bytes() / 10 * 9 / MEBI;
    if mebibytes.is_multiple_of(1024) { format!("{}GiB", mebibytes / 1024) } else { format!("{mebibytes}MiB") }
}

fn one_hour_less(period: RetentionPeriod) -> String {
    RetentionPeriod::from_seconds(period.seconds().saturating_sub(3600)).as_hours()
}

#[cfg(test)]
#[path = "desired_tests.rs"]
pub(super) mod tests;
