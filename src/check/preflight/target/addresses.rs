//! Addresses of Services in the stack's values and Ingress: after the run, each Service must exist with its port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::preflight::target::intent::Intent;
use crate::check::row::Finding;
use crate::check::{name_of, some_of};
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::plan::PlannedRelease;
use crate::stack::{ALERTMANAGER, ChartNames, GRAFANA, PROMETHEUS, Release};

/// Services of a part that a value switches off.
const PARTS: [(&str, &str); 3] =
    [(GRAFANA, "grafana.enabled"), (PROMETHEUS, "prometheus.enabled"), (ALERTMANAGER, "alertmanager.enabled")];

/// An address of a Service in the stack's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    service: String,
    port: Option<u16>,
    /// `values.COMPONENT.KEY`, or the own object.
    place: String,
}

/// An address without its Service.
#[derive(Debug)]
pub(super) struct Unserved {
    address: Address,
    /// The ports of the Service; `None`: there is no such Service.
    ports: Option<BTreeSet<u16>>,
    /// The value that switches its part off.
    switch: Option<String>,
    /// Whether it is a Service of the charts, as of the values or of the installed release.
    is_of_charts: bool,
}

/// Ports of the Services by name.
type Services = BTreeMap<String, BTreeSet<u16>>;

pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<Unserved>, ClusterError> {
    let namespace = intent.settings.namespace.as_str();
    let services = services(namespace, intent.stack.iter().map(|(release, objects)| (&*release.namespace, *objects)));
    let installed =
        intent.incoming.iter().map(|incoming: &PlannedRelease<'_>| (&*incoming.release.namespace, incoming.installed));
    let installed = self::services(namespace, installed);
    let releases: Vec<&Release> = intent.stack.iter().map(|(release, _)| *release).collect();
    let mut unserved = Vec::new();
    for mut missing in all_unserved(namespace, &releases, (&services, &installed)) {
        let service = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some(namespace.to_owned()),
            name: missing.address.service.clone(),
        };
        // A Service of another owner; one of the installed release is deleted by the run.
        let live = if missing.is_of_charts || missing.ports.is_some() { None } else { cluster.get(&service).await? };
        if let Some(live) = live {
            let ports = ports(&live);
            if missing.address.port.is_none_or(|port| ports.contains(&port)) {
                continue;
            }
            missing.ports = Some(ports);
        }
        unserved.push(missing);
    }
    Ok(unserved)
}

fn services<'a>(namespace: &str, releases: impl Iterator<Item = (&'a str, &'a [Value])>) -> Services {
    let mut found = Services::new();
    for (default, objects) in releases {
        for object in objects.iter().filter(|object| object["kind"] == "Service") {
            if object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(default) == namespace {
                found.entry(name_of(object).to_owned()).or_default().extend(ports(object));
            }
        }
    }
    found
}

fn ports(service: &Value) -> BTreeSet<u16> {
    let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    ports.filter_map(|port| port["port"].as_u64().and_then(|port| port.try_into().ok())).collect()
}

/// Every address in the values and Ingresses, without those in values of parts that are off.
fn addresses(namespace: &str, releases: &[&Release]) -> BTreeSet<Address> {
    let mut found = BTreeSet::new();
    for release in releases {
        let off: Vec<&str> = release.switched_off.iter().filter_map(|key| key.strip_suffix("enabled")).collect();
        let component = release.component.as_str();
        texts(&release.values, String::new(), &mut |key, text| {
            if off.iter().any(|off| key.starts_with(off)) {
                return;
            }
            for (service, port) in in_text(text, namespace) {
                found.insert(Address { service, port, place: format!("values.{component}.{key}") });
            }
        });
        for own in &release.objects {
            let Some(service) = own.manifest.pointer("/spec/defaultBackend/service") else { continue };
            found.insert(Address {
                service: service["name"].as_str().unwrap_or_default().to_owned(),
                port: service["port"]["number"].as_u64().and_then(|port| port.try_into().ok()),
                place: format!("Ingress {}", name_of(&own.manifest)),
            });
        }
    }
    found
}

