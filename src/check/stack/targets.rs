//! Which targets Prometheus should have, computed from the live monitors, and what it says of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::check::name_of;
use crate::check::row::{Finding, not_yet};
use crate::check::stack::metrics::{PROMETHEUS, query};
use crate::check::stack::{StackContext, some_of};
use crate::cluster::ClusterError;

/// `/api/v1/targets`, of which a large cluster has thousands: only what is judged is kept.
#[derive(Deserialize)]
struct Targets {
    data: Active,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    active_targets: Vec<Target>,
}

/// One target as Prometheus has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    /// `serviceMonitor/<namespace>/<name>/<endpoint>`, `podMonitor/…` likewise.
    scrape_pool: String,
    scrape_url: String,
    labels: Labels,
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    scrape_interval: String,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    job: String,
    #[serde(default)]
    instance: String,
}

impl Target {
    /// The address it is scraped at, without the port.
    fn host(&self) -> String {
        let url = url::Url::parse(&self.scrape_url).ok();
        url.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())).unwrap_or_default()
    }
}

/// Address -> what stands there, of each scrape pool.
pub(super) type Expected = BTreeMap<String, BTreeMap<String, String>>;

pub(super) async fn known(context: &StackContext) -> Finding {
    not_yet(judge_known(context).await)
}

async fn judge_known(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    Ok(compare(&expected, &found))
}

fn compare(expected: &Expected, found: &[Target]) -> Finding {
    let mut hosts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for target in found {
        hosts.entry(&target.scrape_pool).or_default().insert(target.host());
    }
    let missing: Vec<String> = expected
        .iter()
        .flat_map(|(pool, addresses)| {
            let known = hosts.get(pool.as_str());
            let unknown =
                addresses.iter().filter(move |(address, _)| known.is_none_or(|known| !known.contains(*address)));
            unknown.map(move |(_, name)| format!("{name} ({})", monitor(pool)))
        })
        .collect();
    let count: usize = expected.values().map(BTreeMap::len).sum();
    if expected.is_empty() {
        Finding::fail("the stack has no ServiceMonitor")
    } else if missing.is_empty() {
        Finding::pass(format!(
            "{count} of {count}, from {} monitors' endpoints; {} targets in all",
            expected.len(),
            found.len()
        ))
    } else {
        Finding::not_yet(format!("unknown to it: {}", some_of(&missing)))
    }
}

/// `serviceMonitor/monitoring/loki/0` -> `ServiceMonitor loki`
fn monitor(pool: &str) -> String {
    let parts: Vec<&str> = pool.split('/').collect();
    let kind = if pool.starts_with("podMonitor/") { "PodMonitor" } else { "ServiceMonitor" };
    format!("{kind} {}", parts.get(2).copied().unwrap_or_default())
}

/// A target that was never scraped says nothing yet; one that is down may be a node that reboots, so it is tried
/// again until the deadline. A monitor without a single target that answers is a failure, one of many a warning.
pub(super) async fn up(context: &StackContext) -> Finding {
    not_yet(judge_up(context).await)
}

async fn judge_up(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    let ours: Vec<&Target> = found.iter().filter(|target| expected.contains_key(&target.scrape_pool)).collect();
    Ok(describe(&ours))
}

fn describe(targets: &[&Target]) -> Finding {
    let mut down: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.health != "up") {
        let entry = down.entry(&target.labels.job).or_insert((0, "not scraped yet"));
        entry.0 += 1;
        if !target.last_error.is_empty() {
            entry.1 = &target.last_error;
        }
    }
    if down.is_empty() {
        return Finding::pass(format!("{} of {}", targets.len(), targets.len()));
    }
    let words: Vec<String> = down.iter().map(|(job, (count, why))| format!("{job}: {count} down ({why})")).collect();
    Finding::not_yet(some_of(&words))
}

/// `timestamp(up)` is when the last scrape began; each job has an interval of its own.
pub(super) async fn fresh(context: &StackContext) -> Finding {
    not_yet(judge_fresh(context).await)
}

async fn judge_fresh(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    let ours: Vec<&Target> = found.iter().filter(|target| expected.contains_key(&target.scrape_pool)).collect();
    let mut intervals: BTreeMap<String, f64> = BTreeMap::new();
    for target in &ours {
        let interval = intervals.entry(target.labels.job.clone()).or_default();
        *interval = interval.max(seconds(&target.scrape_interval));
    }
    // A target that has gone shows its last sample for some minutes more, where Prometheus was restarted meanwhile.
    let stands = |labels: &BTreeMap<String, String>| {
        let is = |target: &&Target| {
            labels.get("job") == Some(&target.labels.job) && labels.get("instance") == Some(&target.labels.instance)
        };
        ours.iter().any(is)
    };
    let mut ages: BTreeMap<String, f64> = BTreeMap::new();
    for (mut labels, age) in query(context, "min by (job, instance) (time() - timestamp(up))").await? {
        if stands(&labels) {
            let oldest = ages.entry(labels.remove("job").unwrap_or_default()).or_default();
            *oldest = oldest.max(age);
        }
    }
    Ok(judge_ages(&intervals, &ages))
}

