//! Ports of the nodes: a pod that wants one which another pod holds is never scheduled there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::name_of;
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, HostPort};
use crate::list::first_of;
use crate::plan::PlannedRelease;

/// Pods that a finding names.
const NAMED: usize = 3;

/// A port that every node has to have free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    component: String,
    namespace: String,
    daemon_set: String,
    port: u16,
    protocol: String,
}

/// What is wanted, and who holds it already.
#[derive(Debug, Default)]
pub(super) struct Ports {
    wanted: Vec<Wanted>,
    clashes: Vec<(Wanted, Vec<HostPort>)>,
}

/// Nothing is read where no DaemonSet takes a new port of its nodes.
pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Ports, ClusterError> {
    let wanted: Vec<Wanted> = incoming.iter().flat_map(wanted).collect();
    let held = if wanted.is_empty() { Vec::new() } else { cluster.host_ports().await? };
    Ok(meet(wanted, &held))
}

/// The ports that a release's DaemonSets take and have not taken before.
pub(super) fn wanted(incoming: &PlannedRelease<'_>) -> Vec<Wanted> {
    let of = |objects: &[Value]| -> Vec<Wanted> {
        let sets = objects.iter().filter(|object| object["kind"] == "DaemonSet");
        sets.flat_map(|set| {
            let template = &set["spec"]["template"]["spec"];
            let is_on_host = template["hostNetwork"] == true;
            let containers = template["containers"].as_array().into_iter().flatten();
            let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
            ports.filter_map(move |port| {
                let number = port["hostPort"].as_u64().filter(|number| *number != 0);
                let number = number.or_else(|| port["containerPort"].as_u64().filter(|_| is_on_host))?;
                Some(Wanted {
                    component: incoming.release.component.to_string(),
                    namespace: incoming.namespace_of(set).to_owned(),
                    daemon_set: name_of(set).to_owned(),
                    port: u16::try_from(number).ok()?,
                    protocol: port["protocol"].as_str().unwrap_or("TCP").to_owned(),
                })
            })
        })
        .collect()
    };
    let standing = of(incoming.standing);
    of(incoming.rendered).into_iter().filter(|wanted| !standing.contains(wanted)).collect()
}

pub(super) fn meet(wanted: Vec<Wanted>, held: &[HostPort]) -> Ports {
    let clash = |wanted: &Wanted| -> Vec<HostPort> {
        let is_ours = |held: &HostPort| {
            let owner = held.owner.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
            held.namespace == wanted.namespace && owner == Some(("DaemonSet", wanted.daemon_set.as_str()))
        };
        let same = held.iter().filter(|held| held.port == wanted.port && held.protocol == wanted.protocol);
        same.filter(|held| !is_ours(held)).cloned().collect()
    };
    let clashes = wanted.iter().map(|wanted| (wanted.clone(), clash(wanted)));
    let clashes = clashes.filter(|(_, held)| !held.is_empty()).collect();
    Ports { wanted, clashes }
}

pub(super) fn judge(ports: &Ports) -> Finding {
    let Some((wanted, _)) = ports.clashes.first() else {
        let mut numbers: Vec<String> = ports.wanted.iter().map(|wanted| wanted.port.to_string()).collect();
        numbers.dedup();
        return Finding::pass(match numbers.as_slice() {
            [] => "no further one is needed".into(),
            numbers => format!("port {}", numbers.join(", ")),
        });
    };
    let reported: Vec<String> = ports.clashes.iter().map(|(wanted, held)| in_words(wanted, held)).collect();
    let finding = Finding::fail(reported.join("; "));
    let exporter = "prometheus-node-exporter";
    if !wanted.daemon_set.ends_with(exporter) {
        return finding;
    }
    let values = format!("values.{}.{exporter}", wanted.component);
    finding.hinting(format!(
        "take the other pod away, or give node-exporter another port: {values}.service.port and .targetPort; if the other \
         one is a node-exporter that is to stay, leave ours out: values.{}.nodeExporter.enabled: false",
        wanted.component
    ))
}

fn in_words(wanted: &Wanted, held: &[HostPort]) -> String {
    let nodes: BTreeSet<&str> = held.iter().map(|held| held.node.as_str()).collect();
    let nodes = match nodes.len() {
        1 => format!("node {}", nodes.first().copied().unwrap_or_default()),
        many => format!("{many} nodes"),
    };
    // Pods of one owner are alike.
    let mut holders: Vec<String> = Vec::new();
    for held in held {
        let name = match &held.owner {
            Some((kind, name)) => format!("{kind} {name}"),
            None => format!("Pod {}", held.pod),
        };
        let name = format!("{name} in namespace {}", held.namespace);
        if !holders.contains(&name) {
            holders.push(name);
        }
    }
    let Wanted { daemon_set, port, protocol, .. } = wanted;
    format!(
        "{protocol} port {port} of DaemonSet {daemon_set} is held on {nodes} by {}, so its pods would wait there for ever",
        first_of(&holders, NAMED)
    )
}
