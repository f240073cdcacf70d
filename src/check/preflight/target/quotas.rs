//! Whether the ResourceQuotas leave room. Only what is certain is counted (nothing of init containers, of sidecars that
//! an operator adds, of hooks), so that what is refused here would have failed later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::intent::{Kinds, kind_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, Quantity, quantity};
use crate::list::first_of;
use crate::plan::PlannedRelease;

/// Containers that a finding names.
const NAMED: usize = 3;

/// Amounts by the canonical name of the resource: `requests.cpu`, `count/services`, …
type Amounts = BTreeMap<String, Quantity>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    /// Quotas that were looked at.
    pub(super) count: usize,
    /// One sentence each.
    pub(super) troubles: Vec<String>,
}

/// A namespace's quotas, and what the amounts depend on.
pub(super) struct DiagnosedObject<'a> {
    pub(super) namespace: &'a str,
    pub(super) quotas: Vec<Value>,
    pub(super) limit_ranges: Vec<Value>,
    /// Nodes that run Linux pods.
    pub(super) nodes: usize,
    pub(super) kinds: &'a Kinds,
}

/// Reads the quotas of the releases' namespaces, and what of the cluster they are compared with.
pub(super) async fn read(
    cluster: &Cluster,
    incoming: &[PlannedRelease<'_>],
    kinds: &Kinds,
) -> Result<Quotas, ClusterError> {
    let namespaces: BTreeSet<&str> = incoming.iter().map(|incoming| incoming.release.namespace.as_str()).collect();
    let mut found = Quotas::default();
    for namespace in namespaces {
        let quotas = cluster.list("v1", "ResourceQuota", Some(namespace), None).await?;
        if quotas.is_empty() {
            continue;
        }
        let limit_ranges = cluster.list("v1", "LimitRange", Some(namespace), None).await?;
        let nodes = cluster.linux_nodes().await?.len();
        let more = compare(&DiagnosedObject { namespace, quotas, limit_ranges, nodes, kinds }, incoming);
        found.count += more.count;
        found.troubles.extend(more.troubles);
    }
    Ok(found)
}

/// A quota with scopes is for some pods only; which those are is not judged.
pub(super) fn compare(place: &DiagnosedObject<'_>, incoming: &[PlannedRelease<'_>]) -> Quotas {
    let scoped =
        |quota: &&Value| ["/spec/scopes", "/spec/scopeSelector"].iter().any(|path| quota.pointer(path).is_some());
    let mut found = Quotas::default();
    for quota in place.quotas.iter().filter(|quota| !scoped(quota)) {
        found.count += 1;
        found.troubles.extend(overdrawn(quota, place, incoming));
        found.troubles.extend(unspoken(quota, place, incoming));
    }
    found
}

pub(super) fn judge(quotas: &Quotas) -> Finding {
    match (quotas.count, quotas.troubles.as_slice()) {
        (0, _) => Finding::pass("there are none"),
        (count, []) => Finding::pass(format!("{count} looked at")),
        (_, troubles) => Finding::fail(troubles.join("; ")),
    }
}

/// How a quota calls what is counted here.
fn canonical(name: &str) -> String {
    match name {
        "cpu" | "memory" => format!("requests.{name}"),
        "pods" | "services" | "secrets" | "configmaps" | "persistentvolumeclaims" => format!("count/{name}"),
        other => other.to_owned(),
    }
}

/// What is needed beyond what stands, against what the quota has left.
fn overdrawn(quota: &Value, place: &DiagnosedObject<'_>, incoming: &[PlannedRelease<'_>]) -> Option<String> {
    let added = added(place, incoming);
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object)?;
    let short = hard.iter().filter_map(|(name, hard)| {
        let (wanted, hard) = (added.get(&canonical(name))?, quantity(hard)?);
        let used = quota.pointer("/status/used").and_then(|used| quantity(used.get(name)?));
        let sum = used.iter().fold(wanted.clone(), |sum, used| sum + used.clone());
        let used = used.map(|used| format!(" of which {used} in use")).unwrap_or_default();
        (sum > hard).then(|| format!("{wanted} more {name} needed, {hard} allowed{used}"))
    });
    let short: Vec<String> = short.collect();
    let (quota, namespace) = (name_of(quota), place.namespace);
    (!short.is_empty())
        .then(|| format!("ResourceQuota {quota} of namespace {namespace} leaves no room: {}", short.join(", ")))
}

fn added(place: &DiagnosedObject<'_>, incoming: &[PlannedRelease<'_>]) -> Amounts {
    let mut added = Amounts::new();
    for incoming in incoming {
        let standing = amounts(incoming.standing, place, incoming);
        for (name, amount) in amounts(incoming.rendered, place, incoming) {
            match standing.get(&name) {
                Some(old) if *old < amount => add(&mut added, &name, amount - old.clone()),
                Some(_) => {}
                None => add(&mut added, &name, amount),
            }
        }
    }
    added
}