fn judge_ages(intervals: &BTreeMap<String, f64>, ages: &BTreeMap<String, f64>) -> Finding {
    let late: Vec<String> = intervals
        .iter()
        .filter_map(|(job, interval)| match ages.get(job) {
            None => Some(format!("{job}: no sample")),
            Some(age) if *age > 2.0 * interval => Some(format!("{job}: {age:.0} s old, scraped every {interval:.0} s")),
            Some(_) => None,
        })
        .collect();
    let oldest = ages.iter().filter(|(job, _)| intervals.contains_key(*job)).map(|(_, age)| *age).fold(0.0, f64::max);
    if late.is_empty() {
        Finding::pass(format!("the oldest of {} jobs is {oldest:.0} s old", intervals.len()))
    } else {
        Finding::not_yet(some_of(&late))
    }
}

/// `1m`, `30s`, `1m30s` as Prometheus prints them; what cannot be read never is late.
fn seconds(text: &str) -> f64 {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    parsed.map_or(f64::MAX / 4.0, |duration| duration.as_secs_f64())
}

async fn targets(context: &StackContext) -> Result<std::sync::Arc<Vec<Target>>, String> {
    let ask = async {
        let answer: Targets = context.json(PROMETHEUS, 9090, "/api/v1/targets?state=active").await?;
        Ok::<_, String>(answer.data.active_targets)
    };
    context.targets.or_ask(ask).await
}

/// What the live monitors of the stack's releases select: the ready addresses of the Services of each ServiceMonitor,
/// the running pods of each PodMonitor.
async fn expected(context: &StackContext) -> Result<std::sync::Arc<Expected>, String> {
    context.expected.or_ask(async { compute(context).await.map_err(|error| error.to_string()) }).await
}

async fn compute(context: &StackContext) -> Result<Expected, ClusterError> {
    let mut expected = Expected::new();
    for kind in ["ServiceMonitor", "PodMonitor"] {
        let names: BTreeMap<String, BTreeSet<String>> =
            context.objects(kind).into_iter().fold(BTreeMap::new(), |mut names, (namespace, object)| {
                names.entry(namespace.to_owned()).or_insert_with(BTreeSet::new).insert(name_of(object).to_owned());
                names
            });
        for (namespace, names) in names {
            let live = context.cluster.list("monitoring.coreos.com/v1", kind, Some(&namespace), None).await?;
            for monitor in live.iter().filter(|one| names.contains(name_of(one))) {
                expected.extend(pools(context, monitor, (kind, &namespace)).await?);
            }
        }
    }
    Ok(expected)
}

/// The pools of one monitor. A Service without a ready address brings none: nothing stands that could be scraped.
async fn pools(
    context: &StackContext,
    monitor: &Value,
    (kind, namespace): (&str, &str),
) -> Result<Expected, ClusterError> {
    let is_of_pods = kind == "PodMonitor";
    let (prefix, endpoints) =
        if is_of_pods { ("podMonitor", "/spec/podMetricsEndpoints") } else { ("serviceMonitor", "/spec/endpoints") };
    let endpoints = monitor.pointer(endpoints).and_then(Value::as_array).cloned().unwrap_or_default();
    let labels = selector(&monitor["spec"]["selector"]);
    let mut pools = Expected::new();
    for place in places(monitor, namespace) {
        let place = place.as_deref();
        let addresses = if is_of_pods {
            pods(&context.cluster.list("v1", "Pod", place, Some(&labels)).await?)
        } else {
            services(context, place, &labels).await?
        };
        for (index, endpoint) in endpoints.iter().enumerate() {
            let pool = format!("{prefix}/{namespace}/{}/{index}", name_of(monitor));
            let port = endpoint["port"].as_str();
            let found = addresses
                .iter()
                .filter(|address| port.is_none() || address.ports.iter().any(|name| Some(name.as_str()) == port));
            pools.entry(pool).or_default().extend(found.map(|found| (found.address.clone(), found.name.clone())));
        }
    }
    pools.retain(|_, addresses| !addresses.is_empty());
    Ok(pools)
}

/// The namespaces a monitor looks in; `None`: all.
fn places(monitor: &Value, own: &str) -> Vec<Option<String>> {
    let chosen = &monitor["spec"]["namespaceSelector"];
    if chosen["any"] == true {
        return vec![None];
    }
    let named: Vec<Option<String>> =
        chosen["matchNames"].as_array().into_iter().flatten().map(|name| name.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![Some(own.to_owned())] } else { named }
}

/// A label selector as the API takes it in a query.
fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

/// Something that can be scraped.
struct Address {
    address: String,
    name: String,
    ports: Vec<String>,
}

