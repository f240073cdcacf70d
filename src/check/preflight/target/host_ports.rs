//! Host ports: a pod is not scheduled on a node on which another pod uses its host port.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::name_of;
use crate::check::row::Finding;
use crate::cluster::HostPort;
use crate::list::first_of;
use crate::plan::PlannedRelease;

/// Owners that a finding reports.
const REPORTED: usize = 3;

/// A host port of a DaemonSet, needed on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NeededPort {
    component: String,
    namespace: String,
    daemon_set: String,
    port: u16,
    protocol: String,
}

/// The needed ports, and those in use with their pods.
#[derive(Debug, Default)]
pub(super) struct Ports {
    needed: Vec<NeededPort>,
    conflicts: Vec<(NeededPort, Vec<HostPort>)>,
}

/// The host ports of a release's DaemonSets that the installed ones do not have.
pub(super) fn needed(incoming: &PlannedRelease<'_>) -> Vec<NeededPort> {
    let of = |objects: &[Value]| -> Vec<NeededPort> {
        let sets = objects.iter().filter(|object| object["kind"] == "DaemonSet");
        sets.flat_map(|set| {
            let template = &set["spec"]["template"]["spec"];
            let is_on_host = template["hostNetwork"] == true;
            let containers = template["containers"].as_array().into_iter().flatten();
            let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
            ports.filter_map(move |port| {
                let number = port["hostPort"].as_u64().filter(|number| *number != 0);
                let number = number.or_else(|| port["containerPort"].as_u64().filter(|_| is_on_host))?;
                Some(NeededPort {
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
    let installed = of(incoming.installed);
    of(incoming.rendered).into_iter().filter(|needed| !installed.contains(needed)).collect()
}

pub(super) fn compare(needed: Vec<NeededPort>, used: &[HostPort]) -> Ports {
    let users = |needed: &NeededPort| -> Vec<HostPort> {
        let is_ours = |used: &HostPort| {
            let owner = used.owner.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
            used.namespace == needed.namespace && owner == Some(("DaemonSet", needed.daemon_set.as_str()))
        };
        let same = used.iter().filter(|used| used.port == needed.port && used.protocol == needed.protocol);
        same.filter(|used| !is_ours(used)).cloned().collect()
    };
    let conflicts = needed.iter().map(|needed| (needed.clone(), users(needed)));
    let conflicts = conflicts.filter(|(_, used)| !used.is_empty()).collect();
    Ports { needed, conflicts }
}

pub(super) fn judge(ports: &Ports) -> Finding {
    let Some((needed, _)) = ports.conflicts.first() else {
        let mut numbers: Vec<String> = ports.needed.iter().map(|needed| needed.port.to_string()).collect();
        numbers.dedup();
        return Finding::pass(match numbers.as_slice() {
            [] => "no additional port is needed".into(),
            numbers => format!("port {}", numbers.join(", ")),
        });
    };
    let reported: Vec<String> = ports.conflicts.iter().map(|(needed, used)| describe(needed, used)).collect();
    let finding = Finding::fail(reported.join("; "));
    let exporter = "prometheus-node-exporter";
    if !needed.daemon_set.ends_with(exporter) {
        return finding;
    }
    let values = format!("values.{}.{exporter}", needed.component);
    finding.hinting(format!(
        "remove the other pod, or set another port for node-exporter: {values}.service.port and .targetPort; to keep \
         another node-exporter, disable the one of the stack: values.{}.nodeExporter.enabled: false",
        needed.component
    ))
}

fn describe(needed: &NeededPort, used: &[HostPort]) -> String {
    let nodes: BTreeSet<&str> = used.iter().map(|used| used.node.as_str()).collect();
    let nodes = match nodes.len() {
        1 => format!("node {}", nodes.first().copied().unwrap_or_default()),
        many => format!("{many} nodes"),
    };
    // One entry per owner.
    let mut owners: Vec<String> = Vec::new();
    for used in used {
        let name = match &used.owner {
            Some((kind, name)) => format!("{kind} {name}"),
            None => format!("Pod {}", used.pod),
        };
        let name = format!("{name} in namespace {}", used.namespace);
        if !owners.contains(&name) {
            owners.push(name);
        }
    }
    let NeededPort { daemon_set, port, protocol, .. } = needed;
    format!(
        "{protocol} port {port} of DaemonSet {daemon_set} is in use on {nodes} by {}; its pods would stay Pending there",
        first_of(&owners, REPORTED)
    )
}