/// What a quota that limits cpu or memory wants every container to say, and who does not say it.
fn unspoken(quota: &Value, place: &DiagnosedObject<'_>, incoming: &[PlannedRelease<'_>]) -> Vec<String> {
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flatten();
    let wanted: BTreeSet<String> = hard.map(|(name, _)| canonical(name)).collect();
    let wanted = wanted.iter().filter(|name| has_default(name, &place.limit_ranges) == Some(false));
    let reported = wanted.filter_map(|name| {
        let silent: Vec<String> = incoming
            .iter()
            .flat_map(|incoming| incoming.rendered.iter().map(move |object| (incoming, object)))
            .filter(|(incoming, object)| incoming.namespace_of(object) == place.namespace)
            .flat_map(|(_, object)| silent_containers(object, name))
            .collect();
        (!silent.is_empty()).then(|| {
            let (quota, namespace) = (name_of(quota), place.namespace);
            format!("ResourceQuota {quota} of namespace {namespace} wants {name} of every container, and {} say nothing of it", first_of(&silent, NAMED))
        })
    });
    reported.collect()
}

/// Whether a LimitRange says it for containers that do not; `None`: it is nothing that a container says.
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

/// Containers of a workload that do not say how much they take, each as `loki of StatefulSet loki`.
fn silent_containers(object: &Value, name: &str) -> Vec<String> {
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let silent = containers.into_iter().flatten().filter(|container| said(container, name).is_none());
    let workload = format!("{} {}", object["kind"].as_str().unwrap_or_default(), name_of(object));
    silent.map(|container| format!("{} of {workload}", container["name"].as_str().unwrap_or_default())).collect()
}

/// `requests.cpu` of a container; a limit is a request where there is none.
fn said(container: &Value, name: &str) -> Option<Quantity> {
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

/// What the objects of a release take in a namespace.
fn amounts(objects: &[Value], place: &DiagnosedObject<'_>, incoming: &PlannedRelease<'_>) -> Amounts {
    let mut amounts = Amounts::new();
    for object in objects.iter().filter(|object| incoming.namespace_of(object) == place.namespace) {
        if let Some(resource) = place.kinds.get(&kind_of(object)).filter(|resource| resource.is_namespaced) {
            count(&mut amounts, &resource.to_string(), 1);
        }
        if object["kind"] == "PersistentVolumeClaim" {
            claim(&mut amounts, (object, 1));
        }
        let copies = copies(object, place.nodes);
        if copies == 0 {
            continue;
        }
        count(&mut amounts, "pods", copies);
        for container in containers(object) {
            for name in ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"] {
                if let Some(amount) = said(container, name) {
                    add(&mut amounts, name, amount * copies);
                }
            }
        }
        for template in templates_of_claims(object) {
            count(&mut amounts, "persistentvolumeclaims", copies);
            claim(&mut amounts, (template, copies));
        }
    }
    amounts
}

fn count(amounts: &mut Amounts, resource: &str, more: u64) {
    add(amounts, &format!("count/{resource}"), Quantity::from(more));
}

fn claim(amounts: &mut Amounts, (claim, copies): (&Value, u64)) {
    let Some(size) = claim.pointer("/spec/resources/requests/storage").and_then(quantity) else { return };
    let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str);
    if let Some(class) = class {
        add(amounts, &format!("{class}.storageclass.storage.k8s.io/requests.storage"), size.clone() * copies);
    }
    add(amounts, "requests.storage", size * copies);
}

/// How many pods an object makes at least, by itself or by its operator.
fn copies(object: &Value, nodes: usize) -> u64 {
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

/// Whether no label and no taint keeps it from a node that runs Linux pods; a taint NoExecute that somebody made is too
/// rare to be looked for.
fn is_on_every_node(daemon_set: &Value) -> bool {
    let template = &daemon_set["spec"]["template"]["spec"];
    let selected = template["nodeSelector"].as_object().into_iter().flatten();
    let tolerations = template["tolerations"].as_array().into_iter().flatten();
    selected.into_iter().all(|(label, _)| label == "kubernetes.io/os")
        && tolerations.into_iter().any(|toleration| toleration["operator"] == "Exists" && toleration["key"].is_null())
}

/// The containers of its pods, as far as the object names them: of an operator's resource only the main one.
fn containers(object: &Value) -> Vec<&Value> {
    match object["kind"].as_str() {
        Some("Prometheus" | "Alertmanager") => vec![&object["spec"]],
        _ => object.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten().collect(),
    }
}

fn templates_of_claims(object: &Value) -> Vec<&Value> {
    let of_operators = object.pointer("/spec/storage/volumeClaimTemplate");
    let listed = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    listed.into_iter().flatten().chain(of_operators).collect()
}