/// Ready addresses of the Services with some labels, from their EndpointSlices.
async fn services(context: &StackContext, namespace: Option<&str>, labels: &str) -> Result<Vec<Address>, ClusterError> {
    let services = context.cluster.list("v1", "Service", namespace, Some(labels)).await?;
    let mut addresses = Vec::new();
    for service in &services {
        let of_service = format!("kubernetes.io/service-name={}", name_of(service));
        let place = service.pointer("/metadata/namespace").and_then(Value::as_str);
        let slices = context.cluster.list("discovery.k8s.io/v1", "EndpointSlice", place, Some(&of_service)).await?;
        addresses.extend(slices.iter().flat_map(slice));
    }
    Ok(addresses)
}

fn slice(slice: &Value) -> Vec<Address> {
    let ports = slice["ports"].as_array().into_iter().flatten();
    let ports: Vec<String> = ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect();
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
        .filter_map(|endpoint| {
            let address = endpoint["addresses"][0].as_str()?.to_owned();
            let name = endpoint.pointer("/targetRef/name").and_then(Value::as_str).unwrap_or(&address).to_owned();
            Some(Address { address, name, ports: ports.clone() })
        })
        .collect()
}

fn pods(pods: &[Value]) -> Vec<Address> {
    let running = pods.iter().filter(|pod| pod.pointer("/status/phase") == Some(&Value::from("Running")));
    running
        .filter_map(|pod| {
            let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
            let ports = containers.flat_map(|one| one["ports"].as_array().into_iter().flatten());
            Some(Address {
                address: pod.pointer("/status/podIP").and_then(Value::as_str)?.to_owned(),
                name: name_of(pod).to_owned(),
                ports: ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(pool: &str, host: &str, health: &str, error: &str) -> Target {
        Target {
            scrape_pool: pool.into(),
            scrape_url: format!("http://{host}:9100/metrics"),
            labels: Labels { job: pool.rsplit('/').nth(1).unwrap_or_default().into(), instance: host.into() },
            health: health.into(),
            last_error: error.into(),
            scrape_interval: "30s".into(),
        }
    }

    #[test]
    fn a_target_that_prometheus_does_not_know_is_named() {
        let pool = "serviceMonitor/monitoring/loki/0";
        let expected =
            Expected::from([(pool.to_owned(), BTreeMap::from([("10.0.0.7".to_owned(), "loki-0".to_owned())]))]);
        assert_eq!(compare(&expected, &[]).detail, "unknown to it: loki-0 (ServiceMonitor loki)");
        assert_eq!(
            compare(&expected, &[target(pool, "10.0.0.8", "up", "")]).detail,
            "unknown to it: loki-0 (ServiceMonitor loki)"
        );
        let found = compare(&expected, &[target(pool, "10.0.0.7", "up", "")]);
        assert_eq!(found, Finding::pass("1 of 1, from 1 monitors' endpoints; 1 targets in all"));
        assert_eq!(compare(&Expected::new(), &[]), Finding::fail("the stack has no ServiceMonitor"));
    }

    #[test]
    fn what_is_down_is_named_with_its_reason() {
        let (a, b, c) = (
            target("s/m/a/0", "1", "up", ""),
            target("s/m/b/0", "2", "down", "refused"),
            target("s/m/c/0", "3", "unknown", ""),
        );
        assert_eq!(describe(&[&a]), Finding::pass("1 of 1"));
        assert_eq!(describe(&[&a, &b, &b]), Finding::not_yet("b: 2 down (refused)"));
        assert_eq!(describe(&[&c]), Finding::not_yet("c: 1 down (not scraped yet)"));
    }

    #[test]
    fn a_sample_is_late_after_two_intervals_of_its_own_job() {
        let intervals = BTreeMap::from([("loki".to_owned(), 15.0), ("oauth2-proxy".to_owned(), 60.0)]);
        let ages = |loki, door| BTreeMap::from([("loki".to_owned(), loki), ("oauth2-proxy".to_owned(), door)]);
        assert_eq!(judge_ages(&intervals, &ages(29.0, 110.0)).detail, "the oldest of 2 jobs is 110 s old");
        assert_eq!(judge_ages(&intervals, &ages(31.0, 1.0)).detail, "loki: 31 s old, scraped every 15 s");
        assert_eq!(judge_ages(&intervals, &BTreeMap::new()).detail, "loki: no sample, oauth2-proxy: no sample");
    }

    #[test]
    fn selectors_are_written_as_the_api_reads_them() {
        let found = selector(&json!({"matchLabels": {"app": "loki"}, "matchExpressions": [
            {"key": "variant", "operator": "NotIn", "values": ["headless"]},
            {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"}]}));
        assert_eq!(found, "app=loki,variant notin (headless),x,!y");
    }

    #[test]
    fn addresses_that_are_not_ready_are_not_expected() {
        let found = slice(&json!({"ports": [{"name": "http"}], "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"name": "loki-0"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}]}));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].ports.as_slice()), ("loki-0", &["http".to_owned()][..]));
    }
}
