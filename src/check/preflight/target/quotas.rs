//! Whether the ResourceQuotas leave room. Counts a lower bound, without init containers, operators' sidecars and hooks: a
//! failure here would also fail later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Kinds, kind_of};
use crate::check::row::Finding;
use crate::cluster::{self, Cluster, ClusterError, Quantity, quantity};
use crate::list::first_of;
use crate::plan::PlannedRelease;
use crate::stack::NodeStates;

/// Containers that a finding reports.
const REPORTED: usize = 3;

/// Amounts by the canonical name of the resource: `requests.cpu`, `count/services`, …
type Amounts = BTreeMap<String, Quantity>;

/// The result for all namespaces.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    /// Quotas that were compared.
    pub(super) count: usize,
    /// One sentence each.
    pub(super) violations: Vec<String>,
}

/// A namespace's quotas, and the facts that the amounts depend on.
pub(super) struct NamespaceQuotas<'a> {
    pub(super) namespace: &'a str,
    pub(super) quotas: Vec<Value>,
    pub(super) limit_ranges: Vec<Value>,
    /// Nodes that run Linux pods.
    pub(super) nodes: usize,
    pub(super) kinds: &'a Kinds,
}

/// Reads the quotas of the releases' namespaces and compares them.
pub(super) async fn read(
    cluster: &Cluster,
    incoming: &[PlannedRelease<'_>],
    (kinds, nodes): (&Kinds, &NodeStates),
) -> Result<Quotas, ClusterError> {
    let namespaces: BTreeSet<&str> = incoming.iter().map(|incoming| incoming.release.namespace.as_str()).collect();
    let mut found = Quotas::default();
    for namespace in namespaces {
        let quotas = cluster.list("v1", "ResourceQuota", Some(namespace), None).await?;
        if quotas.is_empty() {
            continue;
        }
        let limit_ranges = cluster.list("v1", "LimitRange", Some(namespace), None).await?;
        let nodes = nodes.covered().count();
        let more = compare(&NamespaceQuotas { namespace, quotas, limit_ranges, nodes, kinds }, incoming);
        found.count += more.count;
        found.violations.extend(more.violations);
    }
    Ok(found)
}

/// Ignores quotas with scopes, which count only some pods.
pub(super) fn compare(scope: &NamespaceQuotas<'_>, incoming: &[PlannedRelease<'_>]) -> Quotas {
    let scoped =
        |quota: &&Value| ["/spec/scopes", "/spec/scopeSelector"].iter().any(|path| quota.pointer(path).is_some());
    let mut found = Quotas::default();
    for quota in scope.quotas.iter().filter(|quota| !scoped(quota)) {
        found.count += 1;
        found.violations.extend(exceeded(quota, scope, incoming));
        found.violations.extend(missing_resources(quota, scope, incoming));
    }
    found
}

pub(super) fn judge(quotas: &Quotas) -> Finding {
    match (quotas.count, quotas.violations.as_slice()) {
        (0, _) => Finding::pass("there are none"),
        (count, []) => Finding::pass(format!("{count} compared")),
        (_, violations) => Finding::fail(violations.join("; ")),
    }
}

/// A quota's resource name in the form of [`Amounts`].
fn canonical(name: &str) -> String {
    match name {
        "cpu" | "memory" => format!("requests.{name}"),
        "pods" | "services" | "secrets" | "configmaps" | "persistentvolumeclaims" => format!("count/{name}"),
        other => other.to_owned(),
    }
}

/// Compares the added amounts with the quota's free ones.
fn exceeded(quota: &Value, scope: &NamespaceQuotas<'_>, incoming: &[PlannedRelease<'_>]) -> Option<String> {
    let added = added(scope, incoming);
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object)?;
    let exceeding = hard.iter().filter_map(|(name, hard)| {
        let (needed, hard) = (added.get(&canonical(name))?, quantity(hard)?);
        let used = quota.pointer("/status/used").and_then(|used| quantity(used.get(name)?));
        let sum = used.iter().fold(needed.clone(), |sum, used| sum + used.clone());
        let used = used.map(|used| format!(" of which {used} in use")).unwrap_or_default();
        (sum > hard).then(|| format!("{needed} more {name} needed, {hard} allowed{used}"))
    });
    let exceeding: Vec<String> = exceeding.collect();
    let (quota, namespace) = (name_of(quota), scope.namespace);
    (!exceeding.is_empty())
        .then(|| format!("ResourceQuota {quota} of namespace {namespace} leaves no room: {}", exceeding.join(", ")))
}

fn added(scope: &NamespaceQuotas<'_>, incoming: &[PlannedRelease<'_>]) -> Amounts {
    let mut added = Amounts::new();
    for incoming in incoming {
        let installed = amounts(incoming.installed, scope, incoming);
        for (name, amount) in amounts(incoming.rendered, scope, incoming) {
            match installed.get(&name) {
                Some(old) if *old < amount => add(&mut added, &name, amount - old.clone()),
                Some(_) => {}
                None => add(&mut added, &name, amount),
            }
        }
    }
    added
}

/// Containers without a request or limit that the quota requires.
fn missing_resources(quota: &Value, scope: &NamespaceQuotas<'_>, incoming: &[PlannedRelease<'_>]) -> Vec<String> {
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flatten();
    let needed: BTreeSet<String> = hard.map(|(name, _)| canonical(name)).collect();
    let needed = needed.iter().filter(|name| has_default(name, &scope.limit_ranges) == Some(false));
    let reported = needed.filter_map(|name| {
        let unset: Vec<String> = incoming
            .iter()
            .flat_map(|incoming| incoming.rendered.iter().map(move |object| (incoming, object)))
            .filter(|(incoming, object)| incoming.namespace_of(object) == scope.namespace)
            .flat_map(|(_, object)| containers_without(object, name))
            .collect();
        (!unset.is_empty()).then(|| {
            let (quota, namespace) = (name_of(quota), scope.namespace);
            format!("ResourceQuota {quota} of namespace {namespace} requires {name} of every container, which is not set in {}", first_of(&unset, REPORTED))
        })
    });
    reported.collect()
}