fn texts(value: &Value, key: String, see: &mut dyn FnMut(&str, &str)) {
    let below = |child: &str| if key.is_empty() { child.to_owned() } else { format!("{key}.{child}") };
    match value {
        Value::String(text) => see(&key, text),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| texts(item, below(&at.to_string()), see)),
        Value::Object(map) => map.iter().for_each(|(name, child)| texts(child, below(name), see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Services and ports of the addresses `NAME.NAMESPACE.svc[.DOMAIN][:PORT]` in a text; not those that a template makes.
fn in_text(text: &str, namespace: &str) -> Vec<(String, Option<u16>)> {
    let needle = format!(".{namespace}.svc");
    let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&needle) {
        let before = &text[..at];
        let rest = before.trim_end_matches(is_label);
        let (name, after) = (&before[rest.len()..], &text[at + needle.len()..]);
        if name.is_empty() || rest.ends_with('}') || after.starts_with(|c: char| is_label(c) || c == '_') {
            continue;
        }
        let after = after.trim_start_matches(|c: char| is_label(c) || c == '.');
        let digits: String =
            after.strip_prefix(':').unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
        found.push((name.to_owned(), digits.parse().ok()));
    }
    found
}

/// The addresses without a Service among the rendered ones.
fn all_unserved(
    namespace: &str,
    releases: &[&Release],
    (services, installed): (&Services, &Services),
) -> Vec<Unserved> {
    let values = |component: &str| {
        releases.iter().find(|release| release.component.as_str() == component).map(|release| &release.values)
    };
    let names = ChartNames::of(values);
    let part = |service: &str| PARTS.iter().find(|(default, _)| names.object(default) == service);
    let unserved = |address: Address| {
        let ports = services.get(&address.service);
        let is_served = ports.is_some_and(|ports| address.port.is_none_or(|port| ports.contains(&port)));
        // The Prometheus operator creates `prometheus-operated` and `alertmanager-operated`.
        if is_served || address.service.ends_with("-operated") {
            return None;
        }
        let part = part(&address.service);
        let switch = part.and_then(|(_, key)| {
            let release = releases.iter().find(|release| release.switched_off.iter().any(|off| off == key))?;
            Some(format!("values.{}.{key}", release.component))
        });
        let is_of_charts = part.is_some() || installed.contains_key(&address.service);
        Some(Unserved { ports: ports.cloned(), switch, is_of_charts, address })
    };
    addresses(namespace, releases).into_iter().filter_map(unserved).collect()
}

pub(super) fn judge(unserved: &[Unserved]) -> Finding {
    let Some(first) = unserved.iter().find(|one| one.switch.is_some()).or(unserved.first()) else {
        return Finding::pass("");
    };
    let detail = some_of(&unserved.iter().map(describe).collect::<Vec<_>>());
    let Unserved { address: Address { service, place, .. }, .. } = first;
    let hint = match (&first.switch, &first.ports) {
        (Some(switch), _) => format!("set {switch}: true in the answers, or another address in {place}"),
        (None, Some(_)) if place.starts_with("values.") => format!("set a port of Service {service} in {place}"),
        (None, Some(_)) => format!("set the port of Service {service} under `values:` to the port that {place} names"),
        (None, None) => format!("set the address of an existing Service in {place}, or create Service {service}"),
    };
    let is_certain = unserved.iter().any(|one| one.is_of_charts || one.ports.is_some() || !is_of_values(one));
    let finding = if is_certain { Finding::fail(detail) } else { Finding::warn(detail) };
    finding.hinting(hint)
}

/// Other Services that the values name may be created later.
fn is_of_values(one: &Unserved) -> bool {
    one.address.place.starts_with("values.")
}

fn describe(Unserved { address, ports, switch, .. }: &Unserved) -> String {
    let Address { service, port, place } = address;
    match (ports, switch) {
        (Some(ports), _) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let port = port.map(|port| port.to_string()).unwrap_or_default();
            format!("{place} uses port {port} of Service {service}, which has {}", ports.join(", "))
        }
        (None, Some(switch)) => format!("{place} uses Service {service}, which is not installed with {switch}: false"),
        (None, None) => format!("{place} uses Service {service}, which does not exist and which no chart renders"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use crate::stack::OwnObject;
    use serde_json::json;

    #[test]
    fn addresses_are_found_in_texts_but_not_those_of_templates() {
        let found = |text: &str| in_text(text, "m");
        let config = "upstreams = [ \"http://graf.m.svc:80/\" ]\nurl = http://loki.m.svc.cluster.local:3100/x y.m.svc";
        assert_eq!(
            found(config),
            [("graf".to_owned(), Some(80)), ("loki".to_owned(), Some(3100)), ("y".to_owned(), None)]
        );
        assert!(found("{{ x }}.m.svc:1 {{ x }}-memberlist.m.svc a.m.svcs a.other.svc").is_empty());
    }

    fn stack(values: Value, off: &[&str]) -> Release {
        let mut release = Release::for_tests("kube-prometheus-stack", "1.0.0");
        release.values = values;
        release.switched_off = off.iter().map(|key| (*key).to_owned()).collect();
        release
    }

    fn judged(releases: &[&Release], rendered: &[Value], installed: &[Value]) -> Finding {
        let of = |objects| services("monitoring", [("monitoring", objects)].into_iter());
        let (rendered, installed) = (of(rendered), of(installed));
        judge(&all_unserved("monitoring", releases, (&rendered, &installed)))
    }

    fn service(name: &str, port: u16) -> Value {
        json!({"kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": port}]}})
    }

    #[test]
    fn a_part_that_is_off_but_in_use_fails_with_its_key() {
        let mut proxy = Release::for_tests("oauth2-proxy", "1.0.0");
        proxy.values = json!({"config": {"configFile": "http://kube-prometheus-stack-grafana.monitoring.svc:80/"}});
        let sources = json!({"grafana": {"url": "http://kube-prometheus-stack-prometheus.monitoring.svc:9090"}});
        let off = stack(sources.clone(), &["grafana.enabled", "prometheus.enabled"]);
        let found = judged(&[&off, &proxy], &[], &[]);
        assert_eq!(found.state, State::Fail);
        assert!(
            found.hint.as_ref().unwrap().contains("values.kube-prometheus-stack.grafana.enabled: true"),
            "{found:?}"
        );
        assert!(!found.detail.contains("prometheus.monitoring"), "its Grafana is off, too: {found:?}");
        let found = judged(&[&stack(sources, &["prometheus.enabled"])], &[], &[]);
        assert!(found.hint.unwrap().contains("values.kube-prometheus-stack.prometheus.enabled: true"));
    }

    #[test]
    fn services_are_compared_with_what_is_rendered() {
        let url = |url: &str| stack(json!({"url": url}), &[]);
        let loki = url("http://loki.monitoring.svc:3100");
        assert_eq!(judged(&[&loki], &[service("loki", 3100)], &[]), Finding::pass(""));
        assert_eq!(judged(&[&loki], &[service("loki", 3200)], &[]).state, State::Fail);
        assert_eq!(judged(&[&loki], &[service("logs", 3100)], &[service("loki", 3100)]).state, State::Fail);
        assert_eq!(judged(&[&url("http://mimir.monitoring.svc")], &[], &[]).state, State::Warn);
        assert_eq!(judged(&[&url("http://prometheus-operated.monitoring.svc:9090")], &[], &[]).state, State::Pass);
        let mut proxy = Release::for_tests("oauth2-proxy", "1.0.0");
        let backend = json!({"service": {"name": "oauth2-proxy", "port": {"number": 80}}});
        let manifest = json!({"kind": "Ingress", "metadata": {"name": "grafana"}, "spec": {"defaultBackend": backend}});
        proxy.objects = vec![OwnObject { manifest, secret_data: BTreeMap::new() }];
        assert_eq!(judged(&[&proxy], &[service("oauth2-proxy", 80)], &[]).state, State::Pass);
        let found = judged(&[&proxy], &[service("oauth2-proxy", 8080)], &[]);
        assert_eq!(found.state, State::Fail);
        assert!(found.hint.unwrap().contains("Ingress grafana"));
    }
}