/// Whether a LimitRange has a default for it; `None`: it is no request or limit.
fn has_default(name: &str, limit_ranges: &[Value]) -> Option<bool> {
    let (side, resource) = name.split_once('.').filter(|(_, rest)| ["cpu", "memory"].contains(rest))?;
    let keys: &[&str] = match side {
        "requests" => &["defaultRequest", "default"],
        "limits" => &["default"],
        _ => return None,
    };
    let limits = limit_ranges.iter().filter_map(|range| range.pointer("/spec/limits")?.as_array()).flatten();
    let mut limits = limits.filter(|limit| limit["type"] == "Container");
    Some(limits.any(|limit| keys.iter().any(|key| limit[*key].get(resource).is_some())))
}

/// Containers of a workload without this request or limit, as `loki of StatefulSet loki`.
fn containers_without(object: &Value, name: &str) -> Vec<String> {
    let unset = cluster::containers(object).filter(|container| amount_of(container, name).is_none());
    let workload = format!("{} {}", object["kind"].as_str().unwrap_or_default(), name_of(object));
    unset.map(|container| format!("{} of {workload}", container["name"].as_str().unwrap_or_default())).collect()
}

/// `requests.cpu` of a container; a request defaults to its limit.
fn amount_of(container: &Value, name: &str) -> Option<Quantity> {
    let (side, resource) = name.split_once('.')?;
    let resources = &container["resources"];
    let own = resources[side].get(resource);
    let limit = || resources["limits"].get(resource).filter(|_| side == "requests");
    own.or_else(limit).and_then(quantity)
}

fn add(amounts: &mut Amounts, name: &str, more: Quantity) {
    let sum = match amounts.remove(name) {
        Some(sum) => sum + more,
        None => more,
    };
    amounts.insert(name.to_owned(), sum);
}

/// The amounts of a release's objects in a namespace.
fn amounts(objects: &[Value], scope: &NamespaceQuotas<'_>, incoming: &PlannedRelease<'_>) -> Amounts {
    let mut amounts = Amounts::new();
    for object in objects.iter().filter(|object| incoming.namespace_of(object) == scope.namespace) {
        if let Some(resource) = scope.kinds.get(&kind_of(object)).filter(|resource| resource.is_namespaced) {
            count(&mut amounts, &resource.to_string(), 1);
        }
        if object["kind"] == "PersistentVolumeClaim" {
            claim(&mut amounts, (object, 1));
        }
        let pods = pods(object, scope.nodes);
        if pods == 0 {
            continue;
        }
        count(&mut amounts, "pods", pods);
        for container in containers(object) {
            for name in ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"] {
                if let Some(amount) = amount_of(container, name) {
                    add(&mut amounts, name, amount * pods);
                }
            }
        }
        for template in claim_templates(object) {
            count(&mut amounts, "persistentvolumeclaims", pods);
            claim(&mut amounts, (template, pods));
        }
    }
    amounts
}

fn count(amounts: &mut Amounts, resource: &str, more: u64) {
    add(amounts, &format!("count/{resource}"), Quantity::from(more));
}

fn claim(amounts: &mut Amounts, (claim, pods): (&Value, u64)) {
    let Some(size) = claim.pointer("/spec/resources/requests/storage").and_then(quantity) else { return };
    let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str);
    if let Some(class) = class {
        add(amounts, &format!("{class}.storageclass.storage.k8s.io/requests.storage"), size.clone() * pods);
    }
    add(amounts, "requests.storage", size * pods);
}

/// The minimum number of an object's pods.
fn pods(object: &Value, nodes: usize) -> u64 {
    let number = |path: &str| object.pointer(path).and_then(Value::as_u64).unwrap_or(1);
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" | "StatefulSet" | "Alertmanager" => number("/spec/replicas"),
        "Prometheus" => number("/spec/replicas") * number("/spec/shards"),
        "Job" => number("/spec/parallelism"),
        "DaemonSet" if is_on_every_node(object) => nodes as u64,
        "DaemonSet" => 0,
        _ => 0,
    }
}

/// Whether it runs on every Linux node: no node selector but the OS, and a toleration of all taints.
fn is_on_every_node(daemon_set: &Value) -> bool {
    let template = &daemon_set["spec"]["template"]["spec"];
    let selected = template["nodeSelector"].as_object().into_iter().flatten();
    let tolerations = template["tolerations"].as_array().into_iter().flatten();
    selected.into_iter().all(|(label, _)| label == "kubernetes.io/os")
        && tolerations.into_iter().any(|toleration| toleration["operator"] == "Exists" && toleration["key"].is_null())
}

/// The containers of its pods; of an operator's resource only the main one.
fn containers(object: &Value) -> Vec<&Value> {
    match object["kind"].as_str() {
        Some("Prometheus" | "Alertmanager") => vec![&object["spec"]],
        _ => cluster::containers(object).collect(),
    }
}

fn claim_templates(object: &Value) -> Vec<&Value> {
    let of_operators = object.pointer("/spec/storage/volumeClaimTemplate");
    let listed = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    listed.into_iter().flatten().chain(of_operators).collect()
}
